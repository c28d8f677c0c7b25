/* The agent's commits made anew by us, and the pack that holds them. One thread. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/call.h"
#include "bot/base/err.h"
#include "bot/git/import.h"
#include "bot/git/quarantine.h"
#include "bot/git/validate.h"

#include <stdbool.h>

/* Writes the commits to the quarantine's memory and fills tip, commits and commits_n of `out`; the
 * same spec and work give the same ids. ids: WORK_COMMITS_MAX long. */
bool recreate_commits(const struct quarantine *q, const struct git_import_spec *spec,
                      const struct work *w, git_oid *ids, struct git_import_result *out,
                      struct err *err) MUST_CHECK;
/* A pack of the n commits and of the work's new objects. */
bool recreate_pack(const struct quarantine *q, const struct work *w, const git_oid *ids,
                   const char *path, const struct call *call, struct err *err) MUST_CHECK;
