// Mbed TLS 3.6 behind a memory BIO. What Mbed TLS takes from the input it copies into its own record
// buffer, so no input is kept here. Private members of its structs are read only to save memory: the peer's
// certificate is freed after its verification (some KiB), the record buffers are trimmed (tls_memory.h).
#include "tls.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tls_internal.h"
#include "tls_memory.h"

#define MAX_TICKET_AGE_S 3600         // the peer's certificate is verified anew at least so often
#define TOUCHED_FIRST_PAGE_BYTES 3900 // records up to this stay within the first page of their buffer

struct tls_session {
    mbedtls_ssl_context ssl;
    tls_context *context;
    tls_input *in;   // set during a call
    tls_output *out; // set during a call
    tls_ticket *ticket;
    uint8_t address[16]; // of a host that is an IP address
    uint8_t address_size;
    bool is_ready, is_chain_seen, is_end_sent, is_in_grown, is_out_grown;
    uint32_t verify_flags;
    uint32_t handshake_bytes; // size of Mbed TLS's handshake struct, which is opaque
    int read_error;           // of an earlier tls_read(), or 0
};

struct tls_ticket {
    mbedtls_ssl_session session;
    time_t got_at_s;
};

// --- output

bool tls_output_append(tls_output *out, const void *data, size_t size)
{
    if (out->capacity - out->size < size) {
        size_t capacity = out->capacity * 2 > out->size + size ? out->capacity * 2 : out->size + size + 512;
        char *grown = realloc(out->data, capacity);
        if (!grown)
            return false;
        out->data = grown;
        out->capacity = capacity;
    }
    memcpy(out->data + out->size, data, size);
    out->size += size;
    return true;
}

void tls_output_free(tls_output *out)
{
    free(out->data);
    *out = (tls_output){NULL, 0, 0};
}

static int bio_send(void *session, const unsigned char *data, size_t size)
{
    tls_session *t = session;
    if (!tls_output_append(t->out, data, size))
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    t->is_out_grown |= size > TOUCHED_FIRST_PAGE_BYTES;
    return (int)size;
}

static int bio_receive(void *session, unsigned char *buffer, size_t wanted)
{
    tls_session *t = session;
    size_t size = t->in->size < wanted ? t->in->size : wanted;
    if (size == 0)
        return MBEDTLS_ERR_SSL_WANT_READ;
    memcpy(buffer, t->in->data, size);
    t->in->data += size;
    t->in->size -= size;
    t->is_in_grown |= wanted > TOUCHED_FIRST_PAGE_BYTES;
    return (int)size;
}

// --- errors

static int certificate_error(uint32_t flags)
{
    if (flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED)
        return TLS_UNKNOWN_CA;
    if (flags & MBEDTLS_X509_BADCERT_EXPIRED)
        return TLS_EXPIRED;
    if (flags & MBEDTLS_X509_BADCERT_FUTURE)
        return TLS_NOT_YET_VALID;
    if (flags & MBEDTLS_X509_BADCERT_CN_MISMATCH)
        return TLS_WRONG_NAME;
    return TLS_BAD_CERTIFICATE;
}

static int alert_error(const tls_session *t)
{
    switch (t->ssl.in_msg[1]) { // the description of the alert that Mbed TLS has just read
    case MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION:
        return TLS_VERSION;
    case MBEDTLS_SSL_ALERT_MSG_BAD_RECORD_MAC:
    case MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR:
    case MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE:
        return TLS_BROKEN;
    default:
        return TLS_REFUSED;
    }
}

static int error_of(tls_session *t, int rc)
{
    switch (rc) {
    case MBEDTLS_ERR_SSL_WANT_READ:
        return TLS_MORE;
    case MBEDTLS_ERR_X509_CERT_VERIFY_FAILED:
        t->verify_flags = mbedtls_ssl_get_verify_result(&t->ssl);
        return certificate_error(t->verify_flags);
    case MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE:
    case MBEDTLS_ERR_SSL_BAD_CERTIFICATE:
        return TLS_BAD_CERTIFICATE;
    case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION:
        return TLS_VERSION;
    case MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE:
    case MBEDTLS_ERR_SSL_NO_APPLICATION_PROTOCOL:
    case MBEDTLS_ERR_SSL_UNRECOGNIZED_NAME:
        return TLS_REFUSED;
    case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
        return alert_error(t);
    case MBEDTLS_ERR_SSL_ALLOC_FAILED:
    case MBEDTLS_ERR_X509_ALLOC_FAILED:
    case MBEDTLS_ERR_MPI_ALLOC_FAILED:
        return TLS_NO_MEMORY;
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
        return TLS_END;
    default:
        return TLS_BROKEN;
    }
}

// --- sessions

// Called for each certificate of a chain that Mbed TLS has checked; so not at all for a resumed session.
// Adds the name check for a host that is an IP address (RFC 6125: an iPAddress in the subject alternative
// name). Mbed TLS would check it too, but would also send it as SNI, which RFC 6066 forbids.
static int on_verify(void *session, mbedtls_x509_crt *certificate, int depth, uint32_t *flags)
{
    tls_session *t = session;
    t->is_chain_seen = true;
    if (depth > 0 || t->address_size == 0)
        return 0;
    for (const mbedtls_x509_sequence *san = &certificate->subject_alt_names; san; san = san->next)
        if (san->buf.tag == (MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_X509_SAN_IP_ADDRESS) &&
            san->buf.len == t->address_size && memcmp(san->buf.p, t->address, t->address_size) == 0)
            return 0;
    *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
    return 0;
}

tls_session *tls_session_new(tls_context *c, const char *host, const tls_ticket *resume)
{
    tls_session *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->context = tls_context_hold(c);
    mbedtls_ssl_init(&t->ssl);
    if (host && inet_pton(AF_INET, host, t->address) == 1)
        t->address_size = 4;
    else if (host && inet_pton(AF_INET6, host, t->address) == 1)
        t->address_size = 16;
    int rc = mbedtls_ssl_setup(&t->ssl, &c->config);
    if (rc == 0 && host)
        rc = mbedtls_ssl_set_hostname(&t->ssl, t->address_size > 0 ? NULL : host);
    if (rc == 0 && resume)
        mbedtls_ssl_set_session(&t->ssl, &resume->session); // fails: a full handshake it is
    if (rc != 0) {
        tls_session_free(t);
        return NULL;
    }
    mbedtls_ssl_set_verify(&t->ssl, on_verify, t);
    mbedtls_ssl_set_bio(&t->ssl, t, bio_send, bio_receive, NULL);
    return t;
}

void tls_session_free(tls_session *t)
{
    if (!t)
        return;
    mbedtls_ssl_free(&t->ssl);
    tls_ticket_free(t->ticket);
    tls_context_drop(t->context);
    free(t);
}

static void free_peer_certificate(mbedtls_ssl_session *session)
{
    if (!session || !session->peer_cert)
        return;
    mbedtls_x509_crt_free(session->peer_cert);
    tls_free(session->peer_cert);
    session->peer_cert = NULL;
}

static void keep_ticket(tls_session *t)
{
    tls_ticket *ticket = calloc(1, sizeof(*ticket));
    if (!ticket)
        return; // the next connection makes a full handshake
    mbedtls_ssl_session_init(&ticket->session);
    ticket->got_at_s = time(NULL);
    if (mbedtls_ssl_get_session(&t->ssl, &ticket->session) != 0) {
        tls_ticket_free(ticket);
        return;
    }
    tls_ticket_free(t->ticket);
    t->ticket = ticket;
}

// Of the library, but in none of its installed headers: they free and wipe what hangs on ssl->handshake or on
// a transform, and zero the struct.
void mbedtls_ssl_handshake_free(mbedtls_ssl_context *ssl);
void mbedtls_ssl_transform_free(mbedtls_ssl_transform *transform);

// Mbed TLS keeps the handshake's state for the life of a TLS 1.3 connection, some 8 KiB with secrets (in TLS
// 1.2 it is freed by now). After the handshake only a zeroed struct is needed, while a ticket is read (3.6.6:
// ssl_tls13_parse_new_session_ticket_exts), so tls_read() lends it one then.
static void free_handshake_state(tls_session *t)
{
    if (!t->ssl.handshake)
        return;
    t->handshake_bytes = (uint32_t)malloc_usable_size(t->ssl.handshake);
    mbedtls_ssl_handshake_free(&t->ssl);
    tls_free(t->ssl.handshake);
    t->ssl.handshake = NULL;
    if (t->ssl.transform_negotiate) { // made for TLS 1.2, unused in 1.3, and freed only along with the above
        mbedtls_ssl_transform_free(t->ssl.transform_negotiate);
        tls_free(t->ssl.transform_negotiate);
        t->ssl.transform_negotiate = NULL;
    }
}

static void end_handshake(tls_session *t)
{
    t->is_ready = true;
    t->is_in_grown = t->is_out_grown = true; // TLS 1.3 touches all of the output buffer meanwhile
    free_peer_certificate(t->ssl.session);
    free_handshake_state(t);
    if (tls_is_client(t) && t->ssl.tls_version == MBEDTLS_SSL_VERSION_TLS1_2)
        keep_ticket(t); // TLS 1.3 sends tickets later, see tls_read()
    if (t->in->size == 0)
        tls_session_trim(t);
}

int tls_handshake(tls_session *t, tls_input *in, tls_output *out)
{
    t->in = in;
    t->out = out;
    int rc = 0;
    if (!t->is_ready)
        rc = mbedtls_ssl_handshake(&t->ssl);
    int result = rc == 0 ? TLS_DONE : error_of(t, rc);
    if (result == TLS_DONE && !t->is_ready)
        end_handshake(t);
    t->in = NULL;
    t->out = NULL;
    return result == TLS_END ? TLS_REFUSED : result;
}

int tls_read(tls_session *t, tls_input *in, char *buffer, size_t capacity, tls_output *out)
{
    if (!t->is_ready)
        return TLS_INTERNAL;
    t->in = in;
    t->out = out;
    size_t size = 0;
    int rc = 0;
    if (t->read_error)
        return t->read_error;
    // Several records into one buffer: what came in one read is handed on in one piece.
    while (size < capacity) {
        size_t wanted = capacity - size < INT32_MAX ? capacity - size : INT32_MAX;
        rc = mbedtls_ssl_read(&t->ssl, (unsigned char *)buffer + size, wanted);
        if (rc > 0)
            size += (size_t)rc;
        else if (rc == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
            keep_ticket(t);
        else if (rc != MBEDTLS_ERR_SSL_WANT_READ || (in->size == 0 && !mbedtls_ssl_check_pending(&t->ssl)))
            break; // else: a record without data, or a message that Mbed TLS handles at the next call
        if (t->ssl.state != MBEDTLS_SSL_HANDSHAKE_OVER) { // a ticket
            if (!t->ssl.handshake && !(t->ssl.handshake = tls_calloc(1, t->handshake_bytes))) {
                rc = MBEDTLS_ERR_SSL_ALLOC_FAILED;
                break;
            }
        } else {
            free_handshake_state(t);
        }
    }
    t->in = NULL;
    t->out = NULL;
    int result = rc > 0 ? 0 : rc == 0 ? TLS_BROKEN : error_of(t, rc);
    if (result < 0)
        t->read_error = result; // Mbed TLS does not remember an alert it has reported
    return size > 0 ? (int)size : result;
}

int tls_write(tls_session *t, const char *data, size_t size, tls_output *out)
{
    if (!t->is_ready || t->is_end_sent)
        return TLS_INTERNAL;
    t->out = out;
    int rc = 0;
    while (size > 0 && rc >= 0) {
        rc = mbedtls_ssl_write(&t->ssl, (const unsigned char *)data, size);
        if (rc > 0) {
            data += rc;
            size -= (size_t)rc;
        }
    }
    t->out = NULL;
    return rc < 0 ? error_of(t, rc) : 0;
}

void tls_end(tls_session *t, tls_output *out)
{
    if (!t->is_ready || t->is_end_sent)
        return;
    t->is_end_sent = true;
    t->out = out;
    mbedtls_ssl_close_notify(&t->ssl);
    t->out = NULL;
}

// --- what is known of a session

bool tls_is_client(const tls_session *t)
{
    return t->ssl.conf->endpoint == MBEDTLS_SSL_IS_CLIENT;
}

bool tls_is_ready(const tls_session *t)
{
    return t->is_ready;
}

bool tls_is_resumed(const tls_session *t)
{
    return t->is_ready && tls_is_client(t) && !t->is_chain_seen;
}

const char *tls_version(const tls_session *t)
{
    return mbedtls_ssl_get_version(&t->ssl);
}

const char *tls_certificate_text(const tls_session *t, char *text, size_t size)
{
    text[0] = '\0';
    if (t->verify_flags == 0)
        return text;
    int length = mbedtls_x509_crt_verify_info(text, size, "", t->verify_flags);
    for (int i = 0; i < length; i++)
        if (text[i] == '\n')
            text[i] = i + 1 == length ? '\0' : ' ';
    return text;
}

tls_ticket *tls_take_ticket(tls_session *t)
{
    tls_ticket *ticket = t->ticket;
    t->ticket = NULL;
    return ticket;
}

bool tls_ticket_is_fresh(const tls_ticket *ticket)
{
    time_t age_s = time(NULL) - ticket->got_at_s;
    uint32_t lifetime_s = ticket->session.ticket_lifetime; // 0: not told (TLS 1.2)
    return age_s >= 0 && age_s < MAX_TICKET_AGE_S && (lifetime_s == 0 || (uint64_t)age_s < lifetime_s);
}

void tls_ticket_free(tls_ticket *ticket)
{
    if (!ticket)
        return;
    mbedtls_ssl_session_free(&ticket->session);
    free(ticket);
}

void tls_session_trim(tls_session *t)
{
    // The first page stays: it holds the record counter (in_ctr). Nothing else there is of use between records.
    if (t->is_in_grown && t->ssl.in_left == 0 && t->ssl.in_offt == NULL && !mbedtls_ssl_check_pending(&t->ssl)) {
        tls_memory_trim(t->ssl.in_buf, 1);
        t->is_in_grown = false;
    }
    if (t->is_out_grown && t->ssl.out_left == 0) {
        tls_memory_trim(t->ssl.out_buf, 1);
        t->is_out_grown = false;
    }
}

static const struct {
    int code;
    const char *name, *text;
} errors[] = {
    {TLS_EXPIRED, "expired", "the peer's certificate has expired"},
    {TLS_NOT_YET_VALID, "not_yet_valid", "the peer's certificate is not valid yet"},
    {TLS_WRONG_NAME, "wrong_name", "the peer's certificate is for another name"},
    {TLS_UNKNOWN_CA, "unknown_ca", "the peer's certificate is not signed by a trusted authority"},
    {TLS_BAD_CERTIFICATE, "bad_certificate", "the peer's certificate is missing, unreadable or unfit"},
    {TLS_VERSION, "version", "the peer speaks neither TLS 1.2 nor 1.3"},
    {TLS_REFUSED, "refused", "the peer and this side agree on no parameters, or the peer refused the handshake"},
    {TLS_BROKEN, "broken", "the peer's TLS records are not in order"},
    {TLS_TRUNCATED, "truncated", "the connection ended without TLS close_notify"},
    {TLS_NO_MEMORY, "no_memory", "out of memory"},
    {TLS_FILE, "file", "certificate or key file unusable"},
    {TLS_INTERNAL, "internal", "TLS used out of order"},
    {TLS_END, "end", "the peer ended the TLS connection"},
};

const char *tls_error_name(int error)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
        if (errors[i].code == error)
            return errors[i].name;
    return "unknown";
}

const char *tls_error_text(int error)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
        if (errors[i].code == error)
            return errors[i].text;
    return "unknown TLS error";
}
