// The benchmark's load of streams: keeps a number of streams open and measures each event.
//   streams PORT PATH BODY_FILE STREAMS SECONDS EVENTS PIDS [HEADER...]
// EVENTS: what a whole stream must have; a stream that ends begins anew. PIDS: the processes whose CPU time is
// taken at begin and end of the measured part, "1,2,3" or "-". An event is recognised by t=<ns, 19 digits>, the
// moment the upstream wrote it. The measured part begins when every stream has its first event and a fifth of
// SECONDS is over; then "open" is printed, and at the end one line:
//   streams=... events=... seconds=... cpu_ns=... p50_us=... p99_us=... p999_us=... ended=... failed=...
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    BUCKETS = 500000, // of 1 us: up to 0.5 s
    READ_BYTES = 1 << 18,
    STAMP_DIGITS = 19,
    MARK_BYTES = STAMP_DIGITS + 2,
    BODY_BYTES = 8 << 20,
};

// Where a flow is in the chunked answer.
typedef enum { IN_HEAD, IN_SIZE, IN_DATA, AFTER_DATA, AT_END } place;

typedef struct flow {
    int fd;
    place at;
    unsigned head_match;   // of the four bytes that end the head
    size_t left;           // of a chunk
    char tail[MARK_BYTES]; // end of the last read, where a mark is cut
    size_t tail_size;
    uint64_t events;
    bool is_checked, has_event;
} flow;

static char *request;
static size_t request_size;
static struct sockaddr_in address;
static int poll_fd, streams, flowing;
static uint64_t events_per_stream, events_total, failed, ended;
static uint32_t histogram[BUCKETS + 1];
static bool is_measuring;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// CPU time of all threads of the processes in `pids`, in ns.
static uint64_t cpu_ns(const char *pids)
{
    uint64_t total = 0;
    for (const char *at = pids; *at >= '0' && *at <= '9'; at += strspn(at, "0123456789"), at += *at == ',') {
        char path[320];
        snprintf(path, sizeof(path), "/proc/%d/task", atoi(at));
        DIR *tasks = opendir(path);
        for (struct dirent *task; tasks && (task = readdir(tasks));) {
            unsigned long long ns = 0;
            snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", atoi(at), task->d_name);
            FILE *file = task->d_name[0] == '.' ? NULL : fopen(path, "r");
            if (!file)
                continue;
            total += fscanf(file, "%llu", &ns) == 1 ? ns : 0;
            fclose(file);
        }
        if (tasks)
            closedir(tasks);
    }
    return total;
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
    f->tail_size = f->left = 0;
    f->events = f->head_match = 0;
    f->at = IN_HEAD;
    f->is_checked = false;
    for (size_t sent = 0; sent < request_size;) {
        ssize_t n = write(f->fd, request + sent, request_size - sent);
        if (n <= 0)
            return false;
        sent += (size_t)n;
    }
    return true;
}

// Counts the events in data and returns where what must be kept for the next read begins: a mark that is cut.
static size_t count(flow *f, const char *data, size_t size, uint64_t now)
{
    const char *end = data + size, *at = data;
    while ((at = memmem(at, (size_t)(end - at), "t=", 2))) {
        if (end - at < MARK_BYTES)
            return (size_t)(at - data);
        uint64_t sent = 0;
        int digits = 0;
        for (at += 2; digits < STAMP_DIGITS && *at >= '0' && *at <= '9'; digits++)
            sent = sent * 10 + (uint64_t)(*at++ - '0');
        if (digits < STAMP_DIGITS)
            continue;
        f->events++;
        if (!f->has_event) {
            f->has_event = true;
            flowing++;
        }
        if (!is_measuring)
            continue;
        events_total++;
        uint64_t us = now > sent ? (now - sent) / 1000 : 0;
        histogram[us < BUCKETS ? us : BUCKETS]++;
    }
    return size > 0 && end[-1] == 't' ? size - 1 : size;
}

// Takes head and chunk frames out of what was read: a gateway may cut an event between two chunks. Returns the size
// of what is left, written to `out`.
static size_t take_frames(flow *f, const char *data, size_t size, char *out)
{
    static const char HEAD_END[] = "\r\n\r\n";
    size_t made = 0;
    for (size_t i = 0; i < size && f->at != AT_END;) {
        char c = data[i];
        switch (f->at) {
        case IN_HEAD:
            f->head_match = c == HEAD_END[f->head_match] ? f->head_match + 1 : c == '\r';
            f->at = f->head_match == 4 ? IN_SIZE : IN_HEAD;
            i++;
            break;
        case IN_SIZE:
            if (c == '\n')
                f->at = f->left > 0 ? IN_DATA : AT_END;
            else if (c != '\r')
                f->left = f->left * 16 + (size_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
            i++;
            break;
        case IN_DATA: {
            size_t part = f->left < size - i ? f->left : size - i;
            memcpy(out + made, data + i, part);
            made += part;
            i += part;
            f->left -= part;
            if (f->left == 0)
                f->at = AFTER_DATA;
            break;
        }
        case AFTER_DATA:
            f->at = c == '\n' ? IN_SIZE : AFTER_DATA;
            i++;
            break;
        case AT_END:
            break;
        }
    }
    return made;
}

// false: the flow is broken.
static bool on_readable(flow *f)
{
    static char buffer[READ_BYTES], text[READ_BYTES + MARK_BYTES];
    ssize_t n = read(f->fd, buffer, READ_BYTES);
    if (n <= 0)
        return false;
    if (!f->is_checked && (n < 12 || memcmp(buffer, "HTTP/1.1 200", 12) != 0))
        return false;
    f->is_checked = true;
    memcpy(text, f->tail, f->tail_size);
    size_t size = f->tail_size + take_frames(f, buffer, (size_t)n, text + f->tail_size);
    size_t keep_from = count(f, text, size, now_ns());
    f->tail_size = size - keep_from;
    memcpy(f->tail, text + keep_from, f->tail_size);
    // The end is there when its empty last line is; all of them write it together with the last chunk.
    if (f->at != AT_END || memcmp(buffer + n - 4, "\r\n\r\n", 4) != 0)
        return true;
    ended++;
    return f->events == events_per_stream && send_request(f);
}

static unsigned percentile(double part)
{
    uint64_t wanted = (uint64_t)((double)events_total * part), seen = 0;
    for (unsigned i = 0; i <= BUCKETS; i++) {
        seen += histogram[i];
        if (seen > wanted)
            return i;
    }
    return BUCKETS;
}

static void build_request(int argc, char **argv)
{
    FILE *file = fopen(argv[3], "rb");
    char *body = malloc(BODY_BYTES);
    if (!file || !body) {
        perror(argv[3]);
        exit(1);
    }
    size_t body_size = fread(body, 1, BODY_BYTES, file);
    fclose(file);
    request = malloc(body_size + 8192);
    int size = sprintf(request, "POST %s HTTP/1.1\r\nhost: 127.0.0.1:%s\r\ncontent-type: application/json\r\n", argv[2],
                       argv[1]);
    for (int i = 8; i < argc; i++)
        size += sprintf(request + size, "%s\r\n", argv[i]);
    size += sprintf(request + size, "content-length: %zu\r\n\r\n", body_size);
    memcpy(request + size, body, body_size);
    request_size = (size_t)size + body_size;
    free(body);
}

static void open_again(flow *f)
{
    failed++;
    close(f->fd);
    if (open_flow(f) && send_request(f))
        return;
    printf("failed=all\n");
    exit(1);
}

static void run_until(uint64_t end)
{
    while (now_ns() < end) {
        struct epoll_event ready[256];
        int n = epoll_wait(poll_fd, ready, 256, 5);
        for (int i = 0; i < n; i++)
            if (!on_readable(ready[i].data.ptr))
                open_again(ready[i].data.ptr);
    }
}

int main(int argc, char **argv)
{
    if (argc < 8) {
        fputs("streams PORT PATH BODY_FILE STREAMS SECONDS EVENTS PIDS [HEADER...]\n", stderr);
        return 2;
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1000UL);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    build_request(argc, argv);
    streams = atoi(argv[4]);
    events_per_stream = (uint64_t)atoll(argv[6]);
    uint64_t run_ns = (uint64_t)(atof(argv[5]) * 1e9);
    poll_fd = epoll_create1(0);
    flow *flows = calloc((size_t)streams, sizeof(flow));
    uint64_t begin = now_ns();
    for (int i = 0; i < streams; i++) {
        if (!open_flow(&flows[i]) || !send_request(&flows[i]))
            open_again(&flows[i]);
    }
    uint64_t give_up = begin + run_ns + 30000000000u;
    while (flowing < streams && now_ns() < give_up)
        run_until(now_ns() + 20000000);
    run_until(now_ns() + run_ns / 5);
    printf("open\n");
    fflush(stdout);
    uint64_t cpu_before = cpu_ns(argv[7]), from = now_ns();
    is_measuring = true;
    run_until(from + run_ns - run_ns / 5);
    uint64_t took_ns = now_ns() - from, cpu = cpu_ns(argv[7]) - cpu_before;
    printf("streams=%d events=%llu seconds=%.4f cpu_ns=%llu p50_us=%u p99_us=%u p999_us=%u ended=%llu failed=%llu\n",
           flowing, (unsigned long long)events_total, (double)took_ns / 1e9, (unsigned long long)cpu, percentile(0.5),
           percentile(0.99), percentile(0.999), (unsigned long long)ended, (unsigned long long)failed);
    return 0;
}
