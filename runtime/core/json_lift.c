// See json_lift.h.
#include "core/json_lift.h"
#include "core/json_inside.h"

#include <stdlib.h>
#include <string.h>

typedef struct lift_path {
    json_step steps[JSON_LIFT_STEPS]; // keys are owned
    uint32_t count;
    uint32_t shared; // so many first steps are those of the path before
} lift_path;

struct json_lift {
    json_nodes nodes;
    uint32_t count;
    lift_path paths[JSON_LIFT_PATHS];
};

json_lift *json_lift_new(void)
{
    return calloc(1, sizeof(json_lift));
}

void json_lift_free(json_lift *l)
{
    if (!l)
        return;
    for (uint32_t i = 0; i < l->count; i++)
        for (uint32_t k = 0; k < l->paths[i].count; k++)
            free((char *)l->paths[i].steps[k].key);
    json_nodes_free(&l->nodes);
    free(l);
}

static uint32_t shared_steps(const lift_path *a, const lift_path *b)
{
    uint32_t i = 0;
    while (i < a->count && i < b->count && a->steps[i].size == b->steps[i].size &&
           memcmp(a->steps[i].key, b->steps[i].key, a->steps[i].size) == 0)
        i++;
    return i;
}

int json_lift_add(json_lift *l, const json_step *steps, size_t count)
{
    if (l->count == JSON_LIFT_PATHS || count == 0 || count > JSON_LIFT_STEPS)
        return -1;
    lift_path *path = &l->paths[l->count];
    memset(path, 0, sizeof(*path));
    for (size_t i = 0; i < count; i++) {
        char *key = steps[i].key ? malloc(steps[i].size + 1u) : NULL;
        if (!key) {
            while (i > 0)
                free((char *)path->steps[--i].key);
            return -1;
        }
        memcpy(key, steps[i].key, steps[i].size);
        path->steps[i] = (json_step){.key = key, .size = steps[i].size};
    }
    path->count = (uint32_t)count;
    if (l->count > 0) {
        path->shared = shared_steps(&l->paths[l->count - 1], path);
        if (path->shared == path->count) // one path inside the other: its own last step is looked up
            path->shared--;
    }
    return (int)l->count++;
}

static double read_integer(const json_node *node, const char *data)
{
    uint64_t value = 0;
    size_t size;
    const char *text = json_node_raw(node, data, &size);
    if (json_node_type(node) != JSON_NUMBER || size > 16)
        return -1;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    return value <= (uint64_t)1 << 53 ? (double)value : -1;
}

bool json_lift_run(json_lift *l, const bytes *text, const json_limits *limits, double *out, json_error *error)
{
    if (!json_scan(&l->nodes, text->data, text->size, limits, error))
        return false;
    uint32_t trail[JSON_LIFT_STEPS + 1] = {0}; // nodes on the way of the path before; [0] is the root
    uint32_t known = 0;                        // steps of it that led somewhere
    for (uint32_t i = 0; i < l->count; i++) {
        const lift_path *path = &l->paths[i];
        uint32_t at = path->shared;
        out[i] = -1;
        if (at > known) // what they share leads nowhere
            continue;
        while (at < path->count) {
            uint32_t found = json_find_key(&l->nodes, text->data, trail[at], path->steps[at].key, path->steps[at].size);
            if (found == JSON_NONE)
                break;
            trail[++at] = found;
        }
        known = at;
        if (at == path->count)
            out[i] = read_integer(&l->nodes.items[trail[at]], text->data);
    }
    if (l->nodes.capacity > 65536) // one huge answer must not keep its room
        json_nodes_free(&l->nodes);
    return true;
}

int json_lift_document(const json_lift *l, json_document *d, double *out)
{
    uint32_t trail[JSON_LIFT_STEPS + 1] = {json_document_find(d, JSON_ROOT, NULL, 0)};
    uint32_t known = 0;
    for (uint32_t i = 0; i < l->count; i++) {
        const lift_path *path = &l->paths[i];
        uint32_t at = path->shared;
        out[i] = -1;
        if (at > known || trail[0] == JSON_NONE)
            continue;
        while (at < path->count) {
            uint32_t found = json_child(d, trail[at], &path->steps[at], at, NULL);
            if (found == JSON_NONE)
                break;
            trail[++at] = found;
        }
        known = at;
        const json_node *node = json_node_at(d, trail[at]);
        double number;
        if (at == path->count && json_node_type(node) == JSON_NUMBER &&
            json_read_number(json_data_of(d, trail[at]) + node->start, node->end - node->start, &number))
            out[i] = number;
    }
    return d->is_freed ? JSON_FREED : 0;
}
