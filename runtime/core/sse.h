// sse: incremental reader and writer of server-sent events. Pure: bytes in, events out.
// Source of the rules: WHATWG HTML, "Server-sent events", section 9.2.6 (read 2026-11-23).
// Ownership: the reader borrows what it was fed until sse_next() says SSE_MORE; from then on it owns a
// copy of the incomplete last event, and of nothing else. An event that lies whole in one read is never
// copied: its slices point into that read. A reader without a pending event holds no memory.
// Left to the caller: reconnection (`id` and `retry` are only reported), and the UTF-8 of the texts.
#ifndef MOONGATE_CORE_SSE_H
#define MOONGATE_CORE_SSE_H

#include "core/bytes.h"

enum { SSE_LIMIT_BYTES = 8 * 1024 * 1024 };

enum sse_result {
    SSE_MORE,      // all that was fed is read; feed again
    SSE_EVENT,     // *event is filled in
    SSE_TOO_LARGE, // an event is larger than the limit; the reader stays in this state
    SSE_NO_MEMORY, // the same, out of memory
};

typedef struct sse_event {
    const char *name; // "message" where the event names none
    size_t name_size;
    const char *data; // lines joined by LF
    size_t data_size;
    const char *id; // NULL: the event has none
    size_t id_size;
    int64_t retry_ms; // -1: none
} sse_event;

typedef struct sse_reader {
    const char *at, *end; // what is unread of the last feed
    const char *lf, *cr;  // next line end of each kind, never before `at`; `end`: none; NULL: not looked for
    char *own;            // incomplete event that was carried over, and then this event when it is whole
    char *joined;         // data of an event with several data lines
    uint32_t own_size, own_capacity;
    uint32_t own_line; // where the last, unfinished line begins in own
    uint32_t limit_bytes;
    uint8_t failed; // an sse_result, or 0
    bool is_started, is_own_used, skip_lf;
} sse_reader;

// Makes an empty reader; limit_bytes bounds one event, line ends included (0: SSE_LIMIT_BYTES).
void sse_init(sse_reader *r, uint32_t limit_bytes);
// Gives back the memory; may run any number of times.
void sse_free(sse_reader *r);
// Hands in the next bytes, which stay the caller's and must live until sse_next() returns SSE_MORE (or
// until sse_move()). Allowed only when everything fed before is read.
void sse_feed(sse_reader *r, const char *data, size_t size);
// More bytes stand right behind those of the last feed.
void sse_extend(sse_reader *r, size_t size);
// Reads one event. Its slices live until the next call on this reader. Blocks without data (comments)
// are no events. Never waits, and costs a scan of the lines.
enum sse_result sse_next(sse_reader *r, sse_event *event);
// True where the stream stands between two events: a frame may be put in here.
bool sse_is_between(const sse_reader *r);
// The stream is over. True: it broke off inside an event, which is thereby thrown away.
bool sse_end(sse_reader *r);
// Bytes fed but not yet read.
size_t sse_rest_size(const sse_reader *r);
// The fed bytes have moved: what was at `from` is at `to` now (`size` bytes, up to the end of the feed).
// Also corrects the slices of *event (NULL: none is in use) that point into them.
void sse_move(sse_reader *r, sse_event *event, const char *from, const char *to, size_t size);

// Appends one frame to out: an event line (name_size 0: none), a data line per line of data, a blank
// line. CR, LF and CRLF in data each become a new data line. false: out of memory, or a name that
// contains a line end; out is then unchanged.
bool sse_write(bytes *out, const char *name, size_t name_size, const char *data, size_t data_size);

#endif
