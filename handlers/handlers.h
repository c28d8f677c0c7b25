/* The handlers: one file a trigger, plus this table. A handler looks at an event and says what it
 * wants (intents); it does no I/O and touches nothing global, so dispatching is one pure pass. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"
#include "bot/task/intents.h"
#include "github-app/event.h"
#include "github-app/repo_config.h"

#include <stdbool.h>

typedef bool (*handler_fn)(const struct event *, const struct repo_config *, struct intents *,
                           struct err *);

struct handler {
    const char *event;  /* X-GitHub-Event */
    const char *action; /* NULL = any */
    bool for_people;    /* a command: never from a bot, ourselves included */
    handler_fn run;
};
extern const struct handler handlers[]; /* ended by a row without an event */

/* Does any handler want this event (whatever its action)? What nobody wants is not stored. */
bool handlers_want(struct str event);
/* Runs every matching row. */
bool handlers_run(const struct event *e, const struct repo_config *config, struct intents *out,
                  struct err *err) MUST_CHECK;

/* One a file, in the order of the table. */
bool handle_issues_labeled(const struct event *, const struct repo_config *, struct intents *,
                           struct err *);
bool handle_issues_unlabeled(const struct event *, const struct repo_config *, struct intents *,
                             struct err *);
bool handle_issues_closed(const struct event *, const struct repo_config *, struct intents *,
                          struct err *);
bool handle_issue_comment(const struct event *, const struct repo_config *, struct intents *,
                          struct err *);
bool handle_pull_request_closed(const struct event *, const struct repo_config *, struct intents *,
                                struct err *);
bool handle_installation(const struct event *, const struct repo_config *, struct intents *,
                         struct err *);

/* An intent with repository, sender and issue copied from the event: where most handlers start. */
struct intent *intent_from_event(struct intents *in, enum intent_kind kind, const struct event *e);
/* "squadbot" → true, role NULL; "squadbot:tests" → true, role "tests"; else false. */
bool label_matches(const char *label, const struct repo_config *config, const char **role);
