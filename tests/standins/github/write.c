/* See write.h. */
#include "tests/standins/github/write.h"

#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/github/events.h"

#define SIGNATURE                                                                                  \
    "gpgsig -----BEGIN PGP SIGNATURE-----\n \n stand-in signature\n -----END PGP SIGNATURE-----\n"

static bool commit_sign(const char *dir, char sha[SHA_TEXT])
{
    static const char *const args[] = {"hash-object", "-t", "commit", "-w", "--stdin", NULL};
    AUTO(buf_done) struct buf text = {0};
    AUTO(buf_done) struct buf with = {0};
    AUTO(buf_done) struct buf out = {0};
    if (!git_run(dir, &text, "cat-file", "commit", sha, NULL))
        return false;
    size_t end = str_find(buf_str(&text), STR("\n\n"), 0);
    buf_add_str(&with, str_sub(buf_str(&text), 0, end + 1));
    buf_puts(&with, SIGNATURE);
    buf_add_str(&with, str_sub(buf_str(&text), end + 1, text.len));
    return git_feed(dir, buf_str(&with), NULL, &out, args) == 0 &&
           str_copy(sha, SHA_TEXT, str_trim(buf_str(&out)));
}

bool write_commit(struct req *q, const char *tree, const char *const *parents, const char *message,
                  const json_t *author, const json_t *committer, char sha[SHA_TEXT])
{
    const struct user *u = q->who.user;
    AUTO(mem_freep)
    char *noreply = mem_printf("%lld+%s@users.noreply.github.com", (long long)u->id, u->login);
    AUTO(mem_freep) char *date = NULL;
    struct git_person by = {u->name ? u->name : u->login, u->email ? u->email : noreply, NULL};
    struct git_person with = {"GitHub", "noreply@github.com", NULL};
    bool own = !json_is_object(author) && !json_is_object(committer);
    /* The stand-in's clock may be shifted; git's may not. */
    AUTO(json_decrefp) json_t *now = jtime(now_ms());
    date = mem_strdup(json_string_value(now));
    by.date = with.date = date;
    if (json_is_object(author))
        by = (struct git_person){json_cstr(author, "name"), json_cstr(author, "email"),
                                 json_cstr(author, "date") ? json_cstr(author, "date") : date};
    if (json_is_object(committer))
        with =
            (struct git_person){json_cstr(committer, "name"), json_cstr(committer, "email"),
                                json_cstr(committer, "date") ? json_cstr(committer, "date") : date};
    else if (json_is_object(author))
        with = by;
    if (!by.name || !by.email || !with.name || !with.email) {
        invalid(q, "Commit", "author", "missing_field", NULL);
        return false;
    }
    if (!git_commit_make(q->repo->dir, tree, parents, message, &by, &with, sha) ||
        (own && via_app(q) && !commit_sign(q->repo->dir, sha))) {
        fail(q, 422, "Could not create the commit");
        return false;
    }
    return true;
}

bool touches_workflows(const struct repo *r, const char *old, const char *new_sha)
{
    AUTO(buf_done) struct buf out = {0};
    char base[SHA_TEXT];
    AUTO(mem_freep) char *main_ref = mem_printf("refs/heads/%s", r->default_branch);
    if (strcmp(new_sha, ZERO_SHA) == 0)
        return false;
    const char *from = old;
    if (strcmp(old, ZERO_SHA) == 0) {
        char head[SHA_TEXT];
        if (!ref_read(r->dir, main_ref, head) || !git_merge_base(r->dir, head, new_sha, base))
            return false;
        from = base;
    }
    return git_run(r->dir, &out, "diff-tree", "-r", "--name-only", from, new_sha, "--",
                   ".github/workflows", NULL) &&
           out.len > 0;
}

bool write_ref_bare(struct repo *r, const char *ref, const char *old, const char *new_sha,
                    struct user *by)
{
    bool ok =
        strcmp(new_sha, ZERO_SHA) == 0 ? ref_delete(r->dir, ref) : ref_write(r->dir, ref, new_sha);
    if (ok)
        ref_changed(r, ref, old, new_sha, by);
    return ok;
}

static const struct {
    const char *type;
    const char *text;
} rules[] = {
    {"creation",         "Cannot create ref due to creations being restricted."},
    {"update",           "Cannot update this protected ref."                   },
    {"deletion",         "Cannot delete this branch"                           },
    {"non_fast_forward", "Cannot force-push to this branch"                    },
    {"pull_request",     "Changes must be made through a pull request."        },
};

static bool concerns(const char *type, bool created, bool deleted, bool forced)
{
    if (strcmp(type, "creation") == 0)
        return created;
    if (strcmp(type, "deletion") == 0)
        return deleted;
    if (strcmp(type, "non_fast_forward") == 0)
        return forced;
    return !created && !deleted;
}

bool write_ref(struct req *q, const char *ref, const char *old, const char *new_sha, bool force)
{
    struct repo *r = q->repo;
    bool created = strcmp(old, ZERO_SHA) == 0;
    bool deleted = strcmp(new_sha, ZERO_SHA) == 0;
    bool forced = !created && !deleted && !git_is_ancestor(r->dir, old, new_sha);
    if (forced && !force)
        return fail(q, 422, "Update is not a fast forward"), false;
    for (size_t i = 0; strncmp(ref, "refs/heads/", 11) == 0 && i < COUNT(rules); i++) {
        if (branch_rule(r, ref + 11, rules[i].type) &&
            concerns(rules[i].type, created, deleted, forced)) {
            fail(q, 422, "Repository rule violations found\n\n%s\n\n", rules[i].text);
            return false;
        }
    }
    if (via_app(q) && touches_workflows(r, old, new_sha) && !may(q, "workflows=write")) {
        set_header(q, "X-Accepted-GitHub-Permissions", "contents=write,workflows=write");
        return fail(q, 403, "Resource not accessible by integration"), false;
    }
    if (!write_ref_bare(r, ref, old, new_sha, q->who.user))
        return fail(q, 409, "Could not update the reference"), false;
    return true;
}
