#include "core/sse.h"

#include <stdlib.h>
#include <string.h>

void sse_init(sse_reader *r, uint32_t limit_bytes)
{
    memset(r, 0, sizeof(*r));
    r->limit_bytes = limit_bytes ? limit_bytes : SSE_LIMIT_BYTES;
}

void sse_free(sse_reader *r)
{
    free(r->own);
    free(r->joined);
    r->own = r->joined = NULL;
    r->own_size = r->own_capacity = r->own_line = 0;
}

static enum sse_result fail(sse_reader *r, enum sse_result why)
{
    sse_free(r);
    r->failed = (uint8_t)why;
    return why;
}

// Appends to the carried event. 0, or why not.
static int carry(sse_reader *r, const char *data, size_t size)
{
    if (size > r->limit_bytes || r->own_size > r->limit_bytes - size)
        return SSE_TOO_LARGE;
    size_t need = r->own_size + size;
    if (need > r->own_capacity) {
        size_t capacity = r->own_capacity ? (size_t)r->own_capacity * 2 : 512;
        while (capacity < need)
            capacity *= 2;
        char *own = realloc(r->own, capacity);
        if (!own)
            return SSE_NO_MEMORY;
        r->own = own;
        r->own_capacity = (uint32_t)capacity;
    }
    memcpy(r->own + r->own_size, data, size);
    r->own_size = (uint32_t)need;
    return 0;
}

// Where the line at r->at ends; r->end: not in this feed. LF and CR are looked for apart and remembered,
// so that every byte is visited twice at most, whatever the line ends are.
static inline const char *line_end(sse_reader *r)
{
    const char *at = r->at, *end = r->end;
    if (!r->lf || r->lf < at) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        r->lf = lf ? lf : end;
    }
    if (!r->cr || r->cr < at) {
        const char *cr = memchr(at, '\r', (size_t)(end - at));
        r->cr = cr ? cr : end;
    }
    return r->lf < r->cr ? r->lf : r->cr;
}

// Steps over the line end at eol. A CR that ends the feed may be half a CRLF: its LF is skipped later.
static inline void step_over(sse_reader *r, const char *eol)
{
    r->at = eol + 1;
    if (*eol != '\r')
        return;
    if (r->at == r->end)
        r->skip_lf = true;
    else if (*r->at == '\n')
        r->at++;
}

// True where the line is the field `name`; *value and *size are then what stands behind it.
static inline bool is_field(const char *line, size_t line_size, const char *name, size_t name_size, const char **value,
                            size_t *size)
{
    if (line_size < name_size || memcmp(line, name, name_size) != 0)
        return false;
    size_t skip = name_size;
    if (line_size > skip) {
        if (line[skip++] != ':')
            return false;
        if (line_size > skip && line[skip] == ' ')
            skip++;
    }
    *value = line + skip;
    *size = line_size - skip;
    return true;
}

static int64_t read_retry(const char *text, size_t size)
{
    int64_t ms = 0;
    if (size == 0 || size > 15)
        return -1;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        ms = ms * 10 + (text[i] - '0');
    }
    return ms;
}

// What was seen of the event that is being read.
typedef struct block {
    sse_event event;
    size_t data_lines;
    bool has_field;
} block;

static inline void block_reset(block *b)
{
    b->event = (sse_event){.name = "message", .name_size = 7, .retry_ms = -1};
    b->data_lines = 0;
    b->has_field = false;
}

static inline void block_line(block *b, const char *line, size_t line_size)
{
    const char *value;
    size_t size;
    switch (line[0]) {
    case 'd':
        if (is_field(line, line_size, "data", 4, &value, &size) && b->data_lines++ == 0) {
            b->event.data = value;
            b->event.data_size = size;
        }
        break;
    case 'e':
        if (is_field(line, line_size, "event", 5, &value, &size)) {
            b->event.name = size ? value : "message";
            b->event.name_size = size ? size : 7;
        }
        break;
    case 'i':
        if (is_field(line, line_size, "id", 2, &value, &size) && !memchr(value, 0, size)) {
            b->event.id = value;
            b->event.id_size = size;
        }
        break;
    case 'r':
        if (is_field(line, line_size, "retry", 5, &value, &size) && read_retry(value, size) >= 0)
            b->event.retry_ms = read_retry(value, size);
        break;
    default:
        break;
    }
    b->has_field = true; // also an unknown one: the block is then carried as it is
}

// The event has several data lines: joins them in memory of the reader's own.
static int join(sse_reader *r, sse_event *event, const char *from, const char *to)
{
    char *joined = malloc((size_t)(to - from));
    if (!joined)
        return SSE_NO_MEMORY;
    sse_reader lines = {.at = from, .end = to};
    size_t used = 0;
    while (lines.at < lines.end) {
        const char *line = lines.at, *eol = line_end(&lines), *value;
        size_t size;
        if (is_field(line, (size_t)(eol - line), "data", 4, &value, &size)) {
            if (used) // every line so far has left its LF
                joined[used - 1] = '\n';
            memcpy(joined + used, value, size);
            used += size + 1; // room for the LF: a line is at least "data" and its end
        }
        if (eol == to)
            break;
        step_over(&lines, eol);
    }
    free(r->joined);
    r->joined = joined;
    event->data = joined;
    event->data_size = used - 1;
    return 0;
}

// Reads the feed up to the end of one event. *start: where the unfinished event begins when there is none.
static enum sse_result scan(sse_reader *r, sse_event *event, const char **start, const char **last_line)
{
    block b;
    block_reset(&b);
    *start = *last_line = r->at;
    while (r->at < r->end) {
        const char *line = r->at, *eol = line_end(r);
        *last_line = line;
        if (eol == r->end)
            return SSE_MORE;
        step_over(r, eol);
        size_t size = (size_t)(eol - line);
        if (!r->is_started) {
            r->is_started = true;
            if (size >= 3 && memcmp(line, "\xEF\xBB\xBF", 3) == 0)
                line += 3, size -= 3;
            *start = line;
        }
        if (size > 0 && line[0] != ':') {
            block_line(&b, line, size);
        } else if (size == 0 && b.data_lines > 0) {
            if ((size_t)(eol - *start) > r->limit_bytes)
                return SSE_TOO_LARGE;
            *event = b.event;
            int why = b.data_lines > 1 ? join(r, event, *start, eol) : 0;
            return why ? (enum sse_result)why : SSE_EVENT;
        } else if (size == 0 || !b.has_field) { // nothing to tell so far: begin anew
            if (b.has_field)
                block_reset(&b);
            *start = r->at;
        }
        *last_line = r->at;
    }
    return SSE_MORE;
}

// Result of next_own() beside those of sse_next(): what was carried was no event.
enum { NO_EVENT = -1 };

// Goes on with the carried event: takes lines from the feed up to its blank line, then reads it whole.
static int next_own(sse_reader *r, sse_event *event)
{
    while (r->at < r->end) {
        const char *line = r->at, *eol = line_end(r);
        bool is_blank = eol == line && r->own_line == r->own_size;
        int why = carry(r, line, (size_t)(eol - line));
        if (!why && eol < r->end) {
            step_over(r, eol);
            why = carry(r, "\n", 1);
        } else {
            r->at = r->end;
        }
        if (why)
            return (int)fail(r, (enum sse_result)why);
        if (eol == r->end)
            return SSE_MORE;
        if (r->own_line == 0 && r->own[0] == ':') { // a comment that was cut: no event has begun
            r->is_started = r->is_own_used = true;
            return NO_EVENT;
        }
        r->own_line = r->own_size;
        if (is_blank) {
            sse_reader whole = *r;
            whole.at = r->own;
            whole.end = r->own + r->own_size;
            whole.lf = whole.cr = NULL;
            const char *start, *last_line;
            enum sse_result result = scan(&whole, event, &start, &last_line);
            r->joined = whole.joined;
            r->is_started = whole.is_started;
            if (result > SSE_EVENT)
                return (int)fail(r, result);
            r->is_own_used = true; // given back by the next call
            return result == SSE_EVENT ? SSE_EVENT : NO_EVENT;
        }
    }
    return SSE_MORE;
}

enum sse_result sse_next(sse_reader *r, sse_event *event)
{
    if (r->failed)
        return (enum sse_result)r->failed;
    for (;;) {
        if (r->is_own_used || r->joined) {
            if (r->is_own_used) {
                free(r->own);
                r->own = NULL;
                r->own_size = r->own_capacity = r->own_line = 0;
                r->is_own_used = false;
            }
            free(r->joined);
            r->joined = NULL;
        }
        if (r->skip_lf && r->at < r->end) {
            r->skip_lf = false;
            if (*r->at == '\n')
                r->at++;
        }
        if (r->own_size > 0) {
            int result = next_own(r, event);
            if (result == NO_EVENT)
                continue;
            return (enum sse_result)result;
        }
        const char *start, *last_line;
        enum sse_result result = scan(r, event, &start, &last_line);
        if (result > SSE_EVENT)
            return fail(r, result);
        if (result == SSE_MORE) {
            int why = start < r->end ? carry(r, start, (size_t)(r->end - start)) : 0;
            if (why)
                return fail(r, (enum sse_result)why);
            if (start < r->end && r->skip_lf) // so that it does not marry the LF of the next line
                r->own[r->own_size - 1] = '\n';
            r->own_line = (uint32_t)(last_line - start);
            r->at = r->end;
        }
        return result;
    }
}

void sse_feed(sse_reader *r, const char *data, size_t size)
{
    r->at = data;
    r->end = data + size;
    r->lf = r->cr = NULL;
}

void sse_extend(sse_reader *r, size_t size)
{
    r->end += size;
    r->lf = r->cr = NULL;
}

bool sse_is_between(const sse_reader *r)
{
    return r->at == r->end && (r->own_size == 0 || r->is_own_used) && !r->failed;
}

bool sse_end(sse_reader *r)
{
    bool is_cut = r->own_size > 0 && !r->is_own_used;
    sse_free(r);
    r->is_own_used = false;
    return is_cut;
}

size_t sse_rest_size(const sse_reader *r)
{
    return (size_t)(r->end - r->at);
}

static void move_slice(const char **text, const char *from, const char *to, size_t size)
{
    if (*text && (uintptr_t)*text >= (uintptr_t)from && (uintptr_t)*text <= (uintptr_t)from + size)
        *text = to + (*text - from);
}

void sse_move(sse_reader *r, sse_event *event, const char *from, const char *to, size_t size)
{
    move_slice(&r->at, from, to, size);
    move_slice(&r->end, from, to, size);
    r->lf = r->cr = NULL;
    if (event) {
        move_slice(&event->name, from, to, size);
        move_slice(&event->data, from, to, size);
        move_slice(&event->id, from, to, size);
    }
}

bool sse_write(bytes *out, const char *name, size_t name_size, const char *data, size_t data_size)
{
    if (name_size && (memchr(name, '\n', name_size) || memchr(name, '\r', name_size)))
        return false;
    size_t lines = 1;
    for (size_t i = 0; i < data_size; i++)
        lines += data[i] == '\n' || data[i] == '\r';
    if (!bytes_reserve(out, name_size + data_size + lines * 7 + 16))
        return false;
    char *to = out->data + out->size;
    if (name_size) {
        memcpy(to, "event: ", 7);
        memcpy(to + 7, name, name_size);
        to += 7 + name_size;
        *to++ = '\n';
    }
    const char *at = data, *end = data + data_size;
    for (;;) {
        const char *eol = at;
        while (eol < end && *eol != '\n' && *eol != '\r')
            eol++;
        memcpy(to, "data: ", 6);
        memcpy(to + 6, at, (size_t)(eol - at));
        to += 6 + (eol - at);
        *to++ = '\n';
        if (eol == end)
            break;
        at = eol + (*eol == '\r' && eol + 1 < end && eol[1] == '\n' ? 2 : 1);
    }
    *to++ = '\n';
    out->size = (size_t)(to - out->data);
    return true;
}
