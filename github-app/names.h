/* Names from payloads and settings that go into URLs: checked against strict patterns first, so
 * that no "..", no query and no other path can be smuggled in. Pure. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/err.h"
#include "bot/base/str.h"
#include "github-app/client.h"

#include <stdbool.h>

bool name_login_ok(struct str login);    /* also NAME[bot] */
bool name_repo_ok(struct str full_name); /* owner/name */
bool name_branch_ok(struct str branch);
struct str name_owner(const struct github_repo *repo);
/* Appends "/repos/OWNER/NAME"; ERR_INPUT when the name is no such thing. */
bool name_repo_path(const struct github_repo *repo, struct buf *path, struct err *err) MUST_CHECK;
/* Appends the branch percent-encoded; slashes stay only where the route allows it. */
bool name_branch_path(const char *branch, bool keep_slash, struct buf *path,
                      struct err *err) MUST_CHECK;
