--- The C side of gate.json: declarations of runtime/core/json_document.h and json_writer.h for FFI.
--- Opaque on purpose: a stray `doc.field = x` must raise, not write into C memory.
local ffi = require("ffi")
local pointer = require("rt.pointer")

ffi.cdef([[
typedef struct bytes bytes;
typedef struct output output;
typedef struct json_document json_document;
typedef struct json_writer json_writer;
typedef struct json_limits { uint32_t max_depth, max_nodes; size_t max_bytes; } json_limits;
typedef struct json_error { const char *message; size_t offset; } json_error;
typedef struct json_step { const char *key; uint32_t size, index; } json_step;
typedef struct json_value {
  const char *text; size_t size; double number; uint32_t id; int32_t type; bool is_exact;
} json_value;
typedef struct json_cursor { uint32_t container, position, key, value; } json_cursor;
typedef struct json_handle { json_document *const document; const uint32_t id; } json_handle;
typedef struct json_size { size_t n; } json_size;
typedef struct json_names json_names;
typedef struct json_member { int32_t name; uint32_t key, value, type; } json_member;
typedef struct json_members { uint32_t count, uncommon; } json_members;
typedef struct json_row_query { json_step word_key, value_key, words[8]; uint32_t word_count; } json_row_query;
typedef struct json_row { uint32_t element, value; int8_t word; uint8_t type, is_common, mark; } json_row;
typedef struct json_rows { uint32_t count, uncommon, repeated, words[8]; } json_rows;
typedef struct json_bytes_slot { bytes *pointer; } json_bytes_slot;

bool json_check(const char *data, size_t size, json_error *error);
size_t json_format_number(char *out, double number);

json_document *json_document_parse(bytes *data, const json_limits *limits, json_error *error);
json_document *json_document_parse_copy(const char *text, size_t size, const json_limits *limits, json_error *error);
json_document *json_document_fork(const json_document *d);
void json_document_free(json_document *d);
json_document *json_document_hold(json_document *d);
void json_document_drop(json_document *d);
uint32_t json_document_find(json_document *d, uint32_t from, const json_step *path, size_t count);
int json_document_get(json_document *d, uint32_t from, const json_step *path, size_t count, json_value *out);
int json_document_get_key(json_document *d, uint32_t from, const char *key, size_t size, json_value *out);
int json_document_read(json_document *d, uint32_t id, json_value *out);
int64_t json_document_count(json_document *d, uint32_t id);
bool json_document_next(json_document *d, json_cursor *cursor);
int json_document_prefix(json_document *d, uint32_t id, size_t limit, json_value *out);
int json_document_type(json_document *d, uint32_t id);
const char *json_document_raw(json_document *d, uint32_t id, json_size *size);
uint32_t json_document_put_string(json_document *d, const char *text, size_t size);
uint32_t json_document_put_raw(json_document *d, const char *text, size_t size);
uint32_t json_document_put_number(json_document *d, double number);
uint32_t json_document_put_node(json_document *d, json_document *from, uint32_t id);
int json_document_set(json_document *d, const json_step *path, size_t count, uint32_t value);
int json_document_set_string(json_document *d, const char *key, size_t key_size, const char *text, size_t size);
int json_document_insert(json_document *d, const json_step *path, size_t count, uint32_t value);
int json_document_remove(json_document *d, const json_step *path, size_t count);
output *json_document_output(json_document *d);
const char *json_document_text(json_document *d, json_size *size);
size_t json_document_size(json_document *d);
const json_error *json_document_error(const json_document *d);
uint32_t json_document_failed_step(const json_document *d);
void json_handle_release(json_handle *h);

json_names *json_names_new(void);
void json_names_free(json_names *n);
int json_names_add(json_names *n, const char *text, size_t size, bool is_common);
int json_document_members(json_document *d, uint32_t object, const json_names *names, json_members *out,
                          json_member *list, uint32_t room, uint32_t *values, uint8_t *types);
int64_t json_document_rows(json_document *d, uint32_t array, const json_row_query *query, json_rows *out,
                           json_row *rows, uint32_t room);
bool json_document_is_blank(json_document *d, uint32_t id);

json_writer *json_writer_new(size_t capacity);
void json_writer_free(json_writer *w);
void json_writer_reset(json_writer *w);
void json_writer_begin(json_writer *w, size_t capacity);
void json_writer_begin_from(json_writer *w, json_document *source);
typedef struct json_form json_form;
json_form *json_form_new(const char *text, size_t size, json_error *error);
void json_form_free(json_form *f);
void json_writer_form(json_writer *w, const json_form *form);
void json_writer_integers(json_writer *w, const double *numbers, size_t count);
void json_writer_open_object(json_writer *w);
void json_writer_close_object(json_writer *w);
void json_writer_open_array(json_writer *w);
void json_writer_close_array(json_writer *w);
void json_writer_key(json_writer *w, const char *text, size_t size);
void json_writer_string(json_writer *w, const char *text, size_t size);
void json_writer_integer(json_writer *w, int64_t number);
void json_writer_number(json_writer *w, double number);
void json_writer_boolean(json_writer *w, bool value);
void json_writer_null(json_writer *w);
void json_writer_raw(json_writer *w, const char *text, size_t size);
void json_writer_node(json_writer *w, json_document *d, uint32_t id);
void json_writer_elements(json_writer *w, json_document *d, uint32_t array, uint32_t from, uint32_t count);
void json_writer_open_string(json_writer *w);
void json_writer_text(json_writer *w, const char *text, size_t size);
void json_writer_node_text(json_writer *w, json_document *d, uint32_t id, size_t skip);
void json_writer_close_string(json_writer *w);
const char *json_writer_error(const json_writer *w, bool finished);
json_document *json_writer_document(json_writer *w);
const char *json_writer_written(const json_writer *w, json_size *size);
]])

local slot = ffi.new("json_bytes_slot")

--- A `bytes *` as FFI takes it in a compiled trace.
---@param any lightuserdata|ffi.cdata*
---@return ffi.cdata*
local function bytes_of(any)
  if type(any) == "userdata" then
    pointer.store(slot, any)
    return slot.pointer
  end
  return any
end

return {
  bytes_of = bytes_of,
  C = ffi.C,
  ROOT = 0xFFFFFFFE,
  NONE = 0xFFFFFFFF,
  document = ffi.typeof("json_document *"),
  handle = ffi.typeof("json_handle"),
}
