/* Names: branches by git-check-ref-format(1) and our own rules; owner/name of a repository; object
 * ids. Pure. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/str.h"

#include <stdbool.h>
#include <stddef.h>

#define GIT_OID_HEX 40 /* digits; + NUL in arrays */

bool refname_branch_ok(struct str branch);        /* any branch of a repository */
bool refname_task_branch_ok(struct str branch);   /* task-… and branch_ok */
bool refname_repository_ok(struct str full_name); /* owner/name */
bool refname_oid_ok(struct str hex);              /* 40 lower-case digits */
/* "OID rest": an id, a space, something. */
bool refname_oid_line(struct str line, struct str *oid, struct str *rest) MUST_CHECK;
