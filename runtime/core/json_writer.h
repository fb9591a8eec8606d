// json_writer: builds a JSON text piece by piece, straight into one buffer. Commas and colons are the
// writer's business; a call in the wrong place, invalid UTF-8 or a number that is not finite makes it fail,
// and it stays failed until json_writer_reset(): one look at json_writer_error() at the end is enough.
// Keys are not compared; whoever writes the same key twice is told when the document is first read.
#ifndef MOONGATE_CORE_JSON_WRITER_H
#define MOONGATE_CORE_JSON_WRITER_H

#include "json_document.h"

enum { JSON_WRITER_DEPTH = 512 };

// A JSON text with holes, made once and filled for every answer.
typedef struct json_form json_form;
struct json_reference;

typedef struct json_writer {
    bytes *out;
    const json_form *form; // whose holes are being filled; NULL: none
    uint32_t form_hole;    // how many are filled
    uint32_t form_depth;
    json_document *source; // whose large values are referenced; NULL: everything is copied
    struct json_reference *references;
    uint32_t reference_count, reference_room;
    const char *error; // static text; NULL: none
    uint32_t depth;
    bool needs_comma;
    bool has_key;   // a key waits for its value
    bool in_string; // between open_string and close_string
    bool is_done;   // the root value is complete
    bool is_object[JSON_WRITER_DEPTH];
} json_writer;

// Makes a writer with room for so many bytes (0 allowed). NULL: out of memory.
json_writer *json_writer_new(size_t capacity);
void json_writer_free(json_writer *w); // NULL is fine
// Begins anew, keeping the buffer.
void json_writer_reset(json_writer *w);
// The same, with room for so many bytes.
void json_writer_begin(json_writer *w, size_t capacity);
// The same for a text that is largely made of source's bytes: its large values are not copied, and
// json_writer_document() gives a document that shares them and needs no scanning of them. Nothing else may be asked
// for at the end.
void json_writer_begin_from(json_writer *w, json_document *source);

// A form from a text in which each `$` is a hole for one value (so no string in it may have a `$`). NULL: out of
// memory, or not JSON once the holes are filled; *error says what.
json_form *json_form_new(const char *text, size_t size, json_error *error);
void json_form_free(json_form *f); // NULL is fine
// Begins a value that is a form: the next values written (containers too, but no other form) fill its holes, one after
// the other; with the last one the value is complete. The form must live so long.
void json_writer_form(json_writer *w, const json_form *form);

void json_writer_open_object(json_writer *w);
void json_writer_close_object(json_writer *w);
void json_writer_open_array(json_writer *w);
void json_writer_close_array(json_writer *w);
void json_writer_key(json_writer *w, const char *text, size_t size);
void json_writer_string(json_writer *w, const char *text, size_t size);
void json_writer_integer(json_writer *w, int64_t number);
// Several values in a row, whole numbers below 2^53.
void json_writer_integers(json_writer *w, const double *numbers, size_t count);
void json_writer_number(json_writer *w, double number);
void json_writer_boolean(json_writer *w, bool value);
void json_writer_null(json_writer *w);
// Any JSON text of exactly one value; it is checked.
void json_writer_raw(json_writer *w, const char *text, size_t size);
// The bytes of a document's value, as they are.
void json_writer_node(json_writer *w, json_document *d, uint32_t id);
// The bytes of `count` elements of an array, from position `from` (from 0) on, each as it is, inside an open array.
void json_writer_elements(json_writer *w, json_document *d, uint32_t array, uint32_t from, uint32_t count);

// One string from several pieces.
void json_writer_open_string(json_writer *w);
void json_writer_text(json_writer *w, const char *text, size_t size);
// The inside of a string value as it was written (no decoding), without its first `skip` bytes. These must
// be ASCII written without escapes, such as the head of a data URL. Outside an open string it writes a
// whole string.
void json_writer_node_text(json_writer *w, json_document *d, uint32_t id, size_t skip);
void json_writer_close_string(json_writer *w);

// NULL, or what went wrong. An unfinished value is an error too once `finished` is asked for.
const char *json_writer_error(const json_writer *w, bool finished);
// The written bytes, whose reference becomes the caller's; the writer begins anew. NULL: failed or not
// finished (json_writer_error says which), or out of memory.
bytes *json_writer_take(json_writer *w);
// The same as a document, scanned when it is first read.
json_document *json_writer_document(json_writer *w);
// The written text, which stays in the writer. NULL: failed or not finished.
const char *json_writer_written(const json_writer *w, size_t *size);

#endif
