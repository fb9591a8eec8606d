// What stream.c, stream_write.c (the wire) and stream_tls.c (TLS on it) know of each other; nobody else includes it.
#ifndef MOONGATE_STREAM_INTERNAL_H
#define MOONGATE_STREAM_INTERNAL_H

#include "stream.h"

// ---- stream_write.c ----
// Writes as stream_write() does, but bytes of the wire. Copies what the socket does not take.
int stream_write_wire(stream *s, const segment *parts, size_t count);
// Queues b[0..size) and begins to write it in the next turn of the loop at the latest; takes over the reference.
int stream_queue_wire(stream *s, bytes *b);
void stream_queue_close(stream *s);    // the stream is closing: what was not begun is dropped
void stream_finish_flushed(stream *s); // all is written: what waited for that happens

// ---- stream.c ----
char *stream_shared_buffer(void);     // for one read; its STREAM_READ_BUFFER_BYTES are everybody's
void stream_break(stream *s, int rc); // gives on_error, once
int stream_read_start(stream *s);     // no-op where it makes no sense
void stream_wire_closed(stream *s);   // on_closed, once nothing else holds the stream
bool stream_wants_data(const stream *s);

// ---- stream_tls.c; all but the first two only for s->tls != NULL ----
bool stream_tls_is_busy(const stream *s);    // the thread pool has the session
bool stream_tls_is_waiting(const stream *s); // plaintext waits for the wire
bool stream_tls_is_behind(const stream *s);  // bytes of the wire must not come now: earlier ones are not handled
void stream_tls_read(stream *s, char *data, size_t size);
void stream_tls_read_end(stream *s); // FIN
void stream_tls_resume(stream *s);
int stream_tls_write(stream *s, const segment *parts, size_t count);
size_t stream_tls_pending(const stream *s); // plaintext bytes that wait
void stream_tls_flushed(stream *s);         // the wire took all it was given
bool stream_tls_end(stream *s);             // close_notify; false: it waits in the queue
bool stream_tls_close(stream *s);           // the handle is closed; false: stream_wire_closed() follows later

#endif
