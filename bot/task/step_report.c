/* report: exactly one visible outcome. One status comment a task, edited in place; a reaction on
 * what triggered it. Comments never decide anything: when GitHub will not take one, the task goes
 * on. */
#include "bot/task/run.h"

#include "bot/base/log.h"
#include "bot/task/text.h"

static bool comment(struct run *r, struct err *err)
{
    if (!r->task.issue)
        return true;
    const struct github_self *self;
    if (!github_self(r->env->github, &r->call, &self, err))
        return false;
    AUTO(buf_done) struct buf marker = {0};
    AUTO(buf_done) struct buf body = {0};
    struct text_links links = {r->env->web_url, r->env->public_url, self->login};
    text_task_marker(r->task.id, &marker);
    text_status(&r->task, r->ended ? r->outcome : TASK_RUNNING, &r->error, &links, &body);
    int64_t before = r->task.status_comment;
    if (!github_comment_put(r->env->github, &r->repo, r->task.issue, buf_cstr(&marker),
                            buf_cstr(&body), &r->call, &r->task.status_comment, err))
        return err_wrap(err, "status comment");
    if (before == r->task.status_comment)
        return true;
    struct task_update u = {.status_comment = r->task.status_comment};
    return task_update(r->env->store, r->task.id, r->task.lease_epoch, &u, err);
}

void run_comment(struct run *r)
{
    struct err err = {0};
    if (!comment(r, &err))
        log_err(LOG_WARN, "status comment not written", &err);
}

/* Never to be written again: locked, deleted, or the permission is missing. */
static bool is_final(enum err_kind kind)
{
    return kind == ERR_GONE || kind == ERR_DENIED || kind == ERR_INPUT;
}

bool step_report(struct run *r, struct err *err)
{
    struct err failure = {0};
    if (!comment(r, &failure)) {
        if (!is_final(failure.kind)) {
            *err = failure;
            return false;
        }
        log_err(LOG_WARN, "outcome comment not possible", &failure);
        return true;
    }
    if (!r->task.issue)
        return true;
    const char *content = r->outcome == TASK_SUCCEEDED    ? "rocket"
                          : r->outcome == TASK_NO_CHANGES ? "+1"
                                                          : "confused";
    if (!github_react(r->env->github, &r->repo, r->task.issue, r->task.trigger_comment, content,
                      &r->call, &failure))
        log_err(LOG_DEBUG, "reaction not set", &failure);
    return true;
}
