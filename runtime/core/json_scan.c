// The scanner: one pass, no recursion. While a container is open its `next` holds the index of the
// container around it, so the only stack is the node array itself.
#include "json.h"
#include "json_text.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_MAX_DEPTH = 64, DEFAULT_MAX_NODES = 1 << 22, MAX_BYTES = 1 << 30, FIRST_CAPACITY = 64 };

#define ONE_CHILD 16u

typedef struct scan {
    const uint8_t *base;
    const uint8_t *end;
    const uint8_t *bad; // where, once something failed
    const char *message;
} scan;

static const uint8_t *scan_fail(scan *s, const char *message, const uint8_t *at)
{
    s->message = message;
    s->bad = at;
    return NULL;
}

// p is behind a backslash. Returns the byte behind the escape.
static const uint8_t *scan_escape(scan *s, const uint8_t *p)
{
    if (p == s->end)
        return scan_fail(s, "string is not closed", p);
    switch (*p) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 1;
    case 'u':
        break;
    default:
        return scan_fail(s, "unknown escape", p - 1);
    }
    if (s->end - p < 5)
        return scan_fail(s, "string is not closed", s->end);
    int unit = json_hex4(p + 1);
    if (unit < 0)
        return scan_fail(s, "\\u needs four hexadecimal digits", p - 1);
    if (unit < 0xD800 || unit > 0xDFFF)
        return p + 5;
    if (unit > 0xDBFF)
        return scan_fail(s, "lone low surrogate", p - 1);
    if (s->end - p < 11 || p[5] != '\\' || p[6] != 'u')
        return scan_fail(s, "lone high surrogate", p - 1);
    int low = json_hex4(p + 7);
    if (low < 0xDC00 || low > 0xDFFF)
        return scan_fail(s, "lone high surrogate", p - 1);
    return p + 11;
}

// p is behind the opening quote. Returns the closing quote and adds JSON_ESCAPED to *flags if need be.
static inline const uint8_t *scan_string(scan *s, const uint8_t *p, uint32_t *flags)
{
    for (;;) {
        p = json_find_special_near(p, s->end, s->base);
        if (p == s->end)
            return scan_fail(s, "string is not closed", p);
        if (*p == '"')
            return p;
        if (*p == '\\') {
            *flags |= JSON_ESCAPED;
            p = scan_escape(s, p + 1);
        } else if (*p >= 0x80) {
            const uint8_t *bad = NULL;
            p = json_skip_utf8(p, s->end, &bad);
            if (!p)
                return scan_fail(s, "invalid UTF-8", bad);
        } else {
            return scan_fail(s, "control character in a string", p);
        }
        if (!p)
            return NULL;
    }
}

static inline bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

// p is at the first byte. Returns the byte behind the number.
static inline const uint8_t *scan_number(scan *s, const uint8_t *p)
{
    const uint8_t *end = s->end;
    if (*p == '-')
        p++;
    if (p == end || !is_digit(*p))
        return scan_fail(s, "number needs a digit", p);
    if (*p++ == '0') {
        if (p < end && is_digit(*p))
            return scan_fail(s, "number starts with 0", p);
    } else {
        while (p < end && is_digit(*p))
            p++;
    }
    if (p < end && *p == '.') {
        p++;
        if (p == end || !is_digit(*p))
            return scan_fail(s, "number needs a digit", p);
        while (p < end && is_digit(*p))
            p++;
    }
    if (p < end && (*p | 0x20) == 'e') {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        if (p == end || !is_digit(*p))
            return scan_fail(s, "number needs a digit", p);
        while (p < end && is_digit(*p))
            p++;
    }
    return p;
}

static const uint8_t *scan_word(scan *s, const uint8_t *p, const char *word, size_t size)
{
    if ((size_t)(s->end - p) < size || memcmp(p, word, size) != 0)
        return scan_fail(s, "value expected", p);
    return p + size;
}

static bool nodes_grow(json_nodes *nodes)
{
    size_t capacity = nodes->capacity > 0 ? (size_t)nodes->capacity * 2 : FIRST_CAPACITY;
    json_node *items = realloc(nodes->items, capacity * sizeof(*items));
    if (!items)
        return false;
    nodes->items = items;
    nodes->capacity = (uint32_t)capacity;
    return true;
}

static inline const uint8_t *skip_space(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

uint32_t json_scan_append(json_nodes *nodes, const char *data, size_t from, size_t to, const json_limits *limits,
                          json_error *error)
{
    uint32_t max_depth = limits && limits->max_depth > 0 ? limits->max_depth : DEFAULT_MAX_DEPTH;
    uint32_t max_nodes = limits && limits->max_nodes > 0 ? limits->max_nodes : DEFAULT_MAX_NODES;
    size_t max_bytes = limits && limits->max_bytes > 0 && limits->max_bytes < MAX_BYTES ? limits->max_bytes : MAX_BYTES;
    const uint8_t *base = (const uint8_t *)(data ? data : ""); // an empty buffer may have no data
    scan s = {.base = base + from, .end = base + to};
    const uint8_t *p = base + from, *end = s.end;
    uint32_t root = nodes->count, count = root, depth = 0, parent = JSON_NONE;
    uint64_t last = (uint64_t)root + max_nodes;
    json_node *items = nodes->items;
    bool in_object = false;

    if (to - from > max_bytes || to > MAX_BYTES) {
        scan_fail(&s, "text is too large", base + from + (to - from > max_bytes ? max_bytes : 0));
        goto fail;
    }
    if (to - from >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0) {
        scan_fail(&s, "byte order mark", p);
        goto fail;
    }

value: // p is anywhere before a value
    p = skip_space(p, end);
    if (p == end) {
        scan_fail(&s, "text ends too early", p);
        goto fail;
    }
value_here : {
    if (count >= nodes->capacity) {
        nodes->count = count;
        if (!nodes_grow(nodes)) {
            scan_fail(&s, "out of memory", p);
            goto fail;
        }
        items = nodes->items;
    }
    if (count >= last) {
        scan_fail(&s, "too many values", p);
        goto fail;
    }
    json_node *node = &items[count];
    node->start = (uint32_t)(p - base);
    uint32_t info;
    switch (*p) {
    case '"':
        info = JSON_STRING;
        p = scan_string(&s, p + 1, &info);
        if (!p)
            goto fail;
        p++;
        break;
    case '{':
    case '[':
        if (++depth > max_depth) {
            scan_fail(&s, "nested too deeply", p);
            goto fail;
        }
        in_object = *p == '{';
        node->info = in_object ? JSON_OBJECT : JSON_ARRAY;
        node->next = parent;
        parent = count++;
        p = skip_space(p + 1, end);
        if (p == end) {
            scan_fail(&s, "text ends too early", p);
            goto fail;
        }
        if (*p == (in_object ? '}' : ']'))
            goto close;
        if (in_object)
            goto key_here;
        goto value_here;
    case 't':
        info = JSON_TRUE;
        p = scan_word(&s, p, "true", 4);
        break;
    case 'f':
        info = JSON_FALSE;
        p = scan_word(&s, p, "false", 5);
        break;
    case 'n':
        info = JSON_NULL;
        p = scan_word(&s, p, "null", 4);
        break;
    default:
        info = JSON_NUMBER;
        p = *p == '-' || is_digit(*p) ? scan_number(&s, p) : scan_fail(&s, "value expected", p);
        break;
    }
    if (!p)
        goto fail;
    node->end = (uint32_t)(p - base);
    node->next = ++count;
    node->info = info;
}

after_value:
    if (parent == JSON_NONE)
        goto done;
    items[parent].info += ONE_CHILD;
    p = skip_space(p, end);
    if (p == end) {
        scan_fail(&s, "text ends too early", p);
        goto fail;
    }
    if (*p == ',') {
        p++;
        if (!in_object)
            goto value;
        goto key;
    }
    if (*p != (in_object ? '}' : ']')) {
        scan_fail(&s, in_object ? "',' or '}' expected" : "',' or ']' expected", p);
        goto fail;
    }
close : {
    uint32_t around = items[parent].next;
    items[parent].end = (uint32_t)(++p - base);
    items[parent].next = count;
    if (in_object && items[parent].info >= 2 * ONE_CHILD) {
        size_t offset = json_find_duplicate(nodes, data, parent);
        if (offset != SIZE_MAX) {
            bool no_memory = offset == SIZE_MAX - 1;
            scan_fail(&s, no_memory ? "out of memory" : "duplicate key", no_memory ? p : base + offset);
            goto fail;
        }
    }
    depth--;
    parent = around;
    in_object = parent != JSON_NONE && json_node_type(&items[parent]) == JSON_OBJECT;
    goto after_value;
}

key:
    p = skip_space(p, end);
    if (p == end) {
        scan_fail(&s, "text ends too early", p);
        goto fail;
    }
key_here : {
    if (*p != '"') {
        scan_fail(&s, "key expected", p);
        goto fail;
    }
    if (count >= nodes->capacity) {
        nodes->count = count;
        if (!nodes_grow(nodes)) {
            scan_fail(&s, "out of memory", p);
            goto fail;
        }
        items = nodes->items;
    }
    json_node *node = &items[count];
    node->start = (uint32_t)(p - base);
    uint32_t info = JSON_STRING;
    p = scan_string(&s, p + 1, &info);
    if (!p)
        goto fail;
    node->end = (uint32_t)(++p - base);
    node->next = ++count;
    node->info = info;
    p = skip_space(p, end);
    if (p == end) {
        scan_fail(&s, "text ends too early", p);
        goto fail;
    }
    if (*p != ':') {
        scan_fail(&s, "':' expected", p);
        goto fail;
    }
    p++;
    goto value;
}

done:
    p = skip_space(p, end);
    if (p != end) {
        scan_fail(&s, "text goes on after the value", p);
        goto fail;
    }
    nodes->count = count;
    return root;

fail:
    nodes->count = root;
    if (error) {
        error->message = s.message;
        error->offset = (size_t)(s.bad - (base + from));
    }
    return JSON_NONE;
}

bool json_scan(json_nodes *nodes, const char *data, size_t size, const json_limits *limits, json_error *error)
{
    nodes->count = 0;
    return json_scan_append(nodes, data, 0, size, limits, error) != JSON_NONE;
}

bool json_check(const char *data, size_t size, json_error *error)
{
    json_nodes nodes = {0};
    bool ok = json_scan(&nodes, data, size, &(json_limits){.max_depth = 256, .max_nodes = 1 << 28}, error);
    json_nodes_free(&nodes);
    return ok;
}

void json_nodes_free(json_nodes *nodes)
{
    free(nodes->items);
    free(nodes->table);
    free(nodes->text);
    *nodes = (json_nodes){0};
}
