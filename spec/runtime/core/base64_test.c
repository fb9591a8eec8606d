// Base64 and hexadecimal: RFC 4648's vectors, every size there and back, and everything that strict decoding refuses.
#include "test.h"

#include "core/base64.h"

// Decodes from a buffer of exactly the text's size into one of exactly the promised room, so that the sanitizer sees
// any step beyond. Returns the size, or -1.
static long decode(base64_form form, const char *text, size_t size, char *out)
{
    char *exact = malloc(size ? size : 1), *room = malloc(base64_decoded_room(size) + 1);
    size_t got = 0;
    memcpy(exact, text, size);
    bool ok = base64_decode(form, exact, size, room, &got);
    if (ok)
        memcpy(out, room, got);
    CHECK(!ok || got <= base64_decoded_room(size));
    free(exact);
    free(room);
    return ok ? (long)got : -1;
}

static void test_vectors(void)
{
    static const struct {
        const char *plain, *standard, *url;
    } cases[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xbe", "+/++", "-_--"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        for (int form = BASE64_STANDARD; form <= BASE64_URL; form++) {
            const char *want = form == BASE64_STANDARD ? cases[i].standard : cases[i].url;
            size_t size = strlen(cases[i].plain);
            char text[32] = "", back[32] = "";
            CHECK(base64_encoded_size((base64_form)form, size) == strlen(want));
            base64_encode((base64_form)form, cases[i].plain, size, text);
            CHECK_TEXT(text, want);
            CHECK(decode((base64_form)form, want, strlen(want), back) == (long)size);
            CHECK_TEXT(back, cases[i].plain);
        }
    }
}

static void test_refused(void)
{
    static const char *const standard[] = {
        "Zg",       "Zg=",  "Zg===", "=",    "==",    "====",   "Z===",       "Zh==",       "Zm9=",  "Zm9 ", "Zm9\n",
        "Zg==Zg==", "Z=g=", "Zm=v",  "-_--", "Zm9v=", "Zm9vZg", "\xc3\xbcm9", "Zm9vYmFy\n", " Zm9v", "Zg=A", "Z"};
    static const char *const url[] = {"Zg==", "Zm8=", "Z", "Zm9vZ", "Zh", "Zm9", "+/++", "Zm9v ", "Zm9v\n", "="};
    char out[32];
    for (size_t i = 0; i < sizeof(standard) / sizeof(*standard); i++)
        CHECK(decode(BASE64_STANDARD, standard[i], strlen(standard[i]), out) == -1);
    for (size_t i = 0; i < sizeof(url) / sizeof(*url); i++)
        CHECK(decode(BASE64_URL, url[i], strlen(url[i]), out) == -1);
    CHECK(decode(BASE64_STANDARD, "Zm9\0", 4, out) == -1);
}

// Every byte in every place is either refused or comes back as the same text: one text, one meaning.
static void test_unique(void)
{
    for (int form = BASE64_STANDARD; form <= BASE64_URL; form++) {
        const char *texts[] = {form ? "Zg" : "Zg==", form ? "Zm8" : "Zm8=", "Zm9v"};
        for (size_t t = 0; t < 3; t++) {
            for (size_t at = 0; at < strlen(texts[t]); at++) {
                for (int c = 0; c < 256; c++) {
                    char text[8], plain[8], again[8] = "";
                    size_t size = strlen(texts[t]);
                    memcpy(text, texts[t], size);
                    text[at] = (char)c;
                    long got = decode((base64_form)form, text, size, plain);
                    if (got < 0)
                        continue;
                    base64_encode((base64_form)form, plain, (size_t)got, again);
                    CHECK(memcmp(text, again, size) == 0);
                }
            }
        }
    }
}

static void test_sizes(void)
{
    for (int form = BASE64_STANDARD; form <= BASE64_URL; form++) {
        for (size_t size = 0; size < 100; size++) {
            char data[100], back[100];
            for (size_t i = 0; i < size; i++)
                data[i] = (char)(i * 37 + size);
            size_t text_size = base64_encoded_size((base64_form)form, size);
            char *text = malloc(text_size ? text_size : 1);
            base64_encode((base64_form)form, data, size, text);
            CHECK(decode((base64_form)form, text, text_size, back) == (long)size && memcmp(data, back, size) == 0);
            free(text);
        }
    }
}

static void test_hex(void)
{
    char text[9] = "";
    uint8_t back[4];
    hex_encode("\x00\x7f\x80\xff", 4, text);
    CHECK_TEXT(text, "007f80ff");
    CHECK(hex_decode("007F80fF", 8, back) && memcmp(back, "\x00\x7f\x80\xff", 4) == 0);
    CHECK(hex_decode("", 0, back));
    CHECK(!hex_decode("0", 1, back) && !hex_decode("0g", 2, back) && !hex_decode("g0", 2, back));
    for (int c = 0; c < 256; c++) {
        char digit[2] = {'0', (char)c};
        CHECK(hex_decode(digit, 2, back) == (c && strchr("0123456789abcdefABCDEF", c) != NULL));
    }
}

int main(void)
{
    test_vectors();
    test_refused();
    test_unique();
    test_sizes();
    test_hex();
    return test_end();
}
