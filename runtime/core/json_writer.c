#include "json_writer.h"
#include "json_inside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

json_writer *json_writer_new(size_t capacity)
{
    json_writer *w = zeroed(sizeof(*w));
    if (w && !(w->out = bytes_new(capacity > 0 ? capacity : 256))) {
        free(w);
        return NULL;
    }
    return w;
}

void json_writer_free(json_writer *w)
{
    if (!w)
        return;
    bytes_drop(w->out);
    free(w);
}

void json_writer_reset(json_writer *w)
{
    if (w->out)
        w->out->size = 0;
    w->error = NULL;
    w->form = NULL;
    w->depth = 0;
    w->needs_comma = w->has_key = w->in_string = w->is_done = false;
}

void json_writer_begin(json_writer *w, size_t capacity)
{
    json_writer_reset(w);
    if (!w->out)
        w->out = bytes_new(capacity); // begin_value() tries again, and tells
    else if (w->out->capacity < capacity && !bytes_reserve(w->out, capacity))
        w->error = "out of memory";
}

static void fail(json_writer *w, const char *message)
{
    if (!w->error)
        w->error = message;
}

static void append(json_writer *w, const char *text, size_t size)
{
    if (!bytes_append(w->out, text, size))
        fail(w, "out of memory");
}

struct json_form {
    uint32_t count;  // holes; there is one piece more
    uint32_t ends[]; // of the pieces in the text behind
};

static const char *form_text(const json_form *f)
{
    return (const char *)&f->ends[f->count + 1];
}

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

static void append_piece(json_writer *w, uint32_t piece)
{
    uint32_t from = piece > 0 ? w->form->ends[piece - 1] : 0;
    append(w, form_text(w->form) + from, w->form->ends[piece] - from);
}

static bool in_hole(const json_writer *w)
{
    return w->form && w->depth == w->form_depth;
}

// Before every value: false when none may stand here.
static bool begin_value(json_writer *w)
{
    if (!w->out && !w->error && !(w->out = bytes_new(256))) // the last buffer was taken
        fail(w, "out of memory");
    if (w->error)
        return false;
    if (w->in_string)
        fail(w, "a value inside an open string");
    else if (w->is_done)
        fail(w, "a second value behind the first");
    else if (in_hole(w))
        return true;
    else if (w->depth > 0 && w->is_object[w->depth - 1] && !w->has_key)
        fail(w, "a value without a key");
    if (w->error)
        return false;
    if (w->needs_comma && !w->has_key)
        append(w, ",", 1);
    return true;
}

static void end_value(json_writer *w)
{
    if (in_hole(w)) {
        append_piece(w, ++w->form_hole);
        if (w->form_hole < w->form->count)
            return;
        w->form = NULL;
    }
    w->has_key = false;
    w->needs_comma = true;
    w->is_done = w->depth == 0;
}

void json_writer_form(json_writer *w, const json_form *form)
{
    if (w->form)
        fail(w, "a form inside another");
    if (!begin_value(w))
        return;
    w->form = form;
    w->form_hole = 0;
    w->form_depth = w->depth;
    append_piece(w, 0);
    if (form->count == 0) {
        w->form = NULL;
        end_value(w);
    }
}

static void open_container(json_writer *w, bool is_object)
{
    if (!begin_value(w))
        return;
    if (w->depth == JSON_WRITER_DEPTH) {
        fail(w, "nested too deeply");
        return;
    }
    append(w, is_object ? "{" : "[", 1);
    w->is_object[w->depth++] = is_object;
    w->has_key = w->needs_comma = false;
}

static void close_container(json_writer *w, bool is_object)
{
    if (w->error)
        return;
    if (w->depth == 0 || in_hole(w) || w->is_object[w->depth - 1] != is_object || w->has_key || w->in_string) {
        fail(w, is_object ? "no object to close here" : "no array to close here");
        return;
    }
    w->depth--;
    append(w, is_object ? "}" : "]", 1);
    end_value(w);
}

void json_writer_open_object(json_writer *w)
{
    open_container(w, true);
}

void json_writer_close_object(json_writer *w)
{
    close_container(w, true);
}

void json_writer_open_array(json_writer *w)
{
    open_container(w, false);
}

void json_writer_close_array(json_writer *w)
{
    close_container(w, false);
}

static void append_escaped(json_writer *w, const char *text, size_t size)
{
    bool is_escaped;
    const char *bad;
    if (!json_escape(w->out, text, size, &is_escaped, &bad))
        fail(w, bad ? "invalid UTF-8" : "out of memory");
}

void json_writer_key(json_writer *w, const char *text, size_t size)
{
    if (w->error)
        return;
    if (w->depth == 0 || in_hole(w) || !w->is_object[w->depth - 1] || w->has_key || w->in_string) {
        fail(w, "a key outside an object, or two in a row");
        return;
    }
    append(w, ",\"", 2);
    if (!w->needs_comma && !w->error) { // the first member: take the comma back
        w->out->size -= 2;
        append(w, "\"", 1);
    }
    append_escaped(w, text, size);
    append(w, "\":", 2);
    w->has_key = true;
}

void json_writer_string(json_writer *w, const char *text, size_t size)
{
    if (!begin_value(w))
        return;
    append(w, "\"", 1);
    append_escaped(w, text, size);
    append(w, "\"", 1);
    end_value(w);
}

static void plain_value(json_writer *w, const char *text, size_t size)
{
    if (!begin_value(w))
        return;
    append(w, text, size);
    end_value(w);
}

void json_writer_integer(json_writer *w, int64_t number)
{
    char digits[24], *p = digits + sizeof(digits);
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do
        *--p = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (number < 0)
        *--p = '-';
    plain_value(w, p, (size_t)(digits + sizeof(digits) - p));
}

void json_writer_integers(json_writer *w, const double *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!(numbers[i] > -9007199254740992.0 && numbers[i] < 9007199254740992.0)) {
            fail(w, "not an integer");
            return;
        }
        json_writer_integer(w, (int64_t)numbers[i]);
    }
}

void json_writer_number(json_writer *w, double number)
{
    char text[32];
    if (!isfinite(number))
        fail(w, "number is not finite");
    else
        plain_value(w, text, json_format_number(text, number));
}

void json_writer_boolean(json_writer *w, bool value)
{
    plain_value(w, value ? "true" : "false", value ? 4 : 5);
}

void json_writer_null(json_writer *w)
{
    plain_value(w, "null", 4);
}

void json_writer_raw(json_writer *w, const char *text, size_t size)
{
    json_error error;
    if (w->error)
        return;
    if (json_check(text, size, &error))
        plain_value(w, text, size);
    else
        fail(w, error.message);
}

void json_writer_node(json_writer *w, json_document *d, uint32_t id)
{
    size_t size;
    const char *raw = json_document_raw(d, id, &size);
    if (!raw)
        fail(w, d->is_freed ? "the document was freed" : "no such value");
    else
        plain_value(w, raw, size);
}

// The same for an array that was not edited; its elements were not either. Neighbours that only a comma parts go
// out as one run.
static void plain_elements(json_writer *w, json_document *d, uint32_t id, uint32_t count)
{
    const json_node *items = json_source_of(d, id)->nodes.items;
    const char *data = json_data_of(d, id);
    for (uint32_t i = 0, at = id & ~SPACE_MASK; i < count && !w->error;) {
        uint32_t start = items[at].start, end;
        do {
            end = items[at].end;
            at = items[at].next;
        } while (++i < count && items[at].start == end + 1);
        plain_value(w, data + start, end - start);
    }
}

void json_writer_elements(json_writer *w, json_document *d, uint32_t array, uint32_t from, uint32_t count)
{
    uint32_t id = json_document_find(d, array, NULL, 0);
    if (w->depth == 0 || in_hole(w) || w->is_object[w->depth - 1])
        fail(w, "elements outside an array");
    else if (id == JSON_NONE || json_node_type(json_node_at(d, id)) != JSON_ARRAY)
        fail(w, d->is_freed ? "the document was freed" : "no array to copy from");
    else if (from > json_document_count(d, id) || count > json_document_count(d, id) - from)
        fail(w, "no such elements");
    else if (!json_is_list(id) && count > 0)
        plain_elements(w, d, json_document_at(d, id, from, NULL), count);
    for (uint32_t i = 0; !w->error && json_is_list(id) && i < count; i++)
        json_writer_node(w, d, json_document_at(d, id, from + i, NULL));
}

void json_writer_open_string(json_writer *w)
{
    if (!begin_value(w))
        return;
    append(w, "\"", 1);
    w->in_string = true;
}

void json_writer_text(json_writer *w, const char *text, size_t size)
{
    if (!w->error && !w->in_string)
        fail(w, "text outside an open string");
    if (!w->error)
        append_escaped(w, text, size);
}

void json_writer_node_text(json_writer *w, json_document *d, uint32_t id, size_t skip)
{
    size_t size = 0;
    const char *raw = json_document_raw(d, id, &size);
    if (!raw || raw[0] != '"') {
        fail(w, d->is_freed ? "the document was freed" : "the value is not a string");
        return;
    }
    raw++;
    size -= 2;
    bool is_plain = skip <= size;
    for (size_t i = 0; is_plain && i < skip; i++)
        is_plain = raw[i] != '\\' && (signed char)raw[i] > 0;
    if (!is_plain) {
        fail(w, "the skipped part of a string is not plain ASCII");
        return;
    }
    bool is_whole = !w->in_string;
    if (is_whole)
        json_writer_open_string(w);
    if (!w->error)
        append(w, raw + skip, size - skip);
    if (is_whole)
        json_writer_close_string(w);
}

void json_writer_close_string(json_writer *w)
{
    if (w->error)
        return;
    if (!w->in_string) {
        fail(w, "no string to close here");
        return;
    }
    append(w, "\"", 1);
    w->in_string = false;
    end_value(w);
}

const char *json_writer_error(const json_writer *w, bool finished)
{
    return w->error ? w->error : finished && !w->is_done ? "the value is not finished" : NULL;
}

bytes *json_writer_take(json_writer *w)
{
    if (json_writer_error(w, true))
        return NULL;
    bytes *out = w->out;
    bytes_trim(out);
    w->out = NULL;
    json_writer_reset(w);
    return out;
}

json_document *json_writer_document(json_writer *w)
{
    bytes *out = json_writer_take(w);
    return out ? json_document_lazy(out) : NULL;
}

const char *json_writer_written(const json_writer *w, size_t *size)
{
    if (json_writer_error(w, true))
        return NULL;
    *size = w->out->size;
    return w->out->data;
}
