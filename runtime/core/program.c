#include "core/program_build.h"

#include <stdlib.h>
#include <string.h>

enum { NOT_LOOKED = UINT32_MAX - 1, KEEP_NODES = 64 * 1024 };

program_state *program_state_new(program *p, uint32_t limit_bytes)
{
    program_state *s = zeroed(sizeof(*s) + p->slot_count * sizeof(s->slots[0]));
    if (!s)
        return NULL;
    sse_init(&s->reader, limit_bytes);
    s->program = program_hold(p);
    for (uint32_t i = 0; i < p->slot_count; i++)
        s->slots[i].kind = p->slots[i].kind;
    return s;
}

void program_state_free(program_state *s)
{
    if (!s)
        return;
    sse_free(&s->reader);
    for (uint32_t i = 0; i < s->program->slot_count; i++) {
        if (s->slots[i].kind != PROGRAM_INTEGER)
            free(s->slots[i].text);
    }
    for (int i = 0; i < s->var_count; i++)
        free(s->vars[i].text);
    free(s->vars);
    program_drop(s->program);
    free(s);
}

void program_scratch_free(program_scratch *scratch)
{
    json_nodes_free(&scratch->nodes);
}

// Room for a variable: streams are many, and most use few.
static bool has_var(program_state *s, int var)
{
    if (var < s->var_count)
        return true;
    int count = (var | 3) + 1;
    program_var *vars = realloc(s->vars, (size_t)count * sizeof(*vars));
    if (!vars)
        return false;
    memset(vars + s->var_count, 0, (size_t)(count - s->var_count) * sizeof(*vars));
    s->vars = vars;
    s->var_count = count;
    return true;
}

bool program_set(program_state *s, int var, const char *data, size_t size)
{
    if (var < 0 || var >= PROGRAM_VARS || size > UINT32_MAX / 2)
        return false;
    if (!has_var(s, var))
        return false;
    program_var *v = &s->vars[var];
    if (!v->text || v->capacity < size) {
        char *room = realloc(v->text, size > 16 ? size : 16);
        if (!room)
            return false;
        v->text = room;
        v->capacity = size > 16 ? (uint32_t)size : 16;
    }
    memcpy(v->text, data, size);
    v->size = (uint32_t)size;
    return true;
}

static const event_name *find_name(const program *p, const sse_event *event)
{
    for (uint32_t i = 0; i < p->name_count; i++) {
        const text *name = &p->names[i].name;
        // Names of a vendor are alike in their beginning, not in size and last byte.
        if (name->size == event->name_size &&
            (name->size == 0 || (name->data[name->size - 1] == event->name[name->size - 1] &&
                                 memcmp(name->data, event->name, name->size) == 0)))
            return &p->names[i];
    }
    return NULL;
}

// One event on its way through the rules.
typedef struct run {
    const program *program;
    program_state *state;
    program_scratch *scratch;
    const char *data;
} run;

// The node at a path, JSON_NONE: absent. Looked up once per event, however many rules ask.
static inline const json_node *look(run *r, int at)
{
    uint32_t *found = &r->scratch->found[at];
    if (*found == NOT_LOOKED) {
        const path *way = &r->program->paths[at];
        *found = json_find_path(&r->scratch->nodes, r->data, 0, way->steps, way->count);
    }
    return *found == JSON_NONE ? NULL : &r->scratch->nodes.items[*found];
}

static bool is_raw(const run *r, const json_node *node, const char *want, size_t size)
{
    return node && node->end - node->start == size && memcmp(r->data + node->start, want, size) == 0;
}

static bool holds(run *r, const condition *c)
{
    const json_node *node = look(r, c->path);
    switch (c->test) {
    case PROGRAM_EQUALS:
        return is_raw(r, node, c->literal.data, c->literal.size);
    case PROGRAM_VAR: {
        const program_var *v = c->var < r->state->var_count ? &r->state->vars[c->var] : NULL;
        return v && v->text && is_raw(r, node, v->text, v->size);
    }
    case PROGRAM_PRESENT:
        return node && json_node_type(node) != JSON_NULL;
    case PROGRAM_ABSENT:
        return !node || json_node_type(node) == JSON_NULL;
    case PROGRAM_IS_STRING:
        return node && json_node_type(node) == JSON_STRING;
    case PROGRAM_IS_NUMBER:
        return node && json_node_type(node) == JSON_NUMBER;
    case PROGRAM_IS_OBJECT:
        return node && json_node_type(node) == JSON_OBJECT;
    case PROGRAM_IS_ARRAY:
        return node && json_node_type(node) == JSON_ARRAY;
    }
    return false;
}

// Can the rule act? Then *size is what its pieces take, in bytes.
static bool matches(run *r, const rule *wanted, size_t *size)
{
    const program *p = r->program;
    for (uint32_t i = 0; i < wanted->condition_count; i++) {
        if (!holds(r, &p->conditions[wanted->first_condition + i]))
            return false;
    }
    *size = 0;
    for (uint32_t i = 0; i < wanted->piece_count; i++) {
        const piece *part = &p->pieces[wanted->first_piece + i];
        if (part->path >= 0) {
            const json_node *node = look(r, part->path);
            if (!node)
                return false;
            *size += node->end - node->start;
        } else if (part->var >= 0) {
            *size += part->var < r->state->var_count ? r->state->vars[part->var].size : 0;
        } else {
            *size += part->literal.size;
        }
    }
    return true;
}

// Line ends between the tokens of an object would break the frame it is put into. (Inside of strings
// JSON has none.)
static void flatten(char *at, size_t size)
{
    for (char *end = at + size; at < end; at++) {
        if (*at == '\n' || *at == '\r')
            *at = ' ';
    }
}

static bool write_pieces(run *r, const rule *wanted, size_t size, bytes *out)
{
    if (!bytes_reserve(out, size))
        return false;
    char *to = out->data + out->size;
    for (uint32_t i = 0; i < wanted->piece_count; i++) {
        const piece *part = &r->program->pieces[wanted->first_piece + i];
        const char *from = part->literal.data;
        size_t n = part->literal.size;
        if (part->path >= 0) {
            from = json_node_raw(look(r, part->path), r->data, &n);
        } else if (part->var >= 0) {
            bool is_set = part->var < r->state->var_count;
            from = is_set ? r->state->vars[part->var].text : NULL;
            n = is_set ? r->state->vars[part->var].size : 0;
        }
        if (n > 0)
            memcpy(to, from, n);
        if (part->path >= 0 && (*from == '{' || *from == '['))
            flatten(to, n);
        to += n;
    }
    out->size += size;
    return true;
}

// A JSON number as an integer: cut towards zero, held at the ends of the range. false: not worth reading.
static bool read_integer(const char *raw, size_t size, int64_t *result)
{
    bool is_negative = *raw == '-', is_plain = true;
    uint64_t value = 0;
    for (size_t i = is_negative; i < size && is_plain; i++) {
        is_plain = raw[i] >= '0' && raw[i] <= '9';
        value = value > (uint64_t)INT64_MAX / 10 ? UINT64_MAX : value * 10 + (uint64_t)(raw[i] - '0');
    }
    if (is_plain) {
        if (value > (uint64_t)INT64_MAX)
            *result = is_negative ? INT64_MIN : INT64_MAX;
        else
            *result = is_negative ? -(int64_t)value : (int64_t)value;
        return true;
    }
    char digits[64]; // a fraction or an exponent: rare, and exact enough as a double
    if (size >= sizeof(digits))
        return false;
    memcpy(digits, raw, size);
    digits[size] = 0;
    double number = strtod(digits, NULL);
    if (number >= 9223372036854775808.0)
        *result = INT64_MAX;
    else
        *result = number <= -9223372036854775808.0 ? INT64_MIN : (int64_t)number;
    return true;
}

static bool lift_text(program_slot *slot, const char *raw, size_t size, bool is_escaped)
{
    if (size > PROGRAM_SLOT_TEXT)
        return true;
    char *copy = slot->is_set && slot->size >= size ? slot->text : realloc(slot->text, size ? size : 1);
    if (!copy)
        return false;
    if (is_escaped)
        size = json_unescape(copy, raw, size);
    else if (size > 0)
        memcpy(copy, raw, size);
    slot->text = copy;
    slot->size = (uint32_t)size;
    slot->is_set = true;
    return true;
}

// Counters are cumulative: a new value overwrites, null or nothing leaves the old one.
static bool run_lift(run *r, const lift *wanted)
{
    const json_node *node = look(r, wanted->path);
    program_slot *slot = &r->state->slots[wanted->slot];
    if (!node || json_node_type(node) == JSON_NULL)
        return true;
    size_t size;
    const char *raw = json_node_raw(node, r->data, &size);
    switch (wanted->kind) {
    case PROGRAM_INTEGER:
        if (json_node_type(node) == JSON_NUMBER && read_integer(raw, size, &slot->integer))
            slot->is_set = true;
        return true;
    case PROGRAM_STRING:
        return json_node_type(node) != JSON_STRING ||
               lift_text(slot, raw + 1, size - 2, (node->info & JSON_ESCAPED) != 0);
    case PROGRAM_RAW:
        return lift_text(slot, raw, size, false);
    }
    return true;
}

static bool parse(run *r, const sse_event *event)
{
    if (r->scratch->nodes.capacity > KEEP_NODES) // a huge event came by: give its room back
        json_nodes_free(&r->scratch->nodes);
    json_error error;
    if (!json_scan(&r->scratch->nodes, event->data, event->data_size, NULL, &error))
        return false;
    for (uint32_t i = 0; i < r->program->path_count; i++)
        r->scratch->found[i] = NOT_LOOKED;
    return true;
}

// Runs the rules over one event. PROGRAM_MORE: it is dealt with.
static enum program_result run_event(program_state *s, program_scratch *scratch, const sse_event *event, bytes *out)
{
    const program *p = s->program;
    enum program_result unmatched = p->mode == PROGRAM_PASS ? PROGRAM_MORE : PROGRAM_WAKE;
    const event_name *name = find_name(p, event);
    s->events += !name || !name->is_idle;
    if (!name)
        return unmatched;
    if (name->first_rule == NO_RULE)
        return name->is_wake ? PROGRAM_WAKE : name->is_idle ? PROGRAM_MORE : unmatched;
    run r = {.program = p, .state = s, .scratch = scratch, .data = event->data};
    if (name->has_look && !parse(&r, event)) {
        s->bad_events++;
        return PROGRAM_WAKE;
    }
    for (int i = name->first_rule; i != NO_RULE; i = p->rules[i].next) {
        const rule *candidate = &p->rules[i];
        size_t size;
        if (!matches(&r, candidate, &size))
            continue;
        if (size > 0 && !write_pieces(&r, candidate, size, out))
            return PROGRAM_NO_MEMORY;
        for (uint32_t k = 0; k < candidate->lift_count; k++) {
            if (!run_lift(&r, &p->lifts[candidate->first_lift + k]))
                return PROGRAM_NO_MEMORY;
        }
        return candidate->is_wake || name->is_wake ? PROGRAM_WAKE : PROGRAM_MORE;
    }
    return name->is_wake ? PROGRAM_WAKE : unmatched;
}

static enum program_result read_failed(enum sse_result why)
{
    return why == SSE_MORE ? PROGRAM_MORE : why == SSE_TOO_LARGE ? PROGRAM_TOO_LARGE : PROGRAM_NO_MEMORY;
}

enum program_result program_next(program_state *s, program_scratch *scratch, bytes *out)
{
    if (s->is_peeked) {
        s->is_peeked = false;
        enum program_result result = run_event(s, scratch, &s->event, out);
        if (result != PROGRAM_MORE)
            return result;
    }
    for (;;) {
        enum sse_result read = sse_next(&s->reader, &s->event);
        if (read != SSE_EVENT)
            return read_failed(read);
        enum program_result result = run_event(s, scratch, &s->event, out);
        if (result != PROGRAM_MORE)
            return result;
    }
}

enum program_result program_peek(program_state *s)
{
    while (!s->is_peeked) {
        enum sse_result read = sse_next(&s->reader, &s->event);
        if (read != SSE_EVENT)
            return read_failed(read);
        const event_name *name = find_name(s->program, &s->event);
        s->is_peeked = !name || !name->is_idle;
    }
    return PROGRAM_WAKE;
}
