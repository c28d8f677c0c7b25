/* What the parts of the engine room share. Internal to bot/work. */
#pragma once

#include "bot/base/thread.h"
#include "bot/store/outbox.h"
#include "bot/task/run.h"
#include "bot/work/engine.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define POLL_MS 1000

struct running; /* one running task: runner.c */

struct engine {
    struct engine_config config;
    atomic_bool stopping;
    struct cancel *stop; /* ends waits and calls of performers and janitor */

    struct bell inbox_bell;
    struct bell outbox_bell;
    struct bell task_bell;
    struct bell heart_bell;
    struct bell janitor_bell;

    pthread_t dispatcher, runner, heart, janitor, performers[ENGINE_PERFORMERS];
    int performers_n;
    bool dispatcher_on, runner_on, heart_on, janitor_on;

    pthread_mutex_t mutex; /* guards the list and the count */
    pthread_cond_t idle;   /* a task's thread ended */
    struct running *tasks;
    int tasks_n;
};

void *dispatcher_main(void *work);
void *performer_main(void *work);
void *runner_main(void *work);
void *heart_main(void *work);
void *janitor_main(void *work);

/* Performs one stored intent. False = try again or give up, as err says. performer.c */
bool perform(struct engine *w, const struct outbox_job *job, struct arena *arena,
             struct err *err) MUST_CHECK;
/* Fires the stop of every running task. runner.c */
void runner_stop_all(struct engine *w, enum run_stop_reason why);
