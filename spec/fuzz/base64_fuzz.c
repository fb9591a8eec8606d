// libFuzzer: base64 and hexadecimal. What decodes encodes back to the same text: one text, one meaning.
#include "core/base64.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void must(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    for (int form = BASE64_STANDARD; form <= BASE64_URL; form++) {
        char *plain = malloc(base64_decoded_room(size) + 1);
        size_t plain_size;
        if (base64_decode((base64_form)form, text, size, plain, &plain_size)) {
            must(plain_size <= base64_decoded_room(size));
            must(base64_encoded_size((base64_form)form, plain_size) == size);
            char *again = malloc(size + 1);
            base64_encode((base64_form)form, plain, plain_size, again);
            must(memcmp(again, text, size) == 0);
            free(again);
        }
        free(plain);
    }
    char *plain = malloc(size / 2 + 1);
    if (hex_decode(text, size, plain)) {
        char *again = malloc(size + 1);
        hex_encode(plain, size / 2, again);
        must(strncasecmp(again, text, size) == 0);
        free(again);
    }
    free(plain);
    return 0;
}
