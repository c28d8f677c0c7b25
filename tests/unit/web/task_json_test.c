/* The task's JSON: every member, whatever the row lacks. */
#include "bot/web/task_json.h"

#include "bot/base/json.h"
#include "tests/unit/row.h"

static void empty(void **state)
{
    (void)state;
    struct buf out = {0};
    struct task t = {.id = "a", .repository = "o/n", .title = "t", .attempt = 1};
    task_json(&out, &t);
    assert_string_equal(
        buf_cstr(&out),
        "{\"id\":\"a\",\"state\":\"queued\",\"step\":null,\"repository\":\"o/n\",\"issue\":null,"
        "\"title\":\"t\",\"branch\":null,\"base\":null,\"head_sha\":null,\"pull_request\":null,"
        "\"sandbox_id\":null,\"agent\":null,\"squad\":null,\"requested_by\":null,\"attempt\":1,"
        "\"queue_position\":null,\"error\":null,\"cost_usd\":0,\"tokens\":{\"input\":0,\"output\":"
        "0},"
        "\"commits\":[],\"created_at\":null,\"started_at\":null,\"finished_at\":null}");
    buf_done(&out);
}

static void full(void **state)
{
    (void)state;
    struct buf out = {0};
    struct task t = {.id = "a",
                     .state = TASK_FAILED,
                     .repository = "o/n",
                     .issue = 3,
                     .title = "\"q\" \\ \n \xff",
                     .pull_request = 9,
                     .pull_request_state = "open",
                     .error_kind = "agent",
                     .error_message = "m",
                     .cost_usd = 12.345678,
                     .tokens_input = INT64_C(5000000000),
                     .commit_history = "[{\"sha\": \"x\"}]",
                     .queue_position = 2,
                     .created_ms = 1795197600123};
    json_t *j;
    struct err err;
    task_json(&out, &t);
    assert_true(json_parse(buf_str(&out), &j, &err));
    assert_string_equal(json_cstr(j, "title"), "\"q\" \\ \n \xef\xbf\xbd");
    assert_int_equal(json_int(j, "pull_request.number", 0), 9);
    assert_null(json_at(j, "pull_request.url"));
    assert_string_equal(json_cstr(j, "error.kind"), "agent");
    assert_true(json_num(j, "cost_usd", 0) == 12.345678);
    assert_int_equal(json_int(j, "tokens.input", 0), 5000000000);
    assert_int_equal(json_array_size(json_at(j, "commits")), 1);
    assert_int_equal(json_int(j, "queue_position", 0), 2);
    assert_string_equal(json_cstr(j, "created_at"), "2026-11-20T18:00:00.123Z");
    json_decref(j);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(empty), cmocka_unit_test(full)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
