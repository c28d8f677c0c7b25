/* agent: starts it detached in the sandbox (once: the start is guarded inside the sandbox) and
 * follows its log by byte offset until its exit file is there. A lost connection or a restart of
 * ours loses no line and never starts it twice. */
#include "bot/task/run.h"

#include "bot/base/log.h"
#include "bot/task/follow.h"
#include "bot/task/text.h"

#define POLL_BYTES        ((size_t)512 * 1024)
#define POLL_MIN_MS       15
#define POLL_MAX_MS       1000
#define POLL_FAILURES_MAX 20

static bool start(struct run *r, struct err *err)
{
    AUTO(buf_done) struct buf prompt = {0};
    text_prompt(&r->task, &prompt);
    const char *prompt_file = arena_printf(r->arena, "%s/prompt.md", r->stage);
    struct agent_job job = {r->task.id, r->task.repository, r->task.branch, prompt_file};
    struct agent_plan plan;
    if (!agent_plan(&r->env->agent, &job, r->arena, &plan, err))
        return false;
    if (!sandbox_put(r->env->sandbox, &r->sandbox, prompt_file, buf_str(&prompt), &r->call, err))
        return err_wrap(err, "prompt");
    struct sandbox_job run = {r->stage, plan.argv, plan.envp, r->repo_dir};
    return sandbox_job_start(r->env->sandbox, &r->sandbox, &run, &r->call, err);
}

/* The sandbox is polled quickly while the agent talks and ever slower while it thinks. */
static int64_t next_wait(int64_t wait_ms, bool news)
{
    if (news)
        return POLL_MIN_MS;
    wait_ms += wait_ms / 2;
    return wait_ms < POLL_MAX_MS ? wait_ms : POLL_MAX_MS;
}

static bool follow_to_end(struct run *r, struct follow *f, struct err *err)
{
    int64_t wait_ms = POLL_MIN_MS;
    int failures = 0;
    AUTO(buf_done) struct buf piece = {.max = POLL_BYTES * 2};
    struct sandbox_job_state state = {0}; /* remembers when it last looked for the process */
    for (;;) {
        int64_t offset = f->read;
        struct err failure = {0};
        buf_clear(&piece);
        bool ok = sandbox_job_poll(r->env->sandbox, &r->sandbox, r->stage, &offset, POLL_BYTES,
                                   &r->call, &piece, &state, &failure);
        if (!ok && (!err_policy(failure.kind)->retry || failure.kind == ERR_TIMEOUT ||
                    ++failures > POLL_FAILURES_MAX)) {
            *err = failure;
            return false;
        }
        if (ok) {
            failures = 0;
            if (!follow_take(f, r, buf_str(&piece), state.ended, err))
                return false;
            if (state.ended) {
                r->agent_exit = state.exit_code;
                return true;
            }
            if (!state.started)
                return err_set(err, ERR_SANDBOX, "the agent's process was never started");
            if (!run_keep_alive(r, &failure))
                log_err(LOG_WARN, "sandbox life not extended", &failure);
        }
        wait_ms = ok ? next_wait(wait_ms, piece.len > 0) : POLL_MAX_MS;
        if (piece.len < POLL_BYTES && !call_wait(&r->call, wait_ms, err))
            return false;
    }
}

bool step_agent(struct run *r, struct err *err)
{
    int64_t began = clock_mono_ms();
    struct follow f;
    if (!run_attach(r, err) || !start(r, err) || !follow_start(&f, r, err))
        return false;
    bool ok = follow_to_end(r, &f, err);
    follow_done(&f);
    r->agent_ms = clock_mono_ms() - began;
    r->agent_ran = ok;
    if (!ok && err->kind == ERR_GONE) {
        struct err dead = {0};
        err_set(&dead, ERR_SANDBOX, "the sandbox died while the agent was running");
        return run_end(r, TASK_FAILED, &dead);
    }
    if (!ok && err->kind == ERR_TIMEOUT)
        return err_set(err, ERR_TIMEOUT, "the agent was still running after the time limit");
    return ok;
}

void step_agent_save(struct run *r, struct buf *json)
{
    buf_printf(json, "\"exit_code\":%d,\"ms\":%lld", r->agent_exit, (long long)r->agent_ms);
}

void step_agent_load(struct run *r, const json_t *result)
{
    r->agent_ran = true;
    r->agent_exit = (int)json_int(result, "exit_code", -1);
    r->agent_ms = json_int(result, "ms", 0);
}
