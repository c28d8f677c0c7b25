/* Changes of a repository that come through the API: commits with GitHub's idea of who made them,
 * and refs behind the branch rules. With the state lock held; failures are answered in q. */
#pragma once

#include "tests/standins/github/api.h"

/* author and committer: {name,email,date} or NULL = the actor. A commit by the App without either
 * is signed, as GitHub does. */
bool write_commit(struct req *q, const char *tree, const char *const *parents, const char *message,
                  const json_t *author, const json_t *committer, char sha[SHA_TEXT]) MUST_CHECK;
/* old and new_sha may be ZERO_SHA. False: a rule, a missing permission or a race forbids it. */
bool write_ref(struct req *q, const char *ref, const char *old, const char *new_sha,
               bool force) MUST_CHECK;
/* Without the rules and without the answer in q: for merges, whose conditions are others. */
bool write_ref_bare(struct repo *r, const char *ref, const char *old, const char *new_sha,
                    struct user *by) MUST_CHECK;
/* Does old..new touch .github/workflows/? */
bool touches_workflows(const struct repo *r, const char *old, const char *new_sha);
