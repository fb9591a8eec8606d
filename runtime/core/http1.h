// http1: strict HTTP/1.1 messages over llhttp, without sockets. One parser reads requests or responses
// piece by piece; a head is kept in one block that is asked for by name; the writers build heads that
// cannot carry more lines than they were given. No lenient flag of llhttp is ever set, and what llhttp
// leaves to its user is checked here: threats 1-12 and 32-33 of the project's list.
// Ownership: a parser owns its head until http1_next(), http1_drop_head() or http1_free().
#ifndef MOONGATE_CORE_HTTP1_H
#define MOONGATE_CORE_HTTP1_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bytes.h"

typedef struct http1_limits {
    uint32_t line_bytes;      // request or status line; above: 414
    uint32_t head_bytes;      // whole head, first line included, at most 65535; above: 431
    uint32_t header_count;    // above: 431
    uint32_t extension_bytes; // chunk extensions of one message; above: 413
    uint32_t trailer_bytes;   // trailers, which are dropped; above: 431
    uint32_t interim_count;   // 1xx answers before the real one
} http1_limits;

extern const http1_limits http1_default_limits; // 16 KB, 64 KB, 100, 1 KB, 8 KB, 10

enum http1_body { HTTP1_NO_BODY, HTTP1_LENGTH, HTTP1_CHUNKED, HTTP1_UNTIL_CLOSE };

typedef struct http1_header {
    uint16_t name_at, name_size; // the name is lower case in the block
    uint16_t value_at, value_size;
    uint16_t hash;
} http1_header;

// A parsed head: one allocation. Text grows from the block's start, header records from its end.
typedef struct http1_head {
    uint32_t capacity;
    uint32_t text_size;
    int64_t content_length; // -1: none given
    uint16_t count;         // headers
    uint16_t target_at, target_size, path_size;
    uint16_t method_size; // the method is the first thing in the block
    uint16_t status;      // responses
    uint8_t minor;        // HTTP/1.minor
    uint8_t body;         // enum http1_body
    bool keeps_alive;     // the other side will take another message after this one
    bool expects_continue;
    char block[];
} http1_head;

enum http1_event {
    HTTP1_MORE,  // all was used; give more bytes, or call http1_eof()
    HTTP1_HEAD,  // head is complete; call again (a body that is there must be fetched)
    HTTP1_BODY,  // part/part_size point into the bytes just given
    HTTP1_END,   // message complete; bytes behind *used belong to the next one
    HTTP1_ERROR, // status, code, message say why; stays so
};

typedef struct http1 {
    llhttp_t chunks; // reads the whole head, later the chunks
    const http1_limits *limits;
    http1_head *head;
    const char *part;
    size_t part_size;
    uint64_t body_left; // HTTP1_LENGTH: bytes still to come
    const char *code;   // of an error: bad_request, uri_too_long, headers_too_large, method_not_allowed,
                        // not_implemented, expectation_failed, too_large, no_memory; responses: bad_response, truncated
    const char *message;
    uint32_t line_at;  // where the line being gathered starts in the block
    uint32_t lines;    // header lines gathered
    uint32_t overhead; // bytes of chunk framing since the last body byte
    uint32_t extensions;
    uint16_t status; // HTTP status to answer with (requests)
    uint8_t state;
    uint8_t body; // enum http1_body, once the head was there
    uint8_t interims;
    bool is_response;
    bool is_answer_to_head;
    bool skipped_line; // the one empty line allowed before a request
} http1;

// Makes *p ready for requests, or for responses. limits may be NULL (defaults) and must outlive p.
void http1_init(http1 *p, bool is_response, const http1_limits *limits);
// Frees what p holds; p may be initialised again.
void http1_free(http1 *p);
// Gets ready for the next message of the same connection; drops the head.
void http1_next(http1 *p);
// Frees the head early, for long streams. The body goes on being read. The head's fields are gone.
void http1_drop_head(http1 *p);
// Hands the head over: the caller frees it with free(). The body goes on being read.
http1_head *http1_take_head(http1 *p);
// Responses: tells that the request was HEAD, so that no body follows. Before the head is there.
void http1_answer_to_head(http1 *p, bool is_head);

// Reads data[0..size) up to the next event; *used tells how far. Call again with the rest until MORE.
// After HTTP1_HEAD a call with size 0 tells whether the message is already over (HTTP1_END).
enum http1_event http1_parse(http1 *p, const char *data, size_t size, size_t *used);
// The connection ended. MORE: between messages, nothing is missing; END: that ended the body;
// ERROR: code "truncated".
enum http1_event http1_eof(http1 *p);
// HTTP1_LENGTH bodies only: size bytes (at most body_left) were read past the parser, straight into
// their place. HTTP1_END when the body is complete, else HTTP1_MORE.
enum http1_event http1_body_taken(http1 *p, size_t size);
// True before the first byte of a message.
bool http1_is_idle(const http1 *p);
bool http1_in_body(const http1 *p);

// Finds the first header of that lower-case name at or after index from; its index, or -1.
int http1_find(const http1_head *h, const char *name, size_t size, int from);
const http1_header *http1_header_at(const http1_head *h, int index);
static inline const char *http1_text(const http1_head *h, uint16_t at)
{
    return h->block + at;
}
// True when the comma-separated list of all headers `name` holds token (both lower case).
bool http1_has_token(const http1_head *h, const char *name, const char *token);
// Frees a head that was taken. NULL is fine.
void http1_head_free(http1_head *h);
// Gives back the room that a complete head does not use: for one that is kept long. It may move.
void http1_head_fit(http1_head **slot);

// Checks of single things, for those that build or read messages. Sizes in bytes.
bool http1_is_token(const char *s, size_t size);
bool http1_is_value(const char *s, size_t size);  // no CTL but HTAB, no blank at either end
bool http1_is_target(const char *s, size_t size); // origin-form or *, visible ASCII without #
bool http1_is_host(const char *s, size_t size);   // host, host:port, [v6]:port; no list, path, userinfo

// Writers append to out. False: a part is not allowed in a head (nothing of that part was appended), or
// out of memory. The reason phrase is the standard one.
bool http1_put_status(bytes *out, int status);
bool http1_put_request(bytes *out, const char *method, size_t method_size, const char *target, size_t target_size);
bool http1_put_header(bytes *out, const char *name, size_t name_size, const char *value, size_t value_size);
bool http1_put_length(bytes *out, uint64_t content_length);
// Appends "date: ..."; the text is made anew only when time_s (seconds since 1970) changes.
bool http1_put_date(bytes *out, int64_t time_s);
bool http1_put_end(bytes *out); // the empty line
const char *http1_reason(int status);

enum { HTTP1_CHUNK_PREFIX_BYTES = 20 };
#define HTTP1_LAST_CHUNK "0\r\n\r\n"
// Writes "<hex size>\r\n" to out and returns its length. A chunk of size 0 would end the body: size > 0.
size_t http1_chunk_prefix(char out[HTTP1_CHUNK_PREFIX_BYTES], size_t size);

#endif
