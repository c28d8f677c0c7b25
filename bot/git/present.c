/* libgit2's diff over objects that the validator let pass. Patches are whole (binary files too,
 * renames as removal and addition), because `git am` must be able to repeat the work; a series that
 * would be larger than PATCH_MAX_BYTES is left out. */
#include "bot/git/present.h"

#include "bot/git/clean.h"
#include "bot/git/engine.h"

#include <git2/email.h>

#define STAT_LINES_MAX      50
#define STAT_PATH_BYTES     200
#define TEXT_FILE_MAX_BYTES ((git_off_t)16 * 1024 * 1024) /* larger ones count as binary */
#define PATCH_MAX_BYTES     ((size_t)20 * 1024 * 1024)
#define WORK_MAX_BYTES      ((uint64_t)64 * 1024 * 1024) /* of files, for a patch to be tried */

static void tree_freep(git_tree **t)
{
    git_tree_free(*t);
}

static void diff_freep(git_diff **d)
{
    git_diff_free(*d);
}

static void patch_freep(git_patch **p)
{
    git_patch_free(*p);
}

static void commit_freep(git_commit **c)
{
    git_commit_free(*c);
}

static bool tree_of(const struct quarantine *q, const git_oid *id, git_tree **out, struct err *err)
{
    AUTO(commit_freep) git_commit *commit = NULL;
    return (git_commit_lookup(&commit, q->repo, id) == 0 && git_commit_tree(out, commit) == 0) ||
           engine_err(err, ERR_UPSTREAM, "read commit");
}

static bool stat_line(git_diff *diff, size_t i, struct git_import_result *out, struct err *err)
{
    AUTO(patch_freep) git_patch *patch = NULL;
    size_t plus = 0, minus = 0;
    if (git_patch_from_diff(&patch, diff, i) != 0 ||
        (patch && git_patch_line_stats(NULL, &plus, &minus, patch) != 0))
        return engine_err(err, ERR_UPSTREAM, "compare files");
    out->insertions += (int)plus;
    out->deletions += (int)minus;
    if (i >= STAT_LINES_MAX)
        return true;
    const git_diff_delta *delta = git_diff_get_delta(diff, i);
    struct str path = str_of(delta->new_file.path ? delta->new_file.path : delta->old_file.path);
    clean_line(str_sub(path, 0, str_utf8_floor(path, STAT_PATH_BYTES)), &out->diffstat);
    if (!patch || (delta->flags & GIT_DIFF_FLAG_BINARY))
        buf_puts(&out->diffstat, " | binary\n");
    else
        buf_printf(&out->diffstat, " | +%zu -%zu\n", plus, minus);
    return true;
}

bool present_stat(const struct quarantine *q, const git_oid *base, const git_oid *tip,
                  const struct call *call, struct git_import_result *out, struct err *err)
{
    AUTO(tree_freep) git_tree *old = NULL;
    AUTO(tree_freep) git_tree *new = NULL;
    AUTO(diff_freep) git_diff *diff = NULL;
    git_diff_options options;
    if (git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION) != 0)
        return engine_err(err, ERR_BUG, "compare trees");
    options.max_size = TEXT_FILE_MAX_BYTES;
    if (!tree_of(q, base, &old, err) || !tree_of(q, tip, &new, err))
        return false;
    if (git_diff_tree_to_tree(&diff, q->repo, old, new, &options) != 0)
        return engine_err(err, ERR_UPSTREAM, "compare trees");
    size_t n = git_diff_num_deltas(diff);
    out->files = (int)n;
    for (size_t i = 0; i < n; i++)
        if (!call_check(call, err) || !stat_line(diff, i, out, err))
            return false;
    if (n > STAT_LINES_MAX)
        buf_printf(&out->diffstat, "and %zu more files\n", n - STAT_LINES_MAX);
    return true;
}

static bool add_mail(const struct quarantine *q, const git_oid *id,
                     const git_email_create_options *options, struct buf *out, struct err *err)
{
    AUTO(commit_freep) git_commit *commit = NULL;
    AUTO(commit_freep) git_commit *parent = NULL;
    git_buf mail = {0};
    if (git_commit_lookup(&commit, q->repo, id) != 0 || git_commit_parent(&parent, commit, 0) != 0)
        return engine_err(err, ERR_UPSTREAM, "read commit");
    /* `git am` stops at a mail without a patch. */
    if (git_oid_cmp(git_commit_tree_id(commit), git_commit_tree_id(parent)) == 0)
        return true;
    if (git_email_create_from_commit(&mail, commit, options) != 0)
        return engine_err(err, ERR_UPSTREAM, "write patch");
    buf_add(out, mail.ptr, mail.size);
    git_buf_dispose(&mail);
    return true;
}

bool present_patch(const struct quarantine *q, const struct work *w, const git_oid *ids,
                   const struct call *call, struct git_import_result *out, struct err *err)
{
    git_email_create_options options = {.version = GIT_EMAIL_CREATE_OPTIONS_VERSION};
    if (git_diff_options_init(&options.diff_opts, GIT_DIFF_OPTIONS_VERSION) != 0 ||
        git_diff_find_options_init(&options.diff_find_opts, GIT_DIFF_FIND_OPTIONS_VERSION) != 0)
        return engine_err(err, ERR_BUG, "write patch");
    options.flags = GIT_EMAIL_CREATE_NO_RENAMES;
    options.diff_opts.flags |= GIT_DIFF_SHOW_BINARY;
    options.diff_opts.id_abbrev = GIT_OID_HEX;
    if (w->bytes > WORK_MAX_BYTES)
        return true;
    struct buf patch = {.max = PATCH_MAX_BYTES};
    bool ok = true;
    for (int i = 0; ok && i < w->n; i++)
        ok = call_check(call, err) && add_mail(q, &ids[i], &options, &patch, err);
    if (!ok || patch.overflow) {
        buf_done(&patch);
        return ok;
    }
    out->patch = patch;
    return true;
}
