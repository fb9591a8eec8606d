// How a program looks inside; shared by program_build.c and program.c only.
#ifndef MOONGATE_CORE_PROGRAM_BUILD_H
#define MOONGATE_CORE_PROGRAM_BUILD_H

#include "core/program.h"

enum { NO_RULE = -1 };

typedef struct text {
    const char *data; // in the program's memory
    uint32_t size;
} text;

typedef struct path {
    const json_step *steps;
    uint32_t count;
} path;

typedef struct condition {
    enum program_test test;
    int path, var;
    text literal;
} condition;

typedef struct piece {
    text literal; // used where both numbers are -1
    int var, path;
} piece;

typedef struct lift {
    int path, slot;
    enum program_kind kind;
} lift;

typedef struct rule {
    int next; // rule of the same event name, or NO_RULE
    uint32_t first_condition, condition_count;
    uint32_t first_piece, piece_count;
    uint32_t first_lift, lift_count;
    bool is_wake;
} rule;

typedef struct event_name {
    text name;
    int first_rule, last_rule;
    bool is_wake, is_idle;
    bool has_look; // a rule looks into the data, which is then parsed
} event_name;

typedef struct slot_name {
    text name;
    enum program_kind kind;
} slot_name;

struct program {
    uint32_t refs;
    enum program_mode mode;
    struct chunk *memory;
    event_name *names;
    rule *rules;
    condition *conditions;
    piece *pieces;
    lift *lifts;
    path *paths;
    slot_name *slots;
    uint32_t name_count, rule_count, condition_count, piece_count, lift_count, path_count, slot_count;
};

#endif
