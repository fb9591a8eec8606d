// tls: TLS 1.2 and 1.3 as a machine without sockets: bytes of the wire go in and come out of buffers. One
// tls_context holds what many connections share (trusted roots or own certificate, random numbers,
// ticket keys); one tls_session is one connection.
// Threads: a session belongs to one thread at a time; different sessions may run at once, also with the
// same context. tls_handshake() costs milliseconds of CPU and is meant for a thread pool; the other
// calls cost microseconds. References of a context are counted by one thread only, the loop's.
// What a client sends as application data leaves only after the peer's chain and name were verified: before
// that, tls_write() refuses.
#ifndef MOONGATE_CORE_TLS_H
#define MOONGATE_CORE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tls_context tls_context;
typedef struct tls_session tls_session;
typedef struct tls_ticket tls_ticket; // what resumes a session later; bound to one host name and context

// Below libuv's error numbers, so that a stream's error is one or the other.
typedef enum tls_error {
    TLS_MORE = 0,         // nothing wrong: bytes of the peer are needed
    TLS_DONE = 1,         // handshake finished
    TLS_EXPIRED = -30001, // peer's certificate: validity is over
    TLS_NOT_YET_VALID = -30002,
    TLS_WRONG_NAME = -30003,      // it is for another host
    TLS_UNKNOWN_CA = -30004,      // no chain to a trusted root
    TLS_BAD_CERTIFICATE = -30005, // revoked, weak, unfit for this use, missing, unreadable
    TLS_VERSION = -30006,         // no common protocol version
    TLS_REFUSED = -30007,         // no common parameters, or the peer ended the handshake by an alert
    TLS_BROKEN = -30008,          // a record that fails its check, or a message that is not allowed here
    TLS_TRUNCATED = -30009,       // the connection ended without close_notify
    TLS_NO_MEMORY = -30010,
    TLS_FILE = -30011, // certificate, key or roots: unreadable, unusable or not belonging together
    TLS_INTERNAL = -30012,
    TLS_END = -30013, // close_notify: the peer ended its half in order (tls_read)
} tls_error;

// Input: what is left of the bytes that arrived. Advanced by the calls, which keep their own copy of
// what they took, so the buffer may be reused after each call.
typedef struct tls_input {
    const char *data;
    size_t size;
} tls_input;

// Output: records to send. The calls append; the caller sends and sets size to 0. Zero-initialised at
// first; freed with tls_output_free().
typedef struct tls_output {
    char *data;
    size_t size, capacity;
} tls_output;

// Makes a context that verifies servers against the PEM certificates in ca_file, or, with NULL, the
// system's (SSL_CERT_FILE, else the usual places). Reads and parses a large file: 10 to 20 ms, any thread.
// Result: NULL with a text in message.
tls_context *tls_client_context_new(const char *ca_file, char *message, size_t message_size);
// Makes a context that answers with a certificate chain and its key (PEM files), TLS 1.2 and 1.3, tickets
// valid for an hour. Result: NULL with a text in message.
tls_context *tls_server_context_new(const char *certificate_file, const char *key_file, char *message,
                                    size_t message_size);
tls_context *tls_context_hold(tls_context *c);
void tls_context_drop(tls_context *c); // NULL is fine; a session holds its own reference

// Makes the session of one connection. host: a client's name of the server (DNS name or IP address literal
// without brackets), NULL for a server. resume: ticket to try, or NULL; stays the caller's. NULL: no memory.
tls_session *tls_session_new(tls_context *c, const char *host, const tls_ticket *resume);
void tls_session_free(tls_session *t); // NULL is fine

// Goes on with the handshake as far as the input allows (a client's first call has none). Result: TLS_DONE
// (input may be left: it is application data), TLS_MORE or an error; output is to be sent in all cases (with
// an error it holds the alert).
int tls_handshake(tls_session *t, tls_input *in, tls_output *out);
// Decrypts into buffer as much as there is. Result: bytes (> 0: call again until 0), 0: more input is needed,
// TLS_END, or an error.
int tls_read(tls_session *t, tls_input *in, char *buffer, size_t capacity, tls_output *out);
// Encrypts all of data, in records of at most 16 KiB. Result: 0 or an error.
int tls_write(tls_session *t, const char *data, size_t size, tls_output *out);
// Appends close_notify, once.
void tls_end(tls_session *t, tls_output *out);

bool tls_is_client(const tls_session *t);
bool tls_is_ready(const tls_session *t);       // handshake done
bool tls_is_resumed(const tls_session *t);     // by a ticket, without a certificate
const char *tls_version(const tls_session *t); // "TLSv1.2", "TLSv1.3"
// Peer's certificate flags as a sentence for logs, after a certificate error; else empty.
const char *tls_certificate_text(const tls_session *t, char *text, size_t size);

// The newest ticket that came since the last call, to be freed by the caller; NULL: none.
tls_ticket *tls_take_ticket(tls_session *t);
bool tls_ticket_is_fresh(const tls_ticket *ticket); // worth trying: at most an hour old and within its lifetime
void tls_ticket_free(tls_ticket *ticket);

// Gives back the memory of the record buffers that big records touched. For moments of quiet; cheap (no
// system call) where nothing big went through since the last time.
void tls_session_trim(tls_session *t);

bool tls_output_append(tls_output *out, const void *data, size_t size);
void tls_output_free(tls_output *out);

// Stable short name of an error, "expired", "wrong_name", ...; and a text.
const char *tls_error_name(int error);
const char *tls_error_text(int error);

#endif
