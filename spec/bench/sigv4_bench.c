// What signing costs: CPU time of a 1 KB Messages request with its body's hash, and of a request whose hash is known.
// cc -O2 -Iruntime $(DEPS_CFLAGS) spec/bench/sigv4_bench.c runtime/core/s{ha256,igv4,igv4_canonical}.c $(DEPS_LIBS)
#include "core/sigv4.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define TEXT(literal)                                                                                                  \
    {                                                                                                                  \
        (literal), sizeof(literal) - 1                                                                                 \
    }

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(void)
{
    static const sigv4_header headers[] = {
        {TEXT("host"), TEXT("aws-external-anthropic.us-west-2.api.aws")},
        {TEXT("content-type"), TEXT("application/json")},
        {TEXT("accept"), TEXT("application/json")},
        {TEXT("anthropic-version"), TEXT("2023-06-01")},
        {TEXT("anthropic-workspace-id"), TEXT("wrkspc_01AbCdEf23GhIj")},
        {TEXT("content-length"), TEXT("1024")},
        {TEXT("user-agent"), TEXT("moongate/1.0")},
    };
    static char text[1024];
    const sigv4_credentials credentials = {TEXT("AKIDEXAMPLE"),
                                           TEXT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                                           TEXT(""),
                                           TEXT("us-west-2"),
                                           TEXT("aws-external-anthropic"),
                                           true};
    sigv4_signer *s;
    const char *field;
    if (sigv4_signer_new(&s, &credentials, &field) != SIGV4_OK)
        return 1;
    memset(text, 'x', sizeof(text));
    segment body = {text, sizeof(text), NULL};
    uint8_t digest[SHA256_SIZE];
    sha256_of(text, sizeof(text), digest);
    for (int is_known = 0; is_known < 2; is_known++) {
        sigv4_request r = {.method = TEXT("POST"),
                           .target = TEXT("/v1/messages"),
                           .headers = headers,
                           .header_count = sizeof(headers) / sizeof(*headers),
                           .body = &body,
                           .body_count = 1,
                           .body_sha256 = is_known ? digest : NULL,
                           .time_s = 1795305600};
        double best = 1;
        char out[2048];
        size_t size = 0;
        for (int run = 0; run < 9; run++) {
            double start = cpu_seconds();
            for (int i = 0; i < 20000; i++) {
                text[0] = (char)i;
                r.time_s += i % 5000 == 0; // a second has 5,000 requests
                if (sigv4_sign(s, &r, out, sizeof(out), &size) != SIGV4_OK)
                    return 1;
            }
            double each = (cpu_seconds() - start) / 20000;
            best = each < best ? each : best;
        }
        printf("sign, 1 KB body%s: %.2f us, best of 9 (%s)\n", is_known ? ", hash known" : "", best * 1e6,
               sha256_engine_name());
    }
    sigv4_signer_drop(s);
    return 0;
}
