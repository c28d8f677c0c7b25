/* One queue, a mutex and a condition: API calls are rare next to webhooks, which have their own
 * path (intake.c). */
#include "bot/web/crew.h"

#include "bot/base/mem.h"
#include "bot/base/thread.h"

#include <pthread.h>

#define WAITING_MAX 256

struct crew {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    struct job *first, **last;
    int waiting;
    bool stop;
    int threads;
    pthread_t ids[];
};

static void *run(void *arg)
{
    struct crew *w = arg;
    pthread_mutex_lock(&w->mutex);
    for (;;) {
        while (!w->first && !w->stop)
            pthread_cond_wait(&w->cond, &w->mutex);
        struct job *job = w->first;
        if (!job)
            break;
        w->first = job->next;
        if (!w->first)
            w->last = &w->first;
        w->waiting--;
        pthread_mutex_unlock(&w->mutex);
        job->run(job);
        pthread_mutex_lock(&w->mutex);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

bool crew_start(int threads, struct crew **out, struct err *err)
{
    struct crew *w = mem_alloc(sizeof(*w) + (size_t)threads * sizeof(w->ids[0]));
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->cond, NULL);
    w->last = &w->first;
    for (; w->threads < threads; w->threads++) {
        if (!thread_start(&w->ids[w->threads], "web-work", run, w, err)) {
            crew_stop(w);
            crew_free(w);
            return false;
        }
    }
    *out = w;
    return true;
}

bool crew_add(struct crew *w, struct job *job, bool bounded)
{
    job->next = NULL;
    pthread_mutex_lock(&w->mutex);
    bool ok = (bounded || w->waiting < WAITING_MAX) && !w->stop;
    if (ok) {
        *w->last = job;
        w->last = &job->next;
        w->waiting++;
        pthread_cond_signal(&w->cond);
    }
    pthread_mutex_unlock(&w->mutex);
    return ok;
}

void crew_stop(struct crew *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->mutex);
    w->stop = true;
    pthread_cond_broadcast(&w->cond);
    pthread_mutex_unlock(&w->mutex);
    for (int i = 0; i < w->threads; i++)
        pthread_join(w->ids[i], NULL);
    w->threads = 0;
}

void crew_free(struct crew *w)
{
    if (!w)
        return;
    pthread_cond_destroy(&w->cond);
    pthread_mutex_destroy(&w->mutex);
    free(w);
}
