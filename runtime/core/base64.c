#include "core/base64.h"

static const char alphabets[][65] = {
    [BASE64_STANDARD] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    [BASE64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

size_t base64_encoded_size(base64_form form, size_t size)
{
    size_t rest = size % 3;
    return size / 3 * 4 + (rest == 0 ? 0 : form == BASE64_STANDARD ? 4 : rest + 1);
}

void base64_encode(base64_form form, const void *data, size_t size, char *out)
{
    const char *digits = alphabets[form];
    const uint8_t *p = data;
    for (; size >= 3; size -= 3, p += 3) {
        *out++ = digits[p[0] >> 2];
        *out++ = digits[(p[0] & 3) << 4 | p[1] >> 4];
        *out++ = digits[(p[1] & 15) << 2 | p[2] >> 6];
        *out++ = digits[p[2] & 63];
    }
    if (size == 0)
        return;
    *out++ = digits[p[0] >> 2];
    if (size == 1) {
        *out++ = digits[(p[0] & 3) << 4];
    } else {
        *out++ = digits[(p[0] & 3) << 4 | p[1] >> 4];
        *out++ = digits[(p[1] & 15) << 2];
    }
    if (form == BASE64_STANDARD) {
        *out++ = '=';
        if (size == 1)
            *out = '=';
    }
}

size_t base64_decoded_room(size_t size)
{
    return size / 4 * 3 + size % 4;
}

static int digit_value(base64_form form, char c) // -1: none
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == alphabets[form][62] ? 62 : c == alphabets[form][63] ? 63 : -1;
}

bool base64_decode(base64_form form, const char *text, size_t size, void *out, size_t *out_size)
{
    uint8_t *p = out;
    if (form == BASE64_STANDARD) {
        if (size % 4 != 0)
            return false;
        // The padding is counted here, its place is right by the size; a "=" elsewhere is no digit.
        if (size > 0 && text[size - 1] == '=')
            size -= text[size - 2] == '=' ? 2 : 1;
    }
    size_t rest = size % 4;
    for (const char *end = text + size - rest; text < end; text += 4) {
        int a = digit_value(form, text[0]), b = digit_value(form, text[1]);
        int c = digit_value(form, text[2]), d = digit_value(form, text[3]);
        if ((a | b | c | d) < 0)
            return false;
        *p++ = (uint8_t)(a << 2 | b >> 4);
        *p++ = (uint8_t)(b << 4 | c >> 2);
        *p++ = (uint8_t)(c << 6 | d);
    }
    if (rest == 1)
        return false;
    if (rest > 1) {
        int a = digit_value(form, text[0]), b = digit_value(form, text[1]);
        int c = rest == 3 ? digit_value(form, text[2]) : 0;
        if ((a | b | c) < 0 || (rest == 2 ? b & 15 : c & 3) != 0)
            return false;
        *p++ = (uint8_t)(a << 2 | b >> 4);
        if (rest == 3)
            *p++ = (uint8_t)(b << 4 | c >> 2);
    }
    *out_size = (size_t)(p - (uint8_t *)out);
    return true;
}

void hex_encode(const void *data, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (const uint8_t *p = data, *end = p + size; p < end; p++) {
        *out++ = digits[*p >> 4];
        *out++ = digits[*p & 15];
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_decode(const char *text, size_t size, void *out)
{
    uint8_t *p = out;
    if (size % 2 != 0)
        return false;
    for (const char *end = text + size; text < end; text += 2) {
        int high = hex_digit(text[0]), low = hex_digit(text[1]);
        if ((high | low) < 0)
            return false;
        *p++ = (uint8_t)(high << 4 | low);
    }
    return true;
}
