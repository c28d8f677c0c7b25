/* Pull requests: create, find, change, look at, merge. */
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/github/api.h"
#include "tests/standins/github/events.h"
#include "tests/standins/github/merge.h"

#include <strings.h>

#define BODY_MAX_CHARS  65536
#define TITLE_MAX_CHARS 256
#define FILES_MAX       3000

/* "branch" or "owner:branch": the repository (this one or a fork) and the branch's SHA. */
static struct repo *head_find(struct req *q, const char *head, const char **branch,
                              char sha[SHA_TEXT])
{
    const char *colon = strchr(head, ':');
    struct repo *r = q->repo;
    *branch = colon ? colon + 1 : head;
    if (colon) {
        AUTO(mem_freep) char *login = str_dup((struct str){head, (size_t)(colon - head)});
        const struct user *owner = user_find(login);
        r = owner == q->repo->owner ? q->repo : NULL;
        for (size_t i = 0; !r && i < S.repos.n; i++) {
            struct repo *fork = S.repos.at[i];
            if (fork->parent == q->repo && fork->owner == owner && !fork->deleted)
                r = fork;
        }
    }
    AUTO(mem_freep) char *ref = mem_printf("refs/heads/%s", *branch);
    return r && ref_read(r->dir, ref, sha) ? r : NULL;
}

static bool texts_ok(struct req *q, const char *title, const char *body)
{
    if (title && (!*title || strlen(title) > TITLE_MAX_CHARS * 4)) {
        invalid(q, "PullRequest", "title", *title ? "invalid" : "missing_field", NULL);
        return false;
    }
    if (body && strlen(body) > BODY_MAX_CHARS) {
        invalid(q, "PullRequest", "body", "custom",
                "body is too long (maximum is 65536 characters)");
        return false;
    }
    return true;
}

static struct issue *open_pull(const struct repo *r, const struct repo *head_repo,
                               const char *branch, const char *base)
{
    for (size_t i = 0; i < r->issues.n; i++) {
        struct issue *p = r->issues.at[i];
        if (p->pull && !p->closed && p->pull->head_repo == head_repo &&
            strcmp(p->pull->head_ref, branch) == 0 && strcmp(p->pull->base_ref, base) == 0)
            return p;
    }
    return NULL;
}

static bool may_open(struct req *q, struct repo *head_repo, const char *branch, const char *base,
                     const char *head_sha, char base_sha[SHA_TEXT])
{
    char message[512];
    AUTO(mem_freep) char *ref = mem_printf("refs/heads/%s", base);
    if (!ref_read(q->repo->dir, ref, base_sha))
        return invalid(q, "PullRequest", "base", "invalid", NULL), false;
    if (open_pull(q->repo, head_repo, branch, base)) {
        snprintf(message, sizeof(message), "A pull request already exists for %s:%s.",
                 head_repo->owner->login, branch);
        return invalid(q, "PullRequest", NULL, "custom", message), false;
    }
    if (head_repo != q->repo &&
        !git_run(q->repo->dir, NULL, "fetch", "-q", head_repo->dir, head_sha, NULL))
        return invalid(q, "PullRequest", "head", "invalid", NULL), false;
    if (git_is_ancestor(q->repo->dir, head_sha, base_sha)) {
        snprintf(message, sizeof(message), "No commits between %s and %s", base, branch);
        return invalid(q, "PullRequest", NULL, "custom", message), false;
    }
    if (json_bool(q->body, "draft", false) && q->repo->is_private &&
        repo_flag(q->repo, "standin_free_plan")) {
        fail(q, 422, "Draft pull requests are not supported in this repository.");
        return false;
    }
    return true;
}

static void create_pull(struct req *q)
{
    const char *title = body_text(q, "title");
    const char *head = body_text(q, "head");
    const char *base = body_text(q, "base");
    const char *branch = NULL;
    char head_sha[SHA_TEXT];
    char base_sha[SHA_TEXT];
    const char *missing = !title ? "title" : !head ? "head" : !base ? "base" : NULL;
    if (missing) {
        invalid(q, "PullRequest", missing, "missing_field", NULL);
        return;
    }
    if (!texts_ok(q, title, body_text(q, "body")))
        return;
    struct repo *head_repo = head_find(q, head, &branch, head_sha);
    if (!head_repo) {
        invalid(q, "PullRequest", "head", "invalid", NULL);
        return;
    }
    if (!may_open(q, head_repo, branch, base, head_sha, base_sha))
        return;
    struct issue *i = issue_new(q->repo, q->who.user, title, body_text(q, "body"));
    struct pull *p = mem_alloc(sizeof(*p));
    p->head_repo = head_repo;
    p->head_ref = mem_strdup(branch);
    p->base_ref = mem_strdup(base);
    memcpy(p->head_sha, head_sha, SHA_TEXT);
    memcpy(p->base_sha, base_sha, SHA_TEXT);
    p->draft = json_bool(q->body, "draft", false);
    p->modify = json_bool(q->body, "maintainer_can_modify", false);
    p->unknown_reads = S.mergeable_lag;
    i->pull = p;
    i->via_app = via_app(q);
    AUTO(mem_freep) char *ref = mem_printf("refs/pull/%lld/head", (long long)i->number);
    if (!ref_write(q->repo->dir, ref, head_sha)) {
        fail(q, 500, "cannot write %s", ref);
        return;
    }
    event_issue(i, "opened", q->who.user, NULL);
    reply(q, 201, obj_pull(i, true, false));
}

/* ---- lists ---- */

struct filter {
    char *state;
    char *head;
    char *base;
};

static bool passes(const struct issue *i, const struct filter *f)
{
    const struct pull *p = i->pull;
    if (!p || (strcmp(f->state, "all") != 0 && (strcmp(f->state, "closed") == 0) != i->closed))
        return false;
    if (f->base && strcmp(f->base, p->base_ref) != 0)
        return false;
    if (f->head && strchr(f->head, ':')) {
        AUTO(mem_freep) char *label = mem_printf("%s:%s", p->head_repo->owner->login, p->head_ref);
        return strcasecmp(label, f->head) == 0;
    }
    return true; /* a head without "owner:" is ignored by GitHub */
}

static void list_pulls(struct req *q)
{
    struct filter f = {query_text(q, "state"), query_text(q, "head"), query_text(q, "base")};
    AUTO(mem_freep) char *direction = query_text(q, "direction");
    bool rising = direction && strcmp(direction, "asc") == 0;
    json_t *all = json_array();
    size_t n = q->repo->issues.n;
    if (!f.state)
        f.state = mem_strdup("open");
    for (size_t k = 0; k < n; k++) {
        const struct issue *i = q->repo->issues.at[rising ? k : n - 1 - k];
        if (passes(i, &f))
            json_array_append_new(all, obj_pull(i, false, false));
    }
    free(f.state);
    free(f.head);
    free(f.base);
    reply_list(q, all);
}

static void get_pull(struct req *q)
{
    struct issue *i = want_pull(q, 0);
    if (!i)
        return;
    if (accepts(q, ".diff") || accepts(q, ".patch")) {
        char base[SHA_TEXT];
        if (pull_base_of_diff(i, base))
            (void)git_run(q->repo->dir, &q->raw, "diff", base, i->pull->head_sha, NULL);
        q->raw_type = "application/vnd.github.diff; charset=utf-8";
        q->status = 200;
        return;
    }
    bool known = i->pull->unknown_reads <= 0;
    i->pull->unknown_reads -= !known;
    reply(q, 200, obj_pull(i, true, known));
}

static void pull_files(struct req *q)
{
    const struct issue *i = want_pull(q, 0);
    char base[SHA_TEXT];
    if (!i)
        return;
    json_t *rows =
        pull_base_of_diff(i, base)
            ? obj_files(q->repo, i->pull->head_sha, git_diff(q->repo->dir, base, i->pull->head_sha))
            : json_array();
    while (json_array_size(rows) > FILES_MAX)
        json_array_remove(rows, json_array_size(rows) - 1);
    reply_list(q, rows);
}

static void pull_commits(struct req *q)
{
    const struct issue *i = want_pull(q, 0);
    json_t *all = json_array();
    if (!i) {
        json_decref(all);
        return;
    }
    AUTO(mem_freep) char *range = mem_printf("%s..%s", i->pull->base_sha, i->pull->head_sha);
    AUTO(json_decrefp) json_t *list = git_commit_list(q->repo->dir, range, ".", 0, 250);
    for (size_t k = json_array_size(list); k > 0; k--)
        json_array_append_new(all,
                              obj_commit(q->repo, json_incref(json_array_get(list, k - 1)), false));
    reply_list(q, all);
}

static void is_merged(struct req *q)
{
    const struct issue *i = want_pull(q, 0);
    if (i && i->pull->merged)
        reply(q, 204, NULL);
    else if (i)
        not_found(q);
}

/* ---- changes ---- */

static bool change_state(struct req *q, struct issue *i, const char *state)
{
    if (strcmp(state, "closed") == 0) {
        issue_close(i, NULL, q->who.user);
        return true;
    }
    char sha[SHA_TEXT];
    AUTO(mem_freep) char *ref = mem_printf("refs/heads/%s", i->pull->head_ref);
    if (!i->closed)
        return true;
    if (i->pull->merged || !ref_read(i->pull->head_repo->dir, ref, sha)) {
        AUTO(mem_freep)
        char *message = mem_printf("state cannot be changed. The %s branch has been "
                                   "deleted.",
                                   i->pull->head_ref);
        invalid(q, "PullRequest", "state", "custom", message);
        return false;
    }
    if (strcmp(sha, i->pull->head_sha) != 0) {
        invalid(q, "PullRequest", "state", "custom",
                "state cannot be changed. The branch was force-pushed or recreated.");
        return false;
    }
    issue_reopen(i, q->who.user);
    return true;
}

static bool change_base(struct req *q, struct issue *i, const char *base, json_t *changes)
{
    char sha[SHA_TEXT];
    AUTO(mem_freep) char *ref = mem_printf("refs/heads/%s", base);
    if (!ref_read(q->repo->dir, ref, sha))
        return invalid(q, "PullRequest", "base", "invalid", NULL), false;
    jset(changes, "base",
         json_pack("{s:{s:s}, s:{s:s}}", "ref", "from", i->pull->base_ref, "sha", "from",
                   i->pull->base_sha));
    text_set(&i->pull->base_ref, base);
    memcpy(i->pull->base_sha, sha, SHA_TEXT);
    i->pull->unknown_reads = S.mergeable_lag;
    return true;
}

static void patch_pull(struct req *q)
{
    struct issue *i = want_pull(q, 0);
    const char *title = body_text(q, "title");
    const char *base = body_text(q, "base");
    const char *state = body_text(q, "state");
    json_t *changes = json_object();
    if (i && texts_ok(q, title, body_text(q, "body"))) {
        if (title && strcmp(title, i->title) != 0) {
            jset(changes, "title", json_pack("{s:s}", "from", i->title));
            text_set(&i->title, title);
        }
        if (json_object_get(q->body, "body")) {
            jset(changes, "body", json_pack("{s:s}", "from", i->body ? i->body : ""));
            text_set(&i->body, body_text(q, "body"));
        }
        if (json_object_get(q->body, "maintainer_can_modify"))
            i->pull->modify = json_bool(q->body, "maintainer_can_modify", false);
        if ((!base || strcmp(base, i->pull->base_ref) == 0 || change_base(q, i, base, changes)) &&
            (!state || change_state(q, i, state))) {
            i->updated = now_ms();
            if (json_object_size(changes) > 0)
                event_issue(i, "edited", q->who.user, json_pack("{s:O}", "changes", changes));
            reply(q, 200, obj_pull(i, true, i->pull->unknown_reads <= 0));
        }
    }
    json_decref(changes);
}

static void add_reviewers(struct req *q)
{
    struct issue *i = want_pull(q, 0);
    json_t *logins = json_object_get(q->body, "reviewers");
    size_t k;
    json_t *login;
    if (!i)
        return;
    json_array_foreach(logins, k, login)
    {
        const struct user *u = user_find(json_string_value(login));
        if (u && u == i->user) {
            fail(q, 422, "Review cannot be requested from pull request author.");
            return;
        }
        if (!u || (u != q->repo->owner && !json_object_get(q->repo->roles, u->login))) {
            fail(q, 422,
                 "Reviews may only be requested from collaborators. One or more of the users or "
                 "teams you specified is not a collaborator of the %s repository.",
                 q->repo->full);
            return;
        }
    }
    json_array_foreach(logins, k, login)
    {
        struct user *u = user_find(json_string_value(login));
        if (list_has(&i->pull->reviewers, u))
            continue;
        list_add(&i->pull->reviewers, u);
        event_issue(i, "review_requested", q->who.user,
                    json_pack("{s:o}", "requested_reviewer", obj_user(u)));
    }
    reply(q, 201, obj_pull(i, false, false));
}

static void remove_reviewers(struct req *q)
{
    struct issue *i = want_pull(q, 0);
    size_t k;
    json_t *login;
    if (!i)
        return;
    json_array_foreach(json_object_get(q->body, "reviewers"), k, login)
    {
        struct user *u = user_find(json_string_value(login));
        if (u && list_remove(&i->pull->reviewers, u))
            event_issue(i, "review_request_removed", q->who.user,
                        json_pack("{s:o}", "requested_reviewer", obj_user(u)));
    }
    reply(q, 200, obj_pull(i, false, false));
}

static void list_reviewers(struct req *q)
{
    const struct issue *i = want_pull(q, 0);
    if (i)
        reply(q, 200, json_pack("{s:o, s:[]}", "users", jlogins(&i->pull->reviewers), "teams"));
}

const struct route routes_pulls[] = {
    {"POST",       "repos/:/:/pulls", create_pull, "pull_requests=write", "read"},
    {"GET", "repos/:/:/pulls", list_pulls, "pull_requests=read", NULL},
    {"GET",      "repos/:/:/pulls/:", get_pull, "pull_requests=read", NULL},
    {"PATCH",        "repos/:/:/pulls/:", patch_pull, "pull_requests=write", "write"},
    {"GET",  "repos/:/:/pulls/:/files", pull_files, "pull_requests=read", NULL},
    {"GET",        "repos/:/:/pulls/:/commits", pull_commits, "pull_requests=read", NULL},
    {"GET",        "repos/:/:/pulls/:/merge", is_merged, "pull_requests=read", NULL},
    {"PUT",    "repos/:/:/pulls/:/merge", merge_pull, "contents=write", "write"},
    {"PUT",        "repos/:/:/pulls/:/update-branch", merge_update_branch, "pull_requests=write", "write"},
    {"GET",      "repos/:/:/pulls/:/requested_reviewers", list_reviewers, "pull_requests=read", NULL},
    {"POST",  "repos/:/:/pulls/:/requested_reviewers", add_reviewers, "pull_requests=write",
     "triage"},
    {"DELETE",     "repos/:/:/pulls/:/requested_reviewers", remove_reviewers, "pull_requests=write",
     "triage"},
    {0       },
};
