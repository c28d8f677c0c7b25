/* issues.unlabeled: taking the label off stops the task. GitHub itself let the sender change it. */
#include "handlers/handlers.h"

bool handle_issues_unlabeled(const struct event *e, const struct repo_config *config,
                             struct intents *out, struct err *err)
{
    (void)err;
    const char *role;
    if (!label_matches(e->label, config, &role))
        return true;
    struct intent *i = intent_from_event(out, INTENT_STOP, e);
    i->source = "label";
    i->reason = arena_printf(out->arena, "the label was removed by @%s", e->sender.login);
    return true;
}
