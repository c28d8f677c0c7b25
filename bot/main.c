/* The command line: finds the sub-command, reads the settings, runs it. Exit status: 0 done, 1
 * failed, 2 usage or settings wrong. */
#include "bot/app.h"
#include "bot/base/json.h"
#include "bot/base/log.h"
#include "bot/base/version.h"
#include "bot/cli/cli.h"

#include <stdio.h>
#include <string.h>

static const struct command {
    const char *name;
    const char *usage;
    const char *help;
    int (*run)(struct settings *, int argc, char **argv); /* argv[0] = the sub-command */
} commands[] = {
    {"serve",   "serve [--no-migrate] [--print-settings] [--print-sample]",
     "runs the bot: HTTP server, dispatcher, task runners, janitor",                                                                            app_serve  },
    {"migrate", "migrate [--status]",                                       "applies pending migrations and exits",                             cli_migrate},
    {"doctor",  "doctor",                                                   "checks every setting and every outside party; exit 1 on any FAIL",
     cli_doctor                                                                                                                                            },
    {"task",    "task list|show ID|cancel ID|retry ID|logs ID [--follow]",
     "a thin client of the HTTP API",                                                                                                           cli_task   },
};

static void usage(FILE *to)
{
    fprintf(to, "squadbot %s\n\nusage: squadbot [--env-file PATH] COMMAND …\n\n", version());
    for (size_t i = 0; i < COUNT(commands); i++)
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
    fprintf(to, "\n`squadbot help COMMAND` tells more. Settings come from the environment; "
                "`squadbot serve --print-settings` shows them.\n");
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; name && i < COUNT(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int help(const char *name)
{
    const struct command *c = find(name);
    if (name && !c) {
        fprintf(stderr, "squadbot: there is no command \"%s\"\n", name);
        return 2;
    }
    if (!c)
        usage(stdout);
    else
        printf("usage: squadbot [--env-file PATH] %s\n\n%s\n", c->usage, c->help);
    return 0;
}

/* Takes "--env-file PATH" (or =PATH) out of argv, wherever it stands. */
static bool take_env_file(int *argc, char **argv, const char **path)
{
    int kept = 1;
    *path = NULL;
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--env-file") == 0) {
            if (i + 1 >= *argc)
                return false;
            *path = argv[++i];
        } else if (strncmp(argv[i], "--env-file=", 11) == 0) {
            *path = argv[i] + 11;
        } else {
            argv[kept++] = argv[i];
        }
    }
    argv[kept] = NULL;
    *argc = kept;
    return true;
}

static int run(const struct command *c, const char *env_file, int argc, char **argv)
{
    struct settings *settings = NULL;
    struct err err = {0};
    if (!settings_load(env_file, &settings, &err)) {
        fprintf(stderr, "squadbot: %s\n", err.text);
        return 2;
    }
    enum log_level level = LOG_INFO;
    if (!log_level_parse(settings_text(settings, S_LOG), &level))
        level = LOG_INFO;
    bool json = strcmp(settings_text(settings, S_LOG_FORMAT), "json") == 0;
    log_init(level, json ? LOG_JSON : LOG_LOGFMT);
    app_env_file = env_file;
    int status = c->run(settings, argc, argv);
    settings_free(settings);
    return status;
}

int main(int argc, char **argv)
{
    const char *env_file;
    json_init();
    if (!take_env_file(&argc, argv, &env_file)) {
        fprintf(stderr, "squadbot: --env-file needs a path\n");
        return 2;
    }
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("squadbot %s\n", version());
        return 0;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0)
        return help(argc > 2 ? argv[2] : NULL);
    const struct command *c = find(argv[1]);
    if (!c) {
        fprintf(stderr, "squadbot: there is no command \"%s\"; see squadbot --help\n", argv[1]);
        return 2;
    }
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0)
            return help(c->name);
    return run(c, env_file, argc - 1, argv + 1);
}
