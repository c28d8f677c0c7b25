/* Merging pull requests with git. With the state lock held. */
#pragma once

#include "tests/standins/github/api.h"

/* PUT pulls/{n}/merge and PUT pulls/{n}/update-branch: answer in q. */
void merge_pull(struct req *q);
void merge_update_branch(struct req *q);
/* The work itself, also for auto-merge by GraphQL: method "merge", "squash", "rebase". */
bool merge_do(struct req *q, struct issue *i, const char *method, const char *title,
              const char *message, char sha[SHA_TEXT]) MUST_CHECK;
