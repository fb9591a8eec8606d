// CPU time the rules engine costs per event, alone: no socket, no write. Events of about 150 B, 100 in a read.
// Build and run: cc -O2 -std=gnu11 -D_GNU_SOURCE -Iruntime spec/bench/program_bench.c
//                runtime/core/{bytes,sse,json_*,program*}.c -o build/program_bench && build/program_bench
#include "../runtime/core/programs.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { EVENTS = 100, READS = 3000, ROUNDS = 9 };

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const char *what, program *p, const char *read, size_t size, size_t step)
{
    program_scratch scratch = {0};
    double rounds[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        program_state *s = program_state_new(p, 0);
        bytes *out = bytes_new(0);
        program_set(s, 0, "data: {\"id\":\"chatcmpl-0123456789\",\"choices\":[{\"index\":0,\"delta\":", 64);
        double began = cpu_us();
        for (int i = 0; i < READS; i++) {
            for (size_t from = 0; from < size; from += step) {
                sse_feed(&s->reader, read + from, size - from < step ? size - from : step);
                while (program_next(s, &scratch, out) == PROGRAM_WAKE)
                    ;
            }
            out->size = 0;
        }
        rounds[round] = (cpu_us() - began) / ((double)READS * EVENTS);
        bytes_drop(out);
        program_state_free(s);
    }
    qsort(rounds, ROUNDS, sizeof(rounds[0]), compare);
    printf("%-34s %7.3f us/event [%.3f-%.3f]\n", what, rounds[ROUNDS / 2], rounds[0], rounds[ROUNDS - 1]);
    program_scratch_free(&scratch);
}

int main(void)
{
    static char text_read[64 * 1024], delta_read[64 * 1024];
    size_t text_size = 0, delta_size = 0;
    for (int i = 0; i < EVENTS; i++) {
        text_size += (size_t)sprintf(text_read + text_size,
                                     "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
                                     "\"delta\":{\"type\":\"text_delta\",\"text\":\" some words of text %d\"}}\n\n",
                                     i);
        delta_size +=
            (size_t)sprintf(delta_read + delta_size,
                            "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
                            "\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":%d}}\n\n",
                            i);
    }
    printf("%zu B per event\n", text_size / EVENTS);
    program *chat = chat_program(), *tap = tap_program();
    measure("translate, whole read", chat, text_read, text_size, text_size);
    measure("translate, reads of 100 B", chat, text_read, text_size, 100);
    measure("tap, event without a rule", tap, text_read, text_size, text_size);
    measure("tap, reads of 100 B", tap, text_read, text_size, 100);
    measure("tap, event with lifts", tap, delta_read, delta_size, delta_size);
    program_drop(chat);
    program_drop(tap);
    return 0;
}
