/* issues.closed, .deleted, .transferred: nobody waits for this work any more. */
#include "handlers/handlers.h"

bool handle_issues_closed(const struct event *e, const struct repo_config *config,
                          struct intents *out, struct err *err)
{
    (void)config;
    (void)err;
    struct intent *i = intent_from_event(out, INTENT_STOP, e);
    i->source = "label";
    i->reason = arena_printf(out->arena, "the issue was %s", e->action);
    return true;
}
