/* sandbox: one live sandbox for the task. The row with the nonce is committed before the call, so a
 * create whose answer was lost (or whose process died) is found at E2B by its metadata and adopted,
 * never made twice. */
#include "bot/task/run.h"

#include "bot/base/enc.h"
#include "bot/base/io.h"
#include "bot/base/log.h"
#include "bot/base/metrics.h"
#include "bot/store/sandboxes.h"

#include <stdio.h>

#define NONCE_DIGITS 32

static bool ended(struct run *r, const char *row_id, const char *status, struct err *err)
{
    double cost;
    if (!sandbox_row_ended(r->env->store, row_id, status, &cost, err))
        return false;
    struct task_update u = {.cost_add = cost};
    metric_add(M_COST, "sandbox", NULL, cost);
    return task_update(r->env->store, r->task.id, r->task.lease_epoch, &u, err);
}

static bool create(struct run *r, const char *row_id, const char *nonce, bool maybe_exists,
                   struct err *err)
{
    const struct sandbox_meta meta[] = {
        {"app",      "squadbot"      },
        {"instance", r->env->instance},
        {"task",     r->task.id      },
        {"row",      row_id          },
    };
    struct sandbox_spec spec = {
        .template_id = r->env->template_id,
        .timeout_s = r->env->sandbox_ttl_s,
        .metadata = meta,
        .metadata_n = COUNT(meta),
        .nonce = nonce,
    };
    if (!sandbox_create(r->env->sandbox, &spec, maybe_exists, &r->call, &r->sandbox, err))
        return false;
    r->attached = true;
    r->ttl_renewed_ms = clock_mono_ms();
    struct task_update u = {.sandbox_id = row_id};
    r->task.sandbox_id = row_id;
    if (!sandbox_row_running(r->env->store, row_id, r->sandbox.id, r->sandbox.cpu_count,
                             r->sandbox.memory_mb, r->sandbox.end_ms, err) ||
        !task_update(r->env->store, r->task.id, r->task.lease_epoch, &u, err))
        return false;
    run_event(r, "sandbox_created", "\"sandbox_id\":\"%s\",\"e2b_id\":\"%s\"", row_id,
              r->sandbox.id);
    return true;
}

bool run_attach(struct run *r, struct err *err)
{
    if (r->attached)
        return true;
    struct sandbox_row row;
    bool found;
    if (!sandbox_row_of_task(r->env->store, r->task.id, r->arena, &row, &found, err))
        return false;
    if (!found || !row.e2b_id)
        return err_set(err, ERR_GONE, "the task has no live sandbox");
    if (!sandbox_get(r->env->sandbox, row.e2b_id, &r->call, &r->sandbox, err))
        return err_wrap(err, "sandbox %s", row.e2b_id);
    r->attached = true;
    r->ttl_renewed_ms = 0; /* at once: we do not know how long it was left alone */
    return true;
}

bool run_keep_alive(struct run *r, struct err *err)
{
    int64_t now = clock_mono_ms();
    if (r->ttl_renewed_ms && now - r->ttl_renewed_ms < (int64_t)r->env->sandbox_ttl_s * 1000 / 3)
        return true;
    if (!sandbox_set_timeout(r->env->sandbox, r->sandbox.id, r->env->sandbox_ttl_s, &r->call, err))
        return false;
    r->ttl_renewed_ms = now;
    return sandbox_row_used(r->env->store, r->task.sandbox_id,
                            clock_wall_ms() + (int64_t)r->env->sandbox_ttl_s * 1000, err);
}

bool step_sandbox(struct run *r, struct err *err)
{
    struct sandbox_row row;
    bool found;
    if (!sandbox_row_of_task(r->env->store, r->task.id, r->arena, &row, &found, err))
        return false;
    if (found && row.e2b_id) { /* made in an earlier try: still there? */
        struct err gone = {0};
        r->task.sandbox_id = row.id;
        if (run_attach(r, &gone))
            return true;
        if (gone.kind != ERR_GONE) {
            *err = gone;
            return false;
        }
        if (!ended(r, row.id, "ERROR", err))
            return false;
        found = false;
    }
    char nonce[NONCE_DIGITS + 1];
    const char *row_id = found ? row.id : NULL;
    if (found) {
        snprintf(nonce, sizeof(nonce), "%s", row.nonce);
    } else {
        random_hex(nonce, NONCE_DIGITS);
        if (!sandbox_row_new(r->env->store, r->task.id, r->task.repository, r->repo.id,
                             r->env->template_id, nonce, r->arena, &row_id, err))
            return false;
    }
    return create(r, row_id, nonce, found, err);
}

/* teardown: nothing of the task stays alive. What cannot be killed now, the janitor finds by its
 * row and its metadata. */
bool step_teardown(struct run *r, struct err *err)
{
    struct sandbox_row row;
    bool found;
    if (!sandbox_row_of_task(r->env->store, r->task.id, r->arena, &row, &found, err))
        return false;
    if (found && row.e2b_id) {
        if (!sandbox_kill(r->env->sandbox, row.e2b_id, &r->call, err))
            return false;
        if (!ended(r, row.id, "TERMINATED", err))
            return false;
        run_event(r, "sandbox_terminated", "\"sandbox_id\":\"%s\",\"e2b_id\":\"%s\"", row.id,
                  row.e2b_id);
        r->attached = false;
    }
    struct err leftover = {0};
    if (!dir_remove(r->dir, &leftover))
        log_err(LOG_WARN, "work folder not removed", &leftover);
    return true;
}
