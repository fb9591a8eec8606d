// log: lines out of the process, without ever holding up the loop. Lines gather in a buffer that is written
// when it holds LOG_FLUSH_BYTES, LOG_FLUSH_MS after its first line, or on request. What a full disk or a slow
// pipe does not take waits up to LOG_LIMIT_BYTES; beyond that lines are dropped and counted, and a line says
// how many as soon as there is room again.
// Several processes may write to one file or pipe: a file is opened for appending, and to a pipe, socket or
// terminal go whole lines of at most 4096 bytes together, which the kernel does not mix.
#ifndef MOONGATE_LOG_H
#define MOONGATE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOG_FLUSH_BYTES = 65536, LOG_FLUSH_MS = 100, LOG_LIMIT_BYTES = 1 << 20 };

typedef struct log_writer log_writer;

// Opens a log on a file (mode for a new one; a symbolic link is refused) or on a descriptor, which is
// duplicated. NULL: a libuv error in *rc.
log_writer *log_open_file(const char *path, unsigned mode, int *rc);
log_writer *log_open_fd(int fd, int *rc);
// Adds a line; the newline is added here. False: it was dropped. Called by FFI from gate: keep the signature.
bool log_append(log_writer *log, const char *line, size_t size);
// Writes what the file takes now.
void log_flush(log_writer *log);
// Opens the file anew, after somebody renamed it. A log on a descriptor is only flushed. 0 or a libuv error,
// with the old file kept.
int log_reopen(log_writer *log);
uint64_t log_dropped(const log_writer *log); // lines, since the log was opened
size_t log_pending(const log_writer *log);   // bytes
// Writes what is left, waiting for a slow reader for at most limit_ms, and frees.
void log_close(log_writer *log, int limit_ms);

#endif
