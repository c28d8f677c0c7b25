/* Tasks → steps. One thread claims tasks while there is room, each runs on a thread of its own in
 * plain blocking code. One heartbeat statement a process keeps all leases; the heart also carries
 * cancel requests to the runs, and tells every run to let go when the heartbeat itself has failed
 * for so long that somebody else may own the tasks. */
#include "bot/work/parts.h"

#include "bot/base/log.h"
#include "bot/base/metrics.h"

#include <stdio.h>

struct running {
    struct engine *w;
    struct run *run;
    struct running *next;
};

static void list_add(struct engine *w, struct running *x)
{
    pthread_mutex_lock(&w->mutex);
    x->next = w->tasks;
    w->tasks = x;
    w->tasks_n++;
    pthread_mutex_unlock(&w->mutex);
}

static void list_remove(struct engine *w, struct running *x)
{
    pthread_mutex_lock(&w->mutex);
    for (struct running **at = &w->tasks; *at; at = &(*at)->next) {
        if (*at != x)
            continue;
        *at = x->next;
        w->tasks_n--;
        break;
    }
    pthread_cond_broadcast(&w->idle);
    pthread_mutex_unlock(&w->mutex);
}

static int list_count(struct engine *w)
{
    pthread_mutex_lock(&w->mutex);
    int n = w->tasks_n;
    pthread_mutex_unlock(&w->mutex);
    return n;
}

void runner_stop_all(struct engine *w, enum run_stop_reason why)
{
    pthread_mutex_lock(&w->mutex);
    for (struct running *x = w->tasks; x; x = x->next)
        run_stop(x->run, why);
    pthread_mutex_unlock(&w->mutex);
}

static void *task_main(void *arg)
{
    struct running *x = arg;
    struct engine *w = x->w;
    run_task(x->run);
    struct run *run = x->run;
    list_remove(w, x); /* after this nobody can stop the run: w may go too once the list is empty */
    run_free(run);
    free(x);
    return NULL;
}

static void start(struct engine *w, const struct task *t, struct arena *arena, bool expired)
{
    if (expired)
        metric_add(M_LEASE_EXPIRED, NULL, NULL, 1);
    else if (t->created_ms && t->started_ms)
        metric_observe(M_QUEUE_WAIT, NULL, (double)(t->started_ms - t->created_ms) / 1000.0);
    struct running *x = mem_alloc(sizeof(*x));
    x->w = w;
    x->run = run_new(w->config.env, t, arena);
    if (t->cancel_requested)
        run_stop(x->run, RUN_CANCELLED);
    list_add(w, x);
    pthread_t thread;
    struct err err = {0};
    if (thread_start(&thread, "task", task_main, x, &err)) {
        pthread_detach(thread);
        return;
    }
    log_err(LOG_ERROR, "no thread for a task; it goes back to the queue", &err);
    if (!task_release(w->config.env->store, t->id, t->lease_epoch, 5, &err))
        log_err(LOG_WARN, "lease not released", &err);
    list_remove(w, x);
    run_free(x->run);
    free(x);
}

static bool claim_one(struct engine *w)
{
    const struct task_env *env = w->config.env;
    struct arena *arena = arena_new();
    struct task t;
    bool found = false, expired = false;
    struct err err = {0};
    if (!task_claim(env->store, env->owner, env->lease_s, arena, &t, &found, &expired, &err))
        log_err(LOG_WARN, "no task could be claimed", &err);
    if (found)
        start(w, &t, arena, expired); /* takes the arena */
    else
        arena_free(arena);
    return found;
}

void *runner_main(void *arg)
{
    struct engine *w = arg;
    while (!atomic_load(&w->stopping)) {
        bool room = list_count(w) < w->config.max_tasks;
        if (!room || !claim_one(w))
            bell_wait(&w->task_bell, POLL_MS);
    }
    return NULL;
}

static void pass_cancels(struct engine *w)
{
    AUTO(arena_freep) struct arena *arena = arena_new();
    const char **ids;
    int n;
    struct err err = {0};
    if (!task_cancel_requests(w->config.env->store, w->config.env->owner, arena, &ids, &n, &err)) {
        log_err(LOG_WARN, "cancel requests not read", &err);
        return;
    }
    pthread_mutex_lock(&w->mutex);
    for (struct running *x = w->tasks; x; x = x->next)
        for (int i = 0; i < n; i++)
            if (str_eq(str_of(ids[i]), str_of(x->run->task.id)))
                run_stop(x->run, RUN_CANCELLED);
    pthread_mutex_unlock(&w->mutex);
}

/* Beats at a quarter of the lease; goes on while the runs are draining. */
void *heart_main(void *arg)
{
    struct engine *w = arg;
    const struct task_env *env = w->config.env;
    int64_t lease_ms = (int64_t)env->lease_s * 1000;
    int64_t last_ms = clock_mono_ms();
    while (!atomic_load(&w->stopping) || list_count(w) > 0) {
        struct err err = {0};
        int64_t began = clock_mono_ms();
        if (task_heartbeat(env->store, env->owner, env->lease_s, &err)) {
            last_ms = began;
        } else {
            log_err(LOG_WARN, "heartbeat failed", &err);
            if (clock_mono_ms() - last_ms > lease_ms)
                runner_stop_all(w, RUN_LEASE_LOST);
        }
        pass_cancels(w);
        bell_wait(&w->heart_bell, atomic_load(&w->stopping) ? 100 : lease_ms / 4);
    }
    return NULL;
}
