/* The objects of one import: the base pack that we fetched, the bundle's pack beside it, and memory
 * for what we make. No repository on disk, so no configuration, no refs, no hooks and no loose
 * objects; what is in dir/quarantine/ is gone with the folder. One thread. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/call.h"
#include "bot/base/err.h"

#include <git2.h>
#include <stdbool.h>
#include <stdint.h>

struct quarantine {
    git_odb *base;        /* what the repository has already */
    git_odb *all;         /* base, then the bundle's objects, then ours (writes go to memory) */
    git_repository *repo; /* a shell around `all`; its configuration is one line of ours */
    char *folder;
};
/* Opens dir/base.pack, indexing it first when base.idx is not there, and makes an empty
 * dir/quarantine/. */
bool quarantine_open(const char *dir, const struct call *call, struct quarantine *q,
                     struct err *err) MUST_CHECK;
/* Indexes the pack in fd from `from` to `to`, completing its deltas from the base. */
bool quarantine_add(struct quarantine *q, int fd, int64_t from, int64_t to, const struct call *call,
                    struct err *err) MUST_CHECK;
/* Frees all, removes the folder; the base pack and its index stay. */
void quarantine_close(struct quarantine *q);
