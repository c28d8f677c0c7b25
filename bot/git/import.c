/* The whole way of a bundle, in the order in which trust grows: head, pre-scan, quarantine,
 * validation, commits made anew, pack, presentation. Every stage is a file of its own and gets only
 * what the stages before let pass. */
#include "bot/git/import.h"

#include "bot/base/io.h"
#include "bot/base/mem.h"
#include "bot/git/bundle.h"
#include "bot/git/engine.h"
#include "bot/git/prescan.h"
#include "bot/git/present.h"
#include "bot/git/quarantine.h"
#include "bot/git/recreate.h"
#include "bot/git/validate.h"

#include <fcntl.h>
#include <stdio.h>

/* What is done with the objects once they are in the quarantine. */
static bool publishable(const struct quarantine *q, const struct git_import_spec *spec,
                        const git_oid *base, const git_oid *tip, const struct call *call,
                        struct git_import_result *r, struct err *err)
{
    struct work work = {0};
    git_oid ids[WORK_COMMITS_MAX];
    if (!work_validate(q, base, tip, call, &work, err))
        return false;
    bool ok = recreate_commits(q, spec, &work, ids, r, err) &&
              recreate_pack(q, &work, ids, r->pack_path, call, err) &&
              present_stat(q, base, &ids[work.n - 1], call, r, err) &&
              present_patch(q, &work, ids, call, r, err);
    work_done(&work);
    return ok;
}

static bool import(const struct git_import_spec *spec, int fd, const struct bundle *b,
                   const struct call *call, struct git_import_result *r, struct err *err)
{
    struct quarantine q = {0};
    git_oid base, tip;
    if (git_oid_fromstr(&base, spec->base_oid) != 0 || git_oid_fromstr(&tip, b->tip) != 0)
        return err_set(err, ERR_BUG, "not an object id");
    if (!quarantine_open(spec->dir, call, &q, err))
        return err_wrap(err, "base");
    bool ok = quarantine_add(&q, fd, b->pack_at, b->size, call, err) &&
              publishable(&q, spec, &base, &tip, call, r, err);
    quarantine_close(&q);
    return ok;
}

bool git_import(const struct git_import_spec *spec, const struct call *call,
                struct git_import_result *out, struct err *err)
{
    struct bundle bundle;
    struct prescan counts;
    struct git_import_result r = {0};
    git_engine_init();
    int n = snprintf(r.pack_path, sizeof(r.pack_path), "%s/out.pack", spec->dir);
    if (n < 0 || (size_t)n >= sizeof(r.pack_path))
        return err_set(err, ERR_BUG, "the name of the work folder is too long");
    AUTO(fd_close) int fd = open(spec->bundle_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, ERR_BUG, "the bundle cannot be opened: %m");
    bool ok = bundle_read(fd, &bundle, err) &&
              bundle_check(&bundle, spec->base_oid, spec->ref, err) &&
              prescan_pack(fd, bundle.pack_at, bundle.size, call, &counts, err) &&
              import(spec, fd, &bundle, call, &r, err);
    if (!ok) {
        git_import_result_done(&r);
        return false;
    }
    *out = r;
    return true;
}

void git_import_result_done(struct git_import_result *r)
{
    for (int i = 0; i < r->commits_n; i++)
        free(r->commits[i].subject);
    free(r->commits);
    buf_done(&r->diffstat);
    buf_done(&r->patch);
    *r = (struct git_import_result){0};
}
