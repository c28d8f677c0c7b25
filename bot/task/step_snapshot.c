/* snapshot: what we start from. Reads the repository and the issue as they are now (events come
 * late and out of order), fixes the base commit, chooses the branch. Pure reads until the branch is
 * written to our own row, so a repeat is harmless. */
#include "bot/task/run.h"

#include "bot/base/log.h"
#include "bot/git/refname.h"

#include <stdio.h>

#define BRANCH_TRIES 50

static bool read_repository(struct run *r, const char **default_branch, struct err *err)
{
    struct github_repo_info info;
    const struct task_env *env = r->env;
    if (!r->repo.id || (!r->repo.installation_id && settings_is_set(env->settings, S_APP_ID))) {
        if (!github_repo_find(env->github, r->task.repository, &r->call, r->arena, &r->repo, &info,
                              err))
            return err_wrap(err, "repository %s", r->task.repository);
    } else if (!github_repo_get(env->github, &r->repo, &r->call, r->arena, &info, err)) {
        return err_wrap(err, "repository %s", r->task.repository);
    }
    if (info.archived)
        return err_set(err, ERR_DENIED, "%s is archived: nothing can be pushed there",
                       info.full_name);
    *default_branch = info.default_branch;
    if (str_eq(str_of(info.full_name), str_of(r->task.repository)))
        return true;
    struct task_update renamed = {.repository = info.full_name};
    r->task.repository = r->repo.full_name = info.full_name;
    return task_update(env->store, r->task.id, r->task.lease_epoch, &renamed, err);
}

bool run_renamed(struct run *r)
{
    const char *before = r->task.repository;
    const char *default_branch;
    struct err err = {0};
    if (!read_repository(r, &default_branch, &err)) {
        log_err(LOG_WARN, "repository not found under its id either", &err);
        return false;
    }
    return !str_eq(str_of(before), str_of(r->task.repository));
}

/* Closed, or the label taken off again while we waited? Then nobody wants it any more. *why = NULL:
 * it is wanted. A retry is a wish of its own. */
static bool still_wanted(struct run *r, const char **why, struct err *err)
{
    struct github_issue issue;
    const char *label = settings_text(r->env->settings, S_LABEL);
    if (r->task.agent)
        label = arena_printf(r->arena, "%s:%s", label, r->task.agent);
    if (!github_issue_get(r->env->github, &r->repo, r->task.issue, label, &r->call, r->arena,
                          &issue, err))
        return err_wrap(err, "issue #%d", r->task.issue);
    bool by_label = str_eq(str_of(r->task.source), STR("label")) && r->task.attempt == 1;
    *why = NULL;
    if (!str_eq(str_of(issue.state), STR("open")))
        *why = "the issue is closed";
    else if (by_label && !issue.has_label)
        *why = "the label was removed";
    return true;
}

/* Is it the branch of this issue's own pull request, open as GitHub says? Events get lost. */
static bool is_our_round(struct run *r, const char *branch, bool *ours, struct err *err)
{
    bool known;
    struct task owner;
    struct github_pull pull;
    *ours = false;
    if (!task_branch_owner(r->env->store, r->repo.id, branch, r->arena, &owner, &known, err))
        return false;
    if (!known || !owner.pull_request || !r->task.issue || owner.issue != r->task.issue)
        return true;
    if (!github_pull_get(r->env->github, &r->repo, owner.pull_request, &r->call, r->arena, &pull,
                         err))
        return err->kind == ERR_GONE;
    *ours =
        str_eq(str_of(pull.state), STR("open")) && str_eq(str_of(pull.head_branch), str_of(branch));
    return true;
}

/* May this name be ours? *old = what it must be at when we push ("" = must not exist). */
static bool try_branch(struct run *r, const char *branch, bool *ours, char old[GIT_OID_HEX + 1],
                       struct err *err)
{
    bool exists, round;
    old[0] = '\0';
    *ours = false;
    if (!github_ref_get(r->env->github, &r->repo, branch, &r->call, old, &exists, err))
        return false;
    if (!exists)
        old[0] = '\0';
    if (exists) { /* only the branch of this issue's own open pull request goes on */
        if (!is_our_round(r, branch, &round, err))
            return false;
        if (!round)
            return true;
    }
    struct task_update u = {.branch = branch};
    struct err conflict = {0};
    if (task_update(r->env->store, r->task.id, r->task.lease_epoch, &u, &conflict)) {
        *ours = true;
        return true;
    }
    if (conflict.kind == ERR_CONFLICT) /* another live task owns the name */
        return true;
    *err = conflict;
    return false;
}

static bool choose_branch(struct run *r, struct err *err)
{
    bool numbered = r->task.issue != 0 && !str_eq(str_of(r->task.source), STR("api")) &&
                    !str_eq(str_of(r->task.source), STR("event"));
    const char *stem = numbered ? arena_printf(r->arena, "task-%d", r->task.issue)
                                : arena_printf(r->arena, "task-%s", r->task.id);
    for (int i = 1; i <= BRANCH_TRIES; i++) {
        const char *branch = i == 1 ? stem : arena_printf(r->arena, "%s-%d", stem, i);
        char old[GIT_OID_HEX + 1];
        bool ours;
        if (!refname_task_branch_ok(str_of(branch)))
            return err_set(err, ERR_INPUT, "no branch can be named %s", branch);
        if (!try_branch(r, branch, &ours, old, err))
            return err_wrap(err, "branch %s", branch);
        if (!ours)
            continue;
        r->task.branch = branch;
        r->old_oid = old[0] ? arena_str(r->arena, str_of(old)) : NULL;
        return true;
    }
    return err_set(err, ERR_CONFLICT, "%s and %d names after it are taken", stem, BRANCH_TRIES - 1);
}

bool step_snapshot(struct run *r, struct err *err)
{
    const char *default_branch = NULL;
    if (!read_repository(r, &default_branch, err))
        return false;
    const char *unwanted = NULL;
    if (r->task.issue && !still_wanted(r, &unwanted, err))
        return false;
    if (unwanted) {
        struct err why = {0};
        err_set(&why, ERR_CANCELLED, "%s", unwanted);
        return run_end(r, TASK_CANCELLED, &why);
    }
    char base_sha[GIT_OID_HEX + 1];
    bool found;
    if (!r->task.base)
        r->task.base = default_branch;
    if (!refname_branch_ok(str_of(r->task.base)))
        return err_set(err, ERR_INPUT, "the base branch has no valid name");
    if (!github_ref_get(r->env->github, &r->repo, r->task.base, &r->call, base_sha, &found, err))
        return err_wrap(err, "base branch %s", r->task.base);
    if (!found)
        return err_set(err, ERR_INPUT, "branch %s does not exist, or the repository is empty",
                       r->task.base);
    r->task.base_sha = arena_str(r->arena, str_of(base_sha));
    if (!choose_branch(r, err))
        return false;
    r->start_oid = r->old_oid ? r->old_oid : r->task.base_sha;
    struct task_update u = {.base = r->task.base, .base_sha = r->task.base_sha};
    if (!task_update(r->env->store, r->task.id, r->task.lease_epoch, &u, err))
        return false;
    run_comment(r);
    return true;
}

void step_snapshot_save(struct run *r, struct buf *json)
{
    if (!r->start_oid)
        return;
    buf_printf(json, "\"start\":\"%s\",\"repository_id\":%lld,\"installation_id\":%lld",
               r->start_oid, (long long)r->repo.id, (long long)r->repo.installation_id);
    buf_printf(json, ",\"repo_dir\":\"%s\"", r->repo_dir); /* stays, whatever it is renamed to */
    if (r->old_oid)
        buf_printf(json, ",\"old\":\"%s\"", r->old_oid);
}

void step_snapshot_load(struct run *r, const json_t *result)
{
    struct str start = json_str(result, "start");
    struct str old = json_str(result, "old");
    struct str repo_dir = json_str(result, "repo_dir");
    if (repo_dir.n)
        r->repo_dir = arena_str(r->arena, repo_dir);
    r->start_oid = start.n ? arena_str(r->arena, start) : NULL;
    r->old_oid = old.n ? arena_str(r->arena, old) : NULL;
    r->repo.id = json_int(result, "repository_id", r->repo.id);
    r->repo.installation_id = json_int(result, "installation_id", r->repo.installation_id);
}
