/* The step loop: journal, retries, stop reasons, the way to the end. The order of things is the
 * promise: intent committed before an effect, result after it; the outcome is journalled before it
 * is told; the state changes last. */
#include "bot/task/run.h"

#include "bot/base/enc.h"
#include "bot/base/io.h"
#include "bot/base/log.h"
#include "bot/base/metrics.h"
#include "bot/task/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SALVAGE_S        90  /* to stop the agent and export its work after a stop or a time-out */
#define FINISH_S         300 /* for report and teardown together */
#define BACKOFF_MIN_MS   500
#define BACKOFF_MAX_MS   60000
#define RELEASE_AGAIN_MS 1000
/* Tries of a step that only needs the other side to answer again: about half an hour. What the
 * agent made is not thrown away because GitHub is down for a while. */
#define OUTAGE 40

const struct step task_steps[] = {
    {"snapshot",          step_snapshot, step_snapshot_save, step_snapshot_load, 120, OUTAGE},
    {"sandbox", step_sandbox, NULL, NULL, 120, OUTAGE},
    {"clone",                step_clone, NULL, NULL, 600, 3},
    {"agent",                   step_agent, step_agent_save, step_agent_load, 0, 3},
    {"collect",       step_collect, NULL, NULL, 300, 3},
    {"verify",               step_verify, NULL, NULL, 300, 3},
    {"push",             step_push, NULL, NULL, 300, OUTAGE},
    {"pull_request",             step_pull_request, NULL, NULL, 120, OUTAGE},
    {0              }
};

const struct step finish_steps[] = {
    {"report", step_report, NULL, NULL, 120, 8},
    {"teardown",    step_teardown, NULL, NULL, 90, 3},
    {0    }
};

struct run *run_new(const struct task_env *env, const struct task *task, struct arena *arena)
{
    struct run *r = mem_alloc(sizeof(*r));
    r->env = env;
    r->arena = arena;
    r->task = *task;
    r->cancel = cancel_new();
    r->repo = (struct github_repo){task->installation_id, task->repository_id, task->repository};
    snprintf(r->dir, sizeof(r->dir), "%s/%s-%d", env->work_dir, task->id, task->attempt);
    const char *name = strchr(task->repository, '/');
    r->repo_dir = arena_printf(arena, "/home/user/%s", name ? name + 1 : "repository");
    r->stage = arena_printf(arena, "/home/user/.squadbot/%s-%d", task->id, task->attempt);
    return r;
}

void run_free(struct run *r)
{
    if (!r)
        return;
    git_import_result_done(&r->import);
    sandbox_done(&r->sandbox);
    cancel_unref(r->cancel);
    arena_free(r->arena);
    free(r);
}

void run_stop(struct run *r, enum run_stop_reason why)
{
    int was = atomic_load(&r->stop);
    while (was < (int)why && !atomic_compare_exchange_weak(&r->stop, &was, (int)why))
        ;
    cancel_fire(r->cancel);
}

bool run_end(struct run *r, enum task_state outcome, const struct err *error)
{
    r->ended = true;
    r->outcome = outcome;
    if (error)
        r->error = *error;
    else
        err_clear(&r->error);
    return true;
}

struct call run_call(const struct run *r, int seconds)
{
    return call_within(&r->call, (int64_t)seconds * 1000);
}

void run_token_done(struct run *r, enum github_need need, const struct secret *token,
                    const struct err *why)
{
    struct err err = {0};
    if (why && why->kind == ERR_AUTH)
        github_token_refused(r->env->github, &r->repo, need, token);
    if (!github_token_drop(r->env->github, &r->repo, need, &r->call, &err))
        log_err(LOG_DEBUG, "token not revoked; it ends by itself", &err);
}

const char *run_path(struct run *r, const char *name)
{
    return arena_printf(r->arena, "%s/%s", r->dir, name);
}

void run_event(struct run *r, const char *kind, const char *fmt, ...)
{
    AUTO(buf_done) struct buf json = {0};
    char text[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    buf_printf(&json, "{%s}", text);
    struct err err = {0};
    if (!event_append(r->env->store, r->task.id, kind, buf_cstr(&json), &err))
        log_err(LOG_WARN, "event not stored", &err);
}

static enum run_stop_reason stop_reason(const struct run *r)
{
    return (enum run_stop_reason)atomic_load(&r->stop);
}

static bool step_once(struct run *r, const struct step *step, struct call outer, struct err *err)
{
    r->call = step->timeout_s ? call_within(&outer, (int64_t)step->timeout_s * 1000) : outer;
    int64_t began = clock_mono_ms();
    bool ok = step->run(r, err);
    metric_observe(M_STEP_SECONDS, step->name, (double)(clock_mono_ms() - began) / 1000.0);
    r->call = outer;
    return ok;
}

/* Full-jitter back-off, or as long as the other side asks. */
static int64_t backoff_ms(int tries, const struct err *err)
{
    int64_t top = BACKOFF_MIN_MS << (tries < 8 ? tries : 8);
    if (top > BACKOFF_MAX_MS)
        top = BACKOFF_MAX_MS;
    int64_t ms = (int64_t)((double)top * (0.5 + random_unit() / 2));
    int64_t asked = (int64_t)err->retry_after_s * 1000;
    return asked > ms ? asked : ms;
}

/* The journal cannot be written (database away, lease lost): this process must not decide anything
 * about the task any more. The lease is given back and whoever claims it goes on at this step. */
static bool journal_lost(struct run *r)
{
    r->journal_lost = true;
    return false;
}

/* True = go on with the next step. False: err says why not. */
static bool step_run(struct run *r, const struct step *step, struct call outer, const char *intent,
                     struct err *err)
{
    struct store *store = r->env->store;
    const struct task *t = &r->task;
    log_debug("step", "step", step->name, NULL);
    for (int tries = 1;; tries++) {
        if (!step_begin(store, t->id, t->attempt, t->lease_epoch, step->name, intent, err))
            return journal_lost(r);
        struct err failure = {0};
        if (step_once(r, step, outer, &failure)) {
            AUTO(buf_done) struct buf result = {0};
            buf_putc(&result, '{');
            if (step->save)
                step->save(r, &result);
            buf_putc(&result, '}');
            return step_end(store, t->id, t->attempt, t->lease_epoch, step->name, true,
                            buf_cstr(&result), NULL, err) ||
                   journal_lost(r);
        }
        *err = failure;
        err_wrap(&failure, "%s", step->name);
        if (stop_reason(r) >= RUN_DRAINING)
            return false; /* nothing of this try is to be recorded as a failure */
        struct err ignored = {0};
        if (!step_end(store, t->id, t->attempt, t->lease_epoch, step->name, false, "{}",
                      failure.text, &ignored)) {
            *err = ignored;
            return journal_lost(r);
        }
        bool stopped = stop_reason(r) != RUN_GO_ON && !r->ended; /* the end itself is not stopped */
        if (stopped || tries >= step->tries || !err_policy(err->kind)->retry) {
            err_wrap(err, "%s", step->name);
            return false;
        }
        log_err(LOG_WARN, "step will be tried again", &failure);
        struct err waited = {0};
        if (!call_wait(&outer, backoff_ms(tries, err), &waited))
            return err_wrap(err, "%s",
                            step->name); /* what failed tells more than that time is up */
    }
}

/* Done in an earlier life? Then its result is read back. */
static bool step_known(struct run *r, const struct step *step, bool *done, struct err *err)
{
    struct step_row row = {0};
    if (!step_get(r->env->store, r->task.id, r->task.attempt, step->name, r->arena, &row, err))
        return journal_lost(r);
    *done = row.exists && row.done;
    if (*done && step->load) {
        AUTO(json_decrefp) json_t *result = NULL;
        if (!json_parse(str_of(row.result), &result, err))
            return err_wrap(err, "journal of %s", step->name);
        step->load(r, result);
    }
    return true;
}

static bool run_steps(struct run *r, struct call call, struct err *err)
{
    for (const struct step *step = task_steps; step->name && !r->ended; step++) {
        bool done;
        if (!step_known(r, step, &done, err))
            return false;
        if (done)
            continue;
        if (!step_run(r, step, call, "{}", err))
            return false;
    }
    if (!r->ended)
        run_end(r, TASK_SUCCEEDED, NULL);
    return true;
}

/* A stop or a time-out: the agent must not go on, but what it made is kept. Best effort. */
static void salvage(struct run *r)
{
    r->call = call_in((int64_t)SALVAGE_S * 1000, NULL);
    struct err err = {0};
    bool any;
    if (!r->start_oid || !r->task.sandbox_id || r->imported)
        return;
    if (!run_attach(r, &err) ||
        !sandbox_job_kill(r->env->sandbox, &r->sandbox, r->stage, 5, &r->call, &err) ||
        !run_collect(r, &any, &err))
        log_err(LOG_WARN, "the work could not be taken out", &err);
}

/* What an error that ended the steps means for the task. */
static void outcome_of_error(struct run *r, const struct err *err)
{
    bool by_user = stop_reason(r) == RUN_CANCELLED;
    if (by_user || err->kind == ERR_TIMEOUT)
        salvage(r);
    if (by_user) {
        struct err why = {0};
        struct task now;
        if (!task_get(r->env->store, r->task.id, r->arena, &now, &why))
            now.cancel_reason = NULL;
        err_set(&why, ERR_CANCELLED, "%s", now.cancel_reason ? now.cancel_reason : "cancelled");
        run_end(r, TASK_CANCELLED, &why);
    } else {
        bool human = err->kind == ERR_POLICY || err->kind == ERR_CONFLICT;
        run_end(r, human ? TASK_NEEDS_HUMAN : TASK_FAILED, err);
    }
}

static const char *outcome_intent(struct run *r)
{
    AUTO(json_decrefp) json_t *root = json_object();
    json_object_set_new(root, "outcome", json_string(task_state_name(r->outcome)));
    json_object_set_new(root, "kind", json_integer(r->error.kind));
    json_object_set_new(root, "message", json_text(str_of(r->error.text)));
    AUTO(buf_done) struct buf text = {0};
    json_write(&text, root);
    return arena_str(r->arena, buf_str(&text));
}

/* An outcome that was decided before a crash is not decided again. */
static bool outcome_known(struct run *r, struct err *err)
{
    struct step_row row = {0};
    if (!step_get(r->env->store, r->task.id, r->task.attempt, "report", r->arena, &row, err))
        return journal_lost(r);
    if (!row.exists)
        return true;
    AUTO(json_decrefp) json_t *intent = NULL;
    enum task_state outcome;
    if (!json_parse(str_of(row.intent), &intent, err) ||
        !task_state_parse(json_str(intent, "outcome"), &outcome)) {
        err_set(err, ERR_BUG, "journal of report is broken");
        return run_end(r, TASK_FAILED, err);
    }
    struct err error = {0};
    int64_t kind = json_int(intent, "kind", ERR_NONE);
    if (kind > ERR_NONE && kind < ERR_KINDS)
        err_set(&error, (enum err_kind)kind, "%s", json_cstr(intent, "message"));
    return run_end(r, outcome, &error);
}

/* Report, teardown, and last the state itself. */
static bool run_finish(struct run *r, struct err *err)
{
    struct call call = call_in((int64_t)FINISH_S * 1000, NULL);
    const char *intent = outcome_intent(r);
    for (const struct step *step = finish_steps; step->name; step++) {
        bool done;
        struct err failure = {0};
        if (!step_known(r, step, &done, err))
            return false;
        if (done || step_run(r, step, call, intent, &failure))
            continue;
        if (r->journal_lost || stop_reason(r) >= RUN_DRAINING) { /* the next process tells it */
            *err = failure;
            return journal_lost(r);
        }
        log_err(LOG_ERROR, "a task could not be finished cleanly", &failure);
    }
    metric_add(M_OUTCOMES, task_state_name(r->outcome), NULL, 1);
    if (r->error.kind != ERR_NONE)
        metric_add(M_ERRORS, err_policy(r->error.kind)->name, NULL, 1);
    return task_enter(r->env->store, r->task.id, r->task.lease_epoch, r->outcome,
                      r->error.kind == ERR_NONE ? NULL : &r->error, err) ||
           journal_lost(r);
}

static void run_loop(struct run *r, struct err *err)
{
    int64_t limit_ms = (int64_t)r->env->task_timeout_s * 1000;
    AUTO(json_decrefp) json_t *limits = NULL;
    if (r->task.limits && json_parse(str_of(r->task.limits), &limits, err)) {
        int64_t own = json_int(limits, "timeout_s", 0);
        if (own > 0 && own * 1000 < limit_ms)
            limit_ms = own * 1000;
    }
    int64_t spent = r->task.started_ms ? clock_wall_ms() - r->task.started_ms : 0;
    if (spent < 0)
        spent = 0;
    struct call call = call_in(limit_ms > spent ? limit_ms - spent : 1, r->cancel);
    if (!outcome_known(r, err))
        return;
    if (!r->ended && !run_steps(r, call, err)) {
        if (r->journal_lost || stop_reason(r) >= RUN_DRAINING)
            return;
        log_err(LOG_WARN, "task ended by an error", err);
        outcome_of_error(r, err);
    }
    err_clear(err);
    if (run_finish(r, err))
        log_info("task finished", "state", task_state_name(r->outcome), NULL);
}

/* Gives the lease back, however long the database is away: our heartbeat would keep it for ever. */
static void release(struct run *r)
{
    struct err err = {0};
    int delay_s = r->journal_lost ? 1 : 0; /* a task that fails at once must not spin */
    while (!task_release(r->env->store, r->task.id, r->task.lease_epoch, delay_s, &err)) {
        struct call call = {0};
        if (err.kind == ERR_CANCELLED || stop_reason(r) >= RUN_DRAINING ||
            !call_wait(&call, RELEASE_AGAIN_MS, &err))
            return;
    }
}

void run_task(struct run *r)
{
    struct err err = {0};
    log_field("task", r->task.id);
    log_field("repository", r->task.repository);
    log_info("task taken up", "step", r->task.step, NULL);
    run_loop(r, &err);
    if (r->journal_lost)
        log_err(LOG_WARN, "task given back: its journal cannot be written", &err);
    if (stop_reason(r) != RUN_LEASE_LOST &&
        (r->journal_lost || (stop_reason(r) == RUN_DRAINING && !r->ended)))
        release(r);
    log_field("task", NULL);
    log_field("repository", NULL);
}
