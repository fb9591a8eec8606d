// libFuzzer: signing. Input: "METHOD target\n", "name:value\n" lines, an empty line, the body. Any request is signed or
// refused within the promised room; order and case of headers change nothing; the canonical query is canonical.
#include "core/sigv4.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEADERS_MAX = SIGV4_HEADERS_MAX + 8 };

#define TEXT(literal)                                                                                                  \
    {                                                                                                                  \
        (literal), sizeof(literal) - 1                                                                                 \
    }

static void must(bool condition)
{
    if (!condition)
        abort();
}

// Cuts a text up to `stop` off the front of rest; its copy has exactly its size, so that one byte more is seen.
static sigv4_text cut(sigv4_text *rest, char stop)
{
    const char *end = rest->size > 0 ? memchr(rest->data, stop, rest->size) : NULL;
    size_t size = end ? (size_t)(end - rest->data) : rest->size;
    char *copy = malloc(size ? size : 1);
    if (size > 0)
        memcpy(copy, rest->data, size);
    rest->data += size + (end != NULL);
    rest->size -= size + (end != NULL);
    return (sigv4_text){copy, size};
}

static enum sigv4_error sign(sigv4_signer *s, const sigv4_request *request, char **out, size_t *size)
{
    size_t room = sigv4_room(s, request->headers, request->header_count);
    *out = malloc(room);
    enum sigv4_error error = sigv4_sign(s, request, *out, room, size);
    must(error != SIGV4_NO_ROOM && (error != SIGV4_OK || *size <= room));
    return error;
}

static void must_be_same(sigv4_signer *s, const sigv4_request *request, enum sigv4_error want, const char *text,
                         size_t text_size)
{
    char *out;
    size_t size;
    enum sigv4_error error = sign(s, request, &out, &size);
    must((error == SIGV4_OK) == (want == SIGV4_OK)); // of two errors, either may be met first
    must(error != SIGV4_OK || (size == text_size && memcmp(out, text, size) == 0));
    free(out);
}

static bool same_name(sigv4_text a, sigv4_text b)
{
    return a.size == b.size && strncasecmp(a.data, b.data, a.size) == 0;
}

static bool has_repeated(const sigv4_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (same_name(headers[i].name, headers[k].name))
                return true;
        }
    }
    return false;
}

static void check_headers(sigv4_signer *s, const sigv4_request *request, enum sigv4_error error, const char *text,
                          size_t text_size)
{
    sigv4_header changed[HEADERS_MAX];
    sigv4_request other = *request;
    other.headers = changed;
    for (size_t i = 0; i < request->header_count; i++) {
        changed[i] = request->headers[i];
        char *name = malloc(changed[i].name.size + 1);
        for (size_t k = 0; k < changed[i].name.size; k++)
            name[k] = (char)toupper((unsigned char)changed[i].name.data[k]);
        changed[i].name.data = name;
    }
    must_be_same(s, &other, error, text, text_size);
    for (size_t i = 0; i < request->header_count; i++) {
        free((char *)changed[i].name.data);
        changed[i] = request->headers[request->header_count - 1 - i];
    }
    if (!has_repeated(request->headers, request->header_count))
        must_be_same(s, &other, error, text, text_size);
}

static void check_query(sigv4_signer *s, const sigv4_request *request, enum sigv4_error error, const char *text,
                        size_t text_size)
{
    const char *question = memchr(request->target.data, '?', request->target.size);
    if (!question)
        return;
    size_t path_size = (size_t)(question - request->target.data), size, again_size;
    sigv4_text query = {question + 1, request->target.size - path_size - 1};
    size_t room = 3 * query.size + 1;
    char *target = malloc(path_size + 1 + room), *again = malloc(3 * room + 1);
    memcpy(target, request->target.data, path_size + 1);
    char *canonical = target + path_size + 1;
    enum sigv4_error query_error = sigv4_canonical_query(query, canonical, room, &size);
    must(query_error == SIGV4_OK || query_error == SIGV4_TOO_LARGE);
    if (query_error == SIGV4_OK) {
        must(sigv4_canonical_query((sigv4_text){canonical, size}, again, 3 * room + 1, &again_size) == SIGV4_OK);
        must(size == again_size && memcmp(canonical, again, size) == 0);
        sigv4_request other = *request;
        other.target = (sigv4_text){target, path_size + 1 + size};
        must_be_same(s, &other, error, text, text_size);
    }
    free(target);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sigv4_signer *s; // kept: what a signer caches must not show
    if (!s) {
        const sigv4_credentials credentials = {TEXT("AKID"),      TEXT("secret"),  TEXT("token"),
                                               TEXT("us-east-1"), TEXT("bedrock"), true};
        const char *field;
        must(sigv4_signer_new(&s, &credentials, &field) == SIGV4_OK);
    }
    sigv4_text rest = {(const char *)data, size};
    sigv4_header headers[HEADERS_MAX];
    sigv4_request request = {.headers = headers, .time_s = 1795305600 + (int64_t)(size % 7) * 43200};
    sigv4_text line = cut(&rest, '\n'), line_rest = line;
    request.method = cut(&line_rest, ' ');
    request.target = cut(&line_rest, '\n');
    free((char *)line.data);
    while (rest.size > 0 && request.header_count < HEADERS_MAX) {
        line = line_rest = cut(&rest, '\n');
        if (line.size > 0) {
            sigv4_header *header = &headers[request.header_count++];
            header->name = cut(&line_rest, ':');
            header->value = cut(&line_rest, '\n');
        }
        free((char *)line.data);
        if (line.size == 0)
            break;
    }
    segment body = {rest.data, rest.size, NULL};
    request.body = &body;
    request.body_count = 1;

    char *out;
    size_t out_size = 0;
    enum sigv4_error error = sign(s, &request, &out, &out_size);
    check_headers(s, &request, error, out, out_size);
    check_query(s, &request, error, out, out_size);
    free(out);
    free((char *)request.method.data);
    free((char *)request.target.data);
    for (size_t i = 0; i < request.header_count; i++) {
        free((char *)headers[i].name.data);
        free((char *)headers[i].value.data);
    }
    return 0;
}
