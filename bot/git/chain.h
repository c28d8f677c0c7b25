/* The line of commits from the base to the tip. One thread. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"
#include "bot/git/validate.h"

#include <stdbool.h>

/* Fills commits and n of `out`, oldest first; *base_tree is the base's. What it filled is the
 * caller's to free also after false. */
bool chain_read(const struct quarantine *q, const git_oid *base, const git_oid *tip,
                struct work *out, git_oid *base_tree, struct err *err) MUST_CHECK;
