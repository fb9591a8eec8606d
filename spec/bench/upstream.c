// The benchmark's upstream: answers the Messages API's form as fast as one thread can, with fixed texts.
//   upstream PORT
// What a request asks for stands in its body, so that it comes through any gateway:
//   "stream":true            events instead of a document, each in a write of its own, streams in turn
//   "max_tokens":N           N text events
//   gap-MS                   one event every MS milliseconds, all streams spread evenly
// A text event carries the moment it was written as t=<ns>, for the load program to measure latency.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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

enum { HEAD_BYTES = 16384, SCAN_BYTES = 4096, READ_BYTES = 1 << 20, MAX_FD = 65536 };

typedef struct peer {
    int fd;
    char head[HEAD_BYTES];
    size_t head_size;
    bool in_body, is_chunked;
    size_t left;                                  // of the body
    char first[SCAN_BYTES], last[2 * SCAN_BYTES]; // of the body, for what it asks for
    size_t first_size, last_size;
    bool is_streaming;
    int events_left, stage;
    uint64_t gap_ns, next_ns;
    char pending[8192]; // what the socket has not taken
    size_t pending_size;
} peer;

static int poll_fd;
static peer *peers[MAX_FD];
static peer *streaming[MAX_FD];
static int streaming_count;
static char document[2048];
static size_t document_size;
static unsigned turn;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void make_document(void)
{
    char text[640];
    memset(text, 'm', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    char body[1200];
    int size = snprintf(body, sizeof(body),
                        "{\"id\":\"msg_01BenchBenchBenchBench\",\"type\":\"message\",\"role\":\"assistant\","
                        "\"model\":\"claude-sonnet-4-6\",\"content\":[{\"type\":\"text\",\"text\":\"%s\"}],"
                        "\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":210,"
                        "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"cache_creation\":"
                        "{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":0},\"output_tokens\":180,"
                        "\"service_tier\":\"standard\"}}",
                        text);
    document_size = (size_t)snprintf(document, sizeof(document),
                                     "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_011bench\r\n"
                                     "x-amzn-requestid: 7c1d9a52-bench\r\ncontent-length: %d\r\n\r\n%s",
                                     size, body);
}

static void drop(peer *p)
{
    for (int i = 0; i < streaming_count; i++)
        if (streaming[i] == p)
            streaming[i--] = streaming[--streaming_count];
    peers[p->fd] = NULL;
    close(p->fd);
    free(p);
}

static bool send_all(peer *p, const char *data, size_t size)
{
    if (p->pending_size == 0) {
        ssize_t sent = write(p->fd, data, size);
        if (sent < 0 && errno != EAGAIN)
            return false;
        size_t taken = sent > 0 ? (size_t)sent : 0;
        data += taken;
        size -= taken;
    }
    if (p->pending_size + size > sizeof(p->pending))
        return false;
    memcpy(p->pending + p->pending_size, data, size);
    p->pending_size += size;
    return true;
}

static bool send_chunk(peer *p, const char *text, size_t size)
{
    char frame[2048];
    int head = snprintf(frame, sizeof(frame), "%zx\r\n", size);
    memcpy(frame + head, text, size);
    memcpy(frame + head + size, "\r\n", 2);
    return send_all(p, frame, (size_t)head + size + 2);
}

static const char START[] =
    "event: message_start\ndata: "
    "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_01BenchBench\",\"type\":\"message\","
    "\"role\":\"assistant\",\"model\":\"claude-sonnet-4-6\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,"
    "\"usage\":{\"input_tokens\":210,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":"
    "1}}}\n\n"
    "event: content_block_start\ndata: "
    "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\","
    "\"text\":\"\"}}\n\n";
static const char STOP[] =
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
    "event: message_delta\ndata: "
    "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},"
    "\"usage\":{\"output_tokens\":200}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

// One event of a stream. Texts differ in length, as real ones do.
static bool send_event(peer *p)
{
    static const char filler[] = "the quick brown fox jumps over the lazy dog and then some";
    char text[512];
    if (p->stage == 0) {
        p->stage = 1;
        return send_chunk(p, START, sizeof(START) - 1);
    }
    if (p->events_left-- > 0) {
        int size = snprintf(text, sizeof(text),
                            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
                            "{\"type\":\"text_delta\",\"text\":\"t=%019llu %.*s\"}}\n\n",
                            (unsigned long long)now_ns(), (int)(turn++ % (sizeof(filler) - 1)), filler);
        return send_chunk(p, text, (size_t)size);
    }
    p->is_streaming = false;
    return send_chunk(p, STOP, sizeof(STOP) - 1) && send_all(p, "0\r\n\r\n", 5);
}

static const char *scan(const char *text, size_t size, const char *what)
{
    return memmem(text, size, what, strlen(what));
}

static bool answer(peer *p)
{
    const char *number = scan(p->first, p->first_size, "\"max_tokens\":");
    if (!number)
        number = scan(p->last, p->last_size, "\"max_tokens\":");
    const char *gap = scan(p->last, p->last_size, "gap-");
    bool stream = scan(p->first, p->first_size, "\"stream\":true") || scan(p->last, p->last_size, "\"stream\":true");
    p->in_body = false;
    if (!stream)
        return send_all(p, document, document_size);
    static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nrequest-id: "
                               "req_011bench\r\ntransfer-encoding: chunked\r\n\r\n";
    p->events_left = number ? atoi(number + 13) : 200;
    p->gap_ns = gap ? (uint64_t)atoi(gap + 4) * 1000000u : 0;
    p->next_ns = now_ns() + (p->gap_ns ? (uint64_t)(turn++ % 997) * p->gap_ns / 997 : 0);
    p->stage = 0;
    p->is_streaming = true;
    streaming[streaming_count++] = p;
    return send_all(p, head, sizeof(head) - 1);
}

static void keep_body(peer *p, const char *data, size_t size)
{
    size_t room = SCAN_BYTES - p->first_size, part = size < room ? size : room;
    memcpy(p->first + p->first_size, data, part);
    p->first_size += part;
    size_t tail = size < SCAN_BYTES ? size : SCAN_BYTES;
    if (p->last_size + tail > sizeof(p->last)) {
        size_t keep = sizeof(p->last) - tail;
        memmove(p->last, p->last + p->last_size - keep, keep);
        p->last_size = keep;
    }
    memcpy(p->last + p->last_size, data + size - tail, tail);
    p->last_size += tail;
}

static bool take(peer *p, const char *data, size_t size)
{
    while (size > 0) {
        if (p->in_body) {
            size_t part = size < p->left ? size : p->left;
            keep_body(p, data, part);
            p->left -= part;
            data += part;
            size -= part;
            if (p->left == 0 && !answer(p))
                return false;
            continue;
        }
        size_t part = size < HEAD_BYTES - 1 - p->head_size ? size : HEAD_BYTES - 1 - p->head_size;
        if (part == 0)
            return false;
        size_t before = p->head_size;
        memcpy(p->head + before, data, part);
        p->head_size += part;
        char *end = memmem(p->head, p->head_size, "\r\n\r\n", 4);
        if (!end) {
            data += part;
            size -= part;
            continue;
        }
        size_t used = (size_t)(end - p->head) + 4 - before;
        *end = '\0';
        const char *length = strcasestr(p->head, "\r\ncontent-length:");
        p->left = length ? strtoul(length + 17, NULL, 10) : 0;
        p->head_size = p->first_size = p->last_size = 0;
        p->in_body = true;
        data += used;
        size -= used;
        if (p->left == 0 && !answer(p))
            return false;
    }
    return true;
}

static void on_readable(peer *p)
{
    static char buffer[READ_BYTES];
    ssize_t size = read(p->fd, buffer, sizeof(buffer));
    if (size == 0 || (size < 0 && errno != EAGAIN) || (size > 0 && !take(p, buffer, (size_t)size)))
        drop(p);
}

static void accept_peers(int listener)
{
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        peer *p = fd < MAX_FD ? calloc(1, sizeof(*p)) : NULL;
        if (!p) {
            close(fd);
            continue;
        }
        p->fd = fd;
        peers[fd] = p;
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, .data.ptr = p};
        e.events = EPOLLIN;
        epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &e);
    }
}

static void flush(peer *p)
{
    ssize_t sent = write(p->fd, p->pending, p->pending_size);
    if (sent > 0) {
        memmove(p->pending, p->pending + sent, p->pending_size - (size_t)sent);
        p->pending_size -= (size_t)sent;
    }
}

// One event of each stream that is due; returns ns until the next is, or 0.
static uint64_t stream_turn(void)
{
    uint64_t now = now_ns(), wait = UINT64_MAX;
    for (int i = 0; i < streaming_count; i++) {
        peer *p = streaming[i];
        if (p->pending_size > 0)
            flush(p);
        if (p->pending_size > 0) {
            wait = 0;
            continue;
        }
        if (p->gap_ns && p->next_ns > now) {
            if (p->next_ns - now < wait)
                wait = p->next_ns - now;
            continue;
        }
        p->next_ns += p->gap_ns;
        if (!send_event(p)) {
            drop(p);
            i--;
            continue;
        }
        if (!p->is_streaming)
            streaming[i--] = streaming[--streaming_count];
        else if (p->gap_ns == 0)
            wait = 0;
    }
    return wait;
}

int main(int argc, char **argv)
{
    int port = argc > 1 ? atoi(argv[1]) : 9100;
    struct rlimit files = {MAX_FD, MAX_FD};
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(listener, 4096) != 0) {
        perror("upstream");
        return 1;
    }
    make_document();
    poll_fd = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &e);
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[256];
        uint64_t wait_ns = streaming_count ? stream_turn() : UINT64_MAX;
        int wait_ms = wait_ns == UINT64_MAX ? -1 : (int)(wait_ns / 1000000);
        int count = epoll_wait(poll_fd, events, 256, wait_ms);
        for (int i = 0; i < count; i++) {
            peer *p = events[i].data.ptr;
            if (!p)
                accept_peers(listener);
            else
                on_readable(p);
        }
    }
}
