/* One git operation as people see it: a git_operation event and two metrics. */
#pragma once

#include "bot/base/clock.h"
#include "bot/base/err.h"
#include "bot/base/metrics.h"
#include "bot/task/run.h"

struct git_op {
    const char *name; /* clone, pull, branch, commit, push, pr */
    int64_t began_ms;
};

static inline struct git_op git_op_begin(struct run *r, const char *name)
{
    (void)r;
    return (struct git_op){name, clock_mono_ms()};
}

static inline void git_op_end(struct run *r, const struct git_op *op, bool ok,
                              const struct err *err)
{
    int64_t ms = clock_mono_ms() - op->began_ms;
    const char *result = ok ? "ok" : err_policy(err->kind)->name;
    metric_add(M_GIT_OPERATIONS, op->name, result, 1);
    metric_observe(M_GIT_SECONDS, op->name, (double)ms / 1000.0);
    run_event(r, "git_operation",
              "\"operation\":\"%s\",\"result\":\"%s\",\"branch\":\"%s\",\"ms\":%lld", op->name,
              result, r->task.branch ? r->task.branch : "", (long long)ms);
}
