// Trusted roots: parsing a system's store takes 10 to 20 ms, so it happens on the thread pool, at the first https
// request, and its result is shared by all clients of the same file in the same state.
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client_internal.h"

struct trust {
    trust *next;
    size_t refs; // clients, and the job
    tls_context *context;
    bool is_loading, is_loaded;
    uv_work_t job;
    trust_waiter *waiting;
    char message[256];
    struct timespec changed_at; // of ca_file, when this was made
    char *ca_file;              // NULL: the system's
};

static trust *all;

static struct timespec changed_at(const char *ca_file)
{
    struct stat st;
    struct timespec none = {0, 0};
    return ca_file && stat(ca_file, &st) == 0 ? st.st_mtim : none;
}

trust *trust_hold(const char *ca_file)
{
    struct timespec at = changed_at(ca_file);
    for (trust *t = all; t; t = t->next) {
        bool is_same = ca_file && t->ca_file ? strcmp(ca_file, t->ca_file) == 0 : ca_file == t->ca_file;
        if (is_same && at.tv_sec == t->changed_at.tv_sec && at.tv_nsec == t->changed_at.tv_nsec) {
            t->refs++;
            return t;
        }
    }
    trust *t = calloc(1, sizeof(*t));
    if (!t || (ca_file && !(t->ca_file = strdup(ca_file)))) {
        free(t);
        return NULL;
    }
    t->refs = 1;
    t->changed_at = at;
    t->next = all;
    all = t;
    return t;
}

void trust_drop(trust *t)
{
    if (!t || --t->refs > 0)
        return;
    for (trust **link = &all; *link; link = &(*link)->next) {
        if (*link == t) {
            *link = t->next;
            break;
        }
    }
    tls_context_drop(t->context);
    free(t->ca_file);
    free(t);
}

static void load(uv_work_t *job)
{
    trust *t = job->data;
    t->context = tls_client_context_new(t->ca_file, t->message, sizeof(t->message));
}

static void on_loaded(uv_work_t *job, int status)
{
    trust *t = job->data;
    (void)status;
    t->is_loading = false;
    t->is_loaded = t->context != NULL; // a failure is tried again by the next connection
    trust_waiter *waiting = t->waiting;
    t->waiting = NULL;
    if (waiting)
        waiting->link = &waiting;
    while (waiting) {
        trust_waiter *w = waiting;
        trust_cancel(w);
        w->on_trust(w);
    }
    trust_drop(t);
}

bool trust_wait(trust *t, trust_waiter *w)
{
    if (t->is_loaded)
        return true;
    if (!t->is_loading) {
        t->job.data = t;
        if (uv_queue_work(rt_loop(NULL), &t->job, load, on_loaded) != 0) {
            strcpy(t->message, "the thread pool takes no work");
            return true;
        }
        t->is_loading = true;
        t->refs++;
    }
    w->next = t->waiting;
    w->link = &t->waiting;
    if (w->next)
        w->next->link = &w->next;
    t->waiting = w;
    return false;
}

void trust_cancel(trust_waiter *w)
{
    if (!w->link)
        return;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    w->link = NULL;
    w->next = NULL;
}

tls_context *trust_context(trust *t, const char **message)
{
    *message = t->message;
    return t->context;
}
