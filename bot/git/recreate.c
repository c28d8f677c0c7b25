/* Nothing of the agent's commits is kept but trees and words: parents, authors, times, signatures
 * and other headers are ours. The pack needs no base, so that whoever gets it can index it alone.
 */
#include "bot/git/recreate.h"

#include "bot/base/io.h"
#include "bot/base/mem.h"
#include "bot/git/engine.h"
#include "bot/git/reword.h"

#include <fcntl.h>
#include <unistd.h>

struct writer {
    int fd;
    const struct call *call;
    struct err *err;
    bool failed; /* err is set */
};

static bool identity_ok(const char *text)
{
    return *text && !strpbrk(text, "<>\n\r");
}

static bool write_commit(const struct quarantine *q, const struct git_import_spec *spec,
                         const struct work_commit *c, int index, const git_oid *parent,
                         const char *message, git_oid *id, struct err *err)
{
    char tree_hex[GIT_OID_HEX + 1], parent_hex[GIT_OID_HEX + 1];
    AUTO(buf_done) struct buf text = {0};
    git_oid_tostr(tree_hex, sizeof(tree_hex), &c->tree);
    git_oid_tostr(parent_hex, sizeof(parent_hex), parent);
    buf_printf(&text, "tree %s\nparent %s\n", tree_hex, parent_hex);
    static const char *const roles[] = {"author", "committer"};
    for (size_t i = 0; i < COUNT(roles); i++)
        buf_printf(&text, "%s %s <%s> %lld +0000\n", roles[i], spec->author.name,
                   spec->author.email, (long long)spec->time_s + index);
    buf_printf(&text, "\n%s", message);
    return git_odb_write(id, q->all, text.data, text.len, GIT_OBJECT_COMMIT) == 0 ||
           engine_err(err, ERR_UPSTREAM, "write commit");
}

bool recreate_commits(const struct quarantine *q, const struct git_import_spec *spec,
                      const struct work *w, git_oid *ids, struct git_import_result *out,
                      struct err *err)
{
    git_oid parent;
    if (!identity_ok(spec->author.name) || !identity_ok(spec->author.email) ||
        git_oid_fromstr(&parent, spec->base_oid) != 0)
        return err_set(err, ERR_BUG, "author or base cannot stand in a commit");
    out->commits = mem_array((size_t)w->n, sizeof(*out->commits));
    for (int i = 0; i < w->n; i++) {
        const struct work_commit *c = &w->commits[i];
        struct git_commit_info *info = &out->commits[i];
        AUTO(buf_done) struct buf message = {0};
        info->reworded =
            reword((struct str){c->message, c->message_n}, spec->title, spec->trailers, &message);
        if (!write_commit(q, spec, c, i, &parent, buf_cstr(&message), &ids[i], err))
            return false;
        parent = ids[i];
        git_oid_tostr(info->oid, sizeof(info->oid), &ids[i]);
        info->subject =
            str_dup(str_sub(buf_str(&message), 0, str_find(buf_str(&message), STR("\n"), 0)));
        out->commits_n = i + 1;
    }
    git_oid_tostr(out->tip, sizeof(out->tip), &parent);
    return true;
}

static int on_piece(void *data, size_t n, void *arg)
{
    struct writer *w = arg;
    w->failed = !call_check(w->call, w->err) || !fd_write_all(w->fd, (struct str){data, n}, w->err);
    return w->failed ? GIT_EUSER : 0;
}

static int on_progress(int stage, uint32_t current, uint32_t total, void *arg)
{
    struct writer *w = arg;
    (void)stage;
    (void)current;
    (void)total;
    w->failed = !call_check(w->call, w->err);
    return w->failed ? GIT_EUSER : 0;
}

static bool pack_failed(const struct writer *w)
{
    return !w->failed && engine_err(w->err, ERR_UPSTREAM, "write pack");
}

static bool write_pack(git_packbuilder *builder, const struct work *w, const git_oid *ids,
                       struct writer *writer)
{
    git_packbuilder_set_threads(builder, 1);
    if (git_packbuilder_set_callbacks(builder, on_progress, writer) != 0)
        return pack_failed(writer);
    for (int i = 0; i < w->n; i++)
        if (git_packbuilder_insert(builder, &ids[i], NULL) != 0)
            return pack_failed(writer);
    for (size_t i = 0; i < w->objects.n; i++)
        if (git_packbuilder_insert(builder, &w->objects.ids[i], NULL) != 0)
            return pack_failed(writer);
    return git_packbuilder_foreach(builder, on_piece, writer) == 0 || pack_failed(writer);
}

bool recreate_pack(const struct quarantine *q, const struct work *w, const git_oid *ids,
                   const char *path, const struct call *call, struct err *err)
{
    struct err local;
    git_packbuilder *builder = NULL;
    AUTO(fd_close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, ERR_UPSTREAM, "cannot create %s: %m", path);
    if (git_packbuilder_new(&builder, q->repo) != 0)
        return engine_err(err, ERR_UPSTREAM, "write pack");
    struct writer writer = {fd, call, err ? err : &local, false};
    bool ok = write_pack(builder, w, ids, &writer);
    git_packbuilder_free(builder);
    return ok;
}
