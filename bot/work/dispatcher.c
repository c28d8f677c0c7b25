/* Inbox → outbox. One transaction locks a handful of deliveries, the handlers (pure) say what they
 * want, the wishes are stored and the deliveries closed, COMMIT. A crash anywhere leaves them new.
 */
#include "bot/work/parts.h"

#include "bot/base/log.h"
#include "bot/store/dispatch.h"
#include "handlers/handlers.h"

#define BATCH 32

/* The App's slug comes from GitHub; until it answers, "@slug" is no command yet. */
static const char *slug_now(struct engine *w)
{
    const struct github_self *self;
    struct err err = {0};
    struct call call = call_in(2000, w->stop);
    return github_self(w->config.env->github, &call, &self, &err) ? self->slug : NULL;
}

struct dispatch {
    struct repo_config config;
};

static enum dispatch_verdict decide(void *arg, const struct inbox_row *row, struct arena *arena,
                                    struct outbox_new *rows, int *n, struct err *err)
{
    const struct dispatch *d = arg;
    struct event event;
    struct intents intents = {.arena = arena};
    *n = 0;
    if (!event_parse(row->event, row->body, arena, &event, err) ||
        !handlers_run(&event, &d->config, &intents, err))
        return DISPATCH_DEAD;
    for (int i = 0; i < intents.n && i < DISPATCH_OUTBOX_MAX; i++) {
        AUTO(buf_done) struct buf payload = {0};
        intent_write(&intents.rows[i], &payload);
        rows[(*n)++] = (struct outbox_new){
            .key = arena_printf(arena, "github:" STR_FMT ":%d", STR_ARG(row->guid), i),
            .kind = intent_kind_name(intents.rows[i].kind),
            .payload = arena_str(arena, buf_str(&payload)),
        };
    }
    return *n ? DISPATCH_DONE : DISPATCH_IGNORED;
}

void *dispatcher_main(void *arg)
{
    struct engine *w = arg;
    struct dispatch d = {
        {settings_text(w->config.env->settings, S_LABEL), NULL}
    };
    while (!atomic_load(&w->stopping)) {
        if (!d.config.app_slug)
            d.config.app_slug = slug_now(w);
        int taken = 0;
        struct err err = {0};
        if (!dispatch_batch(w->config.env->store, BATCH, decide, &d, &taken, &err))
            log_err(LOG_WARN, "dispatch failed; tried again", &err);
        if (taken > 0)
            engine_wake_outbox(w);
        if (taken < BATCH)
            bell_wait(&w->inbox_bell, POLL_MS);
    }
    return NULL;
}
