/* Metrics: presence from the start, text format, bounds, threads. */
#include "bot/base/metrics.h"

#include "bot/base/mem.h"
#include "bot/base/thread.h"
#include "tests/unit/row.h"

#include <math.h>
#include <stdio.h>

static bool has_line(const char *line)
{
    AUTO(buf_done) struct buf out = {0};
    metrics_write(&out);
    struct str rest = buf_str(&out);
    for (struct str got; str_line(&rest, &got);)
        if (str_eq(got, str_of(line)))
            return true;
    return false;
}

static size_t count_of(const char *text)
{
    AUTO(buf_done) struct buf out = {0};
    metrics_write(&out);
    size_t n = 0;
    size_t at = 0;
    while ((at = str_find(buf_str(&out), str_of(text), at)) < out.len) {
        n++;
        at++;
    }
    return n;
}

/* Runs first: nothing has been counted yet. */
static void all_present(void **state)
{
    (void)state;
    static const char *const names[] = {
#define METRIC(id, name, type, labels, help) "squadbot_" name,
#include "bot/base/metric.def"
#undef METRIC
    };
    AUTO(buf_done) struct buf out = {0};
    metrics_write(&out);
    for (size_t i = 0; i < COUNT(names); i++) {
        AUTO(mem_freep) char *help = mem_printf("# HELP %s ", names[i]);
        AUTO(mem_freep) char *type = mem_printf("# TYPE %s ", names[i]);
        AUTO(mem_freep) char *plain = mem_printf("\n%s ", names[i]);
        AUTO(mem_freep) char *labelled = mem_printf("\n%s{", names[i]);
        AUTO(mem_freep) char *histogram = mem_printf("\n%s_count", names[i]);
        ROW_TRUE(names[i], strstr(buf_cstr(&out), help));
        ROW_TRUE(names[i], strstr(buf_cstr(&out), type));
        ROW_TRUE(names[i], strstr(buf_cstr(&out), plain) || strstr(buf_cstr(&out), labelled) ||
                               strstr(buf_cstr(&out), histogram));
    }
    static const char *const lines[] = {
        "squadbot_inbox_depth 0",
        "squadbot_tasks{state=\"queued\"} 0",
        "squadbot_tasks{state=\"needs_human\"} 0",
        "squadbot_task_outcomes_total{state=\"no_changes\"} 0",
        "squadbot_sandboxes{status=\"PAUSED\"} 0",
        "squadbot_errors_total{kind=\"sandbox\"} 0",
        "squadbot_errors_total{kind=\"bug\"} 0",
        "squadbot_cost_usd_total{kind=\"model\"} 0",
        "squadbot_tokens_total{kind=\"output\"} 0",
        "squadbot_webhook_deliveries_total{event=\"ping\",result=\"accepted\"} 0",
        "squadbot_webhook_request_seconds_bucket{le=\"0.001\"} 0",
        "squadbot_webhook_request_seconds_bucket{le=\"3600\"} 0",
        "squadbot_webhook_request_seconds_bucket{le=\"+Inf\"} 0",
        "squadbot_webhook_request_seconds_sum 0",
        "squadbot_webhook_request_seconds_count 0",
        "squadbot_task_step_seconds_count{step=\"agent\"} 0",
        "squadbot_git_operations_total{operation=\"clone\",result=\"ok\"} 0",
        "# TYPE squadbot_inbox_depth gauge",
        "# TYPE squadbot_orphan_sandboxes_total counter",
        "# TYPE squadbot_queue_wait_seconds histogram",
    };
    for (size_t i = 0; i < COUNT(lines); i++)
        ROW_TRUE(lines[i], has_line(lines[i]));
    assert_null(strstr(buf_cstr(&out), "kind=\"none\""));
}

static void values(void **state)
{
    (void)state;
    metric_add(M_LEASE_EXPIRED, NULL, NULL, 1);
    metric_add(M_LEASE_EXPIRED, NULL, NULL, 2);
    assert_true(has_line("squadbot_lease_expired_total 3"));
    metric_add(M_COST, "model", NULL, 0.125);
    assert_true(has_line("squadbot_cost_usd_total{kind=\"model\"} 0.125"));
    metric_set(M_INBOX_DEPTH, NULL, NULL, 7);
    metric_add(M_INBOX_DEPTH, NULL, NULL, -2);
    assert_true(has_line("squadbot_inbox_depth 5"));
    metric_set(M_BUDGET, NULL, NULL, NAN);
    assert_true(has_line("squadbot_budget_used_ratio NaN"));
    metric_set(M_BUDGET, NULL, NULL, -INFINITY);
    assert_true(has_line("squadbot_budget_used_ratio -Inf"));
    metric_add(M_GIT_OPERATIONS, "push", "error", 1);
    assert_true(has_line("squadbot_git_operations_total{operation=\"push\",result=\"error\"} 1"));
    metric_add(M_HTTP_REQUESTS, "/a\"b\\c\nd", "200", 1);
    assert_true(
        has_line("squadbot_http_requests_total{route=\"/a\\\"b\\\\c\\nd\",code=\"200\"} 1"));
    metric_add(M_HTTP_REQUESTS, "only one", NULL, 1);
    assert_true(has_line("squadbot_http_requests_total{route=\"only one\",code=\"\"} 1"));
}

static void histograms(void **state)
{
    (void)state;
    static const double seen[] = {0, 0.001, 0.0011, 0.5, 3600, 3601};
    for (size_t i = 0; i < COUNT(seen); i++)
        metric_observe(M_QUEUE_WAIT, NULL, seen[i]);
    static const char *const lines[] = {
        "squadbot_queue_wait_seconds_bucket{le=\"0.001\"} 2",
        "squadbot_queue_wait_seconds_bucket{le=\"0.0025\"} 3",
        "squadbot_queue_wait_seconds_bucket{le=\"0.25\"} 3",
        "squadbot_queue_wait_seconds_bucket{le=\"0.5\"} 4",
        "squadbot_queue_wait_seconds_bucket{le=\"3600\"} 5",
        "squadbot_queue_wait_seconds_bucket{le=\"+Inf\"} 6",
        "squadbot_queue_wait_seconds_count 6",
    };
    for (size_t i = 0; i < COUNT(lines); i++)
        ROW_TRUE(lines[i], has_line(lines[i]));
    metric_observe(M_STEP_SECONDS, "push", 2);
    assert_true(has_line("squadbot_task_step_seconds_bucket{step=\"push\",le=\"2.5\"} 1"));
    assert_true(has_line("squadbot_task_step_seconds_sum{step=\"push\"} 2"));
}

static void bounded(void **state)
{
    (void)state;
    char label[300];
    for (int i = 0; i < 1000; i++) {
        snprintf(label, sizeof(label), "/repos/%d", i);
        metric_add(M_GITHUB_REQUESTS, label, "200", 1);
    }
    assert_int_equal(count_of("\nsquadbot_github_requests_total{"), METRIC_SERIES_MAX);
    assert_true(count_of("squadbot_github_requests_total{endpoint=\"other\",code=\"other\"} ") ==
                1);
    memset(label, 'x', sizeof(label) - 1);
    label[sizeof(label) - 1] = '\0';
    metric_add(M_E2B_REQUESTS, label, "200", 1);
    metric_add(M_E2B_REQUESTS, label, "200", 1);
    assert_int_equal(count_of("operation=\"xxx"), 1);
    assert_int_equal(count_of("code=\"200\"} 2\n"), 1);
}

static void *count(void *arg)
{
    for (int i = 0; i < 10000; i++)
        metric_add(M_ORPHANS, NULL, NULL, 1);
    return arg;
}

static void threads(void **state)
{
    (void)state;
    pthread_t ids[4];
    struct err err = {0};
    for (size_t i = 0; i < COUNT(ids); i++)
        assert_true(thread_start(&ids[i], "count", count, NULL, &err));
    for (size_t i = 0; i < COUNT(ids); i++)
        pthread_join(ids[i], NULL);
    assert_true(has_line("squadbot_orphan_sandboxes_total 40000"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_present), cmocka_unit_test(values),  cmocka_unit_test(histograms),
        cmocka_unit_test(bounded),     cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
