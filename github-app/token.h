/* Installation tokens and the App's JWT: minted when needed, narrowed to one repository and the
 * least permissions, kept in memory only. Thread-safe; of many threads that need the same token one
 * mints and the others wait for it. Tokens for our own REST calls and tokens that are handed out
 * (to git, to a sandbox) are never the same, so that revoking the latter disturbs nobody. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/call.h"
#include "bot/base/err.h"
#include "bot/base/secret.h"
#include "github-app/client.h"

#include <stdbool.h>
#include <stdint.h>

/* Besides enum github_need: metadata:read of the whole installation, for looking up ourselves. */
#define TOKEN_METADATA ((enum github_need)(GITHUB_WRITE + 1))

/* For our own REST calls. minted_ms: monotonic. With id 0 the repository goes by its name. */
bool token_get(struct github *g, const struct github_repo *repo, enum github_need need,
               const struct call *call, struct secret *out, int64_t *minted_ms,
               struct err *err) MUST_CHECK;
/* Forgets a refused token, unless another thread has replaced it already. */
void token_forget(struct github *g, const struct github_repo *repo, enum github_need need,
                  const struct secret *refused);
/* Forgets and revokes what token_get() gave, once its work is done. */
bool token_end(struct github *g, const struct github_repo *repo, enum github_need need,
               const struct call *call, struct err *err) MUST_CHECK;

bool token_jwt(struct github *g, struct secret *out, struct err *err) MUST_CHECK;
/* After a refused JWT: true when the server's clock differs enough to explain it; the next JWT uses
 * the server's time. */
bool token_learn_skew(struct github *g, int64_t server_date_ms);
void token_free_all(struct github *g);
