/* The three ways to merge, each really done: a merge commit, one squashed commit, or every commit
 * again on top of the base. Conditions first, with GitHub's answers (405 not mergeable, 409 moved).
 */
#include "tests/standins/github/merge.h"

#include "bot/base/json.h"
#include "bot/base/log.h"
#include "bot/base/mem.h"
#include "tests/standins/github/events.h"
#include "tests/standins/github/write.h"

static const struct {
    const char *method;
    const char *setting;
    const char *refusal;
} methods[] = {
    {"merge",  "allow_merge_commit", "Merge commits are not allowed on this repository."},
    {"squash", "allow_squash_merge", "Squash merges are not allowed on this repository."},
    {"rebase", "allow_rebase_merge", "Rebase merges are not allowed on this repository."},
};

/* One commit again on a new parent. The three-way merge of git 2.39 takes no explicit base, so a
 * passing commit with the tip's tree and the old parent gives it the right one. */
static bool replay(const struct repo *r, const json_t *commit, const struct git_person *committer,
                   char tip[SHA_TEXT])
{
    const char *sha = json_cstr(commit, "sha");
    const char *parent = json_string_value(json_array_get(json_object_get(commit, "parents"), 0));
    char passing[SHA_TEXT];
    char tree[SHA_TEXT];
    AUTO(buf_done) struct buf out = {0};
    AUTO(mem_freep) char *spec = mem_printf("%s^{tree}", tip);
    struct git_person author = {json_cstr(commit, "author.name"), json_cstr(commit, "author.email"),
                                json_cstr(commit, "author.date")};
    const char *const base[] = {parent, NULL};
    const char *const on[] = {tip, NULL};
    char tip_tree[SHA_TEXT];
    return parent && git_run(r->dir, &out, "rev-parse", spec, NULL) &&
           str_copy(tip_tree, sizeof(tip_tree), str_trim(buf_str(&out))) &&
           git_commit_make(r->dir, tip_tree, base, "passing", committer, committer, passing) &&
           git_merge_tree(r->dir, passing, sha, tree) &&
           git_commit_make(r->dir, tree, on, json_cstr(commit, "message"), &author, committer, tip);
}

static bool rebase(struct req *q, const struct issue *i, const char *base, char sha[SHA_TEXT])
{
    AUTO(mem_freep) char *range = mem_printf("%s..%s", base, i->pull->head_sha);
    AUTO(json_decrefp) json_t *list = git_commit_list(i->repo->dir, range, ".", 0, 250);
    char tip[SHA_TEXT];
    struct git_person github = {"GitHub", "noreply@github.com", NULL};
    memcpy(tip, base, SHA_TEXT);
    for (size_t k = json_array_size(list); k > 0; k--)
        if (!replay(i->repo, json_array_get(list, k - 1), &github, tip))
            return fail(q, 405, "This branch can't be rebased"), false;
    memcpy(sha, tip, SHA_TEXT);
    return true;
}

static char *default_title(const struct issue *i, const char *method)
{
    if (strcmp(method, "squash") == 0)
        return mem_printf("%s (#%lld)", i->title, (long long)i->number);
    return mem_printf("Merge pull request #%lld from %s/%s", (long long)i->number,
                      i->pull->head_repo->owner->login, i->pull->head_ref);
}

static bool make_commit(struct req *q, const struct issue *i, const char *method, const char *base,
                        const char *title, const char *message, char sha[SHA_TEXT])
{
    bool squash = strcmp(method, "squash") == 0;
    char tree[SHA_TEXT];
    AUTO(mem_freep) char *own = default_title(i, method);
    AUTO(mem_freep)
    char *text = mem_printf("%s\n\n%s", title ? title : own,
                            message  ? message
                            : squash ? ""
                                     : i->title);
    const char *const parents[] = {base, squash ? NULL : i->pull->head_sha, NULL};
    if (!git_merge_tree(i->repo->dir, base, i->pull->head_sha, tree))
        return fail(q, 405, "Pull Request is not mergeable"), false;
    return write_commit(q, tree, parents, text, NULL, NULL, sha);
}

bool merge_do(struct req *q, struct issue *i, const char *method, const char *title,
              const char *message, char sha[SHA_TEXT])
{
    char base[SHA_TEXT];
    AUTO(mem_freep) char *ref = mem_printf("refs/heads/%s", i->pull->base_ref);
    if (!ref_read(i->repo->dir, ref, base))
        return fail(q, 405, "Base branch was deleted"), false;
    if (via_app(q) && touches_workflows(i->repo, base, i->pull->head_sha) &&
        !may(q, "workflows=write")) {
        set_header(q, "X-Accepted-GitHub-Permissions", "contents=write,workflows=write");
        return fail(q, 403, "Resource not accessible by integration"), false;
    }
    bool made = strcmp(method, "rebase") == 0
                    ? rebase(q, i, base, sha)
                    : make_commit(q, i, method, base, title, message, sha);
    if (!made)
        return false;
    if (!ref_write(i->repo->dir, ref, sha))
        return fail(q, 405, "Base branch was modified. Review and try the merge again."), false;
    sha_copy(i->pull->base_sha, base);
    pull_merged(i, sha, q->who.user);
    ref_changed(i->repo, ref, base, sha, q->who.user);
    return true;
}

static bool method_ok(struct req *q, const char *method)
{
    for (size_t k = 0; k < COUNT(methods); k++) {
        if (strcmp(method, methods[k].method) != 0)
            continue;
        if (repo_flag(q->repo, methods[k].setting))
            return true;
        return fail(q, 405, "%s", methods[k].refusal), false;
    }
    return fail(q, 422, "Invalid merge method"), false;
}

void merge_pull(struct req *q)
{
    struct issue *i = want_pull(q, 0);
    const char *method = body_text(q, "merge_method") ? body_text(q, "merge_method") : "merge";
    const char *expected = body_text(q, "sha");
    bool mergeable = false;
    char sha[SHA_TEXT];
    if (!i || !method_ok(q, method))
        return;
    if (i->closed || i->pull->merged) {
        fail(q, 405, "Pull Request is not mergeable");
        return;
    }
    if (i->pull->draft) {
        fail(q, 405, "Pull Request is still a draft");
        return;
    }
    if (expected && strcmp(expected, i->pull->head_sha) != 0) {
        fail(q, 409, "Head branch was modified. Review and try the merge again.");
        return;
    }
    const char *state = pull_merge_state(i, &mergeable);
    if (!mergeable || strcmp(state, "behind") == 0) {
        fail(q, 405, "Pull Request is not mergeable");
        return;
    }
    if (strcmp(state, "blocked") == 0) {
        fail(q, 405,
             branch_rule(q->repo, i->pull->base_ref, "pull_request")
                 ? "At least 1 approving review is required by reviewers with write access."
                 : "Required status check is expected.");
        return;
    }
    if (merge_do(q, i, method, body_text(q, "commit_title"), body_text(q, "commit_message"), sha))
        reply(q, 200,
              json_pack("{s:s, s:b, s:s}", "sha", sha, "merged", 1, "message",
                        "Pull Request successfully merged"));
}

void merge_waiting(struct req *q)
{
    for (size_t r = 0; r < S.repos.n; r++) {
        struct repo *repo = S.repos.at[r];
        for (size_t n = 0; n < repo->issues.n; n++) {
            struct issue *i = repo->issues.at[n];
            bool mergeable;
            char sha[SHA_TEXT];
            if (!i->pull || !i->pull->auto_merge || i->closed ||
                strcmp(pull_merge_state(i, &mergeable), "clean") != 0)
                continue;
            const json_t *order = i->pull->auto_merge;
            const char *title = json_cstr(order, "commit_title");
            const char *message = json_cstr(order, "commit_message");
            struct req inner = {
                .x = q->x, .method = STR("PUT"), .repo = repo, .headers = json_object()};
            inner.who.kind = ACTOR_USER;
            inner.who.user = user_by_id(json_int(order, "enabled_by.id", 0));
            if (!merge_do(&inner, i, json_cstr(order, "merge_method"), *title ? title : NULL,
                          *message ? message : NULL, sha))
                log_warn("auto-merge failed", "repository", repo->full, NULL);
            json_decref(inner.out);
            json_decref(inner.headers);
        }
    }
}

/* Merges the base into the head. GitHub does it a moment later; here it is done at once. */
void merge_update_branch(struct req *q)
{
    struct issue *i = want_pull(q, 0);
    const char *expected = body_text(q, "expected_head_sha");
    char base[SHA_TEXT];
    char tree[SHA_TEXT];
    char sha[SHA_TEXT];
    if (!i)
        return;
    AUTO(mem_freep) char *base_ref = mem_printf("refs/heads/%s", i->pull->base_ref);
    AUTO(mem_freep) char *head_ref = mem_printf("refs/heads/%s", i->pull->head_ref);
    if (expected && strcmp(expected, i->pull->head_sha) != 0) {
        fail(q, 422, "expected head sha didn’t match current head ref.");
        return;
    }
    if (!ref_read(q->repo->dir, base_ref, base) ||
        git_is_ancestor(q->repo->dir, base, i->pull->head_sha)) {
        fail(q, 422, "There are no new commits on the base branch.");
        return;
    }
    if (i->pull->head_repo != q->repo ||
        !git_merge_tree(q->repo->dir, i->pull->head_sha, base, tree)) {
        fail(q, 422, "merge conflict between base and head");
        return;
    }
    AUTO(mem_freep)
    char *message = mem_printf("Merge branch '%s' into %s", i->pull->base_ref, i->pull->head_ref);
    AUTO(mem_freep) char *old = mem_strdup(i->pull->head_sha);
    const char *const parents[] = {old, base, NULL};
    if (!write_commit(q, tree, parents, message, NULL, NULL, sha) ||
        !write_ref(q, head_ref, old, sha, false))
        return;
    json_t *o = json_pack("{s:s}", "message", "Updating pull request branch.");
    jsetf(o, "url", "%s/repos/%s/pulls/%lld", S.api, q->repo->full, (long long)i->number);
    reply(q, 202, o);
}
