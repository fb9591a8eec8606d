// http1: the parser. A head is gathered line by line into its block, so that every line end is seen
// here, and then given to llhttp as one piece: its spans are offsets into the block, nothing is
// copied twice. Bodies with a length are counted here; llhttp reads chunks.
#include "core/http1.h"

#include <stdlib.h>
#include <string.h>

#include "core/http1_rules.h"

const http1_limits http1_default_limits = {
    .line_bytes = 16384,
    .head_bytes = 65535,
    .header_count = 100,
    .extension_bytes = 1024,
    .trailer_bytes = 8192,
    .interim_count = 10,
};

enum { FRAMING_BYTES = 256 }; // a chunk's size line without its extensions; RFC allows endless zeros, we do not

enum state { IDLE, FIRST_LINE, HEADERS, BODY, DONE, BROKEN };

static enum http1_event fail(http1 *p, http1_fault f)
{
    p->state = BROKEN;
    p->status = f.status;
    p->code = f.code;
    p->message = f.message;
    return HTTP1_ERROR;
}

static enum http1_event fail_bad(http1 *p, const char *message)
{
    return fail(p, p->is_response ? (http1_fault){502, "bad_response", message}
                                  : (http1_fault){400, "bad_request", message});
}

static enum http1_event fail_memory(http1 *p)
{
    return fail(p, (http1_fault){503, "no_memory", "out of memory"});
}

static enum http1_event fail_limit(http1 *p, uint16_t status, const char *code, const char *message)
{
    return p->is_response ? fail_bad(p, message) : fail(p, (http1_fault){status, code, message});
}

// ---- what llhttp calls

static int on_header_field(llhttp_t *l, const char *at, size_t size)
{
    http1 *p = l->data;
    if (l->flags & F_TRAILING)
        return 0;
    http1_head *h = p->head;
    char *name = h->block + (at - h->block);
    for (size_t i = 0; i < size; i++)
        if (name[i] >= 'A' && name[i] <= 'Z')
            name[i] = (char)(name[i] + 32);
    if (h->count >= p->lines)
        return HPE_USER; // cannot be: each header has its line
    http1_header r = {
        .name_at = (uint16_t)(at - h->block), .name_size = (uint16_t)size, .hash = http1_hash(name, size)};
    // Room was made before llhttp began to read the block, which therefore does not move now.
    http1_head_add(&p->head, &r);
    return 0;
}

static int on_header_value(llhttp_t *l, const char *at, size_t size)
{
    http1 *p = l->data;
    if (l->flags & F_TRAILING)
        return 0;
    while (size > 0 && (at[size - 1] == ' ' || at[size - 1] == '\t'))
        size--; // llhttp leaves the blanks behind a value to its user
    http1_header *r = (http1_header *)http1_header_at(p->head, p->head->count - 1);
    r->value_at = (uint16_t)(at - p->head->block);
    r->value_size = (uint16_t)size;
    return 0;
}

static int on_headers_complete(llhttp_t *l)
{
    (void)l;
    return HPE_PAUSED;
}

static int on_body(llhttp_t *l, const char *at, size_t size)
{
    http1 *p = l->data;
    p->part = at;
    p->part_size = size;
    return HPE_PAUSED;
}

static int on_extension(llhttp_t *l, const char *at, size_t size)
{
    http1 *p = l->data;
    (void)at;
    p->extensions += (uint32_t)size;
    return 0;
}

static int on_extension_end(llhttp_t *l)
{
    http1 *p = l->data;
    p->extensions++; // so that empty ones count too
    return 0;
}

static int on_message_complete(llhttp_t *l)
{
    http1 *p = l->data;
    p->state = DONE;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_chunk_extension_name = on_extension,
    .on_chunk_extension_value = on_extension,
    .on_chunk_extension_name_complete = on_extension_end,
    .on_chunk_extension_value_complete = on_extension_end,
    .on_message_complete = on_message_complete,
};

// ---- life

void http1_init(http1 *p, bool is_response, const http1_limits *limits)
{
    memset(p, 0, sizeof(*p));
    p->is_response = is_response;
    p->limits = limits ? limits : &http1_default_limits;
}

void http1_free(http1 *p)
{
    http1_drop_head(p);
    p->state = IDLE;
}

void http1_drop_head(http1 *p)
{
    free(p->head);
    p->head = NULL;
}

http1_head *http1_take_head(http1 *p)
{
    http1_head *h = p->head;
    p->head = NULL;
    return h;
}

void http1_next(http1 *p)
{
    http1_drop_head(p);
    p->state = IDLE;
    p->body_left = 0;
    p->line_at = p->lines = 0;
    p->interims = 0;
    p->is_answer_to_head = false;
    p->skipped_line = false;
}

void http1_answer_to_head(http1 *p, bool is_head)
{
    p->is_answer_to_head = is_head;
}

bool http1_is_idle(const http1 *p)
{
    return p->state == IDLE;
}

bool http1_in_body(const http1 *p)
{
    return p->state == BODY;
}

// ---- head

// All lines are in the block: llhttp reads them.
static enum http1_event read_head(http1 *p)
{
    if (!http1_head_reserve(&p->head, p->lines * sizeof(http1_header)))
        return fail_memory(p);
    http1_head *h = p->head;
    llhttp_init(&p->chunks, p->is_response ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
    p->chunks.data = p;
    llhttp_errno_t rc = llhttp_execute(&p->chunks, h->block, h->text_size);
    if (p->state == BROKEN)
        return HTTP1_ERROR;
    if (rc == HPE_OK)
        return fail_bad(p, "malformed head");
    if (rc != HPE_PAUSED)
        return fail_bad(p, llhttp_get_error_reason(&p->chunks));
    // Only a head whose end llhttp sees where the lines end is a head.
    if (llhttp_get_error_pos(&p->chunks) < h->block + h->text_size - 1)
        return fail_bad(p, "malformed head");
    http1_fault f = p->is_response ? http1_check_response(h, p->is_answer_to_head) : http1_check_request(h);
    if (f.status)
        return fail(p, f);
    if (p->is_response && h->status < 200) {
        if (++p->interims > p->limits->interim_count)
            return fail_bad(p, "too many interim responses");
        http1_drop_head(p);
        p->line_at = p->lines = 0;
        p->state = FIRST_LINE;
        return HTTP1_MORE;
    }
    p->body = h->body;
    p->body_left = h->body == HTTP1_LENGTH ? (uint64_t)h->content_length : 0;
    p->overhead = p->extensions = 0;
    p->state = h->body == HTTP1_NO_BODY ? DONE : BODY;
    return HTTP1_HEAD;
}

// A line, with its CRLF, has been added to the block at line_at.
static enum http1_event read_line(http1 *p)
{
    http1_head *h = p->head;
    uint32_t size = h->text_size - p->line_at;
    if (p->state == FIRST_LINE) {
        if (size == 2 && !p->is_response && !p->skipped_line) {
            p->skipped_line = true; // RFC 9112 2.2: one empty line in front is forgiven
            h->text_size = 0;
            return HTTP1_MORE;
        }
        http1_fault f = p->is_response ? http1_check_status_line(h, h->block, size - 2)
                                       : http1_check_request_line(h, h->block, size - 2);
        if (f.status)
            return fail(p, f);
        p->state = HEADERS;
    } else if (size == 2) {
        return read_head(p);
    } else if (++p->lines > p->limits->header_count) {
        return fail_limit(p, 431, "headers_too_large", "too many headers");
    }
    p->line_at = h->text_size;
    return HTTP1_MORE;
}

// Adds data[0..size), a piece of one line, to the block; the last piece of a line ends with LF.
static enum http1_event add_piece(http1 *p, const char *data, size_t size)
{
    bool is_first = p->state == FIRST_LINE;
    uint32_t have = p->head ? p->head->text_size : 0;
    bool is_end = data[size - 1] == '\n';
    size_t room = (is_first && p->limits->line_bytes < p->limits->head_bytes ? p->limits->line_bytes + 2u
                                                                             : p->limits->head_bytes) -
                  have;
    if (size > room)
        return is_first ? fail_limit(p, 414, "uri_too_long", "the request line is too long")
                        : fail_limit(p, 431, "headers_too_large", "the headers are too large");
    bool is_after_cr = have > p->line_at && p->head->block[have - 1] == '\r';
    const char *cr = memchr(data, '\r', size);
    if (is_after_cr ? data[0] != '\n' || size != 1 : is_end && (!cr || cr != data + size - 2))
        return fail_bad(p, "a line ends with something other than CR LF");
    if (cr && cr != data + size - (is_end ? 2 : 1))
        return fail_bad(p, "CR within a line");
    if (!http1_head_reserve(&p->head, size))
        return fail_memory(p);
    memcpy(p->head->block + have, data, size);
    p->head->text_size = have + (uint32_t)size;
    return is_end ? read_line(p) : HTTP1_MORE;
}

static enum http1_event gather_head(http1 *p, const char *data, size_t size, size_t *used)
{
    size_t at = 0;
    while (at < size && (p->state == FIRST_LINE || p->state == HEADERS)) {
        const char *lf = memchr(data + at, '\n', size - at);
        size_t piece = lf ? (size_t)(lf - (data + at)) + 1 : size - at;
        // What cannot be HTTP (TLS on this port, say) is told at once, not after the deadline.
        if (p->state == FIRST_LINE && (!p->head || p->head->text_size == 0) && data[at] != '\r' && data[at] != '\n' &&
            !http1_is_token(data + at, 1))
            return fail_bad(p, "this is not HTTP/1.1");
        enum http1_event event = add_piece(p, data + at, piece);
        at += piece;
        *used = at;
        if (event != HTTP1_MORE)
            return event;
    }
    return HTTP1_MORE;
}

// ---- body

static enum http1_event read_chunks(http1 *p, const char *data, size_t size, size_t *used)
{
    p->part_size = 0;
    llhttp_resume(&p->chunks);
    llhttp_errno_t rc = llhttp_execute(&p->chunks, data, size);
    size_t taken = size;
    if (rc == HPE_PAUSED)
        taken = (size_t)(llhttp_get_error_pos(&p->chunks) - data);
    else if (rc != HPE_OK)
        return fail_bad(p, llhttp_get_error_reason(&p->chunks));
    *used = taken;
    p->overhead += (uint32_t)(taken - p->part_size);
    if (p->extensions > p->limits->extension_bytes)
        return fail_limit(p, 413, "too_large", "the chunk extensions are too large");
    if (p->overhead > FRAMING_BYTES + p->limits->extension_bytes + p->limits->trailer_bytes)
        return fail_limit(p, 431, "headers_too_large", "the trailers are too large");
    if (p->part_size > 0) {
        p->overhead = 0;
        return HTTP1_BODY;
    }
    return p->state == DONE ? HTTP1_END : HTTP1_MORE;
}

enum http1_event http1_body_taken(http1 *p, size_t size)
{
    p->body_left -= size;
    if (p->body_left > 0)
        return HTTP1_MORE;
    p->state = DONE;
    return HTTP1_END;
}

static enum http1_event read_body(http1 *p, const char *data, size_t size, size_t *used)
{
    if (size == 0)
        return HTTP1_MORE;
    if (p->body == HTTP1_CHUNKED)
        return read_chunks(p, data, size, used);
    p->part = data;
    p->part_size = size;
    if (p->body == HTTP1_LENGTH) {
        if (p->part_size > p->body_left)
            p->part_size = (size_t)p->body_left;
        http1_body_taken(p, p->part_size);
    }
    *used = p->part_size;
    return HTTP1_BODY;
}

enum http1_event http1_parse(http1 *p, const char *data, size_t size, size_t *used)
{
    *used = 0;
    switch ((enum state)p->state) {
    case IDLE:
        if (size == 0)
            return HTTP1_MORE;
        p->state = FIRST_LINE;
        return gather_head(p, data, size, used);
    case FIRST_LINE:
    case HEADERS:
        return gather_head(p, data, size, used);
    case BODY:
        return read_body(p, data, size, used);
    case DONE:
        return HTTP1_END;
    case BROKEN:
        break;
    }
    return HTTP1_ERROR;
}

enum http1_event http1_eof(http1 *p)
{
    switch ((enum state)p->state) {
    case IDLE:
    case DONE:
        return HTTP1_MORE;
    case BODY:
        if (p->body == HTTP1_UNTIL_CLOSE) {
            p->state = DONE;
            return HTTP1_END;
        }
        break;
    case FIRST_LINE:
    case HEADERS:
        break;
    case BROKEN:
        return HTTP1_ERROR;
    }
    return fail(p, (http1_fault){p->is_response ? 502 : 400, "truncated", "the connection ended within a message"});
}
