// Writing string text: only what RFC 8259 asks for is escaped.
#include "json_inside.h"
#include "json_text.h"

bool json_escape(bytes *out, const char *text, size_t size, bool *escaped, const char **bad)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *start = (const uint8_t *)text, *p = start, *end = p + size;
    size_t size_before = out->size;
    *bad = NULL;
    while (p < end) {
        const uint8_t *run = p;
        while (p < end) { // plain ASCII and well-formed UTF-8
            p = json_find_special(p, end, start);
            if (p == end || *p < 0x80)
                break;
            const uint8_t *wrong = NULL;
            p = json_skip_utf8(p, end, &wrong);
            if (!p) {
                *bad = (const char *)wrong;
                out->size = size_before;
                return false;
            }
        }
        bool ok = bytes_append(out, (const char *)run, (size_t)(p - run));
        if (ok && p < end) {
            char code[6] = {'\\', 'u', '0', '0', hex[*p >> 4], hex[*p & 15]};
            size_t code_size = 2;
            switch (*p++) {
            case '"':
                code[1] = '"';
                break;
            case '\\':
                code[1] = '\\';
                break;
            case '\b':
                code[1] = 'b';
                break;
            case '\f':
                code[1] = 'f';
                break;
            case '\n':
                code[1] = 'n';
                break;
            case '\r':
                code[1] = 'r';
                break;
            case '\t':
                code[1] = 't';
                break;
            default:
                code_size = 6;
            }
            *escaped = true;
            ok = bytes_append(out, code, code_size);
        }
        if (!ok) {
            out->size = size_before;
            return false;
        }
    }
    return true;
}
