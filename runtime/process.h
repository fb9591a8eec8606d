// process: what supervisor and workers need from the system, without Lua: listening sockets, notification of
// the service manager, limits. Children and signals are in bind/l_process.c.
#ifndef MOONGATE_PROCESS_H
#define MOONGATE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct listen_options {
    int backlog;         // 0: LISTEN_BACKLOG
    bool is_shared_port; // SO_REUSEPORT: further sockets on the same port
    bool is_exclusive;   // refuse a port on which anybody listens already, even one that shares it
    unsigned mode;       // of a Unix socket's file; 0: 0600
} listen_options;

enum { LISTEN_BACKLOG = 4096, ADDRESS_BYTES = 128 };

// Opens a listening socket on "host:port", "[ip6]:port" or "unix:path"; a host name takes its first address, IPv6
// sockets take IPv6 only. A Unix socket's file that nobody listens on any more is replaced. Result: the
// descriptor (closes on exec, not blocking) and its own address in `bound`; or a libuv error.
int process_listen(const char *address, const listen_options *options, char bound[ADDRESS_BYTES]);

// Sends a state ("READY=1") to the service manager named by NOTIFY_SOCKET, as sd_notify(3) does. Result: 1 sent,
// 0 there is none, or a libuv error.
int process_notify(const char *state);

// Keys must not end up in a core file, nor be read by another process of the same user: no dumps, no ptrace.
int process_protect_memory(void);
// Raises the limit of open files to the hard limit; returns the limit, or a libuv error.
int64_t process_raise_file_limit(void);
// Once the parent has died, this process ends within grace_s seconds, even if it is stuck in a loop. Result: 0,
// a libuv error, or 1: the parent (parent_pid) is gone already, and the time runs.
int process_end_with_parent(int parent_pid, unsigned grace_s);
// Resident and proportional memory of a process in bytes (pid 0: this one); 0 where it cannot be read.
void process_memory(int pid, uint64_t *rss_bytes, uint64_t *pss_bytes);

#endif
