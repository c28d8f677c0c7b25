/* Files through the API: reading at a revision, and writing, which makes a commit on a branch. */
#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/github/api.h"
#include "tests/standins/github/write.h"

#define INLINE_MAX    (1024 * 1024)
#define RAW_MAX       (100 * 1024 * 1024)
#define DIRECTORY_MAX 1000
#define LINE_CHARS    60

/* Base64 with GitHub's line breaks. */
static char *base64_lines(struct str raw)
{
    struct buf flat = {0};
    struct buf out = {0};
    enc_base64(&flat, raw.p, raw.n);
    for (size_t at = 0; at < flat.len; at += LINE_CHARS) {
        buf_add_str(&out, str_sub(buf_str(&flat), at, at + LINE_CHARS));
        buf_putc(&out, '\n');
    }
    buf_done(&flat);
    buf_puts(&out, "");
    return out.data ? buf_take(&out) : mem_strdup("");
}

static json_t *entry(const struct repo *r, const char *ref, const char *path, const char *sha,
                     const char *type, int64_t size)
{
    const char *slash = strrchr(path, '/');
    bool file = strcmp(type, "dir") != 0;
    AUTO(buf_done) struct buf quoted = {0};
    enc_percent(&quoted, str_of(path), true);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:I}", "name", slash ? slash + 1 : path, "path",
                          path, "sha", sha, "type", type, "size", (json_int_t)(file ? size : 0));
    jsetf(o, "url", "%s/repos/%s/contents/%s?ref=%s", S.api, r->full, buf_cstr(&quoted), ref);
    jsetf(o, "html_url", "%s/%s/%s/%s/%s", S.base, r->full, file ? "blob" : "tree", ref,
          buf_cstr(&quoted));
    jsetf(o, "git_url", "%s/repos/%s/git/%s/%s", S.api, r->full, file ? "blobs" : "trees", sha);
    if (file)
        jsetf(o, "download_url", "%s/raw/%s/%s/%s", S.base, r->full, ref, buf_cstr(&quoted));
    else
        jset(o, "download_url", json_null());
    jset(o, "_links",
         json_pack("{s:O, s:O, s:O}", "self", json_object_get(o, "url"), "git",
                   json_object_get(o, "git_url"), "html", json_object_get(o, "html_url")));
    return o;
}

static const char *kind_of(struct str mode)
{
    if (str_eq(mode, STR("040000")))
        return "dir";
    if (str_eq(mode, STR("160000")))
        return "submodule";
    return str_eq(mode, STR("120000")) ? "symlink" : "file";
}

static void directory(struct req *q, const char *ref, const char *tree, const char *path)
{
    AUTO(buf_done) struct buf out = {0};
    json_t *all = json_array();
    struct str line;
    (void)git_run(q->repo->dir, &out, "ls-tree", "-l", "-z", "--full-tree", tree, NULL);
    struct str rest = buf_str(&out);
    bool new_version = str_eq(http_header(q->x, "X-GitHub-Api-Version"), STR("2026-03-10"));
    while (rest.n > 0 && str_split(&rest, '\0', &line) && line.n > 0 &&
           json_array_size(all) < DIRECTORY_MAX) {
        struct str left = line;
        struct str meta = {NULL, 0};
        struct str mode = {NULL, 0};
        struct str type;
        int64_t size = 0;
        char sha[SHA_TEXT];
        (void)str_split(&left, '\t', &meta);
        (void)str_split(&meta, ' ', &mode);
        (void)str_split(&meta, ' ', &type);
        if (!str_copy(sha, sizeof(sha), str_sub(meta, 0, SHA_TEXT - 1)) ||
            !str_to_i64(str_trim(str_sub(meta, SHA_TEXT, meta.n)), 0, INT64_MAX, &size))
            size = 0;
        const char *kind = kind_of(mode);
        if (strcmp(kind, "submodule") == 0 && !new_version)
            kind = "file"; /* as the old API version has it */
        AUTO(mem_freep)
        char *full = mem_printf("%s%s" STR_FMT, path, *path ? "/" : "", STR_ARG(left));
        json_array_append_new(all, entry(q->repo, ref, full, sha, kind, size));
    }
    reply(q, 200, all);
}

static void file(struct req *q, const char *ref, const char *sha, const char *path, int64_t size)
{
    AUTO(buf_done) struct buf raw = {.max = (size_t)RAW_MAX * 2};
    if (size > RAW_MAX) {
        fail(q, 403, "This API returns blobs up to 100 MB in size.");
        return;
    }
    if (!git_run(q->repo->dir, &raw, "cat-file", "blob", sha, NULL)) {
        not_found(q);
        return;
    }
    if (accepts(q, ".raw")) {
        buf_add_str(&q->raw, buf_str(&raw));
        q->raw_type = "application/vnd.github.raw+json; charset=utf-8";
        q->status = 200;
        return;
    }
    json_t *o = entry(q->repo, ref, path, sha, "file", size);
    if (size > INLINE_MAX) {
        jset(o, "encoding", json_string("none"));
        jset(o, "content", json_string(""));
    } else {
        AUTO(mem_freep) char *text = base64_lines(buf_str(&raw));
        jset(o, "encoding", json_string("base64"));
        jset(o, "content", json_string(text));
    }
    reply(q, 200, o);
}

/* The object at a path of a commit: "REV:path". */
static bool at_path(const struct repo *r, const char *commit, const char *path, char sha[SHA_TEXT],
                    char type[16], int64_t *size)
{
    AUTO(buf_done) struct buf out = {0};
    AUTO(mem_freep)
    char *spec = *path ? mem_printf("%s:%s", commit, path) : mem_printf("%s^{tree}", commit);
    return git_run(r->dir, &out, "rev-parse", "-q", "--verify", spec, NULL) &&
           str_copy(sha, SHA_TEXT, str_trim(buf_str(&out))) && git_type(r->dir, sha, type, size);
}

static void get_contents(struct req *q)
{
    AUTO(mem_freep) char *asked = query_text(q, "ref");
    const char *ref = asked && *asked ? asked : q->repo->default_branch;
    const char *path = q->part[0] ? q->part[0] : "";
    char commit[SHA_TEXT];
    char sha[SHA_TEXT];
    char type[16];
    int64_t size = 0;
    if (!git_resolve(q->repo->dir, ref, commit)) {
        fail(q, 404, asked ? "No commit found for the ref %s" : "This repository is empty.", ref);
        return;
    }
    if (!at_path(q->repo, commit, path, sha, type, &size))
        not_found(q);
    else if (strcmp(type, "tree") == 0)
        directory(q, ref, sha, path);
    else
        file(q, ref, sha, path, size);
}

static json_t *file_commit(const struct repo *r, const char *branch, const char *path,
                           const char *blob, const char *commit)
{
    char type[16];
    int64_t size = 0;
    json_t *content = json_null();
    if (blob && git_type(r->dir, blob, type, &size))
        content = entry(r, branch, path, blob, "file", size);
    return json_pack("{s:o, s:o}", "content", content, "commit",
                     obj_git_commit(r, git_commit_read(r->dir, commit)));
}

/* Writes one row (sha NULL = delete) as a commit on the branch. */
static bool commit_row(struct req *q, const char *branch, const char *path, const char *blob,
                       const char *message, char commit[SHA_TEXT])
{
    char old[SHA_TEXT] = ZERO_SHA;
    char tree[SHA_TEXT];
    AUTO(mem_freep) char *ref = mem_printf("refs/heads/%s", branch);
    bool exists = ref_read(q->repo->dir, ref, old);
    if (!exists && body_text(q, "branch")) {
        AUTO(json_decrefp) json_t *refs = ref_list(q->repo->dir, "refs/heads/");
        if (json_object_size(refs) > 0)
            return fail(q, 404, "Branch %s not found", branch), false;
    }
    AUTO(json_decrefp)
    json_t *rows =
        json_pack("[{s:s, s:s, s:o}]", "path", path, "mode", "100644", "sha", jtext(blob));
    const char *const parents[] = {exists ? old : NULL, NULL};
    if (!git_tree_make(q->repo->dir, exists ? old : NULL, rows, tree))
        return fail(q, 422, "path contains a malformed path component"), false;
    return write_commit(q, tree, parents, message, json_object_get(q->body, "author"),
                        json_object_get(q->body, "committer"), commit) &&
           write_ref(q, ref, exists ? old : ZERO_SHA, commit, false);
}

/* What is at the path now; false (answered) when the given sha does not fit. */
static bool sha_fits(struct req *q, const char *branch, const char *path, bool *exists)
{
    const char *given = body_text(q, "sha");
    char head[SHA_TEXT];
    char now[SHA_TEXT] = "";
    char type[16];
    int64_t size;
    AUTO(mem_freep) char *ref = mem_printf("refs/heads/%s", branch);
    *exists = ref_read(q->repo->dir, ref, head) && at_path(q->repo, head, path, now, type, &size);
    if (*exists && !given)
        return fail(q, 422, "Invalid request.\n\n\"sha\" wasn't supplied."), false;
    if (given && (!*exists || strcmp(given, now) != 0))
        return fail(q, 409, "%s does not match %s", path, given), false;
    return true;
}

static void put_contents(struct req *q)
{
    const char *message = body_text(q, "message");
    const char *content = body_text(q, "content");
    const char *branch = body_text(q, "branch") ? body_text(q, "branch") : q->repo->default_branch;
    const char *path = q->part[0];
    AUTO(buf_done) struct buf packed = {0};
    AUTO(buf_done) struct buf raw = {0};
    char blob[SHA_TEXT];
    char commit[SHA_TEXT];
    bool exists = false;
    if (!message || !content) {
        fail(q, 422, "Invalid request.\n\n\"%s\" wasn't supplied.",
             message ? "content" : "message");
        return;
    }
    for (const char *c = content; *c; c++)
        if (*c != '\n' && *c != '\r')
            buf_putc(&packed, *c);
    if (!enc_unbase64(buf_str(&packed), &raw)) {
        fail(q, 422, "content is not valid Base64");
        return;
    }
    if (!sha_fits(q, branch, path, &exists))
        return;
    if (!git_blob_make(q->repo->dir, buf_str(&raw), blob)) {
        fail(q, 422, "Could not create the blob");
        return;
    }
    if (commit_row(q, branch, path, blob, message, commit))
        reply(q, exists ? 200 : 201, file_commit(q->repo, branch, path, blob, commit));
}

static void delete_contents(struct req *q)
{
    const char *message = body_text(q, "message");
    const char *branch = body_text(q, "branch") ? body_text(q, "branch") : q->repo->default_branch;
    char commit[SHA_TEXT];
    bool exists = false;
    if (!message || !body_text(q, "sha")) {
        fail(q, 422, "Invalid request.\n\n\"%s\" wasn't supplied.", message ? "sha" : "message");
        return;
    }
    if (!sha_fits(q, branch, q->part[0], &exists))
        return;
    if (commit_row(q, branch, q->part[0], NULL, message, commit))
        reply(q, 200, file_commit(q->repo, branch, q->part[0], NULL, commit));
}

const struct route routes_contents[] = {
    {"GET",         "repos/:/:/contents", get_contents, "contents=read", NULL},
    {"GET", "repos/:/:/contents/*", get_contents, "contents=read", NULL},
    {"PUT",         "repos/:/:/contents/*", put_contents, "contents=write", "write"},
    {"DELETE",         "repos/:/:/contents/*", delete_contents, "contents=write", "write"},
    {0},
};
