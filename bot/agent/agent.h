/* Agent drivers: how to start a coding agent in the sandbox. A table; adding one is one row. The
 * agent runs in the clone's folder with SQUADBOT_TASK_ID, SQUADBOT_REPOSITORY, SQUADBOT_BRANCH and
 * SQUADBOT_PROMPT_FILE set, the prompt always as a file, never spliced into a command line. Pure.
 */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"
#include "bot/base/mem.h"
#include "bot/base/settings.h"

#include <stdbool.h>

struct agent_settings {              /* borrowed */
    const char *driver;              /* name in the table */
    const char *command;             /* SQUADBOT_AGENT_COMMAND */
    const char *env_names;           /* comma-separated names of variables handed on to the agent */
    const struct settings *settings; /* where their values come from */
};
/* Can this driver be used with these settings? ERR_INPUT says what is missing. */
bool agent_check(const struct agent_settings *settings, struct err *err) MUST_CHECK;
/* Makes the values of the handed-on variables known to the redactor. Once, at start. */
void agent_protect_env(const struct agent_settings *settings);

struct agent_job {
    const char *task_id;
    const char *repository;
    const char *branch;
    const char *prompt_file; /* absolute, in the sandbox */
};
struct agent_plan {          /* arena */
    const char *const *argv; /* NULL-terminated */
    const char *const *envp; /* NAME=value; the caller must not log it */
    const char *shown;       /* how to name the command to people: no secret in it */
};
bool agent_plan(const struct agent_settings *settings, const struct agent_job *job,
                struct arena *arena, struct agent_plan *out, struct err *err) MUST_CHECK;
