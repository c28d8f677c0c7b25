/* installation.*: keep what we know of the App's installations fresh. */
#include "handlers/handlers.h"

bool handle_installation(const struct event *e, const struct repo_config *config,
                         struct intents *out, struct err *err)
{
    (void)config;
    (void)err;
    struct intent *i = intents_add(out, INTENT_INSTALLATION);
    i->installation_id = e->installation.id;
    i->account = e->installation.account_login;
    i->account_id = e->installation.account_id;
    i->account_type = e->installation.account_type;
    i->action = e->action;
    i->permissions = e->installation.permissions;
    i->events = e->installation.events;
    return true;
}
