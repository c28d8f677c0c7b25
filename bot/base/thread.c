/* Threads with a name and a small stack. Signals are blocked in every thread that we start: the
 * main thread handles them. */
#include "bot/base/thread.h"

#include "bot/base/mem.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

struct start {
    char name[16];
    void *(*run)(void *);
    void *arg;
};

static void *trampoline(void *arg)
{
    struct start start = *(struct start *)arg;
    free(arg);
    pthread_setname_np(pthread_self(), start.name);
    return start.run(start.arg);
}

bool thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *arg,
                  struct err *err)
{
    pthread_attr_t attr;
    int rc = pthread_attr_init(&attr);
    if (rc != 0)
        return err_set(err, ERR_LIMIT, "thread %s: %s", name, strerrordesc_np(rc));
    struct start *start = mem_alloc(sizeof(*start));
    *start = (struct start){.run = run, .arg = arg};
    struct str text = str_of(name);
    memcpy(start->name, name, str_utf8_floor(text, sizeof(start->name) - 1));

    /* Blocked around the creation, so that the new thread never runs with them open. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t id;
    rc = pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
    if (rc == 0)
        rc = pthread_create(&id, &attr, trampoline, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (rc != 0) {
        free(start);
        return err_set(err, ERR_LIMIT, "thread %s: %s", name, strerrordesc_np(rc));
    }
    *out = id;
    return true;
}

void bell_init(struct bell *b)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&b->mutex, NULL);
    pthread_cond_init(&b->cond, &attr);
    pthread_condattr_destroy(&attr);
    b->rung = 0;
    b->heard = 0;
}

void bell_done(struct bell *b)
{
    pthread_cond_destroy(&b->cond);
    pthread_mutex_destroy(&b->mutex);
}

void bell_ring(struct bell *b)
{
    pthread_mutex_lock(&b->mutex);
    b->rung++;
    pthread_cond_signal(&b->cond);
    pthread_mutex_unlock(&b->mutex);
}

bool bell_wait(struct bell *b, int64_t ms)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (ms < 0)
        ms = 0;
    end.tv_sec += (time_t)(ms / 1000);
    end.tv_nsec += (long)(ms % 1000) * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&b->mutex);
    int rc = 0;
    while (b->rung == b->heard && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&b->cond, &b->mutex, &end);
    bool rung = b->rung != b->heard;
    b->heard = b->rung;
    pthread_mutex_unlock(&b->mutex);
    return rung;
}
