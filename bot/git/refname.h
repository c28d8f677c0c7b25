/* Names: branches by git-check-ref-format(1) and our own rules; owner/name of a repository. Pure. */
#pragma once

#include "bot/base/str.h"

#include <stdbool.h>
#include <stddef.h>

bool refname_branch_ok(struct str branch);     /* any branch of a repository */
bool refname_task_branch_ok(struct str branch); /* task-… and branch_ok */
bool refname_repository_ok(struct str full_name); /* owner/name */
bool refname_oid_ok(struct str hex);            /* 40 lower-case digits */
