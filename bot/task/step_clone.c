/* clone: the bot fetches a depth-limited pack itself and hands it to the sandbox, which makes the
 * working tree with its own git. No token gets near the sandbox. Both halves can be repeated: the
 * pack is fetched again when our file is gone, the script starts by removing the old clone. */
#include "bot/task/run.h"

#include "bot/base/io.h"
#include "bot/base/metrics.h"
#include "bot/task/git_op.h"
#include "bot/task/scripts.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fetch(struct run *r, const char *path, struct err *err)
{
    AUTO(secret_done) struct secret token = {0};
    if (!github_token(r->env->github, &r->repo, GITHUB_READ, 300, &r->call, &token, err))
        return err_wrap(err, "read token");
    const char *url = arena_printf(r->arena, "%s/%s.git", r->env->web_url, r->task.repository);
    struct git_remote remote = {r->env->http, url, &token};
    const char *tmp = arena_printf(r->arena, "%s.tmp", path);
    AUTO(fd_close) int fd = open(tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, ERR_UPSTREAM, "cannot create %s: %m", tmp);
    struct git_fetched got = {0};
    bool ok = git_fetch_pack(&remote, &r->start_oid, 1, r->env->clone_depth, fd,
                             r->env->pack_max_bytes, &r->call, NULL, NULL, &got, err) &&
              file_write(run_path(r, "shallow"), buf_str(&got.shallow), 0600, err);
    buf_done(&got.shallow);
    run_token_done(r, GITHUB_READ, &token, ok ? NULL : err);
    if (!ok)
        return err_wrap(err, "fetch %s", r->task.repository);
    if (rename(tmp, path) != 0)
        return err_set(err, ERR_UPSTREAM, "cannot rename %s: %m", tmp);
    return true;
}

bool run_base_pack(struct run *r, struct err *err)
{
    const char *path = run_path(r, "base.pack");
    if (!dir_make(r->dir, 0700, err))
        return false;
    return file_exists(path) || fetch(r, path, err) ||
           (err->kind == ERR_GONE && run_renamed(r) && fetch(r, path, err));
}

static bool upload_pack(struct run *r, struct err *err)
{
    const char *target = arena_printf(r->arena, "%s/base.pack", r->stage);
    AUTO(fd_close) int fd = open(run_path(r, "base.pack"), O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_set(err, ERR_UPSTREAM, "cannot open the base pack: %m");
    AUTO(buf_done) struct buf shallow = {0};
    struct sandbox_client *c = r->env->sandbox;
    return file_read(run_path(r, "shallow"), (size_t)1 << 20, &shallow, err) &&
           sandbox_put_fd(c, &r->sandbox, target, fd, st.st_size, &r->call, err) &&
           sandbox_put(c, &r->sandbox, arena_printf(r->arena, "%s/shallow", r->stage),
                       buf_str(&shallow), &r->call, err) &&
           sandbox_put(c, &r->sandbox, arena_printf(r->arena, "%s/clone.sh", r->stage),
                       script("clone.sh"), &r->call, err);
}

static bool check_out(struct run *r, struct err *err)
{
    const char *origin = arena_printf(r->arena, "%s/%s.git", r->env->web_url, r->task.repository);
    const char *argv[] = {"bash",       arena_printf(r->arena, "%s/clone.sh", r->stage),
                          r->repo_dir,  r->stage,
                          r->start_oid, r->task.branch,
                          r->task.base, origin,
                          NULL};
    struct sandbox_run run = {.argv = argv};
    struct sandbox_exit end = {0};
    if (!sandbox_exec(r->env->sandbox, &r->sandbox, &run, &r->call, &end, err))
        return false;
    bool ok = end.exited && end.exit_code == 0 &&
              str_eq(str_trim(buf_str(&end.output)), str_of(r->start_oid));
    if (!ok)
        err_set(err, ERR_SANDBOX, "the working tree could not be made: %s", buf_cstr(&end.output));
    buf_done(&end.output);
    return ok;
}

bool step_clone(struct run *r, struct err *err)
{
    struct git_op op = git_op_begin(r, "clone");
    bool ok =
        run_base_pack(r, err) && run_attach(r, err) && upload_pack(r, err) && check_out(r, err);
    git_op_end(r, &op, ok, err);
    if (!ok)
        return false;
    struct git_op branch = git_op_begin(r, "branch");
    git_op_end(r, &branch, true, NULL);
    return true;
}
