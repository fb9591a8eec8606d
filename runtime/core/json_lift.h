// json_lift: integers out of a text that nobody needs as a document: usage counters of an answer that passes
// through. The whole text is checked as strictly as a document's; nothing is allocated per text.
// Ownership: a lift is built by one caller; it holds copies of the keys and the room for scanning.
#ifndef MOONGATE_CORE_JSON_LIFT_H
#define MOONGATE_CORE_JSON_LIFT_H

#include "core/bytes.h"
#include "core/json.h"
#include "core/json_document.h"

enum { JSON_LIFT_PATHS = 32, JSON_LIFT_STEPS = 8 };

typedef struct json_lift json_lift;

json_lift *json_lift_new(void); // NULL: out of memory
void json_lift_free(json_lift *l);
// Adds a path of keys; its number from 0, or -1: too many, too long, or out of memory.
int json_lift_add(json_lift *l, const json_step *steps, size_t count);
// Scans a text and fills out[0..paths) with what is at the paths: integers from 0 to 2^53, else -1.
// false: the text is no JSON; *error says why.
bool json_lift_run(json_lift *l, const bytes *text, const json_limits *limits, double *out, json_error *error);
// The same for what is there already, as it stands after edits: out[i] is the number at path i where a double holds it
// exactly, whatever its sign and fraction; else -1. Returns 0; JSON_FREED.
int json_lift_document(const json_lift *l, json_document *d, double *out);

#endif
