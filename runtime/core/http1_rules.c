// http1_rules: what RFC 9110 and 9112 ask of a first line and of the headers together, at its strictest.
#include "core/http1_rules.h"

#include <string.h>
#include <strings.h>

static const http1_fault fine;

static http1_fault fault(uint16_t status, const char *code, const char *message)
{
    return (http1_fault){status, code, message};
}

static http1_fault bad_request(const char *message)
{
    return fault(400, "bad_request", message);
}

static http1_fault bad_response(const char *message)
{
    return fault(502, "bad_response", message);
}

// RFC 9110 5.6.2
static const bool token_chars[256] = {
    ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['!'] = true, ['#'] = true, ['$'] = true,
    ['%'] = true,         ['&'] = true,         ['\''] = true,        ['*'] = true, ['+'] = true, ['-'] = true,
    ['.'] = true,         ['^'] = true,         ['_'] = true,         ['`'] = true, ['|'] = true, ['~'] = true,
};

bool http1_is_token(const char *s, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!token_chars[(unsigned char)s[i]])
            return false;
    return size > 0;
}

bool http1_is_value(const char *s, size_t size)
{
    if (size > 0 && (s[0] == ' ' || s[0] == '\t' || s[size - 1] == ' ' || s[size - 1] == '\t'))
        return false;
    // Eight bytes at a time: a byte is suspicious when it is below 0x20 or 0x7f (found exactly by these carries, where
    // bytes above 0x7f never count); a tab among them sends the block through the table below.
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t v;
        memcpy(&v, s + i, 8);
        const uint64_t ones = UINT64_C(0x0101010101010101), high = UINT64_C(0x8080808080808080);
        uint64_t low = (v | high) - ones * 0x20;    // top bit clear where the low seven bits are < 0x20
        uint64_t del = ((v & ~high) + ones) & high; // top bit set where the low seven bits are 0x7f
        if (((~low & high) | del) & ~(v & high))
            break;
    }
    for (; i < size; i++) {
        unsigned char c = (unsigned char)s[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool http1_is_target(const char *s, size_t size)
{
    if (size == 0 || (s[0] != '/' && !(s[0] == '*' && size == 1)))
        return false;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c <= 0x20 || c >= 0x7f || c == '#')
            return false;
    }
    return true;
}

static bool is_port(const char *s, size_t size)
{
    unsigned port = 0;
    if (size == 0 || size > 5)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        port = port * 10 + (unsigned)(s[i] - '0');
    }
    return port <= 65535;
}

bool http1_is_host(const char *s, size_t size)
{
    const char *allowed = "-._~";
    size_t i = 0, first = 0;
    if (size == 0)
        return false;
    if (s[0] == '[') {
        const char *close = memchr(s, ']', size);
        if (!close)
            return false;
        first = i = 1;
        size_t end = (size_t)(close - s);
        for (; i < end; i++)
            if (!strchr("0123456789abcdefABCDEF:.", s[i]) || s[i] == 0)
                return false;
        if (end < first + 2)
            return false;
        i = end + 1;
    } else {
        for (; i < size && s[i] != ':'; i++) {
            char c = s[i];
            bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
            if (!is_alnum && (c == 0 || !strchr(allowed, c)))
                return false;
        }
        if (i == 0)
            return false;
    }
    if (i == size)
        return true;
    return s[i] == ':' && is_port(s + i + 1, size - i - 1);
}

static bool is_version(const char *s, size_t size, uint8_t *minor)
{
    if (size != 8 || memcmp(s, "HTTP/1.", 7) != 0 || (s[7] != '0' && s[7] != '1'))
        return false;
    *minor = (uint8_t)(s[7] - '0');
    return true;
}

http1_fault http1_check_request_line(http1_head *h, const char *line, size_t size)
{
    static const char *const served[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    const char *space = memchr(line, ' ', size);
    if (!space || !http1_is_token(line, (size_t)(space - line)))
        return bad_request("malformed request line");
    size_t method_size = (size_t)(space - line);
    const char *target = space + 1;
    size_t rest = size - method_size - 1;
    const char *second = memchr(target, ' ', rest);
    if (!second || !is_version(second + 1, rest - (size_t)(second - target) - 1, &h->minor))
        return bad_request("malformed request line, or a version other than HTTP/1.0 and HTTP/1.1");
    size_t target_size = (size_t)(second - target);

    bool is_served = false;
    for (size_t i = 0; i < sizeof(served) / sizeof(*served); i++)
        is_served |= strlen(served[i]) == method_size && memcmp(served[i], line, method_size) == 0;
    if (!is_served) {
        if ((method_size == 7 && memcmp(line, "CONNECT", 7) == 0) ||
            (method_size == 5 && memcmp(line, "TRACE", 5) == 0))
            return fault(405, "method_not_allowed", "CONNECT and TRACE are not served");
        return fault(501, "not_implemented", "unknown method");
    }
    if (!http1_is_target(target, target_size))
        return bad_request("the request target is not a path; absolute addresses are not served here");
    if (target[0] == '*' && (method_size != 7 || memcmp(line, "OPTIONS", 7) != 0))
        return bad_request("* is a target for OPTIONS only");
    h->method_size = (uint16_t)method_size;
    h->target_at = (uint16_t)(target - line);
    h->target_size = (uint16_t)target_size;
    const char *query = memchr(target, '?', target_size);
    h->path_size = query ? (uint16_t)(query - target) : (uint16_t)target_size;
    return fine;
}

http1_fault http1_check_status_line(http1_head *h, const char *line, size_t size)
{
    if (size < 12 || !is_version(line, 8, &h->minor) || line[8] != ' ')
        return bad_response("malformed status line");
    unsigned status = 0;
    for (int i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9')
            return bad_response("malformed status");
        status = status * 10 + (unsigned)(line[i] - '0');
    }
    if (status < 100 || status > 599 || (size > 12 && line[12] != ' '))
        return bad_response("malformed status");
    for (size_t i = 12; i < size; i++) {
        unsigned char c = (unsigned char)line[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return bad_response("control character in the status line");
    }
    h->status = (uint16_t)status;
    return fine;
}

static bool parse_length(const char *s, size_t size, int64_t *out)
{
    int64_t n = 0;
    if (size == 0 || size > 18) // 18 digits always fit, and no body has more
        return false;
    for (size_t i = 0; i < size; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        n = n * 10 + (s[i] - '0');
    }
    *out = n;
    return true;
}

enum known { HOST = 1, LENGTH = 2, ENCODING = 4, EXPECT = 8, AUTHORIZATION = 16, CONTENT_TYPE = 32 };

// What a header is to the framing and the connection, by its lower-case name.
static enum known known_header(const char *name, size_t size)
{
    switch (size) {
    case 4:
        return memcmp(name, "host", 4) == 0 ? HOST : 0;
    case 6:
        return memcmp(name, "expect", 6) == 0 ? EXPECT : 0;
    case 12:
        return memcmp(name, "content-type", 12) == 0 ? CONTENT_TYPE : 0;
    case 13:
        return memcmp(name, "authorization", 13) == 0 ? AUTHORIZATION : 0;
    case 14:
        return memcmp(name, "content-length", 14) == 0 ? LENGTH : 0;
    case 17:
        return memcmp(name, "transfer-encoding", 17) == 0 ? ENCODING : 0;
    default:
        return 0;
    }
}

// Reads what both directions share into h, *seen and *message; `single` are the headers that may come
// once. False: refused, for *message.
static bool read_framing(http1_head *h, unsigned single, unsigned *seen, const char **message)
{
    *seen = 0;
    for (int i = 0; i < h->count; i++) {
        const http1_header *r = http1_header_at(h, i);
        const char *value = h->block + r->value_at;
        enum known known = known_header(h->block + r->name_at, r->name_size);
        if (known == 0)
            continue;
        if (*seen & known & single) {
            *message = "a header that may come once came twice";
            return false;
        }
        *seen |= known;
        if (known == LENGTH && !parse_length(value, r->value_size, &h->content_length)) {
            *message = "malformed content-length";
            return false;
        }
        if (known == ENCODING && (r->value_size != 7 || strncasecmp(value, "chunked", 7) != 0)) {
            *message = "transfer-encoding other than chunked";
            return false;
        }
    }
    if ((*seen & LENGTH) && (*seen & ENCODING)) {
        *message = "content-length and transfer-encoding together";
        return false;
    }
    if ((*seen & ENCODING) && h->minor == 0) {
        *message = "transfer-encoding in HTTP/1.0";
        return false;
    }
    h->keeps_alive = h->minor == 1
                         ? !http1_has_token(h, "connection", "close")
                         : http1_has_token(h, "connection", "keep-alive") && !http1_has_token(h, "connection", "close");
    return true;
}

http1_fault http1_check_request(http1_head *h)
{
    unsigned seen;
    const char *message;
    if (!read_framing(h, ~0u, &seen, &message))
        return bad_request(message);
    if (seen & HOST) {
        const http1_header *host = http1_header_at(h, http1_find(h, "host", 4, 0));
        if (!http1_is_host(h->block + host->value_at, host->value_size))
            return bad_request("malformed host");
    } else if (h->minor == 1) {
        return bad_request("host is missing");
    }
    h->body = seen & ENCODING ? HTTP1_CHUNKED : h->content_length > 0 ? HTTP1_LENGTH : HTTP1_NO_BODY;
    if (seen & EXPECT) {
        const http1_header *expect = http1_header_at(h, http1_find(h, "expect", 6, 0));
        if (expect->value_size != 12 || strncasecmp(h->block + expect->value_at, "100-continue", 12) != 0)
            return fault(417, "expectation_failed", "expect other than 100-continue");
        h->expects_continue = h->minor == 1 && h->body != HTTP1_NO_BODY; // RFC 9110 10.1.1: 1.0 cannot mean it
    }
    return fine;
}

http1_fault http1_check_response(http1_head *h, bool is_answer_to_head)
{
    unsigned seen;
    const char *message;
    if (!read_framing(h, LENGTH | ENCODING, &seen, &message))
        return bad_response(message);
    if (h->status == 101)
        return bad_response("protocol switch that nobody asked for");
    if (is_answer_to_head || h->status < 200 || h->status == 204 || h->status == 304 || h->content_length == 0)
        h->body = HTTP1_NO_BODY;
    else if (seen & ENCODING)
        h->body = HTTP1_CHUNKED;
    else if (seen & LENGTH)
        h->body = HTTP1_LENGTH;
    else
        h->body = HTTP1_UNTIL_CLOSE;
    if (h->body == HTTP1_UNTIL_CLOSE)
        h->keeps_alive = false;
    return fine;
}
