/* One run of a task: what its steps share. A run lives on one thread; other threads only call
 * run_stop(). Everything that must survive us is in PostgreSQL (task row, journal, log); the run
 * holds handles and copies, and a step that misses one makes it anew (run_attach, run_base_pack,
 * run_import), so a task resumes at its step in another process. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/call.h"
#include "bot/base/err.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "bot/git/import.h"
#include "bot/git/wire.h"
#include "bot/sandbox/sandbox.h"
#include "bot/store/steps.h"
#include "bot/store/tasks.h"
#include "bot/task/env.h"
#include "github-app/client.h"

#include <stdatomic.h>
#include <stdbool.h>

/* Why a run was told to stop, the weightiest last. */
enum run_stop_reason {
    RUN_GO_ON,
    RUN_CANCELLED, /* somebody asked: stop the agent, keep the work, say so */
    RUN_DRAINING,  /* this process ends: leave the agent running, release the lease */
    RUN_LEASE_LOST /* another process owns the task now: touch nothing */
};

struct run {
    const struct task_env *env;
    struct arena *arena;
    struct task task;
    struct github_repo repo;

    struct cancel *cancel;
    atomic_int stop;  /* enum run_stop_reason */
    struct call call; /* of the step under way */

    char dir[512];        /* our work folder of this attempt */
    const char *repo_dir; /* in the sandbox: the clone */
    const char *stage;    /* in the sandbox: our files beside it */

    const char *start_oid; /* the commit that the agent starts from */
    const char *old_oid;   /* what the branch must be at when we push; NULL = must not exist */

    struct sandbox sandbox;
    bool attached;
    const char *sandbox_e2b_id;
    int64_t ttl_renewed_ms; /* monotonic */

    bool agent_ran;
    int agent_exit;
    int64_t agent_ms;

    struct git_import_result import;
    bool imported;

    bool journal_lost; /* nothing more may be decided here: give the task back */
    bool ended;        /* an outcome is decided: only report and teardown are left */
    enum task_state outcome;
    struct err error; /* of the outcome; ERR_NONE = none */
};

/* Takes over `task` as claimed (its strings live in `arena`, which the run now owns). */
struct run *run_new(const struct task_env *env, const struct task *task, struct arena *arena);
void run_free(struct run *r);

/* Runs the task to its end or until it is stopped. On the runner's thread. */
void run_task(struct run *r);

/* From any thread; a weightier reason replaces a lighter one. */
void run_stop(struct run *r, enum run_stop_reason why);

/* --- for the steps */

/* Decides the outcome; error may be NULL. Returns true, so that a step can return it. */
bool run_end(struct run *r, enum task_state outcome, const struct err *error);
/* The task's call, at the latest in seconds from now. */
struct call run_call(const struct run *r, int seconds);
/* Appends an event; failures are logged, never fatal. fmt makes the JSON members inside the braces.
 */
void run_event(struct run *r, const char *kind, const char *fmt, ...) PRINTF(3, 4);
/* Connects to the task's sandbox if this process has not done so. ERR_GONE = it is dead. */
bool run_attach(struct run *r, struct err *err) MUST_CHECK;
/* Extends the sandbox's life when a third of it has passed. */
bool run_keep_alive(struct run *r, struct err *err) MUST_CHECK;
/* Makes sure that dir/base.pack (and dir/shallow) are here. */
bool run_base_pack(struct run *r, struct err *err) MUST_CHECK;
/* Makes sure that r->import holds the verified work: downloads and imports again if need be. */
bool run_import(struct run *r, struct err *err) MUST_CHECK;
/* Takes the work out of the sandbox: dir/out.bundle and, at once, the patch in the database.
 * *any = false: nothing was changed. */
bool run_collect(struct run *r, bool *any, struct err *err) MUST_CHECK;
/* A token for git is used once: forgets and revokes it. why = the error of the git call, or NULL.
 */
void run_token_done(struct run *r, enum github_need need, const struct secret *token,
                    const struct err *why);
/* After ERR_GONE of git, which follows no redirects: has the repository another name now? Then the
 * run goes by that. */
bool run_renamed(struct run *r);
/* Path in dir, in the arena. */
const char *run_path(struct run *r, const char *name);
/* Posts or edits the one status comment; failures are logged, never fatal. */
void run_comment(struct run *r);

struct step {
    const char *name;
    bool (*run)(struct run *, struct err *);
    /* The step's stored result, to be read back after a restart; NULL = it stores none. */
    void (*save)(struct run *, struct buf *json_members);
    void (*load)(struct run *, const json_t *result);
    int timeout_s; /* of one try; 0 = the task's own limit */
    int tries;     /* on errors that may pass */
};
extern const struct step task_steps[];   /* ended by a row without a name */
extern const struct step finish_steps[]; /* report, teardown: whatever happened */

bool step_snapshot(struct run *, struct err *);
void step_snapshot_save(struct run *, struct buf *);
void step_snapshot_load(struct run *, const json_t *);
bool step_sandbox(struct run *, struct err *);
bool step_clone(struct run *, struct err *);
bool step_agent(struct run *, struct err *);
void step_agent_save(struct run *, struct buf *);
void step_agent_load(struct run *, const json_t *);
bool step_collect(struct run *, struct err *);
bool step_verify(struct run *, struct err *);
bool step_push(struct run *, struct err *);
bool step_pull_request(struct run *, struct err *);
bool step_report(struct run *, struct err *);
bool step_teardown(struct run *, struct err *);
