/* Outbox → outside. Each job is leased by one thread, may be done twice and must then have done the
 * same: task ids are chosen before, comments carry markers, branches go by compare-and-delete. What
 * an intent requires of its sender is asked here, live, and a question that cannot be answered
 * means no: the job waits and asks again, and nothing starts meanwhile. */
#include "bot/work/parts.h"

#include "bot/base/log.h"
#include "bot/store/installations.h"
#include "bot/task/intents.h"
#include "bot/task/text.h"

#define LEASE_S       45
#define CALL_MS       30000
#define ATTEMPTS_MAX  720 /* five days: nothing that was accepted is lost in an outage */
#define BACKOFF_MAX_S 600

struct job {
    struct engine *w;
    const struct task_env *env;
    const struct intent *intent;
    struct github_repo repo;
    struct call call;
    struct arena *arena;
    const char *key;
};

/* One comment a key, edited if it is there already. */
static bool reply(struct job *j, const char *key, const struct buf *text, struct err *err)
{
    AUTO(buf_done) struct buf marker = {0};
    AUTO(buf_done) struct buf body = {0};
    text_reply_marker(key, &marker);
    buf_add_str(&body, buf_str(&marker));
    buf_putc(&body, '\n');
    buf_add_str(&body, buf_str(text));
    int64_t id = 0;
    return github_comment_put(j->env->github, &j->repo, j->intent->issue, buf_cstr(&marker),
                              buf_cstr(&body), &j->call, &id, err);
}

static void react(struct job *j, const char *content)
{
    struct err err = {0};
    if (!github_react(j->env->github, &j->repo, j->intent->issue, j->intent->comment, content,
                      &j->call, &err))
        log_err(LOG_DEBUG, "reaction not set", &err);
}

/* *allowed = false has been said to the sender already. */
static bool admit(struct job *j, bool *allowed, struct err *err)
{
    const struct intent *i = j->intent;
    enum github_role role;
    if (!github_permission(j->env->github, &j->repo, i->sender, &j->call, &role, err))
        return err_wrap(err, "permission of %s", i->sender);
    *allowed = role >= GITHUB_ROLE_WRITE;
    if (*allowed)
        return true;
    log_warn("refused: no write permission", "sender", i->sender, "repository", i->repository,
             NULL);
    react(j, "confused");
    AUTO(buf_done) struct buf text = {0};
    text_refused(i->sender, i->repository, &text);
    /* One refusal a person and issue, however often they try. */
    return reply(j, arena_printf(j->arena, "refused-%lld", (long long)i->sender_id), &text, err);
}

static const char *wish(struct job *j)
{
    const struct intent *i = j->intent;
    const char *description = i->description ? i->description : "";
    if (!i->text)
        return description;
    return arena_printf(j->arena, "%s\n\nAnd @%s now asks:\n\n%s", description, i->sender, i->text);
}

static bool perform_start(struct job *j, struct err *err)
{
    const struct intent *i = j->intent;
    struct task t = {
        .id = i->task_id,
        .source = i->source,
        .installation_id = i->installation_id,
        .repository_id = i->repository_id,
        .repository = i->repository,
        .issue = i->issue,
        .title = i->title && i->title[0] ? i->title : "task",
        .description = wish(j),
        .requested_by = i->sender,
        .requested_by_id = i->sender_id,
        .trigger_comment = i->comment,
        .agent = i->agent,
    };
    bool created;
    const char *id;
    if (i->on_pull_request) {
        AUTO(buf_done) struct buf text = {0};
        text_issues_only(&text);
        return reply(j, j->key, &text, err);
    }
    if (!task_insert(j->env->store, &t, j->arena, &created, &id, err))
        return false;
    if (created || str_eq(str_of(id), str_of(i->task_id))) {
        log_info("task queued", "task", i->task_id, "repository", i->repository, NULL);
        engine_wake_tasks(j->w);
        react(j, "eyes");
        return true;
    }
    if (!i->comment) /* the label again while we work: a no-op */
        return true;
    struct task live;
    AUTO(buf_done) struct buf text = {0};
    if (!task_get(j->env->store, id, j->arena, &live, err))
        return false;
    text_busy(&live, &text);
    return reply(j, j->key, &text, err);
}

/* The task that people mean who comment here: on its issue or on its pull request. */
static bool task_here(struct job *j, struct task *t, bool *found, struct err *err)
{
    const struct intent *i = j->intent;
    struct store *store = j->env->store;
    if (!i->on_pull_request)
        return task_of_issue(store, i->repository_id, i->issue, j->arena, t, found, err);
    return task_of_pull_request(store, i->repository_id, i->issue, j->arena, t, found, err) &&
           (!*found || !t->issue ||
            task_of_issue(store, i->repository_id, t->issue, j->arena, t, found, err));
}

static bool perform_stop(struct job *j, struct err *err)
{
    struct task t;
    bool found;
    if (!task_here(j, &t, &found, err))
        return false;
    if (found && !task_state_is_final(t.state)) {
        if (!task_cancel(j->env->store, t.id, j->intent->reason, NULL, err))
            return false;
        engine_wake_cancel(j->w);
        if (j->intent->comment)
            react(j, "+1");
        return true;
    }
    if (!j->intent->comment)
        return true;
    AUTO(buf_done) struct buf text = {0};
    text_nothing_to_stop(&text);
    return reply(j, j->key, &text, err);
}

static bool perform_status(struct job *j, struct err *err)
{
    struct task t;
    bool found;
    const struct github_self *self;
    AUTO(buf_done) struct buf text = {0};
    if (!task_here(j, &t, &found, err) || !github_self(j->env->github, &j->call, &self, err))
        return false;
    if (!found) {
        text_no_task(&text);
        return reply(j, j->key, &text, err);
    }
    struct err error = {0};
    for (int kind = ERR_INPUT; t.error_kind && kind < ERR_KINDS; kind++)
        if (str_eq(str_of(t.error_kind), str_of(err_policy((enum err_kind)kind)->name)))
            err_set(&error, (enum err_kind)kind, "%s", t.error_message ? t.error_message : "");
    struct text_links links = {j->env->web_url, j->env->public_url, self->login};
    AUTO(buf_done) struct buf status = {0};
    text_status(&t, t.state, &error, &links, &status);
    /* Without the task's own marker: this is an answer, not the status comment. */
    struct str body = buf_str(&status);
    size_t line = str_find(body, STR("\n"), 0);
    buf_add_str(&text, str_sub(body, line, body.n));
    if (t.queue_position)
        buf_printf(&text, "\nPlace in the queue: %d\n", t.queue_position);
    return reply(j, j->key, &text, err);
}

static bool perform_help(struct job *j, struct err *err)
{
    const struct github_self *self;
    if (!github_self(j->env->github, &j->call, &self, err))
        return false;
    AUTO(buf_done) struct buf text = {0};
    text_help(self->slug, &text);
    return reply(j, j->key, &text, err);
}

static bool perform_steer(struct job *j, struct err *err)
{
    AUTO(buf_done) struct buf text = {0};
    text_steer_unsupported(j->env->agent.driver, &text);
    return reply(j, j->key, &text, err);
}

/* May the merged branch go? Only ours, unchanged since the merge, unprotected and used by nobody.
 */
static bool delete_branch(struct job *j, const struct task *t, const struct github_pull *pull,
                          struct err *err)
{
    char oid[41];
    bool found, is_protected, used;
    struct github *g = j->env->github;
    if (!github_ref_get(g, &j->repo, t->branch, &j->call, oid, &found, err))
        return false;
    if (found) {
        bool ours = pull->head_branch && str_eq(str_of(pull->head_branch), str_of(t->branch)) &&
                    t->head_sha && str_eq(str_of(oid), str_of(t->head_sha)) && pull->head_sha &&
                    str_eq(str_of(oid), str_of(pull->head_sha));
        if (!ours) {
            log_info("branch kept: it is not at the commit that we pushed", "branch", t->branch,
                     NULL);
            return true;
        }
        if (!github_branch_protected(g, &j->repo, t->branch, &j->call, &is_protected, err) ||
            !github_branch_in_use(g, &j->repo, t->branch, pull->number, &j->call, &used, err))
            return false;
        if (is_protected || used) {
            log_info("branch kept: protected or in use", "branch", t->branch, NULL);
            return true;
        }
        if (!github_branch_delete(g, &j->repo, t->branch, &j->call, err))
            return false;
    }
    return task_branch_deleted(j->env->store, t->id, err);
}

static bool perform_pull_closed(struct job *j, struct err *err)
{
    struct task t;
    bool found;
    struct github_pull pull;
    if (!task_of_pull_request(j->env->store, j->intent->repository_id, j->intent->pull_request,
                              j->arena, &t, &found, err))
        return false;
    if (!found) /* not ours, whatever its branch is called */
        return true;
    /* The event says when, the API says how it is now. */
    if (!github_pull_get(j->env->github, &j->repo, t.pull_request, &j->call, j->arena, &pull, err))
        return false;
    bool open = str_eq(str_of(pull.state), STR("open"));
    const char *state = pull.merged ? "merged" : !open ? "closed" : pull.draft ? "draft" : "open";
    if (!task_pull_request_closed(j->env->store, t.id, state, err))
        return false;
    return !pull.merged || delete_branch(j, &t, &pull, err);
}

static bool perform_installation(struct job *j, struct err *err)
{
    const struct intent *i = j->intent;
    bool deleted = str_eq(str_of(i->action), STR("deleted"));
    bool suspended = str_eq(str_of(i->action), STR("suspend"));
    struct installation row = {
        .id = i->installation_id,
        .account_login = i->account,
        .account_id = i->account_id,
        .account_type = i->account_type,
        .permissions = i->permissions,
        .events = i->events,
        .suspended = suspended,
        .deleted = deleted,
    };
    int n;
    if (!installation_put(j->env->store, &row, err))
        return false;
    if (!deleted && !suspended)
        return true;
    if (!installation_stop_tasks(j->env->store, row.id,
                                 deleted ? "the App was uninstalled" : "the App was suspended", &n,
                                 err))
        return false;
    engine_wake_cancel(j->w);
    return true;
}

static bool (*const performs[INTENT_KINDS])(struct job *, struct err *) = {
    [INTENT_START] = perform_start,
    [INTENT_STOP] = perform_stop,
    [INTENT_STATUS] = perform_status,
    [INTENT_HELP] = perform_help,
    [INTENT_STEER] = perform_steer,
    [INTENT_PULL_CLOSED] = perform_pull_closed,
    [INTENT_INSTALLATION] = perform_installation,
};

bool perform(struct engine *w, const struct outbox_job *job, struct arena *arena, struct err *err)
{
    struct intent intent;
    if (!intent_read(job->payload, arena, &intent, err))
        return false;
    struct job j = {
        .w = w,
        .env = w->config.env,
        .intent = &intent,
        .repo = {intent.installation_id, intent.repository_id, intent.repository},
        .call = call_in(CALL_MS, w->stop),
        .arena = arena,
        .key = job->key,
    };
    if (intent.requires_write) {
        bool allowed = false;
        if (!admit(&j, &allowed, err))
            return false;
        if (!allowed)
            return true;
    }
    return performs[intent.kind](&j, err);
}

static void finish(struct engine *w, const struct outbox_job *job, bool ok, const struct err *why)
{
    struct store *store = w->config.env->store;
    struct err err = {0};
    if (ok) {
        if (!outbox_done(store, job->id, &err))
            log_err(LOG_WARN, "outbox row not closed; it will be done again", &err);
        return;
    }
    bool stopped = why->kind == ERR_CANCELLED && atomic_load(&w->stopping);
    /* Refused credentials are the operator's mistake, to be mended; the wish stays. */
    bool passing = err_policy(why->kind)->retry || why->kind == ERR_AUTH;
    bool dead = !stopped && (!passing || job->attempts >= ATTEMPTS_MAX);
    int delay = stopped ? 0 : 1 << (job->attempts < 10 ? job->attempts : 10);
    if (delay > BACKOFF_MAX_S)
        delay = BACKOFF_MAX_S;
    if (why->retry_after_s > delay)
        delay = why->retry_after_s;
    log_err(dead ? LOG_ERROR : LOG_WARN, dead ? "outbox row given up" : "outbox row tried later",
            why);
    if (!outbox_retry(store, job->id, delay, dead, why->text, &err))
        log_err(LOG_WARN, "outbox row not rescheduled; its lease will end", &err);
}

void *performer_main(void *arg)
{
    struct engine *w = arg;
    while (!atomic_load(&w->stopping)) {
        AUTO(arena_freep) struct arena *arena = arena_new();
        struct outbox_job job;
        bool found = false;
        struct err err = {0};
        if (!outbox_claim(w->config.env->store, w->config.env->owner, LEASE_S, arena, &job, &found,
                          &err))
            log_err(LOG_WARN, "outbox not read", &err);
        if (!found) {
            bell_wait(&w->outbox_bell, POLL_MS);
            continue;
        }
        bell_ring(&w->outbox_bell); /* there may be more: wake the next one */
        struct err why = {0};
        log_field("delivery", job.key);
        bool ok = perform(w, &job, arena, &why);
        finish(w, &job, ok, &why);
        log_field("delivery", NULL);
    }
    return NULL;
}
