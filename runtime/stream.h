// stream: one connected byte stream (TCP or Unix socket, optionally with TLS on it) as the server and the
// client see it: bytes come in by callback, segments go out, back-pressure is counted.
// Ownership: the owner embeds a stream and frees the memory around it in on_closed(), not earlier. The
// stream keeps references on the `bytes` behind queued segments and copies segments without an owner.
// One thread, one loop in the process: all streams share one read buffer.
// System calls: one read() for each arrival, one writev() for each stream_write() that the socket takes.
// No callback is ever made from inside a function of this page.
// With TLS (stream_start_tls) the same functions carry plaintext. Handshake steps run on the thread pool.
#ifndef MOONGATE_STREAM_H
#define MOONGATE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "core/bytes.h"
#include "core/tls.h"

#define STREAM_HIGH_WATER_BYTES ((size_t)256 * 1024) // above this the writer should stop (stream_is_full)
#define STREAM_LOW_WATER_BYTES ((size_t)64 * 1024)   // on_drain comes once no more than this is pending
#define STREAM_READ_BUFFER_BYTES ((size_t)256 * 1024)

typedef struct stream stream;

// Any member may be NULL but on_data, on_end, on_error and on_closed. Each may close the stream.
typedef struct stream_callbacks {
    // size > 0 bytes arrived; data is valid (and may be overwritten) until the callback returns. It is the
    // lent buffer where lend() gave one.
    void (*on_data)(stream *s, char *data, size_t size);
    // The peer will send nothing more (FIN; with TLS only after its close_notify). Writing may go on.
    void (*on_end)(stream *s);
    // The stream is broken: rc is a libuv error or a TLS one, see stream_error_text(). Comes at most once;
    // nothing but on_closed follows. The owner closes the stream.
    void (*on_error)(stream *s, int rc);
    // stream_is_full() was true and no more than the low water is pending now.
    void (*on_drain)(stream *s);
    // The handshake that stream_start_tls() began is done and the peer is verified: bytes may be written.
    void (*on_ready)(stream *s);
    // The owner's own buffer for the next read, with *capacity set, or NULL for the shared one.
    char *(*lend)(stream *s, size_t *capacity);
    // The last callback: the memory of the stream may be freed.
    void (*on_closed)(stream *s);
} stream_callbacks;

struct stream_queue;
struct stream_tls;

struct stream {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    const stream_callbacks *on;
    void *owner;
    struct stream_queue *queue;   // NULL while nothing waits to be written
    struct stream_tls *tls;       // NULL: plain
    uint64_t bytes_in, bytes_out; // of the wire, out counts what was handed over (see stream_pending)
    int error;                    // first error; nothing more can be written. 0: none
    bool is_broken;               // on_error was given
    bool is_paused;               // the owner wants no data now
    bool is_reading;              // libuv reads
    bool is_ended;                // on_end was given
    bool is_full;                 // on_drain is owed
    bool is_shutting;             // no write any more; the sending half closes once all is written
    bool is_close_wanted;         // close once all is written
    bool is_closing;              // stream_close() was called
};

// Prepares a stream for a TCP or Unix socket. After this only stream_close() and on_closed end it.
void stream_init_tcp(stream *s, uv_loop_t *loop, const stream_callbacks *on, void *owner);
void stream_init_pipe(stream *s, uv_loop_t *loop, const stream_callbacks *on, void *owner);
// Takes a waiting connection of a listener of the same kind and begins to read. 0 or a libuv error.
int stream_accept(stream *s, uv_stream_t *listener);
// Takes a connected descriptor (runtime/dial.h), of the kind the stream was prepared for. 0 or a libuv error (the
// descriptor is then still the caller's).
int stream_open(stream *s, int fd);

// Puts TLS on a connected stream and takes over the session. Nothing may be written before on_ready(). Result:
// 0, or UV_ENOMEM (the session is freed then).
int stream_start_tls(stream *s, tls_session *session);
// The session, for questions about version, resumption and certificate and for its ticket; NULL: plain.
tls_session *stream_tls_session(const stream *s);
// Gives back what memory a quiet TLS stream can do without. Cheap.
void stream_trim(stream *s);

// Writes count segments (empty ones allowed) in order, as much as the socket takes in one system call, and
// queues the rest. Owned segments are referenced until written, others copied. Result: 0 (all written or
// queued), UV_EPIPE after stream_shutdown(), UV_ENOMEM, or the error that broke the stream. What the peer sent
// before may still come by on_data, and its end by on_end or on_error.
int stream_write(stream *s, const segment *parts, size_t count);
// Bytes accepted by stream_write() and not yet by the kernel.
size_t stream_pending(const stream *s);
// True: stop writing until on_drain.
bool stream_is_full(stream *s);

// Stops and restarts on_data. A pause costs no system call unless bytes arrive meanwhile. While paused, an
// end or a break of the connection is not noticed.
void stream_pause(stream *s);
void stream_resume(stream *s);

// Closes the sending half after all queued writes; reading goes on.
void stream_shutdown(stream *s);
// Closes after all queued writes (with TLS also the closing message). Reading stops now. A broken or blocked peer holds
// it up: the owner limits the time.
void stream_close_flushed(stream *s);
// Closes now; queued bytes are lost. May be called any number of times.
void stream_close(stream *s);
// Closes with RST instead of FIN, so that the peer sees a broken transfer.
void stream_reset(stream *s);

// "ip:port" of the peer, "unix" for a Unix socket; empty when unknown. Returns text.
const char *stream_peer(const stream *s, char *text, size_t size);
// A text for the rc of on_error and stream_write, without newline; never NULL.
const char *stream_error_text(int rc);

#endif
