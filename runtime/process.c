#include "process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

static int new_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? -errno : fd;
}

static int close_with(int fd, int rc)
{
    close(fd);
    return rc;
}

// ---- TCP ----

// "host:port" or "[host]:port" -> parts; false: it is neither.
static bool split_address(const char *address, char *host, size_t host_size, const char **port)
{
    const char *begin = address, *end;
    if (*address == '[') {
        begin = address + 1;
        end = strchr(begin, ']');
        if (!end || end[1] != ':')
            return false;
        *port = end + 2;
    } else {
        end = strchr(address, ':');
        if (!end || strchr(end + 1, ':'))
            return false;
        *port = end + 1;
    }
    size_t size = (size_t)(end - begin);
    char *rest;
    unsigned long number = strtoul(*port, &rest, 10);
    if (size == 0 || size >= host_size || **port < '0' || **port > '9' || *rest || number > 65535)
        return false;
    memcpy(host, begin, size);
    host[size] = '\0';
    return true;
}

static int open_tcp(const struct addrinfo *to, bool is_shared_port)
{
    int fd = new_socket(to->ai_family), on = 1;
    if (fd < 0)
        return fd;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (to->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (is_shared_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
        return close_with(fd, -errno);
    if (bind(fd, to->ai_addr, to->ai_addrlen) != 0)
        return close_with(fd, -errno);
    return fd;
}

static void write_bound(int fd, char bound[ADDRESS_BYTES])
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);
    char ip[INET6_ADDRSTRLEN] = "";
    getsockname(fd, (struct sockaddr *)&address, &size);
    if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)&address;
        inet_ntop(AF_INET6, &a->sin6_addr, ip, sizeof(ip));
        snprintf(bound, ADDRESS_BYTES, "[%s]:%u", ip, ntohs(a->sin6_port));
    } else {
        const struct sockaddr_in *a = (const struct sockaddr_in *)&address;
        inet_ntop(AF_INET, &a->sin_addr, ip, sizeof(ip));
        snprintf(bound, ADDRESS_BYTES, "%s:%u", ip, ntohs(a->sin_port));
    }
}

static int listen_tcp(const char *address, const listen_options *options, char bound[ADDRESS_BYTES])
{
    char host[256];
    const char *port;
    if (!split_address(address, host, sizeof(host), &port))
        return UV_EINVAL;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *to;
    int rc = getaddrinfo(host, port, &hints, &to);
    if (rc == EAI_NONAME) {
        hints.ai_flags = AI_PASSIVE;
        hints.ai_family = AF_INET; // "localhost" means 127.0.0.1 to most clients
        rc = getaddrinfo(host, port, &hints, &to);
        if (rc == EAI_NONAME || rc == EAI_ADDRFAMILY || rc == EAI_NODATA) {
            hints.ai_family = AF_INET6;
            rc = getaddrinfo(host, port, &hints, &to);
        }
    }
    if (rc != 0)
        return UV_EAI_NONAME;
    int fd = 0;
    if (options->is_exclusive && options->is_shared_port && strtoul(port, NULL, 10) != 0) {
        fd = open_tcp(to, false); // fails where another program shares the port, which SO_REUSEPORT would not
        if (fd >= 0)
            close(fd);
    }
    if (fd >= 0)
        fd = open_tcp(to, options->is_shared_port);
    freeaddrinfo(to);
    if (fd < 0)
        return fd;
    if (listen(fd, options->backlog > 0 ? options->backlog : LISTEN_BACKLOG) != 0)
        return close_with(fd, -errno);
    write_bound(fd, bound);
    return fd;
}

// ---- Unix sockets ----

// True: the file is a socket that nobody listens on.
static bool is_stale(const struct sockaddr_un *to)
{
    struct stat about;
    if (lstat(to->sun_path, &about) != 0 || !S_ISSOCK(about.st_mode))
        return false;
    int fd = new_socket(AF_UNIX);
    if (fd < 0)
        return false;
    bool is_refused = connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0 && errno == ECONNREFUSED;
    close(fd);
    return is_refused;
}

static int listen_unix(const char *path, const listen_options *options, char bound[ADDRESS_BYTES])
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(to.sun_path))
        return UV_ENAMETOOLONG;
    memcpy(to.sun_path, path, strlen(path) + 1);
    int fd = new_socket(AF_UNIX);
    if (fd < 0)
        return fd;
    unsigned mode = options->mode ? options->mode : 0600;
    mode_t before = umask((mode_t)(0777 & ~mode)); // it must never be open to more, not even for a moment
    int rc = bind(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ? 0 : -errno;
    if (rc == UV_EADDRINUSE && is_stale(&to) && unlink(to.sun_path) == 0)
        rc = bind(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ? 0 : -errno;
    umask(before);
    if (rc != 0)
        return close_with(fd, rc);
    if (listen(fd, options->backlog > 0 ? options->backlog : LISTEN_BACKLOG) != 0)
        return close_with(fd, -errno);
    snprintf(bound, ADDRESS_BYTES, "unix:%s", path);
    return fd;
}

int process_listen(const char *address, const listen_options *options, char bound[ADDRESS_BYTES])
{
    if (strncmp(address, "unix:", 5) == 0)
        return listen_unix(address + 5, options, bound);
    return listen_tcp(address, options, bound);
}

// ---- service manager ----

int process_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || !*path)
        return 0;
    size_t size = strlen(path);
    if ((*path != '/' && *path != '@') || size >= sizeof(to.sun_path))
        return UV_EINVAL;
    memcpy(to.sun_path, path, size);
    if (*path == '@')
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, length);
    return close_with(fd, sent < 0 ? -errno : 1);
}

// ---- this process ----

int process_protect_memory(void)
{
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return -errno;
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : -errno;
}

int64_t process_raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return -errno;
    if (files.rlim_cur < files.rlim_max) {
        rlim_t before = files.rlim_cur;
        files.rlim_cur = files.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files) != 0)
            return (int64_t)before;
    }
    return files.rlim_cur == RLIM_INFINITY ? INT64_MAX : (int64_t)files.rlim_cur;
}

static volatile sig_atomic_t grace_seconds;

static void on_parent_death(int number)
{
    (void)number;
    alarm((unsigned)grace_seconds); // its default action ends a process that is stuck in a loop, too
}

int process_end_with_parent(int parent_pid, unsigned grace_s)
{
    struct sigaction action = {.sa_handler = on_parent_death, .sa_flags = SA_RESTART};
    grace_seconds = grace_s > 0 ? (sig_atomic_t)grace_s : 1;
    if (sigaction(SIGUSR1, &action, NULL) != 0 || prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0) != 0)
        return -errno;
    if (getppid() == parent_pid)
        return 0;
    on_parent_death(SIGUSR1);
    return 1;
}

void process_memory(int pid, uint64_t *rss_bytes, uint64_t *pss_bytes)
{
    char path[64], line[256];
    *rss_bytes = *pss_bytes = 0;
    snprintf(path, sizeof(path), "/proc/%d/statm", pid ? pid : (int)getpid());
    FILE *file = fopen(path, "re");
    unsigned long long total, resident;
    if (file) {
        if (fscanf(file, "%llu %llu", &total, &resident) == 2)
            *rss_bytes = resident * (uint64_t)sysconf(_SC_PAGESIZE);
        fclose(file);
    }
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid ? pid : (int)getpid());
    file = fopen(path, "re");
    if (!file)
        return;
    unsigned long long kib;
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "Pss: %llu kB", &kib) == 1)
            *pss_bytes = kib * 1024;
    fclose(file);
}
