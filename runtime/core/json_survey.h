// json_survey: what a translation wants to know of a whole object or a whole array, in one walk: which of the
// names it knows are there, and which elements are of the common shape. The caller then decides by plain
// integers, and asks for a value only where it needs one.
#ifndef MOONGATE_CORE_JSON_SURVEY_H
#define MOONGATE_CORE_JSON_SURVEY_H

#include "json_document.h"

enum { JSON_NAMES = 128, JSON_NAME_SIZE = 255, JSON_WORDS = 8 };

// The type of a value that is not there.
#define JSON_ABSENT 255u

typedef struct json_names json_names;

json_names *json_names_new(void);    // NULL: out of memory
void json_names_free(json_names *n); // NULL is fine
// Adds a name. is_common: its presence alone is nothing to look at. Its number from 0; -1: too many, too long,
// known already, or out of memory.
int json_names_add(json_names *n, const char *text, size_t size, bool is_common);

// A member of an object.
typedef struct json_member {
    int32_t name; // its number; -1: unknown
    uint32_t key;
    uint32_t value;
    uint32_t type; // of the value
} json_member;

typedef struct json_members {
    uint32_t count;    // members of the object
    uint32_t uncommon; // position of the first one whose name is unknown or not common; count: there is none
} json_members;

// Looks through an object: list[i] tells of its i-th member, for at most `room` of them; values[n] becomes the id
// of the value under name n (JSON_NONE: not there), types[n] its type (JSON_ABSENT). More members than names: one
// of the first (names + 1) is unknown, so room for so many is enough. Returns 0; JSON_MISSING: not an object.
int json_document_members(json_document *d, uint32_t object, const json_names *names, json_members *out,
                          json_member *list, uint32_t room, uint32_t *values, uint8_t *types);

// What an array of objects is looked through for: a word under one key, and a value under another.
typedef struct json_row_query {
    json_step word_key, value_key;
    json_step words[JSON_WORDS]; // keys
    uint32_t word_count;
} json_row_query;

// An element of an array.
typedef struct json_row {
    uint32_t element;
    uint32_t value;    // id of what is under value_key; JSON_NONE: nothing
    int8_t word;       // number of the word under word_key; -1: none of them
    uint8_t type;      // of the value; JSON_ABSENT
    uint8_t is_common; // an object of these two members alone: one of the words, and a string that is not blank
    uint8_t mark;      // the caller's; 0
} json_row;

typedef struct json_rows {
    uint32_t count;             // elements of the array
    uint32_t uncommon;          // position of the first row that is not common; count: there is none
    uint32_t repeated;          // position of the first row that has the word of the one before; count: there is none
    uint32_t words[JSON_WORDS]; // how many rows have each word
} json_rows;

// Looks through an array and fills a row for each of its first `room` elements; what out tells is of these.
// Returns their number; JSON_MISSING: not an array.
int64_t json_document_rows(json_document *d, uint32_t array, const json_row_query *query, json_rows *out,
                           json_row *rows, uint32_t room);

// Whether a string is nothing but ASCII white space (space, tab, line feed, vertical tab, form feed, carriage
// return), however it is written. false also for what is no string.
bool json_document_is_blank(json_document *d, uint32_t id);

#endif
