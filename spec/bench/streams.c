// The benchmark's load of streams: keeps a number of streams open and measures each event.
//   streams PORT PATH BODY_FILE STREAMS SECONDS [HEADER...]
// Prints one line: streams=... events=... seconds=... p50_us=... p99_us=... p999_us=... failed=...
// A stream that ends begins anew. An event is recognised by t=<ns>, the moment the upstream wrote it.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { BUCKETS = 200000 }; // of 1 us: up to 0.2 s

typedef struct flow {
    int fd;
    char tail[64]; // end of the last read: a mark may be cut
    size_t tail_size;
    uint64_t events;
    bool has_head;
} flow;

static char *request;
static size_t request_size;
static struct sockaddr_in address;
static int poll_fd;
static uint64_t events_total, failed, ended, histogram[BUCKETS + 1];
static bool is_measuring;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool open_flow(flow *f)
{
    f->fd = socket(AF_INET, SOCK_STREAM, 0);
    int one = 1;
    setsockopt(f->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(f->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        return false;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = f};
    return epoll_ctl(poll_fd, EPOLL_CTL_ADD, f->fd, &e) == 0;
}

static bool send_request(flow *f)
{
    f->tail_size = 0;
    f->has_head = false;
    for (size_t sent = 0; sent < request_size;) {
        ssize_t n = write(f->fd, request + sent, request_size - sent);
        if (n <= 0)
            return false;
        sent += (size_t)n;
    }
    return true;
}

static void count(flow *f, const char *data, size_t size, uint64_t now)
{
    for (const char *at = data, *end = data + size; (at = memmem(at, (size_t)(end - at), "t=", 2)); at += 2) {
        if (end - at < 21)
            break;
        char *stop;
        uint64_t sent = strtoull(at + 2, &stop, 10);
        if (stop != at + 21)
            continue;
        f->events++;
        if (!is_measuring)
            continue;
        events_total++;
        uint64_t us = now > sent ? (now - sent) / 1000 : 0;
        histogram[us < BUCKETS ? us : BUCKETS]++;
    }
}

// false: the flow is broken.
static bool on_readable(flow *f)
{
    static char buffer[(1 << 18) + 64];
    memcpy(buffer, f->tail, f->tail_size);
    ssize_t n = read(f->fd, buffer + f->tail_size, 1 << 18);
    if (n <= 0)
        return false;
    size_t size = f->tail_size + (size_t)n;
    if (!f->has_head) {
        f->has_head = true;
        if (size < 12 || memcmp(buffer, "HTTP/1.1 200", 12) != 0)
            return false;
    }
    // What could be a cut mark is looked at again with the next bytes.
    size_t keep = size < 20 ? size : 20;
    const char *mark = memmem(buffer + size - keep, keep, "t=", 2);
    size_t done = mark ? (size_t)(mark - buffer) : size - (buffer[size - 1] == 't' ? 1 : 0);
    count(f, buffer, mark ? done : size, now_ns());
    if (size >= 5 && memcmp(buffer + size - 5, "0\r\n\r\n", 5) == 0) {
        ended++;
        return send_request(f);
    }
    f->tail_size = size - done;
    if (f->tail_size == 0 && size >= 5) { // the end mark may be cut as well
        f->tail_size = 4;
        done = size - 4;
        if (memmem(buffer + done, 4, "t=", 2))
            f->tail_size = 0;
    }
    memcpy(f->tail, buffer + size - f->tail_size, f->tail_size);
    return true;
}

static double percentile(double part)
{
    uint64_t wanted = (uint64_t)((double)events_total * part), seen = 0;
    for (int i = 0; i <= BUCKETS; i++) {
        seen += histogram[i];
        if (seen > wanted)
            return i;
    }
    return BUCKETS;
}

static void build_request(int argc, char **argv)
{
    FILE *file = fopen(argv[3], "rb");
    if (!file) {
        perror(argv[3]);
        exit(1);
    }
    char *body = malloc(8 << 20);
    size_t body_size = fread(body, 1, 8 << 20, file);
    fclose(file);
    request = malloc(body_size + 8192);
    int size = sprintf(request, "POST %s HTTP/1.1\r\nhost: 127.0.0.1:%s\r\ncontent-type: application/json\r\n", argv[2],
                       argv[1]);
    for (int i = 6; i < argc; i++)
        size += sprintf(request + size, "%s\r\n", argv[i]);
    size += sprintf(request + size, "content-length: %zu\r\n\r\n", body_size);
    memcpy(request + size, body, body_size);
    request_size = (size_t)size + body_size;
    free(body);
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fputs("streams PORT PATH BODY_FILE STREAMS SECONDS [HEADER...]\n", stderr);
        return 2;
    }
    struct rlimit files = {65536, 65536};
    setrlimit(RLIMIT_NOFILE, &files);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    build_request(argc, argv);
    int streams = atoi(argv[4]);
    double seconds = atof(argv[5]);
    poll_fd = epoll_create1(0);
    flow *flows = calloc((size_t)streams, sizeof(flow));
    for (int i = 0; i < streams; i++)
        if (!open_flow(&flows[i]) || !send_request(&flows[i]))
            failed++;
    uint64_t begin = now_ns(), warm = begin + (uint64_t)(seconds * 0.2e9), end = begin + (uint64_t)(seconds * 1e9),
             from = warm;
    while (now_ns() < end) {
        if (!is_measuring && now_ns() >= warm) {
            is_measuring = true;
            from = now_ns();
        }
        struct epoll_event ready[256];
        int n = epoll_wait(poll_fd, ready, 256, 20);
        for (int i = 0; i < n; i++) {
            flow *f = ready[i].data.ptr;
            if (on_readable(f))
                continue;
            failed++;
            close(f->fd);
            if (!open_flow(f) || !send_request(f)) {
                puts("failed=all");
                return 1;
            }
        }
    }
    double took = (double)(now_ns() - from) / 1e9;
    printf("streams=%d events=%llu seconds=%.3f p50_us=%.0f p99_us=%.0f p999_us=%.0f ended=%llu failed=%llu\n", streams,
           (unsigned long long)events_total, took, percentile(0.5), percentile(0.99), percentile(0.999),
           (unsigned long long)ended, (unsigned long long)failed);
    return 0;
}
