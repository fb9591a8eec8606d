// Building a program: lists that grow, texts that stay where they are.
#include "core/program_build.h"

#include <stdlib.h>
#include <string.h>

struct chunk {
    struct chunk *next;
    char data[];
};

program *program_new(enum program_mode mode)
{
    program *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->refs = 1;
    p->mode = mode;
    return p;
}

program *program_hold(program *p)
{
    p->refs++;
    return p;
}

void program_drop(program *p)
{
    if (!p || --p->refs > 0)
        return;
    while (p->memory) {
        struct chunk *next = p->memory->next;
        free(p->memory);
        p->memory = next;
    }
    free(p->names);
    free(p->rules);
    free(p->conditions);
    free(p->pieces);
    free(p->lifts);
    free(p->paths);
    free(p->slots);
    free(p);
}

static void *take_memory(program *p, size_t size)
{
    struct chunk *c = malloc(sizeof(*c) + size);
    if (!c)
        return NULL;
    c->next = p->memory;
    p->memory = c;
    return c->data;
}

static bool copy_text(program *p, text *to, const char *data, size_t size)
{
    char *copy = size <= UINT32_MAX ? take_memory(p, size ? size : 1) : NULL;
    if (!copy)
        return false;
    if (size > 0)
        memcpy(copy, data, size);
    *to = (text){.data = copy, .size = (uint32_t)size};
    return true;
}

static bool is_text(const text *t, const char *data, size_t size)
{
    return t->size == size && memcmp(t->data, data, size) == 0;
}

// Makes room for one more item behind `count`; room doubles at each power of two.
static void *grow(void *items, uint32_t count, size_t item_size)
{
    if (count > 0 && (count & (count - 1)) != 0)
        return items;
    return realloc(items, (count > 0 ? (size_t)count * 2 : 1) * item_size);
}

// Appends a zeroed item to one of the lists and yields a pointer to it, or NULL.
#define APPEND(list, count)                                                                                            \
    ({                                                                                                                 \
        void *items_ = grow((list), (count), sizeof(*(list)));                                                         \
        if (items_) {                                                                                                  \
            (list) = items_;                                                                                           \
            memset(&(list)[(count)], 0, sizeof(*(list)));                                                              \
        }                                                                                                              \
        items_ ? &(list)[(count)++] : NULL;                                                                            \
    })

static bool is_same_path(const path *a, const json_step *steps, size_t count)
{
    if (a->count != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_step *x = &a->steps[i], *y = &steps[i];
        if (!x->key != !y->key || (x->key && (x->size != y->size || memcmp(x->key, y->key, x->size) != 0)) ||
            (!x->key && x->index != y->index))
            return false;
    }
    return true;
}

int program_add_path(program *p, const json_step *steps, size_t count)
{
    for (uint32_t i = 0; i < p->path_count; i++) {
        if (is_same_path(&p->paths[i], steps, count))
            return (int)i;
    }
    if (p->path_count == PROGRAM_PATHS)
        return -1;
    json_step *copy = take_memory(p, (count ? count : 1) * sizeof(*copy));
    if (!copy)
        return -1;
    for (size_t i = 0; i < count; i++) {
        copy[i] = steps[i];
        text key;
        if (steps[i].key) {
            if (!copy_text(p, &key, steps[i].key, steps[i].size))
                return -1;
            copy[i].key = key.data;
        }
    }
    path *added = APPEND(p->paths, p->path_count);
    if (!added)
        return -1;
    *added = (path){.steps = copy, .count = (uint32_t)count};
    return (int)p->path_count - 1;
}

static event_name *find_or_add_name(program *p, const char *event, size_t size)
{
    for (uint32_t i = 0; i < p->name_count; i++) {
        if (is_text(&p->names[i].name, event, size))
            return &p->names[i];
    }
    text name;
    event_name *added = copy_text(p, &name, event, size) ? APPEND(p->names, p->name_count) : NULL;
    if (added)
        *added = (event_name){.name = name, .first_rule = NO_RULE, .last_rule = NO_RULE};
    return added;
}

int program_add_rule(program *p, const char *event, size_t size, bool is_wake)
{
    event_name *name = find_or_add_name(p, event, size);
    rule *r = name ? APPEND(p->rules, p->rule_count) : NULL;
    if (!r)
        return -1;
    int index = (int)p->rule_count - 1;
    *r = (rule){.next = NO_RULE,
                .first_condition = p->condition_count,
                .first_piece = p->piece_count,
                .first_lift = p->lift_count,
                .is_wake = is_wake};
    if (name->first_rule == NO_RULE)
        name->first_rule = index;
    else
        p->rules[name->last_rule].next = index;
    name->last_rule = index;
    return index;
}

// The rule that is being built, or NULL; marks its event as one that is looked into.
static rule *current(program *p, bool has_look)
{
    if (p->rule_count == 0)
        return NULL;
    if (has_look) {
        for (uint32_t i = 0; i < p->name_count; i++)
            p->names[i].has_look |= p->names[i].last_rule == (int)p->rule_count - 1;
    }
    return &p->rules[p->rule_count - 1];
}

int program_add_when(program *p, int at, enum program_test test, const char *literal, size_t size, int var)
{
    rule *r = current(p, true);
    text copy = {"", 0};
    if (!r || at < 0 || (uint32_t)at >= p->path_count)
        return -1;
    if (test == PROGRAM_VAR ? var < 0 || var >= PROGRAM_VARS
                            : test == PROGRAM_EQUALS && !copy_text(p, &copy, literal, size))
        return -1;
    condition *c = APPEND(p->conditions, p->condition_count);
    if (!c)
        return -1;
    *c = (condition){.test = test, .path = at, .var = var, .literal = copy};
    r->condition_count++;
    return 0;
}

static int add_piece(program *p, piece wanted)
{
    rule *r = current(p, wanted.path >= 0);
    if (!r || p->mode == PROGRAM_PASS || r->piece_count == PROGRAM_PIECES)
        return -1;
    piece *added = APPEND(p->pieces, p->piece_count);
    if (!added)
        return -1;
    *added = wanted;
    r->piece_count++;
    return 0;
}

int program_add_text(program *p, const char *data, size_t size)
{
    text copy;
    return copy_text(p, &copy, data, size) ? add_piece(p, (piece){.literal = copy, .var = -1, .path = -1}) : -1;
}

int program_add_var(program *p, int var)
{
    return var >= 0 && var < PROGRAM_VARS ? add_piece(p, (piece){.var = var, .path = -1}) : -1;
}

int program_add_raw(program *p, int at)
{
    return at >= 0 && (uint32_t)at < p->path_count ? add_piece(p, (piece){.var = -1, .path = at}) : -1;
}

int program_slot_index(const program *p, const char *name, size_t size)
{
    for (uint32_t i = 0; i < p->slot_count; i++) {
        if (is_text(&p->slots[i].name, name, size))
            return (int)i;
    }
    return -1;
}

int program_add_lift(program *p, int at, const char *slot, size_t size, enum program_kind kind)
{
    rule *r = current(p, true);
    if (!r || at < 0 || (uint32_t)at >= p->path_count)
        return -1;
    int index = program_slot_index(p, slot, size);
    if (index < 0) {
        text name;
        slot_name *added = copy_text(p, &name, slot, size) ? APPEND(p->slots, p->slot_count) : NULL;
        if (!added)
            return -1;
        *added = (slot_name){.name = name, .kind = kind};
        index = (int)p->slot_count - 1;
    }
    if (p->slots[index].kind != kind)
        return -1;
    lift *l = APPEND(p->lifts, p->lift_count);
    if (!l)
        return -1;
    *l = (lift){.path = at, .slot = index, .kind = kind};
    r->lift_count++;
    return 0;
}

int program_add_wake(program *p, const char *event, size_t size)
{
    event_name *name = find_or_add_name(p, event, size);
    if (!name)
        return -1;
    name->is_wake = true;
    return 0;
}

int program_add_idle(program *p, const char *event, size_t size)
{
    event_name *name = find_or_add_name(p, event, size);
    if (!name)
        return -1;
    name->is_idle = true;
    return 0;
}

bool program_is_pass(const program *p)
{
    return p->mode == PROGRAM_PASS;
}

size_t program_slot_count(const program *p)
{
    return p->slot_count;
}

const char *program_slot_name(const program *p, size_t index, size_t *size)
{
    *size = p->slots[index].name.size;
    return p->slots[index].name.data;
}
