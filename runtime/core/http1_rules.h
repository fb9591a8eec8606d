// http1_rules: what is checked about a first line and a set of headers. Used by http1.c only.
#ifndef MOONGATE_CORE_HTTP1_RULES_H
#define MOONGATE_CORE_HTTP1_RULES_H

#include "core/http1.h"

typedef struct http1_fault {
    uint16_t status; // 0: fine
    const char *code;
    const char *message;
} http1_fault;

// line[0..size) is without its CRLF and begins the head's block. Fills method, target, minor.
http1_fault http1_check_request_line(http1_head *h, const char *line, size_t size);
// The same for a response: fills status, minor.
http1_fault http1_check_status_line(http1_head *h, const char *line, size_t size);
// All headers are known: decides body, content_length, keeps_alive, expects_continue.
http1_fault http1_check_request(http1_head *h);
http1_fault http1_check_response(http1_head *h, bool is_answer_to_head);
// Adds a record. False: out of memory. The head may move.
bool http1_head_add(http1_head **h, const http1_header *record);
// Makes room for more bytes of text, *h may be NULL at first. False: out of memory.
bool http1_head_reserve(http1_head **h, size_t more);
uint16_t http1_hash(const char *name, size_t size);

#endif
