#include "page.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(shared_page) <= 16384, "a page stays small");

uint64_t page_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static shared_page *map(int fd, int *rc)
{
    void *p = mmap(NULL, sizeof(shared_page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    *rc = p == MAP_FAILED ? -errno : 0;
    return p == MAP_FAILED ? NULL : p;
}

shared_page *page_create(int *fd, int *rc)
{
    *fd = memfd_create("moongate-worker", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0) {
        *rc = -errno;
        return NULL;
    }
    shared_page *p = NULL;
    if (ftruncate(*fd, sizeof(shared_page)) == 0) // nobody can shrink it under the other's feet (SIGBUS)
        p = fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0 ? map(*fd, rc) : NULL;
    if (!p) {
        *rc = *rc < 0 ? *rc : -errno;
        close(*fd);
        *fd = -1;
        return NULL;
    }
    p->magic = PAGE_MAGIC;
    p->label_count = 1;
    p->heartbeat_ms = page_now_ms();
    return p;
}

shared_page *page_map(int fd, int *rc)
{
    struct stat about;
    *rc = UV_EINVAL;
    if (fstat(fd, &about) != 0 || about.st_size != (off_t)sizeof(shared_page))
        return NULL;
    shared_page *p = map(fd, rc);
    if (p && p->magic != PAGE_MAGIC) {
        page_unmap(p);
        *rc = UV_EINVAL;
        return NULL;
    }
    return p;
}

void page_unmap(shared_page *p)
{
    if (p)
        munmap(p, sizeof(*p));
}

uint32_t page_label(shared_page *p, const char *text)
{
    for (uint32_t i = 1; i < p->label_count && i < PAGE_LABELS; i++)
        if (strncmp(p->labels[i], text, PAGE_LABEL_BYTES - 1) == 0)
            return i;
    if (p->label_count >= PAGE_LABELS)
        return 0;
    snprintf(p->labels[p->label_count], PAGE_LABEL_BYTES, "%s", text);
    return p->label_count++;
}

void page_crumb(const shared_page *p, char *text, size_t size)
{
    uint32_t at = __atomic_load_n(&p->crumb, __ATOMIC_RELAXED);
    text[0] = '\0';
    if (at > 0 && at < PAGE_LABELS)
        snprintf(text, size, "%.*s", PAGE_LABEL_BYTES, p->labels[at]);
}

static void on_beat(uv_timer_t *timer)
{
    shared_page *p = timer->data;
    __atomic_store_n(&p->heartbeat_ms, page_now_ms(), __ATOMIC_RELAXED);
}

void page_beat(shared_page *p, uv_timer_t *timer, uint64_t interval_ms)
{
    timer->data = p;
    on_beat(timer);
    uv_timer_start(timer, on_beat, interval_ms, interval_ms);
    uv_unref((uv_handle_t *)timer);
}
