#include "json_writer.h"
#include "json_inside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_KEPT = 1 << 16 };

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
    json_document_drop(w->source);
    free(w->references);
    free(w);
}

void json_writer_reset(json_writer *w)
{
    json_document_drop(w->source);
    w->source = NULL;
    w->reference_count = 0;
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

void json_writer_begin_from(json_writer *w, json_document *source)
{
    json_writer_begin(w, 1024);
    w->source = json_document_hold(source);
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

static void append_piece(json_writer *w, uint32_t piece)
{
    uint32_t from = piece > 0 ? w->form->ends[piece - 1] : 0;
    append(w, json_form_text(w->form) + from, w->form->ends[piece] - from);
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

// Holds the place of `count` large neighbours in source's base.
static void refer(json_writer *w, uint32_t first, uint32_t count)
{
    if (w->reference_count == w->reference_room) {
        uint32_t room = w->reference_room > 0 ? w->reference_room * 2 : 8;
        json_reference *references = realloc(w->references, room * sizeof(*references));
        if (!references) {
            fail(w, "out of memory");
            return;
        }
        w->references = references;
        w->reference_room = room;
    }
    if (!begin_value(w))
        return;
    w->references[w->reference_count++] = (json_reference){(uint32_t)w->out->size, first, count};
    append(w, "0", 1);
    end_value(w);
}

static bool is_referable(const json_writer *w, const json_document *d, uint32_t id, size_t size)
{
    return d == w->source && (id & SPACE_MASK) == IN_BASE && size >= JSON_REFERENCE_SIZE;
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
    else if (size >= JSON_REFERENCE_SIZE && d == w->source && is_referable(w, d, json_resolve(d, id), size))
        refer(w, json_resolve(d, id), 1);
    else
        plain_value(w, raw, size);
}

// The same for an array that was not edited; its elements were not either. Neighbours that only a comma parts go
// out as one run.
static void plain_elements(json_writer *w, json_document *d, uint32_t array, uint32_t from, uint32_t count)
{
    uint32_t id = json_document_at(d, array, from, NULL);
    const json_node *items = json_source_of(d, id)->nodes.items;
    const char *data = json_data_of(d, id);
    uint32_t last = json_document_at(d, array, from + count - 1, NULL);
    if (is_referable(w, d, id, items[last & ~SPACE_MASK].end - items[id & ~SPACE_MASK].start)) {
        refer(w, id, count);
        return;
    }
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
        plain_elements(w, d, id, from, count);
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
    if (w->reference_count > 0)
        fail(w, "a text with references is a document only");
    if (json_writer_error(w, true))
        return NULL;
    bytes *out = w->out;
    bytes_trim(out);
    w->out = NULL;
    json_writer_reset(w);
    return out;
}

static json_document *assembled(json_writer *w)
{
    json_document *d = json_document_fork(w->source);
    if (d && json_assemble(d, w->out->data, w->out->size, w->references, w->reference_count)) {
        json_writer_reset(w);
        if (w->out->capacity > MAX_KEPT) { // what one large request needed is not kept for the next
            bytes_drop(w->out);
            w->out = NULL;
        }
        return d;
    }
    fail(w, d ? d->error.message : w->source->is_freed ? "the document was freed" : "out of memory");
    json_document_drop(d);
    return NULL;
}

json_document *json_writer_document(json_writer *w)
{
    if (w->reference_count > 0)
        return json_writer_error(w, true) ? NULL : assembled(w);
    bytes *out = json_writer_take(w);
    return out ? json_document_lazy(out) : NULL;
}

const char *json_writer_written(const json_writer *w, size_t *size)
{
    if (json_writer_error(w, true) || w->reference_count > 0)
        return NULL;
    *size = w->out->size;
    return w->out->data;
}
