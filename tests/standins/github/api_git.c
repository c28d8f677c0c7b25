/* Refs, git objects, commits and comparisons. "heads/a/b" and "heads%2Fa%2Fb" are the same here:
 * the path was decoded segment by segment before. */
#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/github/api.h"
#include "tests/standins/github/events.h"
#include "tests/standins/github/write.h"

#define COMMITS_MAX 10000

/* Every git call answers 409 while there is nothing in the repository. */
static bool not_empty(struct req *q)
{
    char sha[SHA_TEXT];
    AUTO(mem_freep) char *main_ref = mem_printf("refs/heads/%s", q->repo->default_branch);
    if (ref_read(q->repo->dir, main_ref, sha))
        return true;
    AUTO(json_decrefp) json_t *refs = ref_list(q->repo->dir, "refs/heads/");
    if (json_object_size(refs) > 0)
        return true;
    fail(q, 409, "Git Repository is empty.");
    return false;
}

static void get_ref(struct req *q)
{
    char sha[SHA_TEXT];
    AUTO(mem_freep) char *ref = mem_printf("refs/%s", q->part[0]);
    if (!not_empty(q))
        return;
    if (ref_read(q->repo->dir, ref, sha))
        reply(q, 200, obj_ref(q->repo, ref, sha));
    else
        not_found(q);
}

static void refs_of(struct req *q, const char *prefix)
{
    AUTO(mem_freep) char *full = mem_printf("refs/%s", prefix);
    AUTO(json_decrefp) json_t *refs = ref_list(q->repo->dir, full);
    json_t *all = json_array();
    const char *ref;
    json_t *sha;
    json_object_foreach(refs, ref, sha)
    {
        json_array_append_new(all, obj_ref(q->repo, ref, json_string_value(sha)));
    }
    reply_list(q, all);
}

static void matching_refs(struct req *q)
{
    if (not_empty(q))
        refs_of(q, q->part[0]);
}

static void list_refs(struct req *q)
{
    if (not_empty(q))
        refs_of(q, "");
}

static bool sha_ok(const char *sha)
{
    return sha && strlen(sha) == SHA_TEXT - 1 && strspn(sha, "0123456789abcdef") == SHA_TEXT - 1;
}

static bool object_there(struct req *q, const char *sha)
{
    char type[16];
    int64_t size;
    if (!sha_ok(sha)) {
        invalid(q, "Reference", "sha", sha ? "invalid" : "missing_field",
                "The sha parameter must be exactly 40 characters and contain only [0-9a-f].");
        return false;
    }
    if (!git_type(q->repo->dir, sha, type, &size))
        return fail(q, 422, "Object does not exist"), false;
    return true;
}

static void create_ref(struct req *q)
{
    const char *ref = body_text(q, "ref");
    const char *sha = body_text(q, "sha");
    char old[SHA_TEXT];
    if (!not_empty(q))
        return;
    if (!ref || !ref_name_ok(ref) || !strchr(ref + 5, '/')) {
        fail(q, 422,
             ref ? "Reference name is not valid: %s"
                 : "Invalid request.\n\n\"ref\" wasn't "
                   "supplied.",
             ref);
        return;
    }
    if (!object_there(q, sha))
        return;
    if (ref_read(q->repo->dir, ref, old)) {
        fail(q, 422, "Reference already exists");
        return;
    }
    if (!write_ref(q, ref, ZERO_SHA, sha, false))
        return;
    set_header(q, "Location", "%s/repos/%s/git/%s", S.api, q->repo->full, ref);
    reply(q, 201, obj_ref(q->repo, ref, sha));
}

static void update_ref(struct req *q)
{
    const char *sha = body_text(q, "sha");
    char old[SHA_TEXT];
    AUTO(mem_freep) char *ref = mem_printf("refs/%s", q->part[0]);
    if (!not_empty(q) || !object_there(q, sha))
        return;
    if (!ref_read(q->repo->dir, ref, old)) {
        fail(q, 422, "Reference does not exist");
        return;
    }
    if (write_ref(q, ref, old, sha, json_bool(q->body, "force", false)))
        reply(q, 200, obj_ref(q->repo, ref, sha));
}

static void delete_ref(struct req *q)
{
    char old[SHA_TEXT];
    AUTO(mem_freep) char *ref = mem_printf("refs/%s", q->part[0]);
    AUTO(mem_freep) char *main_ref = mem_printf("refs/heads/%s", q->repo->default_branch);
    if (!not_empty(q))
        return;
    if (!ref_read(q->repo->dir, ref, old))
        fail(q, 422, "Reference does not exist");
    else if (strcmp(ref, main_ref) == 0)
        fail(q, 422, "Cannot delete the default branch");
    else if (write_ref(q, ref, old, ZERO_SHA, true))
        reply(q, 204, NULL);
}

/* ---- objects ---- */

static void create_blob(struct req *q)
{
    const char *content = body_text(q, "content");
    const char *encoding = body_text(q, "encoding");
    AUTO(buf_done) struct buf raw = {0};
    char sha[SHA_TEXT];
    if (!content) {
        invalid(q, "Blob", "content", "missing_field", NULL);
        return;
    }
    AUTO(buf_done) struct buf packed = {0};
    for (const char *c = content; *c; c++)
        if (*c != '\n' && *c != '\r')
            buf_putc(&packed, *c);
    bool base64 = encoding && strcmp(encoding, "base64") == 0;
    if (base64 && !enc_unbase64(buf_str(&packed), &raw)) {
        fail(q, 422, "content is not valid Base64");
        return;
    }
    if (!git_blob_make(q->repo->dir, base64 ? buf_str(&raw) : str_of(content), sha)) {
        fail(q, 422, "Could not create the blob");
        return;
    }
    reply(q, 201,
          json_pack("{s:s, s:o}", "sha", sha, "url",
                    json_sprintf("%s/repos/%s/git/blobs/%s", S.api, q->repo->full, sha)));
}

static void get_blob(struct req *q)
{
    AUTO(buf_done) struct buf raw = {0};
    AUTO(buf_done) struct buf text = {0};
    if (!sha_ok(q->part[0]) || !git_run(q->repo->dir, &raw, "cat-file", "blob", q->part[0], NULL)) {
        not_found(q);
        return;
    }
    enc_base64(&text, raw.data, raw.len);
    reply(q, 200,
          json_pack("{s:s, s:s, s:I, s:s, s:o, s:o}", "sha", q->part[0], "encoding", "base64",
                    "size", (json_int_t)raw.len, "content", buf_cstr(&text), "node_id",
                    jnode("B", q->repo->id), "url",
                    json_sprintf("%s/repos/%s/git/blobs/%s", S.api, q->repo->full, q->part[0])));
}

/* "100644 blob SHA    SIZE\tpath" */
static json_t *tree_json(const struct repo *r, const char *sha, bool recursive)
{
    AUTO(buf_done) struct buf out = {0};
    json_t *rows = json_array();
    struct str line;
    if (!git_run(r->dir, &out, "ls-tree", "-l", "-z", recursive ? "-rt" : "--full-tree", sha, NULL))
        return json_decref(rows), NULL;
    struct str rest = buf_str(&out);
    while (rest.n > 0 && str_split(&rest, '\0', &line) && line.n > 0) {
        struct str left = line;
        struct str meta = {NULL, 0};
        struct str mode = {NULL, 0};
        struct str type = {NULL, 0};
        int64_t size = 0;
        (void)str_split(&left, '\t', &meta);
        (void)str_split(&meta, ' ', &mode);
        (void)str_split(&meta, ' ', &type);
        struct str id = str_sub(meta, 0, SHA_TEXT - 1);
        json_t *row = json_pack("{s:o, s:o, s:o, s:o}", "path", json_text(left), "mode",
                                json_text(mode), "type", json_text(type), "sha", json_text(id));
        if (str_to_i64(str_trim(str_sub(meta, SHA_TEXT, meta.n)), 0, INT64_MAX, &size))
            jset(row, "size", json_integer(size));
        jsetf(row, "url", "%s/repos/%s/git/" STR_FMT "s/" STR_FMT, S.api, r->full, STR_ARG(type),
              STR_ARG(id));
        json_array_append_new(rows, row);
    }
    json_t *o = json_pack("{s:s, s:o, s:b}", "sha", sha, "tree", rows, "truncated", 0);
    jsetf(o, "url", "%s/repos/%s/git/trees/%s", S.api, r->full, sha);
    return o;
}

static void get_tree(struct req *q)
{
    AUTO(mem_freep) char *recursive = query_text(q, "recursive");
    AUTO(buf_done) struct buf out = {0};
    AUTO(mem_freep) char *spec = mem_printf("%s^{tree}", q->part[0]);
    json_t *o = NULL;
    if (q->part[0][0] != '-' &&
        git_run(q->repo->dir, &out, "rev-parse", "-q", "--verify", spec, NULL)) {
        AUTO(mem_freep) char *sha = str_dup(str_trim(buf_str(&out)));
        o = tree_json(q->repo, sha, recursive != NULL);
    }
    if (o)
        reply(q, 200, o);
    else
        not_found(q);
}

/* Rows with content become blobs first. */
static bool tree_rows(struct req *q, json_t *rows)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        const char *path = json_cstr(row, "path");
        const char *content = json_cstr(row, "content");
        const char *mode = json_cstr(row, "mode");
        char sha[SHA_TEXT];
        if (!path || !*path || (!mode && !json_is_null(json_object_get(row, "sha"))))
            return fail(q, 422, "tree.%s must be supplied", path ? "mode" : "path"), false;
        if (content) {
            if (!git_blob_make(q->repo->dir, str_of(content), sha))
                return fail(q, 422, "Could not create the blob"), false;
            jset(row, "sha", json_string(sha));
        }
        const char *id = json_cstr(row, "sha");
        char type[16];
        int64_t size;
        if (id && (!sha_ok(id) ||
                   (!git_type(q->repo->dir, id, type, &size) && strcmp(mode, "160000") != 0)))
            return fail(q, 422, "tree.sha %s is not a valid blob", id), false;
    }
    return true;
}

static void create_tree(struct req *q)
{
    json_t *rows = json_object_get(q->body, "tree");
    const char *base = body_text(q, "base_tree");
    char sha[SHA_TEXT];
    if (!json_is_array(rows) || json_array_size(rows) == 0) {
        fail(q, 422, "Invalid tree info");
        return;
    }
    if ((base && !sha_ok(base)) || !tree_rows(q, rows)) {
        if (q->status == 0)
            fail(q, 422, "base_tree is not valid");
        return;
    }
    if (!git_tree_make(q->repo->dir, base, rows, sha)) {
        fail(q, 422, "Could not create the tree");
        return;
    }
    reply(q, 201, tree_json(q->repo, sha, false));
}

static void create_commit(struct req *q)
{
    const char *message = body_text(q, "message");
    const char *tree = body_text(q, "tree");
    json_t *list = json_object_get(q->body, "parents");
    const char *parents[9] = {NULL};
    char sha[SHA_TEXT];
    if (!message || !sha_ok(tree)) {
        invalid(q, "Commit", message ? "tree" : "message", "missing_field", NULL);
        return;
    }
    for (size_t i = 0; i < json_array_size(list) && i < 8; i++) {
        parents[i] = json_string_value(json_array_get(list, i));
        if (!object_there(q, parents[i]))
            return;
    }
    if (write_commit(q, tree, parents, message, json_object_get(q->body, "author"),
                     json_object_get(q->body, "committer"), sha))
        reply(q, 201, obj_git_commit(q->repo, git_commit_read(q->repo->dir, sha)));
}

static void get_git_commit(struct req *q)
{
    json_t *c = sha_ok(q->part[0]) ? git_commit_read(q->repo->dir, q->part[0]) : NULL;
    if (c)
        reply(q, 200, obj_git_commit(q->repo, c));
    else
        not_found(q);
}

/* ---- commits ---- */

/* A branch, tag or SHA, or "user:branch" of a fork, to a SHA whose objects are in this repository.
 */
static bool side_resolve(struct req *q, const char *text, char sha[SHA_TEXT])
{
    const char *colon = strchr(text, ':');
    if (!colon)
        return git_resolve(q->repo->dir, text, sha);
    AUTO(mem_freep) char *login = str_dup((struct str){text, (size_t)(colon - text)});
    bool moved;
    struct repo *fork = repo_find(login, q->repo->name, &moved);
    return fork && git_resolve(fork->dir, colon + 1, sha) &&
           (fork == q->repo || git_run(q->repo->dir, NULL, "fetch", "-q", fork->dir, sha, NULL));
}

static void get_commit(struct req *q)
{
    char sha[SHA_TEXT];
    if (!not_empty(q))
        return;
    if (!git_resolve(q->repo->dir, q->part[0], sha)) {
        fail(q, 422, "No commit found for SHA: %s", q->part[0]);
        return;
    }
    if (accepts(q, "sha") && !accepts(q, "json")) {
        buf_puts(&q->raw, sha);
        q->raw_type = "text/plain; charset=utf-8";
        q->status = 200;
        return;
    }
    if (accepts(q, ".diff") || accepts(q, ".patch")) {
        const char *const show[] = {"show", accepts(q, ".diff") ? "--format=" : "--format=email",
                                    "-p", sha, NULL};
        (void)git_feed(q->repo->dir, (struct str){NULL, 0}, NULL, &q->raw, show);
        q->raw_type = "text/plain; charset=utf-8";
        q->status = 200;
        return;
    }
    reply(q, 200, obj_commit(q->repo, git_commit_read(q->repo->dir, sha), true));
}

static void list_commits(struct req *q)
{
    AUTO(mem_freep) char *from = query_text(q, "sha");
    AUTO(mem_freep) char *path = query_text(q, "path");
    char sha[SHA_TEXT];
    if (!not_empty(q))
        return;
    if (!git_resolve(q->repo->dir, from ? from : q->repo->default_branch, sha)) {
        not_found(q);
        return;
    }
    json_t *list = git_commit_list(q->repo->dir, sha, path ? path : ".", 0, COMMITS_MAX);
    json_t *all = json_array();
    for (size_t i = 0; i < json_array_size(list); i++)
        json_array_append_new(all,
                              obj_commit(q->repo, json_incref(json_array_get(list, i)), false));
    json_decref(list);
    reply_list(q, all);
}

static void compare(struct req *q)
{
    char *dots = strstr(q->part[0], "...");
    char base[SHA_TEXT];
    char head[SHA_TEXT];
    AUTO(mem_freep) char *spec = mem_strdup(q->part[0]);
    json_t *o = NULL;
    if (dots) {
        *dots = '\0';
        if (side_resolve(q, q->part[0], base) && side_resolve(q, dots + 3, head))
            o = obj_compare(q->repo, spec, base, head);
    }
    if (!o) {
        not_found(q);
        return;
    }
    if (accepts(q, ".diff")) {
        AUTO(mem_freep) char *range = mem_printf("%s...%s", base, head);
        (void)git_run(q->repo->dir, &q->raw, "diff", range, NULL);
        q->raw_type = "application/vnd.github.diff; charset=utf-8";
    }
    reply(q, 200, o);
}

static void pulls_of_commit(struct req *q)
{
    char sha[SHA_TEXT];
    json_t *all = json_array();
    if (!git_resolve(q->repo->dir, q->part[0], sha)) {
        json_decref(all);
        fail(q, 422, "No commit found for SHA: %s", q->part[0]);
        return;
    }
    for (size_t i = 0; i < q->repo->issues.n; i++) {
        const struct issue *p = q->repo->issues.at[i];
        if (p->pull &&
            (strcmp(p->pull->head_sha, sha) == 0 || strcmp(p->pull->merge_sha, sha) == 0))
            json_array_append_new(all, obj_pull(p, false, false));
    }
    reply_list(q, all);
}

/* POST merges: one branch into another, without a pull request. */
static void merge_branches(struct req *q)
{
    const char *base = body_text(q, "base");
    const char *head = body_text(q, "head");
    char ours[SHA_TEXT];
    char theirs[SHA_TEXT];
    char tree[SHA_TEXT];
    char sha[SHA_TEXT];
    AUTO(mem_freep) char *ref = mem_printf("refs/heads/%s", base ? base : "");
    if (!base || !head || !ref_read(q->repo->dir, ref, ours) ||
        !git_resolve(q->repo->dir, head, theirs)) {
        fail(q, 404, "%s does not exist", base ? "Head" : "Base");
        return;
    }
    if (git_is_ancestor(q->repo->dir, theirs, ours)) {
        reply(q, 204, NULL);
        return;
    }
    if (!git_merge_tree(q->repo->dir, ours, theirs, tree)) {
        fail(q, 409, "Merge conflict");
        return;
    }
    AUTO(mem_freep)
    char *message = body_text(q, "commit_message") ? mem_strdup(body_text(q, "commit_message"))
                                                   : mem_printf("Merge %s into %s", head, base);
    const char *const parents[] = {ours, theirs, NULL};
    if (write_commit(q, tree, parents, message, NULL, NULL, sha) &&
        write_ref(q, ref, ours, sha, false))
        reply(q, 201, obj_commit(q->repo, git_commit_read(q->repo->dir, sha), false));
}

const struct route routes_git[] = {
    {"GET",          "repos/:/:/git/ref/*", get_ref, "contents=read", NULL},
    {"GET",       "repos/:/:/git/matching-refs/*", matching_refs, "contents=read", NULL},
    {"GET",          "repos/:/:/git/refs", list_refs, "contents=read", NULL},
    {"GET",          "repos/:/:/git/refs/*", matching_refs, "contents=read", NULL},
    {"POST", "repos/:/:/git/refs", create_ref, "contents=write", "write"},
    {"PATCH",          "repos/:/:/git/refs/*", update_ref, "contents=write", "write"},
    {"DELETE",          "repos/:/:/git/refs/*", delete_ref, "contents=write", "write"},
    {"POST",     "repos/:/:/git/blobs", create_blob, "contents=write", "write"},
    {"GET",          "repos/:/:/git/blobs/:", get_blob, "contents=read", NULL},
    {"POST",          "repos/:/:/git/trees", create_tree, "contents=write", "write"},
    {"GET", "repos/:/:/git/trees/*", get_tree, "contents=read", NULL},
    {"POST",          "repos/:/:/git/commits", create_commit, "contents=write", "write"},
    {"GET",         "repos/:/:/git/commits/:", get_git_commit, "contents=read", NULL},
    {"GET",    "repos/:/:/commits", list_commits, "contents=read", NULL},
    {"GET",       "repos/:/:/commits/:/pulls", pulls_of_commit, "pull_requests=read", NULL},
    {"GET",        "repos/:/:/commits/:", get_commit, "contents=read", NULL},
    {"GET",    "repos/:/:/compare/*", compare, "contents=read", NULL},
    {"POST",       "repos/:/:/merges", merge_branches, "contents=write", "write"},
    {0      },
};
