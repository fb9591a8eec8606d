#include "bytes.h"

#include <stdlib.h>
#include <string.h>

bytes *bytes_new(size_t capacity)
{
    bytes *b = zeroed(sizeof(*b));
    if (!b)
        return NULL;
    b->tag = SHARED_BYTES;
    b->refs = 1;
    if (capacity > 0 && !bytes_reserve(b, capacity)) {
        free(b);
        return NULL;
    }
    return b;
}

bytes *bytes_copy(const char *data, size_t size)
{
    bytes *b = bytes_new(size);
    if (b && size > 0) {
        memcpy(b->data, data, size);
        b->size = size;
    }
    return b;
}

bytes *bytes_hold(bytes *b)
{
    b->refs++;
    return b;
}

void bytes_drop(bytes *b)
{
    if (!b || --b->refs > 0)
        return;
    free(b->data);
    b->tag = 0; // a stale pointer is recognised while the block is not reused
    free(b);
}

bool bytes_reserve(bytes *b, size_t more)
{
    if (more > SIZE_MAX / 2 - b->size)
        return false;
    size_t wanted = b->size + more;
    if (wanted <= b->capacity)
        return true;
    size_t capacity = b->capacity * 2 > wanted ? b->capacity * 2 : wanted;
    char *data = realloc(b->data, capacity);
    if (!data)
        return false;
    b->data = data;
    b->capacity = capacity;
    return true;
}

bool bytes_append_grow(bytes *b, const char *data, size_t size)
{
    if (!bytes_reserve(b, size))
        return false;
    if (size > 0)
        memcpy(b->data + b->size, data, size);
    b->size += size;
    b->has_sha256 = false;
    return true;
}

void bytes_trim(bytes *b)
{
    if (b->capacity - b->size < 1024 || b->capacity - b->size < b->size / 4)
        return;
    char *data = realloc(b->data, b->size > 0 ? b->size : 1);
    if (data) {
        b->data = data;
        b->capacity = b->size > 0 ? b->size : 1;
    }
}

output *output_new(const segment *parts, size_t count)
{
    output *o = zeroed(sizeof(*o) + count * sizeof(segment));
    if (!o)
        return NULL;
    o->tag = SHARED_OUTPUT;
    o->refs = 1;
    o->count = count;
    for (size_t i = 0; i < count; i++) {
        o->segments[i] = parts[i];
        o->size += parts[i].size;
    }
    return o;
}

output *output_hold(output *o)
{
    o->refs++;
    return o;
}

void output_drop(output *o)
{
    if (!o || --o->refs > 0)
        return;
    for (size_t i = 0; i < o->count; i++)
        bytes_drop(o->segments[i].owner);
    o->tag = 0;
    free(o);
}
