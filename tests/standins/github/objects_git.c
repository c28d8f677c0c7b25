/* Commits, differences and comparisons as GitHub shows them. */
#include "tests/standins/github/objects.h"

#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"

/* The account that a commit's mail address belongs to: its own, or {id}+{login}@users.noreply.… */
static json_t *account_of(const json_t *person)
{
    const char *mail = json_cstr(person, "email");
    for (size_t i = 0; mail && i < S.users.n; i++) {
        const struct user *u = S.users.at[i];
        AUTO(mem_freep)
        char *start = mem_printf("%lld+%s@users.noreply.", (long long)u->id, u->login);
        if ((u->email && strcmp(u->email, mail) == 0) || strncmp(mail, start, strlen(start)) == 0)
            return obj_user(u);
    }
    return json_null();
}

/* What the stand-in itself signs (commits made by the App through the API) carries this mark. */
static json_t *verification_of(const json_t *commit)
{
    const char *signature = json_cstr(commit, "signature");
    bool ours = signature && strstr(signature, "stand-in signature");
    json_t *v = json_pack("{s:b, s:s}", "verified", ours, "reason",
                          ours        ? "valid"
                          : signature ? "unknown_key"
                                      : "unsigned");
    jset(v, "signature", jtext(signature));
    jset(v, "payload", signature ? json_string("") : json_null());
    jset(v, "verified_at", ours ? json_incref(json_at(commit, "committer.date")) : json_null());
    return v;
}

static json_t *tree_of(const struct repo *r, const json_t *commit)
{
    const char *tree = json_cstr(commit, "tree");
    json_t *o = json_pack("{s:s}", "sha", tree);
    jsetf(o, "url", "%s/repos/%s/git/trees/%s", S.api, r->full, tree);
    return o;
}

static json_t *parents_of(const struct repo *r, const json_t *commit, const char *folder)
{
    json_t *all = json_array();
    size_t i;
    json_t *sha;
    json_array_foreach(json_object_get(commit, "parents"), i, sha)
    {
        json_t *o = json_pack("{s:O}", "sha", sha);
        jsetf(o, "url", "%s/repos/%s/%s/%s", S.api, r->full, folder, json_string_value(sha));
        jsetf(o, "html_url", "%s/%s/commit/%s", S.base, r->full, json_string_value(sha));
        json_array_append_new(all, o);
    }
    return all;
}

static json_t *diff_of(const struct repo *r, const json_t *commit)
{
    /* A first commit is compared with the empty tree, whose id is the same everywhere. */
    const char *parent = json_string_value(json_array_get(json_object_get(commit, "parents"), 0));
    return git_diff(r->dir, parent ? parent : "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
                    json_cstr(commit, "sha"));
}

json_t *obj_files(const struct repo *r, const char *ref, json_t *rows)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        AUTO(buf_done) struct buf path = {0};
        enc_percent(&path, json_str(row, "filename"), true);
        json_object_del(row, "binary");
        jset(row, "changes",
             json_integer(json_int(row, "additions", 0) + json_int(row, "deletions", 0)));
        jsetf(row, "blob_url", "%s/%s/blob/%s/%s", S.base, r->full, ref, buf_cstr(&path));
        jsetf(row, "raw_url", "%s/%s/raw/%s/%s", S.base, r->full, ref, buf_cstr(&path));
        jsetf(row, "contents_url", "%s/repos/%s/contents/%s?ref=%s", S.api, r->full,
              buf_cstr(&path), ref);
    }
    return rows;
}

json_t *obj_commit(const struct repo *r, json_t *commit, bool files)
{
    const char *sha = json_cstr(commit, "sha");
    json_t *o = json_pack("{s:s}", "sha", sha);
    jset(o, "node_id", json_sprintf("C_kwDO%llx_%s", (long long)r->id, sha));
    jsetf(o, "url", "%s/repos/%s/commits/%s", S.api, r->full, sha);
    jsetf(o, "html_url", "%s/%s/commit/%s", S.base, r->full, sha);
    jsetf(o, "comments_url", "%s/repos/%s/commits/%s/comments", S.api, r->full, sha);
    json_t *inner = json_pack(
        "{s:O, s:O, s:O, s:i, s:o, s:o}", "author", json_object_get(commit, "author"), "committer",
        json_object_get(commit, "committer"), "message", json_object_get(commit, "message"),
        "comment_count", 0, "tree", tree_of(r, commit), "verification", verification_of(commit));
    jsetf(inner, "url", "%s/repos/%s/git/commits/%s", S.api, r->full, sha);
    jset(o, "commit", inner);
    jset(o, "author", account_of(json_object_get(commit, "author")));
    jset(o, "committer", account_of(json_object_get(commit, "committer")));
    jset(o, "parents", parents_of(r, commit, "commits"));
    if (files) {
        json_t *rows = obj_files(r, sha, diff_of(r, commit));
        int64_t plus = 0;
        int64_t minus = 0;
        size_t i;
        json_t *row;
        json_array_foreach(rows, i, row)
        {
            plus += json_int(row, "additions", 0);
            minus += json_int(row, "deletions", 0);
        }
        jset(o, "stats",
             json_pack("{s:I, s:I, s:I}", "additions", (json_int_t)plus, "deletions",
                       (json_int_t)minus, "total", (json_int_t)(plus + minus)));
        jset(o, "files", rows);
    }
    json_decref(commit);
    return o;
}

json_t *obj_git_commit(const struct repo *r, json_t *commit)
{
    const char *sha = json_cstr(commit, "sha");
    json_t *o =
        json_pack("{s:s, s:O, s:O, s:O}", "sha", sha, "author", json_object_get(commit, "author"),
                  "committer", json_object_get(commit, "committer"), "message",
                  json_object_get(commit, "message"));
    jset(o, "node_id", json_sprintf("C_kwDO%llx_%s", (long long)r->id, sha));
    jsetf(o, "url", "%s/repos/%s/git/commits/%s", S.api, r->full, sha);
    jsetf(o, "html_url", "%s/%s/commit/%s", S.base, r->full, sha);
    jset(o, "tree", tree_of(r, commit));
    jset(o, "parents", parents_of(r, commit, "git/commits"));
    jset(o, "verification", verification_of(commit));
    json_decref(commit);
    return o;
}

json_t *obj_push_commit(const struct repo *r, json_t *commit)
{
    static const char *const lists[][2] = {
        {"added",    "added"   },
        {"removed",  "removed" },
        {"modified", "modified"}
    };
    const char *sha = json_cstr(commit, "sha");
    json_t *o = json_pack(
        "{s:s, s:O, s:O, s:b, s:O, s:O}", "id", sha, "tree_id", json_object_get(commit, "tree"),
        "message", json_object_get(commit, "message"), "distinct", 1, "author",
        json_object_get(commit, "author"), "committer", json_object_get(commit, "committer"));
    jset(o, "timestamp", json_incref(json_at(commit, "committer.date")));
    jsetf(o, "url", "%s/%s/commit/%s", S.base, r->full, sha);
    AUTO(json_decrefp) json_t *rows = diff_of(r, commit);
    for (size_t k = 0; k < COUNT(lists); k++) {
        json_t *names = json_array();
        size_t i;
        json_t *row;
        json_array_foreach(rows, i, row)
        {
            if (str_eq(json_str(row, "status"), str_of(lists[k][1])))
                json_array_append(names, json_object_get(row, "filename"));
        }
        jset(o, lists[k][0], names);
    }
    json_decref(commit);
    return o;
}

json_t *obj_compare(const struct repo *r, const char *spec, const char *base, const char *head)
{
    char common[SHA_TEXT];
    if (!git_merge_base(r->dir, base, head, common))
        return NULL;
    int64_t ahead = git_count(r->dir, base, head);
    int64_t behind = git_count(r->dir, head, base);
    AUTO(mem_freep) char *range = mem_printf("%s..%s", base, head);
    AUTO(json_decrefp) json_t *list = git_commit_list(r->dir, range, ".", 0, 10000);
    json_t *commits = json_array();
    for (size_t i = json_array_size(list); i > 0; i--) /* oldest first */
        json_array_append_new(commits,
                              obj_commit(r, json_incref(json_array_get(list, i - 1)), false));
    json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:o}", "status",
                          ahead && behind ? "diverged"
                          : ahead         ? "ahead"
                          : behind        ? "behind"
                                          : "identical",
                          "ahead_by", (json_int_t)ahead, "behind_by", (json_int_t)behind,
                          "total_commits", (json_int_t)ahead, "commits", commits);
    jsetf(o, "url", "%s/repos/%s/compare/%s", S.api, r->full, spec);
    jsetf(o, "html_url", "%s/%s/compare/%s", S.base, r->full, spec);
    jsetf(o, "permalink_url", "%s/%s/compare/%s...%s", S.base, r->full, base, head);
    jsetf(o, "diff_url", "%s/%s/compare/%s.diff", S.base, r->full, spec);
    jsetf(o, "patch_url", "%s/%s/compare/%s.patch", S.base, r->full, spec);
    jset(o, "base_commit", obj_commit(r, git_commit_read(r->dir, base), false));
    jset(o, "merge_base_commit", obj_commit(r, git_commit_read(r->dir, common), false));
    json_t *files = obj_files(r, head, git_diff(r->dir, common, head));
    while (json_array_size(files) > 300)
        json_array_remove(files, json_array_size(files) - 1);
    jset(o, "files", files);
    return o;
}
