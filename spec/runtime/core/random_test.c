// Random bytes: no id twice within a process or between parent and child; comparing secrets.
#include "test.h"

#include "core/random.h"

#include <sys/wait.h>
#include <unistd.h>

enum { IDS = 2000, ID_SIZE = 16 };

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, ID_SIZE);
}

static void test_unique(void)
{
    static uint8_t ids[2 * IDS][ID_SIZE];
    int ends[2];
    random_bytes(ids[0], ID_SIZE); // the pool is there before the fork
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    for (int i = 0; i < IDS; i++)
        random_bytes(ids[i], ID_SIZE);
    if (child == 0) {
        uint8_t *p = ids[0], *end = ids[IDS];
        while (p < end) {
            ssize_t sent = write(ends[1], p, (size_t)(end - p));
            if (sent <= 0)
                _exit(1);
            p += sent;
        }
        _exit(0);
    }
    close(ends[1]);
    uint8_t *p = ids[IDS], *end = ids[2 * IDS];
    while (p < end) {
        ssize_t got = read(ends[0], p, (size_t)(end - p));
        if (got <= 0)
            break;
        p += got;
    }
    close(ends[0]);
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && status == 0 && p == end);
    qsort(ids, 2 * IDS, ID_SIZE, compare_ids);
    int twice = 0;
    for (int i = 1; i < 2 * IDS; i++)
        twice += compare_ids(ids[i - 1], ids[i]) == 0;
    CHECK(twice == 0);
}

static void test_sizes(void)
{
    static const size_t sizes[] = {0, 1, 7, 16, 255, 256, 257, 4000, 100000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        uint8_t *data = calloc(1, sizes[i] + 1);
        size_t set = 0;
        for (int run = 0; run < 8; run++) { // eight chances: no byte stays zero but once in 2^64
            uint8_t *now = calloc(1, sizes[i] + 1);
            random_bytes(now, sizes[i]);
            CHECK(now[sizes[i]] == 0);
            for (size_t k = 0; k < sizes[i]; k++)
                data[k] |= now[k];
            free(now);
        }
        for (size_t k = 0; k < sizes[i]; k++)
            set += data[k] != 0;
        CHECK(set == sizes[i]);
        free(data);
    }
}

static void test_equal(void)
{
    uint8_t a[40], b[40];
    memset(a, 'a', sizeof(a));
    memset(b, 'a', sizeof(b));
    for (size_t size = 0; size <= sizeof(a); size++) {
        CHECK(equal_in_constant_time(a, b, size));
        for (size_t at = 0; at < sizeof(a); at++) {
            b[at] ^= 0x80;
            CHECK(equal_in_constant_time(a, b, size) == (at >= size));
            b[at] ^= 0x80;
        }
    }
}

int main(void)
{
    test_unique();
    test_sizes();
    test_equal();
    return test_end();
}
