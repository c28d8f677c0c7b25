/* Each commit's tree is compared with its parent's, entry by entry, by our own reading of the
 * bytes. What is the same on both sides was there before and is not judged; what differs is, at its
 * whole path, in every commit, so that nothing hides in a commit whose successor takes it back. Old
 * sides are the base, which the repository vouches for, or a commit that passed just now. Trees may
 * hold each other often enough to make any walk endless; the ceilings of validate.h and the call's
 * deadline end it. */
#include "bot/git/validate.h"

#include "bot/base/buf.h"
#include "bot/base/mem.h"
#include "bot/base/redact.h"
#include "bot/git/chain.h"
#include "bot/git/clean.h"
#include "bot/git/content.h"
#include "bot/git/engine.h"
#include "bot/git/objects.h"
#include "bot/git/policy.h"

#define CALL_CHECK_EVERY 4096 /* entries */
#define SHOWN_PATH_BYTES 200
#define FILE_MAX_BYTES   ((size_t)128 * 1024 * 1024)

struct walk {
    const struct quarantine *q;
    const struct call *call;
    struct work *work;
    struct err *err;
    struct buf path;
    int folders; /* components of path before the last */
    int64_t entries;
    int64_t changed;
    uint64_t scanned;
    struct oidset clean; /* files that hold no secret */
};

/* One of the two trees that are compared. */
struct side {
    git_odb_object *object;
    struct str rest;
    struct tree_entry entry;
    bool have;
    bool untrusted;
    struct str *open; /* names of non-folders that begin the current name, shortest first */
    size_t open_n, open_room;
};

static bool walk_trees(struct walk *w, const git_oid *old, const git_oid *new);

/* Adds the path to a fault of policy.c, or to one of ours. */
static bool fault(struct walk *w, const char *text)
{
    AUTO(buf_done) struct buf shown = {0};
    struct str path = buf_str(&w->path);
    AUTO(buf_done) struct buf masked = {0};
    redact(&masked, path);
    path = buf_str(&masked);
    clean_line(str_sub(path, 0, str_utf8_floor(path, SHOWN_PATH_BYTES)), &shown);
    return err_set(w->err, ERR_POLICY, "%s (%s)", text, buf_cstr(&shown));
}

/* ----------------------------------------------------------------------------- reading one tree */

/* Git's order puts "a" (a file) and "a" (a folder) apart, with other names that begin with "a" in
 * between; so the files whose names begin the current one are kept. */
static bool check_unique(struct walk *w, struct side *s)
{
    struct str name = s->entry.name;
    while (s->open_n > 0 && !str_starts(name, s->open[s->open_n - 1]))
        s->open_n--;
    if (tree_is_folder(&s->entry)) {
        for (size_t i = 0; i < s->open_n; i++)
            if (str_eq(s->open[i], name))
                return fault(w, "tree.duplicate: a name twice");
        return true;
    }
    if (s->open_n == s->open_room) {
        s->open_room = s->open_room ? s->open_room * 2 : 8;
        s->open = mem_grow(s->open, s->open_room, sizeof(*s->open));
    }
    s->open[s->open_n++] = name;
    return true;
}

static bool side_next(struct walk *w, struct side *s)
{
    struct tree_entry before = s->entry;
    bool first = !s->have;
    enum tree_step step = tree_next(&s->rest, &s->entry, w->err);
    s->have = step == TREE_ENTRY;
    if (step == TREE_BAD)
        return false;
    if (!s->have)
        return true;
    if (++w->entries > WORK_ENTRIES_MAX)
        return err_set(w->err, ERR_POLICY, "limit.entries: more than %d entries of folders",
                       WORK_ENTRIES_MAX);
    if (w->entries % CALL_CHECK_EVERY == 0 && !call_check(w->call, w->err))
        return false;
    if (!s->untrusted)
        return true;
    if (s->entry.padded)
        return fault(w, "tree.mode: a mode with a leading zero");
    int order = first ? -1 : tree_compare(&before, &s->entry);
    if (order == 0)
        return fault(w, "tree.duplicate: a name twice");
    if (order > 0)
        return fault(w, "tree.unsorted: names out of order");
    return check_unique(w, s);
}

/* id NULL: nothing on this side. */
static bool side_open(struct walk *w, const git_oid *id, bool untrusted, struct side *s)
{
    s->untrusted = untrusted;
    if (!id)
        return true;
    if (!object_read(w->q->all, id, GIT_OBJECT_TREE, TREE_MAX_BYTES, &s->object, w->err))
        return false;
    s->rest = object_str(s->object);
    if (untrusted && !git_odb_exists(w->q->base, id))
        oidset_add(&w->work->objects, id);
    return side_next(w, s);
}

static void side_done(struct side *s)
{
    git_odb_object_free(s->object);
    free(s->open);
}

/* ------------------------------------------------------------------------------------- one file */

static bool check_link(struct walk *w, const git_oid *id)
{
    AUTO(engine_object_freep) git_odb_object *object = NULL;
    if (!object_read(w->q->all, id, GIT_OBJECT_BLOB, WORK_PATH_MAX * 4, &object, w->err))
        return false;
    const char *text = policy_link_fault(object_str(object), w->folders);
    return !text || fault(w, text);
}

static bool is_file(const struct tree_entry *e)
{
    return e && e->mode != MODE_TREE && e->mode != MODE_GITLINK;
}

static bool check_secrets(struct walk *w, const struct tree_entry *old,
                          const struct tree_entry *new)
{
    AUTO(engine_object_freep) git_odb_object *before = NULL;
    AUTO(engine_object_freep) git_odb_object *after = NULL;
    if (oidset_has(&w->clean, &new->oid) || git_odb_exists(w->q->base, &new->oid))
        return true;
    if (!object_read(w->q->all, &new->oid, GIT_OBJECT_BLOB, FILE_MAX_BYTES, &after, w->err))
        return false;
    struct str text = object_str(after);
    w->scanned += text.n;
    if (w->scanned > WORK_SCAN_MAX)
        return fault(w, "limit.bytes: too many bytes of files");
    if (!content_adds_secret((struct str){0}, text)) {
        oidset_add(&w->clean, &new->oid);
        return true;
    }
    if (is_file(old) &&
        !object_read(w->q->all, &old->oid, GIT_OBJECT_BLOB, FILE_MAX_BYTES, &before, w->err))
        return false;
    if (before && !content_adds_secret(object_str(before), text))
        return true;
    return fault(w, "secret.found: a file holds a secret");
}

static bool check_file(struct walk *w, const struct tree_entry *old, const struct tree_entry *new)
{
    size_t size;
    if (!object_check(w->q->all, &new->oid, GIT_OBJECT_BLOB, &size, w->err) ||
        !call_check(w->call, w->err))
        return false;
    w->work->bytes += size;
    if (new->mode == MODE_SYMLINK && !check_link(w, &new->oid))
        return false;
    if (!check_secrets(w, old, new))
        return false;
    if (!git_odb_exists(w->q->base, &new->oid))
        oidset_add(&w->work->objects, &new->oid);
    return true;
}

/* ----------------------------------------------------------------------------- one changed path */

static bool check_mode(struct walk *w, const struct tree_entry *old, const struct tree_entry *new)
{
    switch (new->mode) {
    case MODE_TREE:
    case MODE_FILE:
    case MODE_EXECUTABLE:
    case MODE_SYMLINK:
        return true;
    case MODE_GITLINK:
        return fault(w, "tree.gitlink: a submodule");
    default: /* what old versions of git wrote may stay as it is */
        return (old && old->mode == new->mode) || fault(w, "tree.mode: a forbidden mode");
    }
}

static bool check_path(struct walk *w, const struct tree_entry *old, const struct tree_entry *new)
{
    const char *text = new && !old ? policy_name_fault(new->name) : NULL;
    if (text || (text = policy_path_fault(buf_str(&w->path))))
        return fault(w, text);
    if (w->path.len > WORK_PATH_MAX)
        return fault(w, "path.long: a path is too long");
    if (w->folders >= WORK_DEPTH_MAX)
        return fault(w, "path.deep: too many folders in each other");
    if (new && !old && redact_finds(buf_str(&w->path)))
        return err_set(w->err, ERR_POLICY, "secret.found: a file's name holds a secret");
    return !new || check_mode(w, old, new);
}

/* Either may be NULL; both are folders, or neither is. */
static bool changed_entry(struct walk *w, const struct tree_entry *old,
                          const struct tree_entry *new)
{
    const struct tree_entry *any = new ? new : old;
    if (old && new && old->mode == new->mode && git_oid_cmp(&old->oid, &new->oid) == 0)
        return true;
    if (++w->changed > WORK_PATHS_MAX)
        return err_set(w->err, ERR_POLICY, "limit.paths: more than %d changed paths",
                       WORK_PATHS_MAX);
    size_t length = w->path.len;
    if (length > 0)
        buf_putc(&w->path, '/');
    buf_add_str(&w->path, any->name);
    if (!check_path(w, old, new))
        return false;
    size_t size = 0;
    if (tree_is_folder(any)) {
        w->folders++;
        if (!walk_trees(w, old ? &old->oid : NULL, new ? &new->oid : NULL))
            return false;
        w->folders--;
    } else if (new) {
        if (!check_file(w, old, new))
            return false;
    } else if (is_file(old)) {
        if (!object_check(w->q->all, &old->oid, GIT_OBJECT_BLOB, &size, w->err))
            return false;
        w->work->bytes += size;
    }
    w->path.len = length;
    return true;
}

static bool merge(struct walk *w, struct side *a, struct side *b)
{
    while (a->have || b->have) {
        int order = !a->have ? 1 : !b->have ? -1 : tree_compare(&a->entry, &b->entry);
        if (!changed_entry(w, order <= 0 ? &a->entry : NULL, order >= 0 ? &b->entry : NULL) ||
            (order <= 0 && !side_next(w, a)) || (order >= 0 && !side_next(w, b)))
            return false;
    }
    return true;
}

static bool walk_trees(struct walk *w, const git_oid *old, const git_oid *new)
{
    struct side a = {0}, b = {0};
    bool ok = side_open(w, old, false, &a) && side_open(w, new, true, &b) && merge(w, &a, &b);
    side_done(&a);
    side_done(&b);
    return ok;
}

bool work_validate(const struct quarantine *q, const git_oid *base, const git_oid *tip,
                   const struct call *call, struct work *out, struct err *err)
{
    struct err local;
    git_oid tree;
    struct work *work = mem_alloc(sizeof(*work));
    struct walk w = {.q = q, .call = call, .work = work, .err = err ? err : &local};
    bool ok = chain_read(q, base, tip, work, &tree, w.err);
    for (int i = 0; ok && i < work->n; i++) {
        const git_oid *next = &work->commits[i].tree;
        w.folders = 0;
        ok = git_oid_cmp(&tree, next) == 0 || walk_trees(&w, &tree, next);
        tree = *next;
    }
    buf_done(&w.path);
    oidset_done(&w.clean);
    if (ok)
        *out = *work;
    else
        work_done(work);
    free(work);
    return ok;
}

void work_done(struct work *w)
{
    for (int i = 0; i < w->n; i++)
        free(w->commits[i].message);
    oidset_done(&w->objects);
    *w = (struct work){0};
}
