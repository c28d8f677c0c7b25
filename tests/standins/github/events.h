/* What happens in the world, told to the App's webhook, and the consequences that GitHub itself
 * draws (a push moves pull requests, a merge closes issues). With the state lock held. */
#pragma once

#include "tests/standins/github/state.h"

#include <jansson.h>

/* payload gets action (may be NULL), repository, sender, installation; extra (may be NULL) is
 * taken. Nothing is sent when no installation covers the repository or the event is not subscribed.
 */
void event_repo(const struct repo *r, const char *event, const char *action,
                const struct user *sender, json_t *extra);
void event_issue(const struct issue *i, const char *action, const struct user *sender,
                 json_t *extra); /* "issues" or "pull_request" */
void event_comment(const struct comment *c, const char *action, const struct user *sender,
                   json_t *extra);
void event_installation(const struct installation *i, const char *event, const char *action,
                        json_t *extra);

/* A ref went from old to new (ZERO_SHA = none) by this user's hand: push, create and delete events;
 * open pull requests follow. The ref itself is changed already. */
void ref_changed(struct repo *r, const char *ref, const char *old, const char *new_sha,
                 struct user *by);
/* Marks merged, closes what its text promises to close, deletes the branch if the repository wants
 * it. */
void pull_merged(struct issue *i, const char *sha, struct user *by);
void issue_close(struct issue *i, const char *reason, struct user *by);
void issue_reopen(struct issue *i, struct user *by);
void issue_label(struct issue *i, struct label *l, struct user *by); /* already there: nothing */

/* ---- hooks.c: deliveries ---- */
bool hooks_start(void) MUST_CHECK;
/* Queues; payload is taken. */
void hook_send(const char *event, json_t *payload, const struct installation *i,
               const struct repo *r);
json_t *hook_list(int64_t before, size_t max, bool failed_only, int64_t *next); /* newest first */
json_t *hook_row(int64_t id, bool full);                                        /* NULL = unknown */
bool hook_redeliver(int64_t id);
json_t *hook_control(const json_t *order); /* POST /_standin/webhooks; the settings in force */
bool hook_idle(void);                      /* nothing queued, nothing being sent */
