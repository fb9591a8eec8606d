// Keyring: what was added is found and nothing else, records stay whole while the ring grows, it is immutable once
// used, 100,000 keys stay cheap.
#include "test.h"

#include "core/keyring.h"

static void digest_of(const char *key, uint8_t digest[SHA256_SIZE])
{
    sha256_of(key, strlen(key), digest);
}

static enum keyring_error add(keyring *k, const char *key, const char *record)
{
    uint8_t digest[SHA256_SIZE];
    digest_of(key, digest);
    return keyring_add(k, digest, record, strlen(record));
}

static int64_t find(keyring *k, const char *key)
{
    return keyring_find(k, key, strlen(key));
}

static void test_few(void)
{
    keyring *k = keyring_new();
    size_t size;
    CHECK(find(k, "") == -1 && find(k, "x") == -1 && keyring_count(k) == 0);
    CHECK(add(k, "x", "r") == KEYRING_SEALED); // the look-ups above closed it
    keyring_free(k);
    keyring_free(NULL);

    k = keyring_new();
    CHECK(add(k, "mg-one", "record one") == KEYRING_OK);
    CHECK(add(k, "mg-two", "") == KEYRING_OK);
    CHECK(add(k, "mg-one", "other") == KEYRING_DUPLICATE);
    CHECK(add(k, "", "of the empty key") == KEYRING_OK);
    CHECK(keyring_count(k) == 3);
    CHECK(find(k, "mg-one") == 0 && find(k, "mg-two") == 1 && find(k, "") == 2);
    static const char *const wrong[] = {"mg-on", "mg-onee", "MG-ONE", " mg-one", "mg-one ", "x"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        CHECK(find(k, wrong[i]) == -1);
    CHECK(keyring_find(k, "mg-one\0", 7) == -1);
    CHECK(memcmp(keyring_record(k, 0, &size), "record one", 10) == 0 && size == 10);
    CHECK(keyring_record(k, 1, &size) != NULL && size == 0);
    CHECK(add(k, "mg-three", "r") == KEYRING_SEALED);
    keyring_free(k);
}

// Digests that share everything but the last byte: same place, same tag, so only the whole comparison tells them apart.
static void test_neighbours(void)
{
    keyring *k = keyring_new();
    uint8_t digest[SHA256_SIZE];
    digest_of("the key", digest);
    for (int i = 1; i < 256; i++) {
        uint8_t near[SHA256_SIZE];
        memcpy(near, digest, sizeof(near));
        near[SHA256_SIZE - 1] ^= (uint8_t)i;
        char record = (char)i;
        CHECK(keyring_add(k, near, &record, 1) == KEYRING_OK);
        CHECK(keyring_add(k, near, &record, 1) == KEYRING_DUPLICATE);
    }
    CHECK(find(k, "the key") == -1);
    keyring_free(k);
    k = keyring_new();
    for (int i = 0; i < 256; i++) {
        uint8_t near[SHA256_SIZE];
        memcpy(near, digest, sizeof(near));
        near[SHA256_SIZE - 1] ^= (uint8_t)i;
        CHECK(keyring_add(k, near, "", 0) == KEYRING_OK);
    }
    CHECK(find(k, "the key") == 0);
    keyring_free(k);
}

static void test_many(void)
{
    enum { KEYS = 100000 };
    keyring *k = keyring_new();
    char key[32], record[32];
    int wrong = 0;
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "mg-%d", i);
        snprintf(record, sizeof(record), "{\"user\":%d}", i);
        wrong += add(k, key, record) != KEYRING_OK;
    }
    keyring_seal(k);
    for (int i = 0; i < KEYS; i++) {
        size_t size;
        snprintf(key, sizeof(key), "mg-%d", i);
        snprintf(record, sizeof(record), "{\"user\":%d}", i);
        wrong += find(k, key) != i;
        const char *got = keyring_record(k, i, &size);
        wrong += size != strlen(record) || memcmp(got, record, size) != 0;
        snprintf(key, sizeof(key), "mg_%d", i);
        wrong += find(k, key) != -1;
    }
    CHECK(wrong == 0);
    CHECK(keyring_count(k) == KEYS);
    printf("%zu bytes a key\n", keyring_memory(k) / KEYS);
    CHECK(keyring_memory(k) / KEYS < 96);
    keyring_free(k);
}

int main(void)
{
    test_few();
    test_neighbours();
    test_many();
    return test_end();
}
