// http1_write: heads and chunk framing for the way out. Everything that goes into a head passes here, so
// that no value, whoever wrote it, ends a line.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/http1.h"

#define PUT(out, literal) bytes_append(out, literal, sizeof(literal) - 1)

// Source: IANA HTTP Status Code Registry (read 2026-11); 499 and 529 as the trade uses them.
const char *http1_reason(int status)
{
    switch (status) {
    case 100:
        return "Continue";
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 202:
        return "Accepted";
    case 204:
        return "No Content";
    case 206:
        return "Partial Content";
    case 301:
        return "Moved Permanently";
    case 302:
        return "Found";
    case 303:
        return "See Other";
    case 304:
        return "Not Modified";
    case 307:
        return "Temporary Redirect";
    case 308:
        return "Permanent Redirect";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 402:
        return "Payment Required";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 406:
        return "Not Acceptable";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 410:
        return "Gone";
    case 411:
        return "Length Required";
    case 412:
        return "Precondition Failed";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 416:
        return "Range Not Satisfiable";
    case 417:
        return "Expectation Failed";
    case 421:
        return "Misdirected Request";
    case 422:
        return "Unprocessable Content";
    case 424:
        return "Failed Dependency";
    case 425:
        return "Too Early";
    case 426:
        return "Upgrade Required";
    case 428:
        return "Precondition Required";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 499:
        return "Client Closed Request";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    case 507:
        return "Insufficient Storage";
    case 529:
        return "Site Is Overloaded";
    default:
        return "Status";
    }
}

// Writes n in decimal so that it ends at end; returns where it starts.
static char *put_decimal(char *end, uint64_t n)
{
    do {
        *--end = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    return end;
}

bool http1_put_status(bytes *out, int status)
{
    char number[3];
    if (status < 100 || status > 599)
        return false;
    put_decimal(number + sizeof(number), (uint64_t)status);
    const char *reason = http1_reason(status);
    return bytes_reserve(out, 64) && PUT(out, "HTTP/1.1 ") && bytes_append(out, number, sizeof(number)) &&
           PUT(out, " ") && bytes_append(out, reason, strlen(reason)) && PUT(out, "\r\n");
}

bool http1_put_request(bytes *out, const char *method, size_t method_size, const char *target, size_t target_size)
{
    if (!http1_is_token(method, method_size) || !http1_is_target(target, target_size))
        return false;
    if (!bytes_reserve(out, method_size + target_size + 12))
        return false;
    return bytes_append(out, method, method_size) && PUT(out, " ") && bytes_append(out, target, target_size) &&
           PUT(out, " HTTP/1.1\r\n");
}

bool http1_put_header(bytes *out, const char *name, size_t name_size, const char *value, size_t value_size)
{
    if (!http1_is_token(name, name_size) || !http1_is_value(value, value_size))
        return false;
    if (!bytes_reserve(out, name_size + value_size + 4))
        return false;
    return bytes_append(out, name, name_size) && PUT(out, ": ") && bytes_append(out, value, value_size) &&
           PUT(out, "\r\n");
}

bool http1_put_length(bytes *out, uint64_t content_length)
{
    char line[24]; // 20 digits at most
    char *end = line + sizeof(line);
    *--end = '\n';
    *--end = '\r';
    char *start = put_decimal(end, content_length);
    return PUT(out, "content-length: ") && bytes_append(out, start, (size_t)(line + sizeof(line) - start));
}

bool http1_put_date(bytes *out, int64_t time_s)
{
    static int64_t made_s = INT64_MIN; // one thread; a worker's requests share it
    static char line[48];
    static size_t size;
    if (time_s != made_s) {
        static const char days[] = "SunMonTueWedThuFriSat";
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        time_t t = (time_t)time_s;
        struct tm tm;
        gmtime_r(&t, &tm);
        size = (size_t)snprintf(line, sizeof(line), "date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n",
                                days + tm.tm_wday * 3, tm.tm_mday, months + tm.tm_mon * 3, (tm.tm_year + 1900) % 10000,
                                tm.tm_hour, tm.tm_min, tm.tm_sec);
        made_s = time_s;
    }
    return bytes_append(out, line, size);
}

bool http1_put_end(bytes *out)
{
    return PUT(out, "\r\n");
}

size_t http1_chunk_prefix(char out[HTTP1_CHUNK_PREFIX_BYTES], size_t size)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;
    for (size_t rest = size; rest > 0; rest >>= 4)
        n++;
    for (size_t i = n; i > 0; i--, size >>= 4)
        out[i - 1] = digits[size & 15];
    out[n] = '\r';
    out[n + 1] = '\n';
    return n + 2;
}
