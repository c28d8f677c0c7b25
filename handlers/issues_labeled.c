/* issues.labeled: the label on an open issue starts a task; "label:ROLE" picks the squad member. A
 * label alone is no gate (triage can add labels), so the sender's permission is asked live later.
 */
#include "handlers/handlers.h"

#include "bot/base/enc.h"
#include "bot/base/str.h"

bool handle_issues_labeled(const struct event *e, const struct repo_config *config,
                           struct intents *out, struct err *err)
{
    (void)err;
    const char *role;
    if (!label_matches(e->label, config, &role) || !str_eq(str_of(e->issue.state), STR("open")))
        return true;
    struct intent *i = intent_from_event(out, INTENT_START, e);
    char id[UUID_TEXT];
    uuid_v7(id);
    i->task_id = arena_str(out->arena, str_of(id));
    i->requires_write = true;
    i->source = "label";
    i->title = e->issue.title;
    i->description = e->issue.body;
    i->agent = role;
    return true;
}
