/* The drivers. Each is a shell line run by `bash -lc` in the clone's folder: the CLIs read the
 * prompt from standard input, so nothing of it is ever parsed by a shell. The sandbox is the wall,
 * so the CLIs' own permission prompts, which nobody could answer, are off. */
#include "bot/agent/agent.h"

#include "bot/base/redact.h"
#include "bot/base/str.h"

static const struct driver {
    const char *name;
    const char *line; /* NULL = the operator's own command */
} drivers[] = {
    {"claude",   "claude --print --dangerously-skip-permissions <\"$SQUADBOT_PROMPT_FILE\""          },
    {"codex",    "codex exec --dangerously-bypass-approvals-and-sandbox - <\"$SQUADBOT_PROMPT_FILE\""},
    {"gemini",   "gemini --yolo <\"$SQUADBOT_PROMPT_FILE\""                                          },
    {"opencode", "opencode run \"Do what the file $SQUADBOT_PROMPT_FILE says.\" </dev/null"          },
    {"command",  NULL                                                                                },
};

#define ENV_NAMES_MAX 64

static const struct driver *driver_find(const char *name)
{
    for (size_t i = 0; i < COUNT(drivers); i++)
        if (str_eq(str_of(drivers[i].name), str_of(name)))
            return &drivers[i];
    return NULL;
}

bool agent_check(const struct agent_settings *settings, struct err *err)
{
    const struct driver *d = driver_find(settings->driver);
    if (!d)
        return err_set(err, ERR_INPUT, "SQUADBOT_AGENT names no driver: %s", settings->driver);
    if (!d->line && !settings->command[0])
        return err_set(err, ERR_INPUT, "SQUADBOT_AGENT=command needs SQUADBOT_AGENT_COMMAND");
    return true;
}

/* Calls fn(arg, name, value) for each name of the list that has a value. */
static void each_env(const struct agent_settings *settings,
                     void (*fn)(void *, const char *, const char *), void *arg)
{
    struct str rest = str_of(settings->env_names);
    struct str field;
    while (rest.p && str_split(&rest, ',', &field)) {
        char name[128];
        field = str_trim(field);
        if (field.n == 0 || !str_copy(name, sizeof(name), field))
            continue;
        const char *value = settings_variable(settings->settings, name);
        if (value)
            fn(arg, name, value);
    }
}

static void protect(void *arg, const char *name, const char *value)
{
    (void)arg;
    (void)name;
    redact_add(str_of(value));
}

void agent_protect_env(const struct agent_settings *settings)
{
    each_env(settings, protect, NULL);
}

struct env_list {
    struct arena *arena;
    const char **rows;
    int n;
};

static void env_add(void *arg, const char *name, const char *value)
{
    struct env_list *list = arg;
    if (list->n < ENV_NAMES_MAX)
        list->rows[list->n++] = arena_printf(list->arena, "%s=%s", name, value);
}

bool agent_plan(const struct agent_settings *settings, const struct agent_job *job,
                struct arena *arena, struct agent_plan *out, struct err *err)
{
    if (!agent_check(settings, err))
        return false;
    const struct driver *d = driver_find(settings->driver);
    const char **argv = arena_alloc(arena, 4 * sizeof(*argv));
    argv[0] = "bash";
    argv[1] = "-lc";
    argv[2] = d->line ? d->line : arena_str(arena, str_of(settings->command));
    struct env_list env = {arena, arena_alloc(arena, (ENV_NAMES_MAX + 5) * sizeof(char *)), 0};
    each_env(settings, env_add, &env);
    env.rows[env.n++] = arena_printf(arena, "SQUADBOT_TASK_ID=%s", job->task_id);
    env.rows[env.n++] = arena_printf(arena, "SQUADBOT_REPOSITORY=%s", job->repository);
    env.rows[env.n++] = arena_printf(arena, "SQUADBOT_BRANCH=%s", job->branch);
    env.rows[env.n++] = arena_printf(arena, "SQUADBOT_PROMPT_FILE=%s", job->prompt_file);
    *out = (struct agent_plan){argv, env.rows, d->line ? d->name : argv[2]};
    return true;
}
