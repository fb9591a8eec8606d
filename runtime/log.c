#include "log.h"

#include "rt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_BYTES = 4096, CHUNK_BYTES = 4096 /* PIPE_BUF */, CLOSE_MS = 200 };

struct log_writer {
    char *data;
    size_t begin, end, capacity; // waiting: [begin, end)
    int fd;
    bool is_file, is_socket;
    bool may_block;  // the descriptor could not be opened anew without blocking: ask before each write
    bool is_blocked; // the last write did not take all
    uv_poll_t *room;
    rt_timer timer;
    uint64_t dropped, reported;
    char *path;
    unsigned mode;
    log_writer *next, **link;
};

static log_writer *logs; // all that are open, for the end of the process
static rt_closer closer;

// ---- writing ----

// How much of what waits goes out in one system call.
static size_t chunk_size(const log_writer *log)
{
    size_t size = log->end - log->begin;
    if (log->is_file || size <= CHUNK_BYTES)
        return size;
    const char *begin = log->data + log->begin;
    const char *newline = memrchr(begin, '\n', CHUNK_BYTES);
    return newline ? (size_t)(newline - begin) + 1 : CHUNK_BYTES; // a longer line may be mixed with others
}

static ssize_t write_chunk(log_writer *log, size_t size)
{
    const char *begin = log->data + log->begin;
    if (log->is_socket)
        return send(log->fd, begin, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    struct pollfd room = {.fd = log->fd, .events = POLLOUT};
    if (log->may_block && poll(&room, 1, 0) != 1) {
        errno = EAGAIN;
        return -1;
    }
    return write(log->fd, begin, size);
}

static void on_room(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    log_flush(poll->data);
}

static void on_poll_closed(uv_handle_t *h)
{
    free(h);
}

static void stop_polling(log_writer *log)
{
    if (log->room)
        uv_close((uv_handle_t *)log->room, on_poll_closed);
    log->room = NULL;
}

static void on_time(rt_timer *timer)
{
    log_flush((log_writer *)((char *)timer - offsetof(log_writer, timer)));
}

// The reader is slow: go on when there is room, or try again after a while where that cannot be asked.
static void wait_for_room(log_writer *log, int error)
{
    log->is_blocked = true;
    if (error != EAGAIN) // the reader is gone: its pipe would call at once, again and again
        stop_polling(log);
    // libuv would make what others share non-blocking.
    if (error == EAGAIN && !log->is_file && !log->is_socket && !log->may_block && !log->room) {
        log->room = malloc(sizeof(*log->room));
        if (log->room && uv_poll_init(rt_loop(NULL), log->room, log->fd) != 0) {
            free(log->room);
            log->room = NULL;
        }
        if (log->room) {
            log->room->data = log;
            uv_unref((uv_handle_t *)log->room);
            uv_poll_start(log->room, UV_WRITABLE, on_room);
        }
    }
    if (!log->room)
        rt_timer_start(&log->timer, LOG_FLUSH_MS, on_time);
}

// One line that tells how many were lost, in the log's own format: a JSON object.
static void report_dropped(log_writer *log)
{
    char line[128];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t count = log->dropped - log->reported;
    int size =
        snprintf(line, sizeof(line), "{\"time_ms\":%lld,\"level\":\"warn\",\"event\":\"log_dropped\",\"lines\":%llu}",
                 (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000, (unsigned long long)count);
    if (log_append(log, line, (size_t)size))
        log->reported += count;
}

void log_flush(log_writer *log)
{
    rt_timer_stop(&log->timer);
    while (log->begin < log->end) {
        ssize_t written = write_chunk(log, chunk_size(log));
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) { // full pipe, full disk, reader gone: all of them may pass
            wait_for_room(log, written < 0 ? errno : ENOSPC);
            return;
        }
        log->begin += (size_t)written;
    }
    stop_polling(log);
    log->is_blocked = false;
    log->begin = log->end = 0;
    if (log->capacity > LOG_FLUSH_BYTES * 2) { // grown while the reader was slow
        free(log->data);
        log->data = NULL;
        log->capacity = 0;
    }
    if (log->dropped > log->reported)
        report_dropped(log);
}

// Room for `size` more bytes behind end; false: there is none.
static bool reserve(log_writer *log, size_t size)
{
    size_t waiting = log->end - log->begin;
    if (waiting + size > LOG_LIMIT_BYTES)
        return false;
    if (log->begin > 0 && log->capacity - waiting >= size && log->begin >= log->capacity / 2) {
        memmove(log->data, log->data + log->begin, waiting);
        log->begin = 0;
        log->end = waiting;
        return true;
    }
    size_t capacity = log->capacity ? log->capacity : FIRST_BYTES;
    while (capacity < log->end + size)
        capacity *= 2;
    char *data = realloc(log->data, capacity);
    if (!data)
        return false;
    log->data = data;
    log->capacity = capacity;
    return true;
}

bool log_append(log_writer *log, const char *line, size_t size)
{
    if (log->end + size + 1 > log->capacity && !reserve(log, size + 1)) {
        log->dropped++;
        return false;
    }
    memcpy(log->data + log->end, line, size);
    log->data[log->end + size] = '\n';
    log->end += size + 1;
    if (log->is_blocked) // on_room() or on_time() goes on
        return true;
    if (log->end >= LOG_FLUSH_BYTES)
        log_flush(log);
    else if (!log->timer.link)
        rt_timer_start(&log->timer, LOG_FLUSH_MS, on_time);
    return true;
}

// ---- opening and closing ----

static int open_path(const char *path, unsigned mode)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, (mode_t)mode);
    return fd < 0 ? -errno : fd;
}

static void look_at(log_writer *log)
{
    struct stat about;
    if (fstat(log->fd, &about) != 0)
        return;
    log->is_file = S_ISREG(about.st_mode);
    log->is_socket = S_ISSOCK(about.st_mode);
}

static void on_process_end(void)
{
    while (logs)
        log_close(logs, CLOSE_MS);
}

static log_writer *log_new(int fd, const char *path, unsigned mode, int *rc)
{
    log_writer *log = fd < 0 ? NULL : calloc(1, sizeof(*log));
    if (log && path && !(log->path = strdup(path))) {
        free(log);
        log = NULL;
    }
    if (!log) {
        *rc = fd < 0 ? fd : UV_ENOMEM;
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    *rc = 0;
    log->fd = fd;
    log->mode = mode;
    look_at(log);
    rt_at_close(&closer, on_process_end);
    log->next = logs;
    log->link = &logs;
    if (logs)
        logs->link = &log->next;
    logs = log;
    return log;
}

log_writer *log_open_file(const char *path, unsigned mode, int *rc)
{
    return log_new(open_path(path, mode), path, mode, rc);
}

log_writer *log_open_fd(int fd, int *rc)
{
    // O_NONBLOCK belongs to the open file, which others share (a terminal's shell would get it, too): so it is
    // opened anew. That fails for sockets, which have their own way, and for a pipe of another user.
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct stat about;
    if (fstat(fd, &about) != 0) {
        *rc = -errno;
        return NULL;
    }
    int own = -1;
    if (!S_ISSOCK(about.st_mode) && !S_ISREG(about.st_mode))
        own = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool may_block = own < 0;
    if (own < 0)
        own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    log_writer *log = log_new(own < 0 ? -errno : own, NULL, 0, rc);
    if (log)
        log->may_block = may_block && !log->is_file && !log->is_socket;
    return log;
}

int log_reopen(log_writer *log)
{
    log_flush(log);
    if (!log->path)
        return 0;
    int fd = open_path(log->path, log->mode);
    if (fd < 0)
        return fd;
    stop_polling(log);
    close(log->fd);
    log->fd = fd;
    look_at(log);
    log_flush(log);
    return 0;
}

uint64_t log_dropped(const log_writer *log)
{
    return log->dropped;
}

size_t log_pending(const log_writer *log)
{
    return log->end - log->begin;
}

void log_close(log_writer *log, int limit_ms)
{
    log_flush(log);
    uint64_t until_ms = uv_hrtime() / 1000000 + (uint64_t)limit_ms;
    while (log->begin < log->end) {
        uint64_t now_ms = uv_hrtime() / 1000000;
        struct pollfd room = {.fd = log->fd, .events = POLLOUT};
        if (now_ms >= until_ms || poll(&room, 1, (int)(until_ms - now_ms)) != 1 || log->is_file)
            break;
        size_t before = log->begin;
        log_flush(log);
        if (log->begin == before)
            break;
    }
    rt_timer_stop(&log->timer);
    stop_polling(log);
    *log->link = log->next;
    if (log->next)
        log->next->link = log->link;
    close(log->fd);
    free(log->path);
    free(log->data);
    free(log);
}
