// The canonical request of AWS Signature Version 4, hashed while it is written: path encoded twice, query decoded,
// encoded and sorted, headers folded and sorted. Nothing is allocated; nothing of any length is copied.
// For sigv4.c and its specs. Source of the rules: AWS General Reference, "Signature Version 4", and
// @smithy/signature-v4 5.7.5 (read 2026-11-22), with which random requests are compared.
#ifndef MOONGATE_CORE_SIGV4_CANONICAL_H
#define MOONGATE_CORE_SIGV4_CANONICAL_H

#include "core/sha256.h"

typedef struct sigv4_text {
    const char *data;
    size_t size;
} sigv4_text;

typedef struct sigv4_header {
    sigv4_text name, value; // any case; as sent, unfolded
} sigv4_header;

enum { SIGV4_HEADERS_MAX = 128, SIGV4_PAIRS_MAX = 64, SIGV4_ODD_PATH_MAX_BYTES = 8192 };

enum sigv4_error {
    SIGV4_OK,
    SIGV4_NO_ROOM,    // the caller's buffer is too small
    SIGV4_BAD_HEADER, // a name that is empty or not a token
    SIGV4_TOO_LARGE,  // more than SIGV4_HEADERS_MAX headers or SIGV4_PAIRS_MAX query pairs, or a path with dot segments
                      // beyond SIGV4_ODD_PATH_MAX_BYTES
    SIGV4_NO_HOST,    // no host header
    SIGV4_BAD_TIME,   // outside the years 1970 to 9999
    SIGV4_BAD_CREDENTIAL // empty, or bytes that no credential has
};

// A header that is signed, with the first eight bytes of its lower-case name for fast comparison.
typedef struct sigv4_pick {
    uint64_t key;
    const sigv4_header *header;
} sigv4_pick;

// The headers to be signed, sorted by name as they are added; equal names keep their order.
typedef struct sigv4_picks {
    size_t count;
    sigv4_pick list[SIGV4_HEADERS_MAX];
} sigv4_picks;

// Adds a header, which must outlive the picks. SIGV4_OK, SIGV4_BAD_HEADER or SIGV4_TOO_LARGE.
enum sigv4_error sigv4_pick_add(sigv4_picks *picks, const sigv4_header *header);

// True for headers that proxies change or add, and so are never signed. Any case.
bool sigv4_is_unsignable(sigv4_text name);
// Case-insensitive; `lower` is a lower-case literal.
bool sigv4_name_is(sigv4_text name, const char *lower);

// Writes the list of signed headers ("host;x-amz-date") to names[0..room) and its size to *names_size, and the
// SHA-256 of the canonical request to digest. target is path and query as sent. SIGV4_OK, SIGV4_NO_ROOM or
// SIGV4_TOO_LARGE.
enum sigv4_error sigv4_canonical_hash(sigv4_text method, sigv4_text target, const sigv4_picks *picks,
                                      sigv4_text payload_hash, char *names, size_t room, size_t *names_size,
                                      uint8_t digest[SHA256_SIZE]);

// Writes the canonical form of a query ("b=2&a=x+y" -> "a=x%20y&b=2"), which is also the only form that should be
// sent, to out[0..room) and its size to *size; 3 bytes a byte and 1 are always enough. SIGV4_OK, SIGV4_NO_ROOM or
// SIGV4_TOO_LARGE.
enum sigv4_error sigv4_canonical_query(sigv4_text query, char *out, size_t room, size_t *size);

#endif
