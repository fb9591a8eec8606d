// AWS Signature Version 4 in headers (not for S3): a signer holds one set of credentials for one region and service
// and signs requests right before they are sent. Source: as in sigv4_canonical.h.
// Ownership: reference-counted; sigv4_signer_new() gives one reference, sigv4_signer_drop() gives one back. Its secrets
// live in pages of their own, locked in memory where the limit allows it, absent from core dumps, wiped at the end. One
// thread.
#ifndef MOONGATE_CORE_SIGV4_H
#define MOONGATE_CORE_SIGV4_H

#include "core/sigv4_canonical.h"

typedef struct sigv4_signer sigv4_signer;

typedef struct sigv4_credentials {
    sigv4_text access_key_id, secret_access_key; // blanks and line ends around them are left out
    sigv4_text session_token;                    // empty: none
    sigv4_text region, service;
    // Adds x-amz-content-sha256, as the vendor's own SDKs do: Claude Platform on AWS and Bedrock want it, STS does not.
    bool adds_content_sha256;
} sigv4_credentials;

typedef struct sigv4_request {
    sigv4_text method;           // upper case
    sigv4_text target;           // path and query, byte for byte as sent
    const sigv4_header *headers; // all that will be sent, in any order; host must be among them
    size_t header_count;
    // The body: its digest where it is known, else its segments; or unsigned.
    const uint8_t *body_sha256;
    const segment *body;
    size_t body_count;
    bool is_body_unsigned;  // UNSIGNED-PAYLOAD
    int64_t time_s;         // this machine's clock, seconds since 1970
    int64_t clock_offset_s; // added to it: how far the server's clock is ahead
} sigv4_request;

// Makes a signer. SIGV4_OK and *out; or SIGV4_BAD_CREDENTIAL with *field naming what is wrong with "is empty" or bytes
// that cannot be sent ("access_key_id", ..., or "memory"), and *out = NULL.
enum sigv4_error sigv4_signer_new(sigv4_signer **out, const sigv4_credentials *credentials, const char **field);
sigv4_signer *sigv4_signer_hold(sigv4_signer *s);
void sigv4_signer_drop(sigv4_signer *s); // the last one wipes; NULL is fine

// True for headers that sigv4_sign() writes itself: the sender leaves out the caller's own ones. These are
// authorization, x-amz-date, date, and x-amz-security-token where the signer has a token.
bool sigv4_signer_owns(const sigv4_signer *s, sigv4_text name);

// How many bytes sigv4_sign() writes at most for these headers.
size_t sigv4_room(const sigv4_signer *s, const sigv4_header *headers, size_t header_count);

// Writes the header lines to be added, each closed by CR LF: x-amz-date, x-amz-content-sha256 (where the signer adds it
// and the request brings none of its own: a given one is taken as the payload hash), x-amz-security-token,
// authorization. Allocates nothing. Any error leaves the buffer undefined.
enum sigv4_error sigv4_sign(sigv4_signer *s, const sigv4_request *request, char *out, size_t room, size_t *size);

// One stable word for an error ("bad_header", ...), for err.code; and a sentence without secrets.
const char *sigv4_error_code(enum sigv4_error error);
const char *sigv4_error_text(enum sigv4_error error);

#endif
