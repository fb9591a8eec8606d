// SHA-256 and HMAC: published vectors, then random texts in random pieces against Mbed TLS, on every engine this
// CPU has.
#include "test.h"

#include "core/sha256.h"

#include <mbedtls/md.h>
#include <mbedtls/sha256.h>

static uint64_t seed = 0x9e3779b97f4a7c15; // fixed: a failure repeats

static uint64_t random_word(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void to_hex(const uint8_t digest[SHA256_SIZE], char text[2 * SHA256_SIZE + 1])
{
    for (int i = 0; i < SHA256_SIZE; i++)
        sprintf(text + 2 * i, "%02x", digest[i]);
}

static void check_digest(const char *data, size_t size, const char *want)
{
    uint8_t digest[SHA256_SIZE];
    char text[2 * SHA256_SIZE + 1];
    sha256_of(data, size, digest);
    to_hex(digest, text);
    CHECK_TEXT(text, want);
}

// Source: NIST, SHA-256 examples (FIPS 180-4).
static void test_vectors(void)
{
    check_digest(NULL, 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_digest("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
                 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check_digest("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopq"
                 "rstnopqrstu",
                 112, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
    char *million = malloc(1000000);
    memset(million, 'a', 1000000);
    check_digest(million, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

static void test_every_length(void)
{
    uint8_t data[300], got[SHA256_SIZE], want[SHA256_SIZE];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)random_word();
    for (size_t size = 0; size <= sizeof(data); size++) {
        sha256_of(data, size, got);
        mbedtls_sha256(data, size, want, 0);
        CHECK(memcmp(got, want, sizeof(got)) == 0);
    }
}

static void test_every_split(void)
{
    uint8_t data[200], got[SHA256_SIZE], want[SHA256_SIZE];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)random_word();
    mbedtls_sha256(data, sizeof(data), want, 0);
    for (size_t split = 0; split <= sizeof(data); split++) {
        sha256 h;
        sha256_init(&h);
        sha256_update(&h, data, split);
        sha256_update(&h, data + split, sizeof(data) - split);
        sha256_final(&h, got);
        CHECK(memcmp(got, want, sizeof(got)) == 0);
    }
}

static void test_random_pieces(void)
{
    static uint8_t data[20000];
    uint8_t got[SHA256_SIZE], want[SHA256_SIZE];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)random_word();
    for (int run = 0; run < 300; run++) {
        size_t from = random_word() % 64, size = random_word() % (sizeof(data) - 64), count = 0, at = 0;
        segment parts[64];
        while (count < 63 && at < size) {
            size_t part = random_word() % 3 ? random_word() % 130 : random_word() % 1000;
            if (part > size - at)
                part = size - at;
            parts[count++] = (segment){(const char *)data + from + at, part, NULL};
            at += part;
        }
        parts[count++] = (segment){(const char *)data + from + at, size - at, NULL};
        sha256_of_segments(parts, count, got);
        mbedtls_sha256(data + from, size, want, 0);
        CHECK(memcmp(got, want, sizeof(got)) == 0);
    }
}

static void test_shared(void)
{
    uint8_t want[SHA256_SIZE];
    bytes *b = bytes_copy("abc", 3);
    sha256_of("abc", 3, want);
    CHECK(memcmp(sha256_of_bytes(b), want, SHA256_SIZE) == 0);
    CHECK(b->has_sha256 && memcmp(sha256_of_bytes(b), want, SHA256_SIZE) == 0);
    CHECK(bytes_append(b, "d", 1)); // its digest is another now
    sha256_of("abcd", 4, want);
    CHECK(memcmp(sha256_of_bytes(b), want, SHA256_SIZE) == 0);
    segment parts[] = {{"ab", 2, NULL}, {"cd", 2, NULL}};
    output *o = output_new(parts, 2);
    CHECK(memcmp(sha256_of_output(o), want, SHA256_SIZE) == 0);
    CHECK(o->has_sha256 && memcmp(sha256_of_output(o), want, SHA256_SIZE) == 0);
    output_drop(o);
    bytes_drop(b);
}

static void test_hmac(void)
{
    uint8_t mac[SHA256_SIZE], want[SHA256_SIZE];
    char text[2 * SHA256_SIZE + 1];
    hmac_sha256_key key;
    // Source: RFC 4231, test case 2.
    hmac_sha256_prepare(&key, "Jefe", 4);
    hmac_sha256_of(&key, "what do ya want for nothing?", 28, mac);
    to_hex(mac, text);
    CHECK_TEXT(text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");

    uint8_t secret[200], data[300];
    for (size_t i = 0; i < sizeof(secret); i++)
        secret[i] = (uint8_t)random_word();
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)random_word();
    const mbedtls_md_info_t *md = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
    for (size_t size = 0; size <= sizeof(secret); size++) {
        size_t data_size = random_word() % sizeof(data);
        hmac_sha256_prepare(&key, secret, size);
        hmac_sha256_of(&key, data, data_size, mac);
        mbedtls_md_hmac(md, secret, size, data, data_size, want);
        CHECK(memcmp(mac, want, sizeof(mac)) == 0);
    }
}

// 2^29 bytes and more: the length in bits leaves its low 32-bit word. Mbed TLS closes the same state for comparison.
static void test_long_text(void)
{
    enum { PIECE = 1 << 20, PIECES = 513 };
    uint8_t got[SHA256_SIZE], want[SHA256_SIZE], *piece = malloc(PIECE);
    memset(piece, 'x', PIECE);
    sha256 h;
    sha256_init(&h);
    for (int i = 0; i < PIECES; i++)
        sha256_update(&h, piece, PIECE);
    free(piece);
    mbedtls_sha256_context reference;
    mbedtls_sha256_init(&reference);
    mbedtls_sha256_starts(&reference, 0);
    reference.MBEDTLS_PRIVATE(total)[0] = (uint32_t)PIECES << 20;
    memcpy(reference.MBEDTLS_PRIVATE(state), h.state, sizeof(h.state));
    mbedtls_sha256_finish(&reference, want);
    mbedtls_sha256_free(&reference);
    sha256_final(&h, got);
    CHECK(memcmp(got, want, sizeof(got)) == 0);
}

static void test_all(void)
{
    test_vectors();
    test_every_length();
    test_every_split();
    test_random_pieces();
    test_shared();
    test_hmac();
}

int main(void)
{
    const char *best = sha256_engine_name();
    printf("engine: %s\n", best);
    if (strcmp(best, "mbedtls") != 0) {
        test_all();
        test_long_text();
    }
    CHECK(sha256_use(SHA256_PORTABLE));
    CHECK_TEXT(sha256_engine_name(), "mbedtls");
    test_all();
#if defined(__x86_64__)
    CHECK(!sha256_use(SHA256_ARM));
#elif defined(__aarch64__)
    CHECK(!sha256_use(SHA256_X86));
#endif
    CHECK_TEXT(sha256_engine_name(), "mbedtls");
    return test_end();
}
