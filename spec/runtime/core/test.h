// What the C tests share: checks that count, and one closing line. No framework; a test is a function.
#ifndef MOONGATE_SPEC_TEST_H
#define MOONGATE_SPEC_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int test_passed, test_failed;

#define CHECK(condition) test_check((condition) ? 1 : 0, #condition, __FILE__, __LINE__)
#define CHECK_TEXT(got, want) test_check_text((got), (want), __FILE__, __LINE__)

static inline void test_check(int ok, const char *what, const char *file, int line)
{
    if (ok) {
        test_passed++;
        return;
    }
    test_failed++;
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
}

static inline void test_check_text(const char *got, const char *want, const char *file, int line)
{
    if (got && strcmp(got, want) == 0) {
        test_passed++;
        return;
    }
    test_failed++;
    fprintf(stderr, "%s:%d: got \"%s\", want \"%s\"\n", file, line, got ? got : "(null)", want);
}

static inline int test_end(void)
{
    printf("%d passed, %d failed\n", test_passed, test_failed);
    return test_failed > 0;
}

#endif
