// http1_head: the block that keeps one head, and looking things up in it.
#include <stdlib.h>
#include <string.h>

#include "core/http1_rules.h"

// Struct and block together: the largest size that malloc's per-thread cache hands out at once.
enum { FIRST_BYTES = 1024 };

static http1_header *records_end(const http1_head *h)
{
    return (http1_header *)(h->block + h->capacity);
}

bool http1_head_reserve(http1_head **slot, size_t more)
{
    http1_head *h = *slot;
    size_t used = h ? h->text_size + h->count * sizeof(http1_header) : 0;
    if (h && h->capacity - used >= more)
        return true;
    size_t capacity = h ? h->capacity * 2u : FIRST_BYTES - sizeof(http1_head);
    if (capacity < used + more)
        capacity = used + more;
    capacity = (capacity + 3) & ~(size_t)3; // records at the end stay aligned
    http1_head *grown = realloc(h, sizeof(*grown) + capacity);
    if (!grown)
        return false;
    if (!h) {
        memset(grown, 0, sizeof(*grown));
        grown->content_length = -1;
    }
    size_t records = grown->count * sizeof(http1_header);
    if (records > 0)
        memmove(grown->block + capacity - records, grown->block + grown->capacity - records, records);
    grown->capacity = (uint32_t)capacity;
    *slot = grown;
    return true;
}

bool http1_head_add(http1_head **slot, const http1_header *record)
{
    if (!http1_head_reserve(slot, sizeof(*record)))
        return false;
    http1_head *h = *slot;
    h->count++;
    records_end(h)[-(int)h->count] = *record;
    return true;
}

void http1_head_fit(http1_head **slot)
{
    http1_head *h = *slot;
    if (!h)
        return;
    size_t records = h->count * sizeof(http1_header), text = ((size_t)h->text_size + 3) & ~(size_t)3;
    if (text + records >= h->capacity)
        return;
    memmove(h->block + text, h->block + h->capacity - records, records);
    h->capacity = (uint32_t)(text + records);
    http1_head *smaller = realloc(h, sizeof(*h) + h->capacity);
    *slot = smaller ? smaller : h;
}

const http1_header *http1_header_at(const http1_head *h, int index)
{
    return &records_end(h)[-index - 1];
}

uint16_t http1_hash(const char *name, size_t size)
{
    uint32_t hash = (uint32_t)size;
    for (size_t i = 0; i < size; i++)
        hash = hash * 31 + (unsigned char)name[i];
    return (uint16_t)(hash ^ hash >> 16);
}

int http1_find(const http1_head *h, const char *name, size_t size, int from)
{
    uint16_t hash = http1_hash(name, size);
    for (int i = from; i < h->count; i++) {
        const http1_header *r = http1_header_at(h, i);
        if (r->hash == hash && r->name_size == size && memcmp(h->block + r->name_at, name, size) == 0)
            return i;
    }
    return -1;
}

static bool equals_lower(const char *text, const char *lower, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != lower[i])
            return false;
    }
    return true;
}

static bool list_has(const char *s, size_t size, const char *token, size_t token_size)
{
    const char *end = s + size;
    while (s < end) {
        const char *comma = memchr(s, ',', (size_t)(end - s));
        const char *stop = comma ? comma : end;
        const char *last = stop;
        while (s < last && (*s == ' ' || *s == '\t'))
            s++;
        while (last > s && (last[-1] == ' ' || last[-1] == '\t'))
            last--;
        if ((size_t)(last - s) == token_size && equals_lower(s, token, token_size))
            return true;
        s = stop + 1;
    }
    return false;
}

bool http1_has_token(const http1_head *h, const char *name, const char *token)
{
    size_t name_size = strlen(name), token_size = strlen(token);
    for (int i = http1_find(h, name, name_size, 0); i >= 0; i = http1_find(h, name, name_size, i + 1)) {
        const http1_header *r = http1_header_at(h, i);
        if (list_has(h->block + r->value_at, r->value_size, token, token_size))
            return true;
    }
    return false;
}

void http1_head_free(http1_head *h)
{
    free(h);
}
