/* Starts and stops the threads. */
#include "bot/work/engine.h"

#include "bot/base/log.h"
#include "bot/base/mem.h"
#include "bot/work/parts.h"

#include <stdio.h>
#include <time.h>

static void bells(struct engine *w, void (*fn)(struct bell *))
{
    fn(&w->inbox_bell);
    fn(&w->outbox_bell);
    fn(&w->task_bell);
    fn(&w->heart_bell);
    fn(&w->janitor_bell);
}

static bool start_threads(struct engine *w, struct err *err)
{
    if (!(w->dispatcher_on = thread_start(&w->dispatcher, "dispatcher", dispatcher_main, w, err)))
        return false;
    for (int i = 0; i < ENGINE_PERFORMERS; i++, w->performers_n++)
        if (!thread_start(&w->performers[i], "performer", performer_main, w, err))
            return false;
    return (w->heart_on = thread_start(&w->heart, "heart", heart_main, w, err)) &&
           (w->runner_on = thread_start(&w->runner, "runner", runner_main, w, err)) &&
           (w->janitor_on = thread_start(&w->janitor, "janitor", janitor_main, w, err));
}

bool engine_start(const struct engine_config *config, struct engine **out, struct err *err)
{
    struct engine *w = mem_alloc(sizeof(*w));
    w->config = *config;
    w->stop = cancel_new();
    bells(w, bell_init);
    pthread_mutex_init(&w->mutex, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->idle, &attr);
    pthread_condattr_destroy(&attr);
    if (start_threads(w, err)) {
        *out = w;
        return true;
    }
    if (engine_stop(w, 10000))
        engine_free(w);
    return false;
}

void engine_wake_inbox(struct engine *w)
{
    bell_ring(&w->inbox_bell);
}

void engine_wake_outbox(struct engine *w)
{
    bell_ring(&w->outbox_bell);
}

void engine_wake_tasks(struct engine *w)
{
    bell_ring(&w->task_bell);
}

void engine_wake_cancel(struct engine *w)
{
    bell_ring(&w->heart_bell);
}

static bool wait_for_tasks(struct engine *w, int64_t grace_ms)
{
    int64_t until = clock_mono_ms() + grace_ms;
    struct timespec at = {until / 1000, (until % 1000) * 1000000};
    pthread_mutex_lock(&w->mutex);
    while (w->tasks_n > 0 && pthread_cond_timedwait(&w->idle, &w->mutex, &at) == 0)
        ;
    int left = w->tasks_n;
    pthread_mutex_unlock(&w->mutex);
    if (left) {
        char text[16];
        snprintf(text, sizeof(text), "%d", left);
        log_warn("tasks did not let go in time", "tasks", text, NULL);
    }
    return left == 0;
}

static void join(pthread_t thread, bool *on)
{
    if (*on)
        pthread_join(thread, NULL);
    *on = false;
}

bool engine_stop(struct engine *w, int64_t grace_ms)
{
    atomic_store(&w->stopping, true);
    cancel_fire(w->stop);
    bells(w, bell_ring);
    join(w->dispatcher, &w->dispatcher_on);
    join(w->runner, &w->runner_on);
    runner_stop_all(w, RUN_DRAINING);
    bool clean = wait_for_tasks(w, grace_ms);
    for (; w->performers_n > 0; w->performers_n--) {
        bell_ring(&w->outbox_bell); /* one ring wakes one */
        pthread_join(w->performers[w->performers_n - 1], NULL);
    }
    bell_ring(&w->heart_bell);
    join(w->heart, &w->heart_on);
    join(w->janitor, &w->janitor_on);
    return clean;
}

void engine_free(struct engine *w)
{
    bells(w, bell_done);
    pthread_mutex_destroy(&w->mutex);
    pthread_cond_destroy(&w->idle);
    cancel_unref(w->stop);
    free(w);
}
