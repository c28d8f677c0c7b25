/* Packs are opened one by one as object database backends: base first, so that nobody can put
 * another object under an id that the repository has. The indexer works with verify=0: its
 * connectivity check needs memory without bound (2 GB for a bomb) and is no validation; ours
 * follows in validate.c. A pack is copied once while it is indexed; the copy of the base pack is
 * dropped afterwards. */
#include "bot/git/quarantine.h"

#include "bot/base/io.h"
#include "bot/base/mem.h"
#include "bot/git/engine.h"

#include <fcntl.h>
#include <git2/sys/mempack.h>
#include <git2/sys/odb_backend.h>
#include <git2/sys/repository.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES      65536
#define PACK_HEAD_BYTES  12
#define OBJECT_MIN_BYTES 8 /* in a pack: a head and an empty zlib stream take more */
/* Each object is tried as a delta of one other only: with the usual ten, the search took four
 * fifths of the time of an import, for packs that are sent once. */
#define CONFIG "[pack]\n\twindowMemory = 1\n"

enum priority { PRIORITY_OURS = 1, PRIORITY_BUNDLE, PRIORITY_BASE };

struct job {
    int fd;
    int64_t from, to;
    const char *folder; /* where the indexer works */
    const char *target; /* becomes target.pack and target.idx */
    git_odb *thin;      /* for the bases of a thin pack; NULL = none allowed */
    const struct call *call;
};

static int on_progress(const git_indexer_progress *stats, void *arg)
{
    struct err ignored;
    (void)stats;
    return call_check(arg, &ignored) ? 0 : GIT_EUSER;
}

/* The indexer allocates by what the head claims. */
static bool check_claim(const struct job *j, struct err *err)
{
    unsigned char h[PACK_HEAD_BYTES];
    if (pread(j->fd, h, sizeof(h), j->from) != (ssize_t)sizeof(h))
        return err_set(err, ERR_INPUT, "pack.truncated: no head");
    int64_t n = (int64_t)h[8] << 24 | h[9] << 16 | h[10] << 8 | h[11];
    return n <= (j->to - j->from) / OBJECT_MIN_BYTES ||
           err_set(err, ERR_INPUT, "pack.objects: claims more objects than fit");
}

static bool feed(git_indexer *indexer, const struct job *j, struct err *err)
{
    git_indexer_progress stats = {0};
    AUTO(mem_freep) char *piece = mem_alloc(PIECE_BYTES);
    for (int64_t at = j->from; at < j->to;) {
        size_t want = j->to - at < PIECE_BYTES ? (size_t)(j->to - at) : PIECE_BYTES;
        ssize_t n = pread(j->fd, piece, want, at);
        if (n <= 0)
            return err_set(err, ERR_BUG, "the pack cannot be read: %m");
        if (!call_check(j->call, err))
            return false;
        if (git_indexer_append(indexer, piece, (size_t)n, &stats) != 0)
            return engine_err_call(j->call, err, ERR_INPUT, "pack.corrupt");
        at += n;
    }
    return git_indexer_commit(indexer, &stats) == 0 ||
           engine_err_call(j->call, err, ERR_INPUT, "pack.corrupt");
}

static bool rename_made(const git_indexer *indexer, const struct job *j, const char *kind,
                        struct err *err)
{
    AUTO(mem_freep)
    char *from = mem_printf("%s/pack-%s.%s", j->folder, git_indexer_name(indexer), kind);
    AUTO(mem_freep) char *to = mem_printf("%s.%s", j->target, kind);
    return rename(from, to) == 0 || err_set(err, ERR_UPSTREAM, "cannot rename %s: %m", from);
}

/* Indexes; with keep_pack the indexer's pack (completed, if it was thin) is kept beside the index.
 */
static bool index_pack(const struct job *j, bool keep_pack, struct err *err)
{
    git_indexer_options options;
    git_indexer *indexer = NULL;
    union { /* libgit2 passes it back as it is */
        const struct call *in;
        void *out;
    } arg = {j->call};
    if (git_indexer_options_init(&options, GIT_INDEXER_OPTIONS_VERSION) != 0)
        return engine_err(err, ERR_BUG, "indexer");
    options.progress_cb = on_progress;
    options.progress_cb_payload = arg.out;
    if (!check_claim(j, err))
        return false;
    if (git_indexer_new(&indexer, j->folder, 0600, j->thin, &options) != 0)
        return engine_err(err, ERR_UPSTREAM, "indexer");
    bool ok = feed(indexer, j, err) && (!keep_pack || rename_made(indexer, j, "pack", err)) &&
              rename_made(indexer, j, "idx", err);
    git_indexer_free(indexer);
    return ok;
}

/* Is idx there, and made of this very pack? Both end in the checksum of the pack, the index with
 * its own behind it. */
static bool is_indexed(int pack, int64_t pack_size, const char *idx)
{
    unsigned char of_pack[GIT_OID_RAWSZ], in_idx[GIT_OID_RAWSZ];
    struct stat st;
    AUTO(fd_close) int fd = open(idx, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 2 * GIT_OID_RAWSZ &&
           pread(pack, of_pack, sizeof(of_pack), pack_size - GIT_OID_RAWSZ) == GIT_OID_RAWSZ &&
           pread(fd, in_idx, sizeof(in_idx), st.st_size - 2L * GIT_OID_RAWSZ) == GIT_OID_RAWSZ &&
           memcmp(of_pack, in_idx, sizeof(in_idx)) == 0;
}

static bool index_base(const char *dir, const char *folder, const struct call *call,
                       struct err *err)
{
    AUTO(mem_freep) char *pack = mem_printf("%s/base.pack", dir);
    AUTO(mem_freep) char *idx = mem_printf("%s/base.idx", dir);
    AUTO(mem_freep) char *target = mem_printf("%s/base", dir);
    struct stat st;
    AUTO(fd_close) int fd = open(pack, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_set(err, ERR_BUG, "the base pack cannot be opened: %m");
    if (is_indexed(fd, st.st_size, idx))
        return true;
    struct job job = {fd, 0, st.st_size, folder, target, NULL, call};
    return index_pack(&job, false, err);
}

static bool add_pack(git_odb *odb, const char *idx, enum priority priority, struct err *err)
{
    git_odb_backend *backend = NULL;
    if (git_odb_backend_one_pack(&backend, idx) != 0)
        return engine_err(err, ERR_UPSTREAM, "open pack");
    if (git_odb_add_backend(odb, backend, (int)priority) == 0)
        return true;
    backend->free(backend);
    return engine_err(err, ERR_UPSTREAM, "open pack");
}

static bool add_memory(git_odb *odb, struct err *err)
{
    git_odb_backend *backend = NULL;
    if (git_mempack_new(&backend) != 0)
        return engine_err(err, ERR_UPSTREAM, "memory for objects");
    if (git_odb_add_backend(odb, backend, PRIORITY_OURS) == 0)
        return true;
    backend->free(backend);
    return engine_err(err, ERR_UPSTREAM, "memory for objects");
}

static bool wrap(struct quarantine *q, struct err *err)
{
    git_config *config = NULL;
    AUTO(mem_freep) char *path = mem_printf("%s/config", q->folder);
    if (!file_write(path, STR(CONFIG), 0600, err))
        return false;
    if (git_repository_wrap_odb(&q->repo, q->all) != 0 ||
        git_config_open_ondisk(&config, path) != 0)
        return engine_err(err, ERR_UPSTREAM, "repository");
    int rc = git_repository_set_config(q->repo, config);
    git_config_free(config);
    return rc == 0 || engine_err(err, ERR_UPSTREAM, "repository");
}

static bool open_all(const char *dir, const struct call *call, struct quarantine *q,
                     struct err *err)
{
    AUTO(mem_freep) char *idx = mem_printf("%s/base.idx", dir);
    if (!dir_remove(q->folder, err) || !dir_make(q->folder, 0700, err) ||
        !index_base(dir, q->folder, call, err))
        return false;
    if (git_odb_new(&q->base) != 0 || git_odb_new(&q->all) != 0)
        return engine_err(err, ERR_UPSTREAM, "object database");
    return add_pack(q->base, idx, PRIORITY_BASE, err) &&
           add_pack(q->all, idx, PRIORITY_BASE, err) && add_memory(q->all, err) && wrap(q, err);
}

bool quarantine_open(const char *dir, const struct call *call, struct quarantine *q,
                     struct err *err)
{
    struct quarantine new = {.folder = mem_printf("%s/quarantine", dir)};
    if (!open_all(dir, call, &new, err)) {
        quarantine_close(&new);
        return false;
    }
    *q = new;
    return true;
}

bool quarantine_add(struct quarantine *q, int fd, int64_t from, int64_t to, const struct call *call,
                    struct err *err)
{
    AUTO(mem_freep) char *target = mem_printf("%s/bundle", q->folder);
    AUTO(mem_freep) char *idx = mem_printf("%s.idx", target);
    struct job job = {fd, from, to, q->folder, target, q->base, call};
    return index_pack(&job, true, err) && add_pack(q->all, idx, PRIORITY_BUNDLE, err);
}

void quarantine_close(struct quarantine *q)
{
    struct err ignored;
    git_repository_free(q->repo);
    git_odb_free(q->all);
    git_odb_free(q->base);
    if (q->folder && !dir_remove(q->folder, &ignored)) {
        /* The folder of the task goes later, with all that is in it. */
    }
    free(q->folder);
    *q = (struct quarantine){0};
}
