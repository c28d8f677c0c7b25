/* collect and verify: the work leaves the sandbox as a bundle and is taken apart outside. The patch
 * goes into the database before anything is judged, so that no work is lost by a refusal. */
#include "bot/task/run.h"

#include "bot/base/io.h"
#include "bot/base/log.h"
#include "bot/base/redact.h"
#include "bot/git/message.h"
#include "bot/task/git_op.h"
#include "bot/task/scripts.h"
#include "bot/task/text.h"

#include <fcntl.h>
#include <unistd.h>

#define BUNDLE_MAX_BYTES ((int64_t)50 * 1024 * 1024)
#define PATCH_MAX_BYTES  ((size_t)20 * 1024 * 1024)

/* Runs collect.sh; *any = it made a bundle. */
static bool bundle_make(struct run *r, bool *any, struct err *err)
{
    AUTO(buf_done) struct buf message = {0};
    text_subject(&r->task, &message);
    buf_putc(&message, '\n');
    const char *message_file = arena_printf(r->arena, "%s/message", r->stage);
    const char *script_file = arena_printf(r->arena, "%s/collect.sh", r->stage);
    const char *argv[] = {"bash",       script_file,    r->repo_dir,  r->stage,
                          r->start_oid, r->task.branch, message_file, NULL};
    struct sandbox_run run = {.argv = argv};
    struct sandbox_exit end = {0};
    struct sandbox_client *c = r->env->sandbox;
    if (!sandbox_put(c, &r->sandbox, message_file, buf_str(&message), &r->call, err) ||
        !sandbox_put(c, &r->sandbox, script_file, script("collect.sh"), &r->call, err) ||
        !sandbox_exec(c, &r->sandbox, &run, &r->call, &end, err))
        return false;
    struct str said = str_trim(buf_str(&end.output));
    bool none = str_ends(said, STR("none"));
    bool ok = end.exited && end.exit_code == 0;
    bool heard = none || str_find(said, STR("work "), 0) < said.n;
    if (!ok)
        err_set(err, ERR_AGENT, "the work could not be committed: " STR_FMT, STR_ARG(said));
    else if (!heard) /* the answer was lost with a broken stream: the script may be run again */
        ok = err_set(err, ERR_UPSTREAM, "collect.sh was not heard");
    *any = ok && !none;
    buf_done(&end.output);
    return ok;
}

/* The agent's own patch, unverified: for people, should the verification refuse it. */
static bool patch_keep(struct run *r, struct err *err)
{
    AUTO(buf_done) struct buf patch = {.max = PATCH_MAX_BYTES};
    AUTO(buf_done) struct buf clean = {.max = 2 * PATCH_MAX_BYTES};
    bool found;
    const char *path = arena_printf(r->arena, "%s/out.patch", r->stage);
    struct err failure = {0};
    if (!sandbox_read(r->env->sandbox, &r->sandbox, path, 0, PATCH_MAX_BYTES, &r->call, &patch,
                      &found, &failure)) {
        *err = failure;
        return false;
    }
    redact(&clean, buf_str(&patch));
    if (!found || clean.len == 0)
        return true;
    struct task_update u = {.patch = clean.data, .patch_n = clean.len};
    return task_update(r->env->store, r->task.id, r->task.lease_epoch, &u, err);
}

static bool bundle_fetch(struct run *r, struct err *err)
{
    bool found;
    if (!dir_make(r->dir, 0700, err))
        return false;
    AUTO(fd_close)
    int fd = open(run_path(r, "out.bundle"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, ERR_UPSTREAM, "cannot create the bundle file: %m");
    const char *path = arena_printf(r->arena, "%s/out.bundle", r->stage);
    if (!sandbox_read_fd(r->env->sandbox, &r->sandbox, path, fd, BUNDLE_MAX_BYTES, &r->call, &found,
                         err)) {
        if (err->kind == ERR_LIMIT)
            err_set(err, ERR_POLICY, "bundle.size: the work is larger than %lld MiB",
                    (long long)(BUNDLE_MAX_BYTES >> 20));
        return false;
    }
    return found || err_set(err, ERR_SANDBOX, "the bundle is not there");
}

bool run_collect(struct run *r, bool *any, struct err *err)
{
    return run_attach(r, err) && bundle_make(r, any, err) &&
           (!*any || (patch_keep(r, err) && bundle_fetch(r, err)));
}

static bool agent_failed(struct run *r)
{
    struct err why = {0};
    err_set(&why, ERR_AGENT, "the agent ended with exit code %d", r->agent_exit);
    return run_end(r, TASK_FAILED, &why);
}

bool step_collect(struct run *r, struct err *err)
{
    bool any;
    struct git_op op = git_op_begin(r, "commit");
    bool ok = run_collect(r, &any, err);
    git_op_end(r, &op, ok, err);
    if (!ok)
        return false;
    if (r->agent_exit != 0)
        return agent_failed(r);
    return any || run_end(r, TASK_NO_CHANGES, NULL);
}

/* GitHub links a co-author by the address; the name may be shortened to keep the line in bounds. */
static void co_author(struct run *r, struct buf *out)
{
    struct str host = str_of(r->env->web_url);
    host = str_sub(host, str_find(host, STR("://"), 0) + 3, host.n);
    host = str_sub(host, 0, str_find(host, STR(":"), 0));
    for (size_t n = strlen(r->task.requested_by); n > 0; n--) {
        AUTO(buf_done) struct buf line = {0};
        buf_printf(&line, "Co-authored-by: %.*s <%lld+%s@users.noreply." STR_FMT ">", (int)n,
                   r->task.requested_by, (long long)r->task.requested_by_id, r->task.requested_by,
                   STR_ARG(host));
        if (line.len > COMMIT_LINE_MAX)
            continue;
        buf_add_str(out, buf_str(&line));
        buf_putc(out, '\n');
        return;
    }
}

static void trailers(struct run *r, struct buf *out)
{
    if (r->task.issue)
        buf_printf(out, "Refs: #%d\n", r->task.issue);
    if (r->task.requested_by && r->task.requested_by_id)
        co_author(r, out);
}

bool run_import(struct run *r, struct err *err)
{
    if (r->imported)
        return true;
    bool any = true;
    if (!run_base_pack(r, err) ||
        (!file_exists(run_path(r, "out.bundle")) && !run_collect(r, &any, err)))
        return false;
    if (!any)
        return err_set(err, ERR_SANDBOX, "the work has vanished from the sandbox");
    const struct github_self *self;
    if (!github_self(r->env->github, &r->call, &self, err))
        return false;
    AUTO(buf_done) struct buf subject = {0};
    AUTO(buf_done) struct buf extra = {0};
    text_subject(&r->task, &subject);
    trailers(r, &extra);
    struct git_import_spec spec = {
        .dir = r->dir,
        .bundle_path = run_path(r, "out.bundle"),
        .base_oid = r->start_oid,
        .ref = arena_printf(r->arena, "refs/heads/%s", r->task.branch),
        .author = {self->login, self->email},
        .time_s = r->task.started_ms / 1000, /* stored: a repeat makes the same commits */
        .title = buf_cstr(&subject),
        .trailers = buf_cstr(&extra),
    };
    r->imported = git_import(&spec, &r->call, &r->import, err);
    return r->imported;
}

static const char *json_dump(struct run *r, json_t *root)
{
    AUTO(buf_done) struct buf text = {0};
    json_write(&text, root);
    json_decref(root);
    return arena_str(r->arena, buf_str(&text));
}

static const char *facts_json(struct run *r)
{
    const struct git_import_result *w = &r->import;
    struct agent_plan plan = {.shown = "agent"};
    struct agent_job job = {r->task.id, r->task.repository, r->task.branch, ""};
    struct err ignored = {0};
    if (!agent_plan(&r->env->agent, &job, r->arena, &plan, &ignored))
        plan.shown = r->env->agent.driver;
    AUTO(buf_done) struct buf shown = {0};
    redact(&shown, str_of(plan.shown));
    json_t *root = json_object();
    json_object_set_new(root, "files", json_integer(w->files));
    json_object_set_new(root, "insertions", json_integer(w->insertions));
    json_object_set_new(root, "deletions", json_integer(w->deletions));
    json_object_set_new(root, "commits", json_integer(w->commits_n));
    json_object_set_new(root, "head", json_text(str_of(w->tip)));
    json_object_set_new(root, "diffstat", json_text(buf_str(&w->diffstat)));
    json_t *commands = json_array();
    json_t *agent = json_object();
    json_object_set_new(agent, "command", json_text(buf_str(&shown)));
    json_object_set_new(agent, "exit_code", json_integer(r->agent_exit));
    json_object_set_new(agent, "seconds", json_real((double)r->agent_ms / 1000.0));
    json_array_append_new(commands, agent);
    json_object_set_new(root, "commands", commands);
    return json_dump(r, root);
}

static const char *commits_json(struct run *r)
{
    json_t *list = json_array();
    for (int i = 0; i < r->import.commits_n; i++) {
        json_t *row = json_object();
        json_object_set_new(row, "sha", json_text(str_of(r->import.commits[i].oid)));
        json_object_set_new(row, "message", json_text(str_of(r->import.commits[i].subject)));
        json_array_append_new(list, row);
    }
    return json_dump(r, list);
}

bool step_verify(struct run *r, struct err *err)
{
    if (!run_import(r, err))
        return false;
    struct task_update u = {
        .facts = facts_json(r),
        .commit_history = commits_json(r),
        .patch = r->import.patch.data,
        .patch_n = r->import.patch.len,
    };
    r->task.facts = u.facts;
    r->task.commit_history = u.commit_history;
    return task_update(r->env->store, r->task.id, r->task.lease_epoch, &u, err);
}
