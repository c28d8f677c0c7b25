/* Tasks: identity, claims and fencing, legal moves, cancel and retry, paging, the step journal, the
 * event log and its order, sandboxes. */
#include "bot/store/tasks.h"

#include "bot/base/json.h"
#include "bot/store/installations.h"
#include "bot/store/sandboxes.h"
#include "bot/store/steps.h"
#include "tests/unit/store/db.h"

static int wipe(void **state)
{
    (void)state;
    db_int("TRUNCATE task_executions, sandboxes, installations CASCADE");
    return 0;
}

static struct task task_like(const char *id, int issue)
{
    return (struct task){.id = id,
                         .source = "label",
                         .repository_id = 7,
                         .repository = "o/r",
                         .issue = issue,
                         .title = "t"};
}

static const char *add(const char *id, int issue, bool want_created)
{
    struct err err = {0};
    struct task t = task_like(id, issue);
    bool created;
    const char *out = NULL;
    OK(task_insert(db, &t, mem, &created, &out, &err));
    assert_int_equal(created, want_created);
    return out;
}

static struct task claim(const char *owner, bool want_expired)
{
    struct err err = {0};
    struct task t = {0};
    bool found = false, expired = false;
    OK(task_claim(db, owner, 30, mem, &t, &found, &expired, &err));
    assert_true(found);
    assert_int_equal(expired, want_expired);
    return t;
}

static bool nothing_to_claim(void)
{
    struct err err = {0};
    struct task t;
    bool found = true, expired;
    OK(task_claim(db, "nobody", 30, mem, &t, &found, &expired, &err));
    return !found;
}

static struct task get(const char *id)
{
    struct err err = {0};
    struct task t = {0};
    OK(task_get(db, id, mem, &t, &err));
    return t;
}

static int events(const char *id, const char *kind)
{
    struct err err = {0};
    struct event_row *rows;
    int n, count = 0;
    OK(event_list(db, id, 0, 1000, mem, &rows, &n, &err));
    for (int i = 0; i < n; i++)
        count += strcmp(rows[i].kind, kind) == 0;
    return count;
}

/* ------------------------------------------------------------------------------------- identity */

static void one_live_task_an_issue(void **state)
{
    (void)state;
    struct err err = {0};
    assert_string_equal(add("a", 1, true), "a");
    assert_string_equal(add("b", 1, false), "a");
    assert_string_equal(add("a", 2, false), "a");
    assert_string_equal(add("c", 2, true), "c");
    assert_string_equal(add("free", 0, true), "free"); /* no issue, no rival */
    assert_string_equal(add("free2", 0, true), "free2");
    OK(task_cancel(db, "a", "enough", NULL, &err));
    assert_string_equal(add("b", 1, true), "b");
    assert_int_equal(events("b", "task_state"), 1);
}

static void bad_ids_are_refused_by_the_schema(void **state)
{
    (void)state;
    struct err err = {0};
    static const char *const ids[] = {"", "a b", "a/b", "a..b", "x.lock", "\"", "%"};
    for (size_t i = 0; i < COUNT(ids); i++) {
        struct task t = task_like(ids[i], 0);
        bool created;
        const char *out;
        FAILS(task_insert(db, &t, mem, &created, &out, &err), ERR_BUG);
    }
    struct task t;
    FAILS(task_get(db, "nope", mem, &t, &err), ERR_GONE);
    FAILS(task_cancel(db, "nope", "x", NULL, &err), ERR_GONE);
    FAILS(task_retry(db, "nope", &err), ERR_GONE);
}

static void every_column_comes_back(void **state)
{
    (void)state;
    struct err err = {0};
    struct task t = task_like("full", 12);
    bool created;
    const char *out;
    t.source = "comment";
    t.installation_id = 5;
    t.description = "d\xc3\xa9";
    t.requested_by = "alice";
    t.requested_by_id = 99;
    t.trigger_comment = 1234567890123;
    t.base = "main";
    t.branch = "task-12";
    t.pull_request = 3;
    t.pull_request_url = "https://x/3";
    t.pull_request_state = "draft";
    t.status_comment = 77;
    t.agent = "builder";
    t.squad = "s1";
    t.reviewers = "[\"bob\"]";
    t.limits = "{\"timeout_s\": 5}";
    t.metadata = "{\"k\": \"v\"}";
    OK(task_insert(db, &t, mem, &created, &out, &err));
    struct task g = get("full");
    assert_int_equal(g.state, TASK_QUEUED);
    assert_int_equal(g.queue_position, 1);
    assert_int_equal(g.installation_id, 5);
    assert_string_equal(g.description, "d\xc3\xa9");
    assert_string_equal(g.requested_by, "alice");
    assert_int_equal(g.trigger_comment, 1234567890123);
    assert_string_equal(g.branch, "task-12");
    assert_int_equal(g.pull_request, 3);
    assert_string_equal(g.pull_request_state, "draft");
    assert_string_equal(g.reviewers, "[\"bob\"]");
    assert_string_equal(g.limits, "{\"timeout_s\": 5}");
    assert_string_equal(g.metadata, "{\"k\": \"v\"}");
    assert_string_equal(g.facts, "{}");
    assert_null(g.step);
    assert_null(g.sandbox_id);
    assert_true(g.created_ms > 0 && g.started_ms == 0 && g.finished_ms == 0);
    bool found;
    OK(task_of_issue(db, 7, 12, mem, &g, &found, &err));
    assert_true(found);
    OK(task_of_pull_request(db, 7, 3, mem, &g, &found, &err));
    assert_true(found);
    OK(task_of_pull_request(db, 8, 3, mem, &g, &found, &err));
    assert_false(found);
    OK(task_branch_owner(db, 7, "task-12", mem, &g, &found, &err));
    assert_true(found);
}

/* --------------------------------------------------------------------------------------- leases */

static void two_owners_never_get_the_same_task(void **state)
{
    (void)state;
    add("a", 1, true);
    add("b", 2, true);
    struct task one = claim("o1", false), two = claim("o2", false);
    assert_string_not_equal(one.id, two.id);
    assert_int_equal(one.state, TASK_RUNNING);
    assert_true(one.started_ms > 0);
    assert_int_equal(one.lease_epoch, 1);
    assert_true(nothing_to_claim());
    assert_int_equal(events("a", "task_state"), 2);
}

static void an_old_epoch_changes_nothing(void **state)
{
    (void)state;
    struct err err = {0};
    add("a", 1, true);
    struct task old = claim("o1", false);
    OK(step_begin(db, "a", 1, old.lease_epoch, "provision", NULL, &err));
    db_int("UPDATE task_executions SET lease_until = now() - interval '1 second'");
    struct task fresh = claim("o2", true);
    assert_int_equal(fresh.lease_epoch, old.lease_epoch + 1);
    assert_int_equal(fresh.crashes, 1);
    const struct task_update u = {.base = "evil"};
    struct str line = STR("x");
    int64_t e = old.lease_epoch;
    FAILS(task_update(db, "a", e, &u, &err), ERR_CANCELLED);
    FAILS(task_enter(db, "a", e, TASK_SUCCEEDED, NULL, &err), ERR_CANCELLED);
    FAILS(task_release(db, "a", e, 0, &err), ERR_CANCELLED);
    FAILS(step_begin(db, "a", 1, e, "clone", NULL, &err), ERR_CANCELLED);
    FAILS(step_note(db, "a", 1, e, "provision", "{}", &err), ERR_CANCELLED);
    FAILS(step_end(db, "a", 1, e, "provision", true, NULL, NULL, &err), ERR_CANCELLED);
    FAILS(log_append(db, "a", 1, e, "stdout", &line, 1, 2, &err), ERR_CANCELLED);
    FAILS(log_append(db, "a", 1, e, "stdout", NULL, 0, 2, &err), ERR_CANCELLED);
    struct task now = get("a");
    assert_int_equal(now.state, TASK_RUNNING);
    assert_null(now.base);
    assert_int_equal(events("a", "log"), 0);
    assert_int_equal(events("a", "step"), 1);
    OK(step_end(db, "a", 1, fresh.lease_epoch, "provision", true, "{\"id\":1}", NULL, &err));
    assert_int_equal(get("a").crashes, 0); /* a step went through */
}

static void heartbeats_and_releases(void **state)
{
    (void)state;
    struct err err = {0};
    add("a", 1, true);
    struct task t = claim("o1", false);
    db_int("UPDATE task_executions SET lease_until = now() + interval '1 second'");
    OK(task_heartbeat(db, "o1", 60, &err));
    assert_int_equal(
        db_int("SELECT (lease_until > now() + interval '50 s')::int FROM task_executions"), 1);
    OK(task_release(db, "a", t.lease_epoch, 3600, &err));
    t = get("a");
    assert_int_equal(t.state, TASK_QUEUED);
    assert_int_equal(t.attempt, 1);
    assert_true(nothing_to_claim()); /* not yet due */
    db_int("UPDATE task_executions SET run_at = now()");
    t = claim("o2", false);
    assert_int_equal(t.crashes, 0);
}

/* ---------------------------------------------------------------------------------------- moves */

static void illegal_moves_are_refused(void **state)
{
    (void)state;
    struct err err = {0};
    struct pg_args none = {0};
    static const struct {
        const char *from, *to;
        bool legal;
    } rows[] = {
        {"queued",      "running",   true },
        {"queued",      "succeeded", false},
        {"queued",      "waiting",   false},
        {"queued",      "cancelled", true },
        {"running",     "succeeded", true },
        {"running",     "queued",    true },
        {"running",     "waiting",   true },
        {"waiting",     "running",   true },
        {"waiting",     "succeeded", false},
        {"succeeded",   "running",   false},
        {"succeeded",   "queued",    false},
        {"failed",      "succeeded", false},
        {"cancelled",   "running",   false},
        {"no_changes",  "failed",    false},
        {"needs_human", "queued",    false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO(buf_done) struct buf sql = {0};
        AUTO(pg_givep) struct pg *c = NULL;
        wipe(NULL);
        add("a", 1, true);
        OK(pg_borrow(db, &c, &err));
        /* Into the state to start from, past the guard. */
        OK(pg_exec_once(c, "ALTER TABLE task_executions DISABLE TRIGGER task_guard", &none, NULL,
                        &err));
        buf_printf(
            &sql,
            "UPDATE task_executions SET state = '%s', lease_owner = 'o', lease_until = now(),"
            " finished_at = CASE WHEN task_is_live('%s') THEN NULL ELSE now() END",
            rows[i].from, rows[i].from);
        OK(pg_exec_once(c, buf_cstr(&sql), &none, NULL, &err));
        OK(pg_exec_once(c, "ALTER TABLE task_executions ENABLE TRIGGER task_guard", &none, NULL,
                        &err));
        buf_clear(&sql);
        buf_printf(&sql,
                   "UPDATE task_executions SET state = '%s', finished_at ="
                   " CASE WHEN task_is_live('%s') THEN NULL ELSE now() END",
                   rows[i].to, rows[i].to);
        bool ok = pg_exec_once(c, buf_cstr(&sql), &none, NULL, &err);
        if (ok != rows[i].legal)
            fail_msg("%s to %s: %s", rows[i].from, rows[i].to, ok ? "allowed" : err.text);
    }
}

static void a_task_ends_once(void **state)
{
    (void)state;
    struct err err = {0}, why = {0};
    add("a", 1, true);
    struct task t = claim("o", false);
    err_set(&why, ERR_AGENT, "exit status 3");
    OK(task_enter(db, "a", t.lease_epoch, TASK_FAILED, &why, &err));
    FAILS(task_enter(db, "a", t.lease_epoch, TASK_SUCCEEDED, NULL, &err), ERR_CANCELLED);
    t = get("a");
    assert_int_equal(t.state, TASK_FAILED);
    assert_string_equal(t.error_kind, "agent");
    assert_string_equal(t.error_message, "exit status 3");
    assert_true(t.finished_ms > 0);
    assert_int_equal(events("a", "task_state"), 3);
    assert_true(nothing_to_claim());
}

static void cancel_and_retry(void **state)
{
    (void)state;
    struct err err = {0};
    enum task_state was;
    const char **ids;
    int n;
    add("q", 1, true);
    OK(task_cancel(db, "q", "no need", &was, &err));
    assert_int_equal(was, TASK_QUEUED);
    assert_int_equal(get("q").state, TASK_CANCELLED);
    assert_string_equal(get("q").cancel_reason, "no need");
    OK(task_cancel(db, "q", "again", &was, &err));
    assert_int_equal(was, TASK_CANCELLED);
    assert_string_equal(get("q").cancel_reason, "no need");

    add("r", 2, true);
    FAILS(task_retry(db, "r", &err), ERR_CONFLICT);
    struct task t = claim("o", false);
    OK(task_cancel_requests(db, "o", mem, &ids, &n, &err));
    assert_int_equal(n, 0);
    OK(task_cancel(db, "r", "stop", &was, &err));
    assert_int_equal(was, TASK_RUNNING);
    assert_int_equal(get("r").state, TASK_RUNNING);
    OK(task_cancel_requests(db, "o", mem, &ids, &n, &err));
    assert_int_equal(n, 1);
    assert_string_equal(ids[0], "r");
    OK(task_release(db, "r", t.lease_epoch, 0, &err)); /* it has a sandbox: a run must end it */
    assert_int_equal(get("r").state, TASK_QUEUED);
    t = claim("o", false);
    assert_true(t.cancel_requested);
    OK(task_enter(db, "r", t.lease_epoch, TASK_CANCELLED, NULL, &err));
    assert_true(nothing_to_claim());

    add("s", 3, true);
    t = claim("o", false);
    OK(task_release(db, "s", t.lease_epoch, 60, &err)); /* stopped between two runs */
    OK(task_cancel(db, "s", "stop", &was, &err));
    assert_int_equal(was, TASK_QUEUED);
    assert_int_equal(get("s").state, TASK_QUEUED);
    t = claim("o", false);
    assert_true(t.cancel_requested);
    OK(task_enter(db, "s", t.lease_epoch, TASK_CANCELLED, NULL, &err));

    OK(task_retry(db, "r", &err));
    t = get("r");
    assert_int_equal(t.state, TASK_QUEUED);
    assert_int_equal(t.attempt, 2);
    assert_false(t.cancel_requested);
    add("other", 1, true);
    FAILS(task_retry(db, "q", &err), ERR_CONFLICT); /* its issue has another live task now */
    assert_int_equal(claim("o", false).attempt, 2);
}

static void an_installation_goes(void **state)
{
    (void)state;
    struct err err = {0};
    int n;
    struct installation i = {.id = 5,
                             .account_login = "o",
                             .account_id = 1,
                             .account_type = "Organization",
                             .permissions = "{\"contents\":\"write\"}",
                             .events = "[\"issues\"]"};
    OK(installation_put(db, &i, &err));
    i.suspended = true;
    i.permissions = NULL;
    OK(installation_put(db, &i, &err));
    assert_int_equal(db_int("SELECT count(*) FROM installations WHERE suspended_at IS NOT NULL"
                            " AND permissions ? 'contents'"),
                     1);
    add("a", 1, true);
    add("b", 2, true);
    add("c", 3, true);
    db_int("UPDATE task_executions SET installation_id = 5 WHERE id <> 'c'");
    claim("o", false);
    OK(installation_stop_tasks(db, 5, "suspended", &n, &err));
    assert_int_equal(n, 2);
    assert_true(get("a").cancel_requested);
    assert_int_equal(get("a").state, TASK_RUNNING);
    assert_int_equal(get("b").state, TASK_CANCELLED);
    assert_false(get("c").cancel_requested);
}

/* ---------------------------------------------------------------------------------------- facts */

static void updates_keep_what_is_not_named(void **state)
{
    (void)state;
    struct err err = {0};
    add("a", 1, true);
    add("b", 2, true);
    struct task t = claim("o", false), other = claim("o", false);
    struct task_update u = {.base = "main",
                            .base_sha = "0123456789012345678901234567890123456789",
                            .branch = "task-1",
                            .facts = "{\"files\": 3}",
                            .cost_add = 0.25,
                            .tokens_input_add = 10,
                            .patch = "diff\0x",
                            .patch_n = 6};
    OK(task_update(db, t.id, t.lease_epoch, &u, &err));
    struct task_update more = {.facts = "{\"lines\": 9}", .cost_add = 0.5, .tokens_output_add = 4};
    OK(task_update(db, t.id, t.lease_epoch, &more, &err));
    struct task g = get("a");
    assert_string_equal(g.base, "main");
    assert_string_equal(g.facts, "{\"files\": 3, \"lines\": 9}");
    assert_true(g.cost_usd > 0.7499 && g.cost_usd < 0.7501);
    assert_int_equal(g.tokens_input, 10);
    assert_int_equal(g.tokens_output, 4);
    FAILS(task_update(db, other.id, other.lease_epoch, &(struct task_update){.branch = "task-1"},
                      &err),
          ERR_CONFLICT);
    AUTO(buf_done) struct buf patch = {0};
    OK(task_patch(db, "a", &patch, &err));
    assert_int_equal(patch.len, 6);
    FAILS(task_patch(db, "b", &patch, &err), ERR_GONE);
    int64_t counts[TASK_STATES];
    OK(task_counts(db, counts, &err));
    assert_int_equal(counts[TASK_RUNNING], 2);
    assert_int_equal(counts[TASK_QUEUED], 0);
}

static void merged_once(void **state)
{
    (void)state;
    struct err err = {0};
    add("a", 1, true);
    struct task t = claim("o", false);
    OK(task_update(db, "a", t.lease_epoch,
                   &(struct task_update){.branch = "task-1",
                                         .pull_request = 4,
                                         .pull_request_url = "https://x/4",
                                         .pull_request_state = "draft"},
                   &err));
    OK(task_enter(db, "a", t.lease_epoch, TASK_SUCCEEDED, NULL, &err));
    OK(task_pull_request_closed(db, "a", "merged", &err));
    OK(task_pull_request_closed(db, "a", "merged", &err));
    OK(task_branch_deleted(db, "a", &err));
    OK(task_branch_deleted(db, "a", &err));
    assert_int_equal(events("a", "pr_merged"), 1);
    assert_int_equal(events("a", "branch_deleted"), 1);
    assert_string_equal(get("a").pull_request_state, "merged");
}

static void pages_are_complete_and_in_order(void **state)
{
    (void)state;
    struct err err = {0};
    char ids[25][8];
    for (int i = 0; i < 25; i++) {
        snprintf(ids[i], sizeof(ids[i]), "t%02d", i);
        add(ids[i], i + 1, true);
    }
    /* Many of one moment: the id decides. */
    db_int("UPDATE task_executions SET created_at = '2026-01-01T00:00:00.123457Z'"
           " WHERE id BETWEEN 't05' AND 't15'");
    struct task_filter f = {.limit = 4};
    struct task *rows;
    const char *next = NULL;
    int n, seen = 0, pages = 0;
    char last[64] = "";
    int64_t last_ms = INT64_MAX;
    do {
        f.cursor = next;
        OK(task_list(db, &f, mem, &rows, &n, &next, &err));
        for (int i = 0; i < n; i++, seen++) {
            assert_true(rows[i].created_ms < last_ms ||
                        (rows[i].created_ms == last_ms && strcmp(rows[i].id, last) < 0));
            last_ms = rows[i].created_ms;
            snprintf(last, sizeof(last), "%s", rows[i].id);
        }
        pages++;
    } while (next);
    assert_int_equal(seen, 25);
    assert_int_equal(pages, 7);

    claim("o", false);
    f = (struct task_filter){.limit = 100, .state = "running", .repository = "o/r"};
    OK(task_list(db, &f, mem, &rows, &n, &next, &err));
    assert_int_equal(n, 1);
    assert_null(next);
    f = (struct task_filter){.limit = 100, .squad = "none"};
    OK(task_list(db, &f, mem, &rows, &n, &next, &err));
    assert_int_equal(n, 0);

    static const char *const bad[] = {"", "x", "!!", "MTIz", "MTphOmIAYw", "LTE6YQ"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        f = (struct task_filter){.limit = 4, .cursor = bad[i]};
        FAILS(task_list(db, &f, mem, &rows, &n, &next, &err), ERR_INPUT);
    }
    f = (struct task_filter){.limit = 4, .state = "flying"};
    FAILS(task_list(db, &f, mem, &rows, &n, &next, &err), ERR_INPUT);
    f = (struct task_filter){.limit = 0};
    FAILS(task_list(db, &f, mem, &rows, &n, &next, &err), ERR_INPUT);
}

/* ------------------------------------------------------------------------------- steps and logs */

static void the_journal_keeps_intents(void **state)
{
    (void)state;
    struct err err = {0};
    struct step_row row;
    add("a", 1, true);
    int64_t e = claim("o", false).lease_epoch;
    OK(step_get(db, "a", 1, "push", mem, &row, &err));
    assert_false(row.exists);
    FAILS(step_end(db, "a", 1, e, "push", true, NULL, NULL, &err), ERR_BUG);
    OK(step_begin(db, "a", 1, e, "push", "{\"old\": \"a\"}", &err));
    OK(step_note(db, "a", 1, e, "push", "{\"new\": \"b\"}", &err));
    OK(step_end(db, "a", 1, e, "push", false, NULL, "cut", &err));
    OK(step_begin(db, "a", 1, e, "push", "{\"old\": \"c\"}", &err));
    OK(step_get(db, "a", 1, "push", mem, &row, &err));
    assert_true(row.exists && !row.done);
    assert_int_equal(row.tries, 2);
    assert_string_equal(row.intent, "{\"new\": \"b\", \"old\": \"c\"}");
    OK(step_end(db, "a", 1, e, "push", true, "{\"ok\": true}", NULL, &err));
    OK(step_get(db, "a", 1, "push", mem, &row, &err));
    assert_true(row.done);
    assert_string_equal(row.result, "{\"ok\": true}");
    assert_string_equal(get("a").step, "push");
    assert_int_equal(events("a", "step"), 4);
    struct event_row *rows;
    int n;
    OK(event_list(db, "a", 0, 100, mem, &rows, &n, &err));
    assert_string_equal(rows[n - 1].data, "{\"step\": \"push\", \"status\": \"done\"}");
}

static void logs_and_their_position_move_together(void **state)
{
    (void)state;
    struct err err = {0};
    struct event_row *rows;
    int n;
    int64_t at = -1;
    add("a", 1, true);
    int64_t e = claim("o", false).lease_epoch;
    OK(log_position(db, "a", 1, "stdout", &at, &err));
    assert_int_equal(at, 0);
    const struct str lines[] = {
        STR("one"), {"nul\0!", 5},
         STR("\"q\" \\ \t\xc3\xa9"), {NULL,     0}
    };
    OK(log_append(db, "a", 1, e, "stdout", lines, 4, 123, &err));
    OK(log_append(db, "a", 1, e, "stdout", NULL, 0, 130, &err));
    OK(log_position(db, "a", 1, "stdout", &at, &err));
    assert_int_equal(at, 130);
    OK(log_position(db, "a", 1, "stderr", &at, &err));
    assert_int_equal(at, 0);
    OK(event_list(db, "a", 0, 100, mem, &rows, &n, &err));
    assert_int_equal(n, 6); /* queued, running, four lines */
    static const char *const texts[] = {"one", "nul\xef\xbf\xbd!", "\"q\" \\ \t\xc3\xa9", ""};
    for (int i = 0; i < 4; i++) {
        AUTO(json_decrefp) json_t *j = NULL;
        assert_string_equal(rows[i + 2].kind, "log");
        OK(json_parse(str_of(rows[i + 2].data), &j, &err));
        assert_string_equal(json_cstr(j, "text"), texts[i]);
        assert_string_equal(json_cstr(j, "stream"), "stdout");
    }
    int64_t ms;
    assert_true(time_parse(str_of(rows[0].at), &ms));
    OK(event_list(db, "a", rows[2].id, 2, mem, &rows, &n, &err));
    assert_int_equal(n, 2);
    struct str bad = STR("\xff");
    FAILS(log_append(db, "a", 1, e, "stdout", &bad, 1, 140, &err), ERR_INPUT);
    OK(log_position(db, "a", 1, "stdout", &at, &err));
    assert_int_equal(at, 130);
    FAILS(event_append(db, "nope", "cost", "{}", &err), ERR_GONE);
    OK(event_append(db, "a", "cost", "{\"usd\":1}", &err));
    assert_int_equal(events("a", "cost"), 1);
}

/* The stream of all tasks must not skip an event that commits late. */
static void the_common_stream_waits_for_late_commits(void **state)
{
    (void)state;
    struct err err = {0};
    struct event_row *rows;
    struct pg_args none = {0};
    int n;
    add("a", 1, true);
    add("b", 2, true);
    int64_t after = db_int("SELECT max(id) FROM task_events");
    AUTO(pg_givep) struct pg *late = NULL;
    OK(pg_borrow(db, &late, &err));
    OK(pg_begin(late, &err));
    OK(pg_exec_once(late,
                    "INSERT INTO task_events (task_id, kind, data) VALUES ('a', 'slow', '{}')",
                    &none, NULL, &err));
    OK(event_append(db, "b", "quick", "{}", &err));
    OK(event_list(db, NULL, after, 100, mem, &rows, &n, &err));
    assert_int_equal(n, 0);
    OK(event_list(db, "b", after, 100, mem, &rows, &n, &err)); /* its own stream goes on */
    assert_int_equal(n, 1);
    OK(pg_commit(late, &err));
    OK(event_list(db, NULL, after, 100, mem, &rows, &n, &err));
    assert_int_equal(n, 2);
    assert_string_equal(rows[0].kind, "slow");
    assert_string_equal(rows[1].task_id, "b");
    /* A gap that an aborted transaction left does not stop it. */
    after = rows[1].id;
    OK(pg_begin(late, &err));
    OK(pg_exec_once(late,
                    "INSERT INTO task_events (task_id, kind, data) VALUES ('a', 'never', '{}')",
                    &none, NULL, &err));
    pg_give(late);
    late = NULL;
    OK(event_append(db, "b", "quick", "{}", &err));
    OK(event_list(db, NULL, after, 100, mem, &rows, &n, &err));
    assert_int_equal(n, 1);
}

/* ------------------------------------------------------------------------------------ sandboxes */

static void a_task_has_one_live_sandbox(void **state)
{
    (void)state;
    struct err err = {0};
    const char *id, *id2;
    struct sandbox_row row, *rows;
    bool found;
    int n;
    double cost;
    int64_t counts[5];
    add("a", 1, true);
    OK(sandbox_row_new(db, "a", "o/r", 7, "base", "n1", mem, &id, &err));
    FAILS(sandbox_row_new(db, "a", "o/r", 7, "base", "n2", mem, &id2, &err), ERR_CONFLICT);
    FAILS(sandbox_row_get(db, "not-a-uuid", mem, &row, &err), ERR_INPUT);
    FAILS(sandbox_row_get(db, "00000000-0000-0000-0000-000000000000", mem, &row, &err), ERR_GONE);
    OK(sandbox_row_running(db, id, "e2b1", 2, 1024, 1800000000123, &err));
    OK(sandbox_row_of_task(db, "a", mem, &row, &found, &err));
    assert_true(found);
    assert_string_equal(row.status, "RUNNING");
    assert_string_equal(row.e2b_id, "e2b1");
    assert_int_equal(row.expires_ms, 1800000000123);
    OK(sandbox_row_used(db, id, 1800000001000, &err));

    OK(sandbox_row_orphans(db, 0, mem, &rows, &n, &err));
    assert_int_equal(n, 0);
    OK(task_cancel(db, "a", "x", NULL, &err));
    OK(sandbox_row_orphans(db, 600, mem, &rows, &n, &err));
    assert_int_equal(n, 0);
    db_int("UPDATE task_executions SET finished_at = now() - interval '1 hour'");
    db_int("UPDATE sandboxes SET last_used_at = now() - interval '1 hour',"
           " created_at = now() - interval '1000 seconds'");
    OK(sandbox_row_orphans(db, 600, mem, &rows, &n, &err));
    assert_int_equal(n, 1);
    OK(sandbox_row_ended(db, id, "TERMINATED", &cost, &err));
    assert_true(cost > 0.0324 && cost < 0.0327); /* 1,000 s × (2 × 14e-6 + 4.5e-6) */
    double again;
    OK(sandbox_row_ended(db, id, "ERROR", &again, &err));
    assert_true(again == cost);
    OK(sandbox_row_get(db, id, mem, &row, &err));
    assert_string_equal(row.status, "TERMINATED");
    FAILS(sandbox_row_used(db, id, 0, &err), ERR_GONE);
    OK(sandbox_row_counts(db, counts, &err));
    const int64_t want[] = {0, 0, 0, 1, 0};
    assert_memory_equal(counts, want, sizeof(want));
    OK(sandbox_row_new(db, "a", "o/r", 7, "base", "n2", mem, &id2, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_live_task_an_issue, wipe),
        cmocka_unit_test_setup(bad_ids_are_refused_by_the_schema, wipe),
        cmocka_unit_test_setup(every_column_comes_back, wipe),
        cmocka_unit_test_setup(two_owners_never_get_the_same_task, wipe),
        cmocka_unit_test_setup(an_old_epoch_changes_nothing, wipe),
        cmocka_unit_test_setup(heartbeats_and_releases, wipe),
        cmocka_unit_test_setup(illegal_moves_are_refused, wipe),
        cmocka_unit_test_setup(a_task_ends_once, wipe),
        cmocka_unit_test_setup(cancel_and_retry, wipe),
        cmocka_unit_test_setup(an_installation_goes, wipe),
        cmocka_unit_test_setup(updates_keep_what_is_not_named, wipe),
        cmocka_unit_test_setup(merged_once, wipe),
        cmocka_unit_test_setup(pages_are_complete_and_in_order, wipe),
        cmocka_unit_test_setup(the_journal_keeps_intents, wipe),
        cmocka_unit_test_setup(logs_and_their_position_move_together, wipe),
        cmocka_unit_test_setup(the_common_stream_waits_for_late_commits, wipe),
        cmocka_unit_test_setup(a_task_has_one_live_sandbox, wipe),
    };
    return cmocka_run_group_tests(tests, db_up, db_down);
}
