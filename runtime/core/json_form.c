// Forms: constant texts with holes (see json_writer.h).
#include "json_inside.h"

#include <stdlib.h>

json_form *json_form_new(const char *text, size_t size, json_error *error)
{
    uint32_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += text[i] == '$';
    json_form *f = size < UINT32_MAX ? calloc(1, sizeof(*f) + (count + 1) * sizeof(*f->ends) + size) : NULL;
    if (!f) {
        *error = (json_error){.message = "out of memory"};
        return NULL;
    }
    f->count = count;
    char *to = (char *)&f->ends[count + 1];
    for (size_t i = 0; i < size; i++)
        to[i] = text[i] == '$' ? '0' : text[i];
    if (!json_check(to, size, error)) {
        free(f);
        return NULL;
    }
    uint32_t at = 0, piece = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '$')
            f->ends[piece++] = at;
        else
            to[at++] = text[i];
    }
    f->ends[piece] = at;
    return f;
}

void json_form_free(json_form *f)
{
    free(f);
}
