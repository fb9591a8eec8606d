// The benchmark's upstream: answers as the Messages API does, as fast as one thread can, with fixed texts.
//   upstream PORT        prints "ready" once it listens on 127.0.0.1:PORT
// What a request asks for stands in its body, so that it comes through any gateway:
//   "stream":true        events instead of a document, each in a write of its own, streams in turn
//   "max_tokens":N       N text events
//   gap-MS               one event every MS milliseconds, the streams spread evenly over that time
// A text event carries the moment it was written as t=<ns, 19 digits>, for the load program to measure latency.
#include <arpa/inet.h>
#include <errno.h>
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
    HEAD_BYTES = 8192,
    SCAN_BYTES = 1024, // of a body's begin and end are looked at for what it asks for
    READ_BYTES = 1 << 20,
    MAX_FD = 20000,
    STAMP_DIGITS = 19,
    TEXT_LENGTHS = 58,
    EVENTS_BETWEEN_POLLS = 64,
};

typedef struct peer {
    int fd;
    uint32_t position; // in `busy` or `timed`, while it streams
    bool in_body, is_streaming, is_blocked;
    int events_left;
    uint64_t gap_ns, next_ns;
    size_t left; // of the body
    size_t head_size, first_size, last_size, pending_size;
    char head[HEAD_BYTES];
    char first[SCAN_BYTES], last[2 * SCAN_BYTES]; // begin and end of the body
    char pending[4096];                           // what the socket has not taken
} peer;

typedef struct template
{
    size_t size, stamp_at;
    char bytes[320];
}
template;

static int poll_fd;
static peer *busy[MAX_FD];  // streams without gaps
static peer *timed[MAX_FD]; // a heap: the stream whose event is due first is timed[0]
static uint32_t busy_count, timed_count;
static template text_events[TEXT_LENGTHS];
static size_t document_size, stream_head_size, stream_end_size;
static char document_bytes[2048], head_bytes[2048], end_bytes[1024];
static unsigned turn;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// ---- what it says ----

#define USAGE                                                                                                          \
    "\"usage\":{\"input_tokens\":210,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"                 \
    "\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":0},\"output_tokens\":180,"      \
    "\"service_tier\":\"standard\"}"

static const char START[] = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":"
                            "\"msg_01BenchBenchBenchBench\",\"type\":\"message\",\"role\":\"assistant\",\"model\":"
                            "\"claude-sonnet-4-6\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null," USAGE
                            "}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
                            "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
static const char STOP[] = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
                           "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
                           "\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":200}}\n\n"
                           "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

static void make_document(void)
{
    char text[640], body[1400];
    memset(text, 'm', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    int size = snprintf(body, sizeof(body),
                        "{\"id\":\"msg_01BenchBenchBenchBench\",\"type\":\"message\",\"role\":\"assistant\","
                        "\"model\":\"claude-sonnet-4-6\",\"content\":[{\"type\":\"text\",\"text\":\"%s\"}],"
                        "\"stop_reason\":\"end_turn\",\"stop_sequence\":null," USAGE "}",
                        text);
    document_size = (size_t)snprintf(document_bytes, sizeof(document_bytes),
                                     "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: "
                                     "req_011bench\r\nx-amzn-requestid: 7c1d9a52-bench\r\ncontent-length: %d\r\n\r\n%s",
                                     size, body);
}

// Head, message_start and content_block_start leave in one write; so do the last events and the end.
static void make_stream_frame(void)
{
    stream_head_size = (size_t)snprintf(head_bytes, sizeof(head_bytes),
                                        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
                                        "request-id: req_011bench\r\ntransfer-encoding: chunked\r\n\r\n%zx\r\n%s\r\n",
                                        sizeof(START) - 1, START);
    stream_end_size = (size_t)snprintf(end_bytes, sizeof(end_bytes), "%zx\r\n%s\r\n0\r\n\r\n", sizeof(STOP) - 1, STOP);
}

// Texts differ in length, as real ones do.
static void make_text_events(void)
{
    static const char filler[TEXT_LENGTHS] = "the quick brown fox jumps over the lazy dog and then some";
    for (int length = 0; length < TEXT_LENGTHS; length++) {
        char event[256];
        int size = snprintf(event, sizeof(event),
                            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
                            "{\"type\":\"text_delta\",\"text\":\"t=%0*d %.*s\"}}\n\n",
                            STAMP_DIGITS, 0, length, filler);
        template *t = &text_events[length];
        t->size = (size_t)snprintf(t->bytes, sizeof(t->bytes), "%x\r\n%s\r\n", (unsigned)size, event);
        t->stamp_at = (size_t)(strstr(t->bytes, "t=0") - t->bytes) + 2;
    }
}

static void write_stamp(char *at, uint64_t ns)
{
    for (int i = STAMP_DIGITS - 1; i >= 0; i--, ns /= 10)
        at[i] = (char)('0' + ns % 10);
}

// ---- sending ----

static void watch(peer *p, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = p};
    epoll_ctl(poll_fd, EPOLL_CTL_MOD, p->fd, &e);
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
    if (size == 0)
        return true;
    if (p->pending_size + size > sizeof(p->pending))
        return false;
    memcpy(p->pending + p->pending_size, data, size);
    p->pending_size += size;
    p->is_blocked = true;
    watch(p, EPOLLIN | EPOLLOUT);
    return true;
}

static bool flush(peer *p)
{
    ssize_t sent = write(p->fd, p->pending, p->pending_size);
    if (sent < 0)
        return errno == EAGAIN;
    p->pending_size -= (size_t)sent;
    memmove(p->pending, p->pending + sent, p->pending_size);
    if (p->pending_size == 0) {
        p->is_blocked = false;
        watch(p, EPOLLIN);
    }
    return true;
}

// ---- who streams ----

static void heap_place(uint32_t at, peer *p)
{
    timed[at] = p;
    p->position = at;
}

static void heap_rise(uint32_t at)
{
    peer *p = timed[at];
    for (; at > 0 && timed[(at - 1) / 2]->next_ns > p->next_ns; at = (at - 1) / 2)
        heap_place(at, timed[(at - 1) / 2]);
    heap_place(at, p);
}

static void heap_sink(uint32_t at)
{
    peer *p = timed[at];
    for (uint32_t child; (child = 2 * at + 1) < timed_count; at = child) {
        if (child + 1 < timed_count && timed[child + 1]->next_ns < timed[child]->next_ns)
            child++;
        if (timed[child]->next_ns >= p->next_ns)
            break;
        heap_place(at, timed[child]);
    }
    heap_place(at, p);
}

static void stream_begin(peer *p)
{
    p->is_streaming = true;
    if (p->gap_ns == 0) {
        p->position = busy_count;
        busy[busy_count++] = p;
        return;
    }
    timed[timed_count] = p;
    heap_rise(timed_count++);
}

static void stream_finish(peer *p)
{
    p->is_streaming = false;
    if (p->gap_ns == 0) {
        peer *last = busy[--busy_count];
        busy[p->position] = last;
        last->position = p->position;
        return;
    }
    uint32_t at = p->position;
    peer *last = timed[--timed_count];
    if (last == p)
        return;
    heap_place(at, last);
    heap_sink(at);
    heap_rise(last->position);
}

static void drop(peer *p)
{
    if (p->is_streaming)
        stream_finish(p);
    close(p->fd);
    free(p);
}

// One event; the last one also ends the answer. false: the peer is gone.
static bool send_event(peer *p)
{
    if (p->events_left-- > 0) {
        template *t = &text_events[turn++ % TEXT_LENGTHS];
        write_stamp(t->bytes + t->stamp_at, now_ns());
        return send_all(p, t->bytes, t->size);
    }
    stream_finish(p);
    return send_all(p, end_bytes, stream_end_size);
}

static void send_timed(void)
{
    uint64_t now = now_ns();
    while (timed_count > 0 && timed[0]->next_ns <= now) {
        peer *p = timed[0];
        p->next_ns += p->gap_ns;
        heap_sink(0);
        if (!p->is_blocked && !send_event(p))
            drop(p);
    }
}

// One event of each of the next streams; false: none could take one.
static bool send_busy(void)
{
    static uint32_t next;
    bool has_sent = false;
    uint32_t turns = busy_count > EVENTS_BETWEEN_POLLS ? busy_count : EVENTS_BETWEEN_POLLS;
    for (uint32_t i = 0; i < turns && busy_count > 0; i++, next++) {
        if (next >= busy_count)
            next = 0;
        peer *p = busy[next];
        if (p->is_blocked)
            continue;
        has_sent = true;
        if (!send_event(p))
            drop(p);
    }
    return has_sent;
}

// ---- reading requests ----

static const char *find(const char *text, size_t size, const char *what)
{
    return memmem(text, size, what, strlen(what));
}

static bool answer(peer *p)
{
    p->in_body = false;
    if (!find(p->first, p->first_size, "\"stream\":true") && !find(p->last, p->last_size, "\"stream\":true"))
        return send_all(p, document_bytes, document_size);
    const char *number = find(p->first, p->first_size, "\"max_tokens\":");
    if (!number)
        number = find(p->last, p->last_size, "\"max_tokens\":");
    const char *gap = find(p->last, p->last_size, "gap-");
    p->events_left = number ? atoi(number + 13) : 200;
    p->gap_ns = gap ? (uint64_t)atoi(gap + 4) * 1000000u : 0;
    p->next_ns = now_ns() + (uint64_t)(turn++ % 997) * p->gap_ns / 997;
    stream_begin(p);
    return send_all(p, head_bytes, stream_head_size);
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

// Consumes part of a head; returns how much, 0: the head is too long.
static size_t take_head(peer *p, const char *data, size_t size)
{
    size_t room = HEAD_BYTES - 1 - p->head_size, part = size < room ? size : room, before = p->head_size;
    memcpy(p->head + before, data, part);
    p->head_size += part;
    char *end = memmem(p->head, p->head_size, "\r\n\r\n", 4);
    if (!end)
        return part;
    end[2] = '\0';
    const char *length = strcasestr(p->head, "\r\ncontent-length:");
    p->left = length ? strtoul(length + 17, NULL, 10) : 0;
    p->head_size = p->first_size = p->last_size = 0;
    p->in_body = true;
    return (size_t)(end - p->head) + 4 - before;
}

static bool take(peer *p, const char *data, size_t size)
{
    while (size > 0) {
        size_t part;
        if (p->in_body) {
            part = size < p->left ? size : p->left;
            keep_body(p, data, part);
            p->left -= part;
        } else if ((part = take_head(p, data, size)) == 0) {
            return false;
        }
        data += part;
        size -= part;
        if (p->in_body && p->left == 0 && !answer(p))
            return false;
    }
    return true;
}

static void on_ready(peer *p, uint32_t events)
{
    static char buffer[READ_BYTES];
    if ((events & EPOLLOUT) && p->is_blocked && !flush(p)) {
        drop(p);
        return;
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
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
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = p};
        epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &e);
    }
}

static int open_listener(int port)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(listener, 4096) != 0) {
        perror("upstream");
        exit(1);
    }
    return listener;
}

// How long epoll may wait: not at all while a stream without gaps can go on, else until the next event is due.
static const struct timespec *wait_time(bool has_sent)
{
    static struct timespec wait;
    wait = (struct timespec){0};
    if (has_sent)
        return &wait;
    if (timed_count == 0)
        return NULL;
    uint64_t now = now_ns(), due = timed[0]->next_ns, ns = due > now ? due - now : 0;
    wait.tv_sec = (time_t)(ns / 1000000000u);
    wait.tv_nsec = (long)(ns % 1000000000u);
    return &wait;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1000UL); // ns; the usual 50 us would gather events
    int listener = open_listener(argc > 1 ? atoi(argv[1]) : 9100);
    make_document();
    make_stream_frame();
    make_text_events();
    poll_fd = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &e);
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[256];
        send_timed();
        bool has_sent = send_busy();
        int count = epoll_pwait2(poll_fd, events, 256, wait_time(has_sent), NULL);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                on_ready(events[i].data.ptr, events[i].events);
            else
                accept_peers(listener);
        }
    }
}
