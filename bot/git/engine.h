/* What every user of libgit2 in this folder needs. Internal to bot/git; any thread. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/call.h"
#include "bot/base/err.h"

#include <git2.h>
#include <stdbool.h>

/* Sets err from libgit2's last error of this thread, returns false. What the system refused (a full
 * disk) is ERR_UPSTREAM, whatever kind says. */
bool engine_err(struct err *err, enum err_kind kind, const char *what);
/* The same after a callback stopped the work because the call is over. */
bool engine_err_call(const struct call *call, struct err *err, enum err_kind kind,
                     const char *what);

void engine_odb_freep(git_odb **odb);
void engine_object_freep(git_odb_object **object);
