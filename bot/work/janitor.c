/* Upkeep: gauges for /metrics, and sandboxes that nobody owns any more. A sandbox is ours by its
 * metadata (app, instance) and an orphan when its task is finished or unknown and it is older than
 * the grace, so that one being created right now is left alone. Killing twice is harmless, so every
 * replica may do it. */
#include "bot/work/parts.h"

#include "bot/base/log.h"
#include "bot/base/metrics.h"
#include "bot/store/inbox.h"
#include "bot/store/sandboxes.h"

#define GAUGES_MS 5000
#define SWEEP_MS  60000
#define GRACE_S   120
#define CALL_MS   60000

static void gauges(struct engine *w)
{
    static const char *const statuses[] = {"CREATED", "RUNNING", "PAUSED", "TERMINATED", "ERROR"};
    struct store *store = w->config.env->store;
    struct err err = {0};
    int64_t depth, counts[TASK_STATES], boxes[COUNT(statuses)];
    double oldest;
    if (!inbox_waiting(store, &depth, &oldest, &err) || !task_counts(store, counts, &err) ||
        !sandbox_row_counts(store, boxes, &err)) {
        log_err(LOG_DEBUG, "gauges not read", &err);
        return;
    }
    metric_set(M_INBOX_DEPTH, NULL, NULL, (double)depth);
    metric_set(M_INBOX_OLDEST, NULL, NULL, oldest);
    for (int i = 0; i < TASK_STATES; i++)
        metric_set(M_TASKS, task_state_name((enum task_state)i), NULL, (double)counts[i]);
    for (size_t i = 0; i < COUNT(statuses); i++)
        metric_set(M_SANDBOXES, statuses[i], NULL, (double)boxes[i]);
}

static void kill_one(struct engine *w, const char *e2b_id, const struct call *call)
{
    struct err err = {0};
    if (!sandbox_kill(w->config.env->sandbox, e2b_id, call, &err)) {
        log_err(LOG_WARN, "orphan sandbox not killed", &err);
        return;
    }
    metric_add(M_ORPHANS, NULL, NULL, 1);
    log_warn("orphan sandbox killed", "sandbox", e2b_id, NULL);
}

/* Rows whose task is over but whose sandbox was never confirmed dead. */
static void sweep_rows(struct engine *w, struct arena *arena, const struct call *call)
{
    struct sandbox_row *rows;
    int n;
    double cost;
    struct err err = {0};
    if (!sandbox_row_orphans(w->config.env->store, GRACE_S, arena, &rows, &n, &err)) {
        log_err(LOG_WARN, "orphan sandboxes not read", &err);
        return;
    }
    for (int i = 0; i < n; i++) {
        if (rows[i].e2b_id)
            kill_one(w, rows[i].e2b_id, call);
        if (!sandbox_row_ended(w->config.env->store, rows[i].id, "TERMINATED", &cost, &err))
            log_err(LOG_WARN, "sandbox row not closed", &err);
    }
}

static bool task_is_live(struct engine *w, struct arena *arena, const char *id, bool *live)
{
    struct task t;
    struct err err = {0};
    if (task_get(w->config.env->store, id, arena, &t, &err)) {
        *live = !task_state_is_final(t.state);
        return true;
    }
    *live = false;
    return err.kind == ERR_GONE; /* when we cannot know, we leave it alone */
}

/* What lives at E2B under our name, whatever our rows say. */
static void sweep_provider(struct engine *w, struct arena *arena, const struct call *call)
{
    const struct sandbox_meta ours[] = {
        {"app",      "squadbot"             },
        {"instance", w->config.env->instance}
    };
    struct sandbox_listed *list = NULL;
    int n;
    struct err err = {0};
    if (!sandbox_list(w->config.env->sandbox, ours, COUNT(ours), call, &list, &n, &err)) {
        log_err(LOG_WARN, "sandboxes not listed", &err);
        return;
    }
    for (int i = 0; i < n; i++) {
        bool live;
        bool old = clock_wall_ms() - list[i].started_ms > (int64_t)GRACE_S * 1000;
        if (old && task_is_live(w, arena, list[i].task, &live) && !live)
            kill_one(w, list[i].id, call);
    }
    free(list);
}

void *janitor_main(void *arg)
{
    struct engine *w = arg;
    int64_t swept_ms = 0;
    while (!atomic_load(&w->stopping)) {
        gauges(w);
        if (swept_ms == 0 || clock_mono_ms() - swept_ms >= SWEEP_MS) {
            AUTO(arena_freep) struct arena *arena = arena_new();
            struct call call = call_in(CALL_MS, w->stop);
            sweep_rows(w, arena, &call);
            sweep_provider(w, arena, &call);
            swept_ms = clock_mono_ms();
        }
        bell_wait(&w->janitor_bell, GAUGES_MS);
    }
    return NULL;
}
