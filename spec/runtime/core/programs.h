// Two programs as the gateway uses them, and short ways to build others: for tests, fuzzing and benchmarks.
#ifndef MOONGATE_SPEC_PROGRAMS_H
#define MOONGATE_SPEC_PROGRAMS_H

#include "core/program.h"

#include <string.h>

// "delta.type" or "content.#0.text": keys with dots between, #n an index from 0.
static inline int at(program *p, const char *dotted)
{
    json_step steps[16];
    size_t count = 0;
    while (*dotted) {
        size_t size = strcspn(dotted, ".");
        if (*dotted == '#')
            steps[count++] = (json_step){.index = (uint32_t)(dotted[1] - '0')};
        else
            steps[count++] = (json_step){.key = dotted, .size = (uint32_t)size};
        dotted += size + (dotted[size] == '.');
    }
    return program_add_path(p, steps, count);
}

static inline int rule(program *p, const char *event)
{
    return program_add_rule(p, event, strlen(event), false);
}

static inline int when(program *p, const char *path, const char *literal)
{
    return program_add_when(p, at(p, path), PROGRAM_EQUALS, literal, strlen(literal), 0);
}

static inline int when_var(program *p, const char *path, int var)
{
    return program_add_when(p, at(p, path), PROGRAM_VAR, NULL, 0, var);
}

static inline int text(program *p, const char *literal)
{
    return program_add_text(p, literal, strlen(literal));
}

static inline int raw(program *p, const char *path)
{
    return program_add_raw(p, at(p, path));
}

static inline int lift(program *p, const char *path, const char *slot, enum program_kind kind)
{
    return program_add_lift(p, at(p, path), slot, strlen(slot), kind);
}

static inline void lift_usage(program *p, const char *prefix)
{
    static const char *const names[] = {"input_tokens", "output_tokens", "cache_creation_input_tokens",
                                        "cache_read_input_tokens"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[64];
        strcpy(path, prefix);
        strcat(path, names[i]);
        lift(p, path, names[i], PROGRAM_INTEGER);
    }
}

// What a pass-through stream is metered by.
static inline program *tap_program(void)
{
    program *p = program_new(PROGRAM_PASS);
    rule(p, "message_start");
    lift(p, "message.id", "id", PROGRAM_STRING);
    lift_usage(p, "message.usage.");
    rule(p, "message_delta");
    lift(p, "delta.stop_reason", "stop_reason", PROGRAM_STRING);
    lift_usage(p, "usage.");
    rule(p, "error");
    lift(p, "error.message", "error", PROGRAM_STRING);
    lift(p, "error", "error_raw", PROGRAM_RAW);
    program_add_idle(p, "ping", 4);
    return p;
}

// Text, thinking and tool arguments into chunks of another dialect. Var 0: how a chunk begins; var 1: the
// block that is the running tool; var 2: that tool's number.
static inline program *chat_program(void)
{
    program *p = program_new(PROGRAM_TRANSLATE);
    rule(p, "content_block_delta");
    when(p, "delta.type", "\"text_delta\"");
    program_add_var(p, 0), text(p, "{\"content\":"), raw(p, "delta.text"), text(p, "}}]}\n\n");
    rule(p, "content_block_delta");
    when(p, "delta.type", "\"thinking_delta\"");
    program_add_var(p, 0), text(p, "{\"reasoning_content\":"), raw(p, "delta.thinking"), text(p, "}}]}\n\n");
    rule(p, "content_block_delta");
    when(p, "delta.type", "\"input_json_delta\"");
    when(p, "delta.partial_json", "\"\"");
    rule(p, "content_block_delta");
    when(p, "delta.type", "\"input_json_delta\""), when_var(p, "index", 1);
    program_add_var(p, 0), text(p, "{\"tool_calls\":[{\"index\":"), program_add_var(p, 2);
    text(p, ",\"function\":{\"arguments\":"), raw(p, "delta.partial_json"), text(p, "}}]}}]}\n\n");
    rule(p, "ping");
    text(p, ": ping\n\n");
    rule(p, "content_block_stop");
    program_add_rule(p, "message_delta", 13, true);
    lift(p, "delta.stop_reason", "stop_reason", PROGRAM_STRING);
    lift_usage(p, "usage.");
    program_add_idle(p, "ping", 4);
    return p;
}

#endif
