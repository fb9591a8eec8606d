// Base64 (RFC 4648, the standard alphabet with padding and the URL alphabet without) and hexadecimal. Decoding is
// strict, so that one text has one meaning: no blanks, no missing or superfluous padding, no stray bits.
#ifndef MOONGATE_CORE_BASE64_H
#define MOONGATE_CORE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum base64_form { BASE64_STANDARD, BASE64_URL } base64_form;

// Size of the text for `size` bytes.
size_t base64_encoded_size(base64_form form, size_t size);
// Writes base64_encoded_size() characters.
void base64_encode(base64_form form, const void *data, size_t size, char *out);

// Most bytes that `size` characters decode to.
size_t base64_decoded_room(size_t size);
// Writes the decoded bytes and their number; false: not of this form (what was written is undefined).
bool base64_decode(base64_form form, const char *text, size_t size, void *out, size_t *out_size);

// Writes 2 * size lower-case digits.
void hex_encode(const void *data, size_t size, char *out);
// Writes size / 2 bytes; false: an odd number of characters, or not a digit (either case is taken).
bool hex_decode(const char *text, size_t size, void *out);

#endif
