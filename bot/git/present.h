/* The work as people read it: a summary of changed files, and a series of patches. One thread. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/call.h"
#include "bot/base/err.h"
#include "bot/git/import.h"
#include "bot/git/quarantine.h"
#include "bot/git/validate.h"

#include <stdbool.h>

/* Fills files, insertions, deletions and diffstat of `out`. */
bool present_stat(const struct quarantine *q, const git_oid *base, const git_oid *tip,
                  const struct call *call, struct git_import_result *out,
                  struct err *err) MUST_CHECK;
/* Fills patch of `out`. */
bool present_patch(const struct quarantine *q, const struct work *w, const git_oid *ids,
                   const struct call *call, struct git_import_result *out,
                   struct err *err) MUST_CHECK;
