// What both http1 fuzz targets do: read the input whole and again cut where its first byte says; the two
// must end the same way, with the same body, and every span must lie in the block.
#ifndef MOONGATE_SPEC_HTTP1_WALK_H
#define MOONGATE_SPEC_HTTP1_WALK_H

#include <stdlib.h>
#include <string.h>

#include "core/http1.h"

typedef struct http1_walk {
    uint32_t digest; // of all heads and bodies
    int messages;
    int end; // the last event
    bool is_over;
} http1_walk;

static void walk_bytes(http1_walk *w, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        w->digest = w->digest * 31 + (unsigned char)data[i];
}

static void walk_require(bool ok)
{
    if (!ok)
        abort();
}

static void walk_head(http1_walk *w, const http1_head *h)
{
    walk_bytes(w, h->block, h->method_size);
    walk_bytes(w, h->block + h->target_at, h->target_size);
    for (int i = 0; i < h->count; i++) {
        const http1_header *r = http1_header_at(h, i);
        walk_require((uint32_t)r->value_at + r->value_size <= h->text_size);
        walk_require(http1_is_token(http1_text(h, r->name_at), r->name_size));
        walk_require(http1_is_value(http1_text(h, r->value_at), r->value_size));
        walk_require(http1_find(h, http1_text(h, r->name_at), r->name_size, i) == i);
        walk_bytes(w, http1_text(h, r->name_at), r->name_size);
        walk_bytes(w, http1_text(h, r->value_at), r->value_size);
    }
}

static void walk_feed(http1_walk *w, http1 *p, const char *data, size_t size)
{
    char *copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    size_t at = 0;
    while (!w->is_over) {
        size_t used;
        enum http1_event event = http1_parse(p, copy + at, size - at, &used);
        walk_require(used <= size - at);
        at += used;
        w->end = (int)event;
        if (event == HTTP1_HEAD) {
            walk_head(w, p->head);
        } else if (event == HTTP1_BODY) {
            walk_require(p->part >= copy && p->part + p->part_size <= copy + at && p->part_size > 0);
            walk_bytes(w, p->part, p->part_size);
        } else if (event == HTTP1_END) {
            w->messages++;
            bool keeps = !p->is_response && p->head && p->head->keeps_alive;
            http1_next(p);
            w->is_over = !keeps;
            if (at == size)
                break;
        } else {
            w->is_over = event == HTTP1_ERROR;
            break;
        }
    }
    free(copy);
}

static http1_walk walk(bool is_response, const char *data, size_t size, size_t cut)
{
    http1 p;
    http1_walk w = {0};
    http1_init(&p, is_response, NULL);
    walk_feed(&w, &p, data, cut);
    if (!w.is_over)
        walk_feed(&w, &p, data + cut, size - cut);
    if (!w.is_over)
        w.end = 100 + (int)http1_eof(&p);
    http1_free(&p);
    return w;
}

static int walk_both(bool is_response, const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t cut = data[0] % (size - 1);
    const char *text = (const char *)data + 1;
    http1_walk whole = walk(is_response, text, size - 1, size - 1), parts = walk(is_response, text, size - 1, cut);
    walk_require(whole.end == parts.end && whole.messages == parts.messages);
    if (whole.end != HTTP1_ERROR) // before a fault, more or less may have been told
        walk_require(whole.digest == parts.digest);
    return 0;
}

#endif
