/* Repositories, branches, rules, collaborators. */
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/github/api.h"
#include "tests/standins/github/events.h"

#include <strings.h>

/* An installation sees merge settings and permissions only with enough of its own. */
static const char *viewer_role(const struct req *q)
{
    if (q->who.kind == ACTOR_INSTALLATION)
        return may(q, "contents=write") ? "write" : "read";
    return repo_role(q->repo, q->who.user);
}

static void get_repo(struct req *q)
{
    static const char *const hidden[] = {"allow_squash_merge",     "allow_merge_commit",
                                         "allow_rebase_merge",     "allow_auto_merge",
                                         "delete_branch_on_merge", "allow_update_branch"};
    const char *role = viewer_role(q);
    json_t *o = obj_repo(q->repo, role);
    for (size_t i = 0; role_rank(role) < role_rank("write") && i < COUNT(hidden); i++)
        json_object_del(o, hidden[i]);
    reply(q, 200, o);
}

static bool rename_repo(struct req *q, const char *name)
{
    struct repo *r = q->repo;
    bool moved = false;
    if (repo_find(r->owner->login, name, &moved) && !moved)
        return invalid(q, "Repository", "name", "custom", "name already exists on this account"),
               false;
    json_array_append_new(r->old_names, json_string(r->full));
    json_t *changes =
        json_pack("{s:{s:{s:{s:s}}}}", "changes", "repository", "name", "from", r->name);
    text_set(&r->name, name);
    free(r->full);
    r->full = mem_printf("%s/%s", r->owner->login, name);
    event_repo(r, "repository", "renamed", q->who.user, changes);
    return true;
}

static void patch_repo(struct req *q)
{
    struct repo *r = q->repo;
    const char *key;
    json_t *value;
    const char *name = body_text(q, "name");
    const char *branch = body_text(q, "default_branch");
    if (name && strcmp(name, r->name) != 0 && !rename_repo(q, name))
        return;
    if (branch && strcmp(branch, r->default_branch) != 0) {
        json_t *changes =
            json_pack("{s:{s:{s:s}}}", "changes", "default_branch", "from", r->default_branch);
        AUTO(mem_freep) char *ref = mem_printf("refs/heads/%s", branch);
        text_set(&r->default_branch, branch);
        (void)git_run(r->dir, NULL, "symbolic-ref", "HEAD", ref, NULL);
        event_repo(r, "repository", "edited", q->who.user, changes);
    }
    json_object_foreach(q->body, key, value)
    {
        if (json_object_get(r->settings, key))
            json_object_set(r->settings, key, value);
    }
    if (json_object_get(q->body, "private"))
        r->is_private = json_bool(q->body, "private", false);
    if (json_object_get(q->body, "archived")) {
        bool on = json_bool(q->body, "archived", false);
        if (on != r->archived) {
            r->archived = on;
            event_repo(r, "repository", on ? "archived" : "unarchived", q->who.user, NULL);
        }
    }
    r->updated = now_ms();
    reply(q, 200, obj_repo(r, viewer_role(q)));
}

static void delete_repo(struct req *q)
{
    event_repo(q->repo, "repository", "deleted", q->who.user, NULL);
    q->repo->deleted = true;
    reply(q, 204, NULL);
}

static void create_repo(struct req *q)
{
    const char *name = body_text(q, "name");
    struct repo *r = NULL;
    bool moved = false;
    if (q->who.kind != ACTOR_USER) {
        fail(q, q->who.kind == ACTOR_NONE ? 401 : 403,
             q->who.kind == ACTOR_NONE ? "Requires authentication"
                                       : "Resource not accessible by integration");
        return;
    }
    if (!name || (repo_find(q->who.user->login, name, &moved) && !moved)) {
        invalid(q, "Repository", "name", name ? "custom" : "missing_field",
                name ? "name already exists on this account" : NULL);
        return;
    }
    if (!repo_new(q->who.user, name, "main", &r)) {
        fail(q, 500, "git init failed");
        return;
    }
    r->is_private = json_bool(q->body, "private", false);
    event_repo(r, "repository", "created", q->who.user, NULL);
    reply(q, 201, obj_repo(r, "admin"));
}

static void my_repos(struct req *q)
{
    json_t *all = json_array();
    for (size_t i = 0; i < S.repos.n; i++) {
        struct repo *r = S.repos.at[i];
        const char *role = repo_role(r, q->who.user);
        if (!r->deleted &&
            (r->owner == q->who.user || json_object_get(r->roles, q->who.user->login)))
            json_array_append_new(all, obj_repo(r, role));
    }
    reply_list(q, all);
}

static void list_my_repos(struct req *q)
{
    if (q->who.kind == ACTOR_USER)
        my_repos(q);
    else
        fail(q, 401, "Requires authentication");
}

static void list_branches(struct req *q)
{
    AUTO(json_decrefp) json_t *refs = ref_list(q->repo->dir, "refs/heads/");
    json_t *all = json_array();
    const char *ref;
    json_t *sha;
    json_object_foreach(refs, ref, sha)
    {
        json_array_append_new(all, obj_branch(q->repo, ref + 11, json_string_value(sha), false));
    }
    reply_list(q, all);
}

static void get_branch(struct req *q)
{
    char sha[SHA_TEXT];
    AUTO(mem_freep) char *ref = mem_printf("refs/heads/%s", q->part[0]);
    if (ref_read(q->repo->dir, ref, sha))
        reply(q, 200, obj_branch(q->repo, q->part[0], sha, true));
    else
        fail(q, 404, "Branch not found");
}

static void get_protection(struct req *q)
{
    if (!branch_protected(q->repo, q->part[0])) {
        fail(q, 404, "Branch not protected");
        return;
    }
    json_t *o = json_object();
    jsetf(o, "url", "%s/repos/%s/branches/%s/protection", S.api, q->repo->full, q->part[0]);
    jset(o, "enforce_admins", json_pack("{s:s, s:b}", "url", S.api, "enabled", 0));
    reply(q, 200, o);
}

static void rules_of_branch(struct req *q)
{
    json_t *out = json_array();
    size_t i;
    size_t k;
    json_t *row;
    json_t *rule;
    AUTO(json_decrefp) json_t *active = branch_rules(q->repo, q->part[0]);
    json_array_foreach(q->repo->protection, i, row)
    {
        json_array_foreach(json_object_get(row, "rules"), k, rule)
        {
            bool mine = false;
            for (size_t n = 0; n < json_array_size(active); n++)
                mine = mine || json_array_get(active, n) == rule;
            if (!mine)
                continue;
            json_t *o = json_copy(rule);
            jset(o, "ruleset_source_type", json_string("Repository"));
            jset(o, "ruleset_source", json_string(q->repo->full));
            jset(o, "ruleset_id", json_integer((json_int_t)i + 1));
            json_array_append_new(out, o);
        }
    }
    reply_list(q, out);
}

static void list_rulesets(struct req *q)
{
    json_t *out = json_array();
    size_t i;
    json_t *row;
    json_array_foreach(q->repo->protection, i, row)
    {
        json_t *o = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s}", "id", (json_int_t)i + 1, "name",
                              json_cstr(row, "pattern"), "target", "branch", "source_type",
                              "Repository", "source", q->repo->full, "enforcement", "active");
        jset(o, "created_at", jtime(q->repo->created));
        jset(o, "updated_at", jtime(q->repo->updated));
        json_array_append_new(out, o);
    }
    reply_list(q, out);
}

/* maintain counts as write, triage as read. */
static const char *coarse(const char *role)
{
    if (strcmp(role, "maintain") == 0)
        return "write";
    return strcmp(role, "triage") == 0 ? "read" : role;
}

static json_t *collaborator(const struct repo *r, const struct user *u)
{
    const char *role = repo_role(r, u);
    int rank = role_rank(role);
    json_t *o = obj_user(u);
    jset(o, "role_name", json_string(role));
    jset(o, "permissions",
         json_pack("{s:b, s:b, s:b, s:b, s:b}", "admin", rank >= 5, "maintain", rank >= 4, "push",
                   rank >= 3, "triage", rank >= 2, "pull", rank >= 1));
    return o;
}

static void get_permission(struct req *q)
{
    const struct user *u = user_find(q->part[0]);
    if (!u) {
        not_found(q);
        return;
    }
    const char *role = repo_role(q->repo, u);
    reply(q, 200,
          json_pack("{s:s, s:s, s:o}", "permission", coarse(role), "role_name", role, "user",
                    collaborator(q->repo, u)));
}

static bool is_collaborator(const struct repo *r, const struct user *u)
{
    const char *login;
    json_t *role;
    if (u == r->owner)
        return true;
    json_object_foreach(r->roles, login, role)
    {
        if (u && strcasecmp(login, u->login) == 0 && role_rank(json_string_value(role)) > 0)
            return true;
    }
    return false;
}

static void list_collaborators(struct req *q)
{
    json_t *all = json_array();
    for (size_t i = 0; i < S.users.n; i++)
        if (is_collaborator(q->repo, S.users.at[i]))
            json_array_append_new(all, collaborator(q->repo, S.users.at[i]));
    reply_list(q, all);
}

static void check_collaborator(struct req *q)
{
    if (is_collaborator(q->repo, user_find(q->part[0])))
        reply(q, 204, NULL);
    else
        not_found(q);
}

static void put_collaborator(struct req *q)
{
    static const char *const names[][2] = {
        {"pull", "read" },
        {"push", "write"}
    };
    const char *role = body_text(q, "permission");
    if (!user_find(q->part[0])) {
        not_found(q);
        return;
    }
    for (size_t i = 0; role && i < COUNT(names); i++)
        if (strcmp(role, names[i][0]) == 0)
            role = names[i][1];
    jset(q->repo->roles, q->part[0], json_string(role ? role : "write"));
    reply(q, 204, NULL);
}

static void codeowners_errors(struct req *q)
{
    static const char *const paths[] = {".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"};
    AUTO(mem_freep) char *ref = query_text(q, "ref");
    char sha[SHA_TEXT];
    if (!git_resolve(q->repo->dir, ref ? ref : q->repo->default_branch, sha)) {
        not_found(q);
        return;
    }
    for (size_t i = 0; i < COUNT(paths); i++) {
        AUTO(mem_freep) char *spec = mem_printf("%s:%s", sha, paths[i]);
        if (git_run(q->repo->dir, NULL, "cat-file", "-e", spec, NULL)) {
            reply(q, 200, json_pack("{s:[]}", "errors"));
            return;
        }
    }
    not_found(q);
}

static void create_fork(struct req *q)
{
    struct repo *fork = NULL;
    bool moved = false;
    if (q->who.kind != ACTOR_USER) {
        fail(q, 403, "Resource not accessible by integration");
        return;
    }
    fork = repo_find(q->who.user->login, q->repo->name, &moved);
    if (!fork) {
        if (!repo_new(q->who.user, q->repo->name, q->repo->default_branch, &fork) ||
            !git_run(fork->dir, NULL, "fetch", "-q", q->repo->dir, "refs/heads/*:refs/heads/*",
                     NULL)) {
            fail(q, 500, "git fetch failed");
            return;
        }
        fork->parent = q->repo;
        fork->is_private = q->repo->is_private;
    }
    reply(q, 202, obj_repo(fork, "admin"));
}

const struct route routes_repo[] = {
    {"GET",          "repos/:/:", get_repo, "metadata=read", NULL},
    {"PATCH",      "repos/:/:", patch_repo, "administration=write", "admin"},
    {"DELETE",          "repos/:/:", delete_repo, "administration=write", "admin"},
    {"POST",        "user/repos", create_repo, NULL, NULL},
    {"GET",    "user/repos", list_my_repos, NULL, NULL},
    {"GET",       "repos/:/:/branches", list_branches, "contents=read", NULL},
    {"GET",       "repos/:/:/branches/:", get_branch, "contents=read", NULL},
    {"GET",   "repos/:/:/branches/:/protection", get_protection, "administration=read", "admin"},
    {"GET",       "repos/:/:/rules/branches/*", rules_of_branch, "metadata=read", NULL},
    {"GET",         "repos/:/:/rulesets", list_rulesets, "metadata=read", NULL},
    {"GET",   "repos/:/:/collaborators", list_collaborators, "metadata=read", NULL},
    {"GET",          "repos/:/:/collaborators/:", check_collaborator, "metadata=read", NULL},
    {"PUT",          "repos/:/:/collaborators/:", put_collaborator, "administration=write", "admin"},
    {"GET", "repos/:/:/collaborators/:/permission", get_permission, "metadata=read", NULL},
    {"GET",          "repos/:/:/codeowners/errors", codeowners_errors, "contents=read", NULL},
    {"POST",          "repos/:/:/forks", create_fork, "contents=read", NULL},
    {0},
};
