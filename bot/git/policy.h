/* What an agent may not do with names, links and paths. Pure: no objects, no files. Each fault is
 * "code.word: what is wrong", a literal; NULL = fine. */
#pragma once

#include "bot/base/str.h"

/* One entry's name, as it stands in a tree. */
const char *policy_name_fault(struct str name);
/* A path that is added, changed or removed: protected ones. */
const char *policy_path_fault(struct str path);
/* Where a symbolic link at `folders` levels below the top may point to. */
const char *policy_link_fault(struct str target, int folders);
