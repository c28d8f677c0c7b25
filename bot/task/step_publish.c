/* push and pull_request: the only writes to the repository. The push is a compare-and-swap on the
 * exact old id, and "done" means that GitHub, asked again, says so: the ref is at our commit and
 * the pull request is there. */
#include "bot/task/run.h"

#include "bot/base/io.h"
#include "bot/base/log.h"
#include "bot/task/git_op.h"
#include "bot/task/text.h"

#include <fcntl.h>
#include <unistd.h>

#define HEAD_LAG_TRIES    10 /* the API may lag behind a push for a second or two */
#define HEAD_LAG_MS       300
#define AGENT_WORDS_LINES 60

static const struct {
    enum git_push_result result;
    enum err_kind kind;
    const char *text;
} refusals[] = {
    {GIT_PUSH_STALE,     ERR_CONFLICT, "somebody else pushed to the branch meanwhile"},
    {GIT_PUSH_PROTECTED, ERR_DENIED,   "the branch is protected"                     },
    {GIT_PUSH_RULE,      ERR_POLICY,   "a rule of the repository refuses the push"   },
    {GIT_PUSH_WORKFLOW,  ERR_POLICY,   "the App may not change workflow files"       },
    {GIT_PUSH_LARGE,     ERR_POLICY,   "a file is too large for GitHub"              },
    {GIT_PUSH_REFUSED,   ERR_DENIED,   "the repository refuses the push"             },
};

static bool refused(enum git_push_result result, const struct buf *words, struct err *err)
{
    for (size_t i = 0; i < COUNT(refusals); i++)
        if (refusals[i].result == result)
            return err_set(err, refusals[i].kind, "%s: %s", refusals[i].text, buf_cstr(words));
    return err_set(err, ERR_BUG, "push result %d", (int)result);
}

static bool ref_is(struct run *r, const char *oid, bool *same, struct err *err)
{
    char now[GIT_OID_HEX + 1];
    bool found;
    if (!github_ref_get(r->env->github, &r->repo, r->task.branch, &r->call, now, &found, err))
        return err_wrap(err, "read back %s", r->task.branch);
    *same = found && str_eq(str_of(now), str_of(oid));
    return true;
}

static bool push(struct run *r, struct err *err)
{
    AUTO(secret_done) struct secret token = {0};
    if (!github_token(r->env->github, &r->repo, GITHUB_PUSH, 300, &r->call, &token, err))
        return err_wrap(err, "push token");
    AUTO(fd_close) int fd = open(r->import.pack_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, ERR_UPSTREAM, "cannot open the pack: %m");
    const char *url = arena_printf(r->arena, "%s/%s.git", r->env->web_url, r->task.repository);
    struct git_remote remote = {r->env->http, url, &token};
    AUTO(buf_done) struct buf words = {0};
    enum git_push_result result;
    bool answered = git_push(&remote, arena_printf(r->arena, "refs/heads/%s", r->task.branch),
                             r->old_oid, r->import.tip, fd, &r->call, &result, &words, err);
    run_token_done(r, GITHUB_PUSH, &token, answered ? NULL : err);
    if (!answered)
        return false;
    return result == GIT_PUSHED || refused(result, &words, err);
}

bool step_push(struct run *r, struct err *err)
{
    bool same;
    if (!run_import(r, err) || !ref_is(r, r->import.tip, &same, err))
        return false;
    if (!same) { /* not done in an earlier try */
        struct git_op op = git_op_begin(r, "push");
        bool ok = push(r, err) || (err->kind == ERR_GONE && run_renamed(r) && push(r, err));
        git_op_end(r, &op, ok, err);
        if (!ok || !ref_is(r, r->import.tip, &same, err))
            return false;
        if (!same)
            return err_set(err, ERR_CONFLICT, "after the push %s is not at our commit",
                           r->task.branch);
    }
    struct task_update u = {.head_sha = r->import.tip};
    r->task.head_sha = arena_str(r->arena, str_of(r->import.tip));
    return task_update(r->env->store, r->task.id, r->task.lease_epoch, &u, err);
}

/* The end of the agent's log, for the pull request. */
static const char *agent_words(struct run *r)
{
    AUTO(buf_done) struct buf text = {0};
    struct err err = {0};
    if (!log_tail(r->env->store, r->task.id, AGENT_WORDS_LINES, &text, &err)) {
        log_err(LOG_WARN, "log not read for the pull request", &err);
        return "";
    }
    return arena_str(r->arena, buf_str(&text));
}

static bool wait_for_head(struct run *r, struct github_pull *pull, struct err *err)
{
    for (int i = 0; i < HEAD_LAG_TRIES; i++) {
        if (pull->head_sha && str_eq(str_of(pull->head_sha), str_of(r->task.head_sha)))
            return true;
        if (!call_wait(&r->call, HEAD_LAG_MS, err) ||
            !github_pull_get(r->env->github, &r->repo, pull->number, &r->call, r->arena, pull, err))
            return false;
    }
    return err_set(err, ERR_CONFLICT, "pull request #%d is not at our commit", pull->number);
}

bool step_pull_request(struct run *r, struct err *err)
{
    const struct github_self *self;
    if (!github_self(r->env->github, &r->call, &self, err))
        return false;
    AUTO(buf_done) struct buf title = {0};
    AUTO(buf_done) struct buf body = {0};
    struct text_links links = {r->env->web_url, r->env->public_url, self->login};
    text_pull_title(&r->task, &title);
    text_pull_body(&r->task, agent_words(r), &links, &body);
    struct github_pull_text text = {buf_cstr(&title), buf_cstr(&body), r->task.branch, r->task.base,
                                    true};
    struct github_pull pull;
    struct git_op op = git_op_begin(r, "pr");
    bool ok = github_pull_open(r->env->github, &r->repo, &text, &r->call, r->arena, &pull, err) &&
              wait_for_head(r, &pull, err);
    git_op_end(r, &op, ok, err);
    if (!ok)
        return false;
    struct task_update u = {
        .pull_request = pull.number,
        .pull_request_url = pull.url,
        .pull_request_state = pull.draft ? "draft" : "open",
    };
    r->task.pull_request = pull.number;
    r->task.pull_request_url = pull.url;
    r->task.pull_request_state = u.pull_request_state;
    if (!task_update(r->env->store, r->task.id, r->task.lease_epoch, &u, err))
        return false;
    run_event(r, r->old_oid ? "pr_updated" : "pr_created", "\"number\":%d,\"url\":\"%s\"",
              pull.number, pull.url);
    return true;
}
