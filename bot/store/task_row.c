/* Reading task rows, and the names of the states. */
#include "bot/store/task_row.h"

#include <assert.h>

static const struct {
    const char *name;
    bool is_final;
} states[TASK_STATES] = {
    [TASK_QUEUED] = {"queued",      false},
      [TASK_RUNNING] = {"running",     false},
    [TASK_WAITING] = {"waiting",     false},
      [TASK_SUCCEEDED] = {"succeeded",   true },
    [TASK_NO_CHANGES] = {"no_changes",  true },
      [TASK_FAILED] = {"failed",      true },
    [TASK_CANCELLED] = {"cancelled",   true },
      [TASK_NEEDS_HUMAN] = {"needs_human", true },
};

const char *task_state_name(enum task_state s)
{
    assert(s < TASK_STATES);
    return states[s].name;
}

bool task_state_parse(struct str name, enum task_state *out)
{
    for (size_t i = 0; i < COUNT(states); i++) {
        if (str_eq(name, str_of(states[i].name))) {
            *out = (enum task_state)i;
            return true;
        }
    }
    return false;
}

bool task_state_is_final(enum task_state s)
{
    assert(s < TASK_STATES);
    return states[s].is_final;
}

struct task task_read(const PGresult *res, int row, struct arena *arena)
{
    struct task t = {0};
    int c = 0;
#define TEXT(field)   t.field = pg_dup(arena, res, row, c++)
#define NUMBER(field) t.field = pg_int(res, row, c++)
#define SMALL(field)  t.field = (int)pg_int(res, row, c++)
    TEXT(id);
    bool known = task_state_parse(pg_str(res, row, c++), &t.state);
    assert(known); /* the enum of the schema */
    TEXT(step);
    TEXT(source);
    NUMBER(installation_id);
    NUMBER(repository_id);
    TEXT(repository);
    SMALL(issue);
    TEXT(title);
    TEXT(description);
    TEXT(requested_by);
    NUMBER(requested_by_id);
    NUMBER(trigger_comment);
    TEXT(base);
    TEXT(base_sha);
    TEXT(branch);
    TEXT(head_sha);
    TEXT(commit_history);
    TEXT(facts);
    SMALL(pull_request);
    TEXT(pull_request_url);
    TEXT(pull_request_state);
    NUMBER(status_comment);
    TEXT(sandbox_id);
    TEXT(agent);
    TEXT(squad);
    TEXT(reviewers);
    TEXT(limits);
    TEXT(metadata);
    SMALL(attempt);
    SMALL(crashes);
    TEXT(error_kind);
    TEXT(error_message);
    t.cost_usd = pg_num(res, row, c++);
    NUMBER(tokens_input);
    NUMBER(tokens_output);
    t.cancel_requested = pg_bool(res, row, c++);
    TEXT(cancel_reason);
    NUMBER(lease_epoch);
    NUMBER(created_ms);
    NUMBER(started_ms);
    NUMBER(finished_ms);
#undef TEXT
#undef NUMBER
#undef SMALL
    assert(c == TASK_COLUMN_COUNT);
    return t;
}

bool task_fenced(struct store *s, const struct pg_sql *q, const struct pg_args *a, PGresult **out,
                 struct err *err)
{
    PGresult *res = NULL;
    if (!pg_run(s, q, a, &res, err))
        return false;
    if (PQntuples(res) == 0) {
        PQclear(res);
        return err_set(err, ERR_CANCELLED, "lease lost");
    }
    if (out)
        *out = res;
    else
        PQclear(res);
    return true;
}
