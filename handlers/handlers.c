/* The table of triggers, and what all handlers share. */
#include "handlers/handlers.h"

#include "bot/base/str.h"

const struct handler handlers[] = {
    {"issues",                 "labeled", true, handle_issues_labeled},
    {"issues",                    "unlabeled", true, handle_issues_unlabeled},
    {"issues",                        "closed", false, handle_issues_closed},
    {"issues","deleted", false, handle_issues_closed},
    {"issues", "transferred", false, handle_issues_closed},
    {"issue_comment",                 "created", true, handle_issue_comment},
    {"pull_request",                   "closed", false, handle_pull_request_closed},
    {"pull_request",                        "reopened", false, handle_pull_request_closed},
    {"pull_request",                      "ready_for_review", false, handle_pull_request_closed},
    {"pull_request",    "converted_to_draft", false, handle_pull_request_closed},
    {"installation",                 "created", false, handle_installation},
    {"installation",                   "deleted", false, handle_installation},
    {"installation",                        "suspend", false, handle_installation},
    {"installation","unsuspend", false, handle_installation},
    {"installation",    "new_permissions_accepted", false, handle_installation},
    {0          }
};

bool handlers_want(struct str event)
{
    for (const struct handler *h = handlers; h->event; h++)
        if (str_eq(event, str_of(h->event)))
            return true;
    return false;
}

/* Anyone can create an App that comments, so no bot commands us, by whatever name. An App's comment
 * that carries a person's name (performed_via_github_app) is a bot's too. */
static bool is_bot(const struct event *e)
{
    return !e->sender.login || !e->sender.type || !str_eq(str_of(e->sender.type), STR("User")) ||
           e->comment.app_id != 0;
}

bool handlers_run(const struct event *e, const struct repo_config *config, struct intents *out,
                  struct err *err)
{
    for (const struct handler *h = handlers; h->event; h++) {
        if (!str_eq(str_of(e->name), str_of(h->event)))
            continue;
        if (h->action && !str_eq(str_of(e->action), str_of(h->action)))
            continue;
        if (h->for_people && is_bot(e))
            continue;
        if (!h->run(e, config, out, err))
            return err_wrap(err, "%s.%s", h->event, h->action ? h->action : "*");
    }
    return true;
}

struct intent *intent_from_event(struct intents *in, enum intent_kind kind, const struct event *e)
{
    struct intent *i = intents_add(in, kind);
    i->installation_id = e->installation_id;
    i->repository_id = e->repository.id;
    i->repository = e->repository.full_name;
    i->sender = e->sender.login;
    i->sender_id = e->sender.id;
    i->issue = e->issue.number;
    i->on_pull_request = e->issue.is_pull_request;
    return i;
}

bool label_matches(const char *label, const struct repo_config *config, const char **role)
{
    struct str have = str_of(label);
    struct str want = str_of(config->label);
    *role = NULL;
    if (!label || !str_starts(have, want))
        return false;
    if (have.n == want.n)
        return true;
    if (label[want.n] != ':' || have.n == want.n + 1)
        return false;
    *role = label + want.n + 1;
    return true;
}
