/* What a push may do and what follows from it. One struct push is one receive-pack request: a
 * folder through which the repository's hook programs get the rules and report what they did. */
#pragma once

#include "tests/standins/github/api.h"

struct push {
    char *dir;
    bool workflows; /* may it touch .github/workflows? */
};

/* With the state lock held. */
bool push_open(struct push *p, const struct repo *r, const struct actor *who) MUST_CHECK;
void push_close(struct push *p);
/* The server's report with GitHub's reasons in place of "hook declined". */
void push_report(const struct push *p, struct str answer, struct buf *out);
/* Events for every ref that moved. With the state lock held. */
void push_effects(const struct push *p, struct repo *r, struct user *by);
bool push_hooks_write(struct err *err) MUST_CHECK;
