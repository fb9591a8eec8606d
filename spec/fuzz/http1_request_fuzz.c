// libFuzzer: http1 reading requests.
#include "http1_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return walk_both(false, data, size);
}
