// libFuzzer: http1 reading responses.
#include "http1_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return walk_both(true, data, size);
}
