/* pull_request.closed: remember how it ended; after a merge the branch may go. Also .reopened,
 * .ready_for_review and .converted_to_draft: how it stands is read from the API when performed.
 * Only branches of our shape in the repository itself are of interest; whether one is really ours,
 * the database knows. */
#include "handlers/handlers.h"

#include "bot/base/str.h"

bool handle_pull_request_closed(const struct event *e, const struct repo_config *config,
                                struct intents *out, struct err *err)
{
    (void)config;
    (void)err;
    if (!str_starts(str_of(e->pull.head_branch), STR("task-")) ||
        e->pull.head_repo_id != e->repository.id)
        return true;
    struct intent *i = intent_from_event(out, INTENT_PULL_CLOSED, e);
    i->issue = 0;
    i->pull_request = e->pull.number;
    i->merged = e->pull.merged;
    i->branch = e->pull.head_branch;
    i->head_sha = e->pull.head_sha;
    i->merged_by = e->pull.merged_by;
    return true;
}
