// Fuzzes the SSE reader and the rules engine together: a stream read whole and read in pieces must give
// the same output, slots and wakes. Input: one byte that seeds the cuts (bit 0: pass mode; bit 1: peek
// before each read), then the stream.
#include "programs.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct trace {
    bytes *out, *wakes;
    enum program_result end;
    program_state *state;
} trace;

static program_scratch scratch;

static trace run(program *p, const uint8_t *data, size_t size, uint32_t seed, bool is_peeking)
{
    trace t = {.out = bytes_new(0), .wakes = bytes_new(0), .state = program_state_new(p, 4096)};
    program_set(t.state, 0, "data: ", 6);
    program_set(t.state, 1, "1", 1);
    for (size_t from = 0; from < size && t.end == PROGRAM_MORE;) {
        size_t n = size - from;
        if (seed) {
            seed = seed * 1664525 + 1013904223;
            size_t step = 1 + (seed >> 24) % 40;
            n = n < step ? n : step;
        }
        char *read = malloc(n);
        memcpy(read, data + from, n);
        sse_feed(&t.state->reader, read, n);
        if (is_peeking)
            program_peek(t.state);
        if (seed & 0x20000) { // the read moves while it is in use
            char *moved = malloc(n);
            memcpy(moved, read, n);
            sse_move(&t.state->reader, t.state->is_peeked ? &t.state->event : NULL, read, moved, n);
            free(read);
            read = moved;
        }
        while ((t.end = program_next(t.state, &scratch, t.out)) == PROGRAM_WAKE) {
            bytes_append(t.wakes, t.state->event.name, t.state->event.name_size);
            bytes_append(t.wakes, "=", 1);
            bytes_append(t.wakes, t.state->event.data, t.state->event.data_size);
        }
        free(read);
        from += n;
    }
    return t;
}

static void trace_free(trace *t)
{
    bytes_drop(t->out);
    bytes_drop(t->wakes);
    program_state_free(t->state);
}

static bool is_same(const bytes *a, const bytes *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static program *programs[2];
    if (!programs[0]) {
        programs[0] = chat_program();
        programs[1] = tap_program();
    }
    if (size == 0)
        return 0;
    program *p = programs[data[0] & 1];
    bool is_peeking = data[0] & 2; // drops the keep-alives, which the chat program would answer
    trace whole = run(p, data + 1, size - 1, 0, false);
    trace cut = run(p, data + 1, size - 1, (uint32_t)data[0] << 8 | 1, is_peeking);
    if (whole.end != cut.end || !is_same(whole.wakes, cut.wakes) || (!is_peeking && !is_same(whole.out, cut.out)))
        abort();
    for (size_t i = 0; i < program_slot_count(p); i++) {
        program_slot *a = &whole.state->slots[i], *b = &cut.state->slots[i];
        if (a->is_set != b->is_set || a->kind != b->kind)
            abort();
        if (a->is_set && (a->kind == PROGRAM_INTEGER ? a->integer != b->integer
                                                     : a->size != b->size || memcmp(a->text, b->text, a->size) != 0))
            abort();
    }
    bytes *frame = bytes_new(0); // what the writer makes, the reader reads
    if (!sse_write(frame, "e", 1, (const char *)data, size))
        abort();
    sse_reader r;
    sse_event event;
    sse_init(&r, 0);
    sse_feed(&r, frame->data, frame->size);
    if (sse_next(&r, &event) != SSE_EVENT || event.data_size > size || sse_next(&r, &event) != SSE_MORE || sse_end(&r))
        abort();
    sse_free(&r);
    bytes_drop(frame);
    trace_free(&whole);
    trace_free(&cut);
    return 0;
}
