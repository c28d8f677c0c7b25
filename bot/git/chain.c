/* From the tip, parent by parent, to the base: nothing else may be met. Whoever reaches another
 * commit of the repository started from somewhere else. */
#include "bot/git/chain.h"

#include "bot/base/redact.h"
#include "bot/git/engine.h"
#include "bot/git/objects.h"

static bool take_commit(const struct quarantine *q, const git_oid *id, struct work *out,
                        git_oid *parent, struct err *err)
{
    AUTO(engine_object_freep) git_odb_object *object = NULL;
    struct commit_parts parts;
    if (out->n == WORK_COMMITS_MAX)
        return err_set(err, ERR_POLICY, "commit.count: more than %d commits", WORK_COMMITS_MAX);
    if (git_odb_exists(q->base, id))
        return err_set(err, ERR_POLICY, "commit.base: the work does not build on the start commit");
    if (!object_read(q->all, id, GIT_OBJECT_COMMIT, COMMIT_MAX_BYTES, &object, err) ||
        !commit_parse(object_str(object), &parts, err))
        return false;
    if (parts.parents == 0)
        return err_set(err, ERR_POLICY, "commit.root: a commit without parent");
    if (parts.parents > 1)
        return err_set(err, ERR_POLICY, "commit.merge: a merge commit");
    if (redact_finds(parts.message))
        return err_set(err, ERR_POLICY, "secret.found: a commit's message holds a secret");
    out->commits[out->n++] =
        (struct work_commit){parts.tree, str_dup(parts.message), parts.message.n};
    *parent = parts.parent;
    return true;
}

static void reverse(struct work *w)
{
    for (int i = 0, j = w->n - 1; i < j; i++, j--) {
        struct work_commit c = w->commits[i];
        w->commits[i] = w->commits[j];
        w->commits[j] = c;
    }
}

bool chain_read(const struct quarantine *q, const git_oid *base, const git_oid *tip,
                struct work *out, git_oid *base_tree, struct err *err)
{
    AUTO(engine_object_freep) git_odb_object *object = NULL;
    struct commit_parts parts;
    if (!object_read(q->base, base, GIT_OBJECT_COMMIT, COMMIT_MAX_BYTES, &object, err) ||
        !commit_parse(object_str(object), &parts, err))
        return err_set(err, ERR_BUG, "the base pack does not hold the start commit");
    *base_tree = parts.tree;
    git_oid at = *tip;
    while (git_oid_cmp(&at, base) != 0) {
        git_oid parent;
        if (!take_commit(q, &at, out, &parent, err))
            return false;
        at = parent;
    }
    reverse(out);
    if (out->n == 0 || git_oid_cmp(&out->commits[out->n - 1].tree, base_tree) == 0)
        return err_set(err, ERR_POLICY, "bundle.empty: the work changes nothing");
    return true;
}
