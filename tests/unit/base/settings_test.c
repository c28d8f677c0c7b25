/* Settings: sources, types, refusals, secrets. */
#include "bot/base/settings.h"

#include "bot/base/io.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "bot/base/redact.h"
#include "tests/unit/row.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[64];

static int setup(void **state)
{
    (void)state;
    memcpy(root, "/tmp/squadbot-settings-XXXXXX", 30);
    return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    struct err err = {0};
    return dir_remove(root, &err) ? 0 : -1;
}

static void fresh_environment(void)
{
    clearenv();
    setenv("HOME", "/home/somebody", 1);
}

static char *put_file(const char *name, const char *content)
{
    struct err err = {0};
    char *path = mem_printf("%s/%s", root, name);
    assert_true(file_write(path, str_of(content), 0600, &err));
    return path;
}

static struct settings *load(const char *env_file)
{
    struct settings *s = NULL;
    struct err err = {0};
    if (!settings_load(env_file, &s, &err))
        fail_msg("%s", err.text);
    return s;
}

static void defaults(void **state)
{
    (void)state;
    fresh_environment();
    setenv("SQUADBOT_MAX_TASKS", "", 1); /* empty = unset */
    struct settings *s = load(NULL);
    static const struct {
        enum setting id;
        const char *want;
    } texts[] = {
        {S_DATA_DIR,        "/home/somebody/.local/state/squadbot"},
        {S_LISTEN,          "127.0.0.1:8080"                      },
        {S_PUBLIC_URL,      ""                                    },
        {S_GITHUB_API_URL,  "https://api.github.com"              },
        {S_E2B_API_URL,     "https://api.e2b.app"                 },
        {S_E2B_SANDBOX_URL, "https://sandbox.e2b.app"             },
        {S_AGENT,           "claude"                              },
        {S_SANDBOX_MODE,    "per_task"                            },
        {S_CLONE_MODE,      "auto"                                },
        {S_LOG,             "info"                                },
        {S_LOG_FORMAT,      "logfmt"                              },
        {S_LABEL,           "squadbot"                            },
        {S_API_TOKEN,       ""                                    },
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        ROW_TEXT(texts[i].want, settings_text(s, texts[i].id), texts[i].want);
        ROW_TRUE(texts[i].want, !settings_is_set(s, texts[i].id));
    }
    assert_int_equal(settings_int(s, S_MAX_TASKS), 100);
    assert_int_equal(settings_int(s, S_CLONE_DEPTH), 50);
    assert_true(settings_num(s, S_BUDGET_TASK_USD) == 5);
    assert_false(secret_is_set(settings_secret(s, S_GITHUB_TOKEN)));
    settings_free(s);
    settings_free(NULL);
}

static void computed(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *variable[3][2];
        enum setting id;
        const char *want; /* NULL = refused */
    } rows[] = {
        {"xdg",              {{"XDG_STATE_HOME", "/x"}},                               S_DATA_DIR,    "/x/squadbot"                },
        {"systemd",
         {{"STATE_DIRECTORY", "/var/lib/squadbot"}, {"XDG_STATE_HOME", "/x"}},
         S_DATA_DIR,                                                                                  "/var/lib/squadbot"          },
        {"systemd, several",
         {{"STATE_DIRECTORY", "/var/lib/a:/var/lib/b"}},
         S_DATA_DIR,                                                                                  "/var/lib/a"                 },
        {"given",            {{"SQUADBOT_DATA_DIR", "/d"}, {"STATE_DIRECTORY", "/s"}}, S_DATA_DIR,    "/d"                         },
        {"no home",          {{"HOME", ""}},                                           S_DATA_DIR,    NULL                         },
        {"domain",           {{"E2B_DOMAIN", "e2b.example"}},                          S_E2B_API_URL, "https://api.e2b.example"    },
        {"domain, data",
         {{"E2B_DOMAIN", "e2b.example"}},
         S_E2B_SANDBOX_URL,                                                                           "https://sandbox.e2b.example"},
        {"url given",
         {{"E2B_DOMAIN", "x"}, {"E2B_API_URL", "http://127.0.0.1:3000/"}},
         S_E2B_API_URL,                                                                               "http://127.0.0.1:3000"      },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        fresh_environment();
        for (size_t k = 0; k < 3 && rows[i].variable[k][0]; k++)
            setenv(rows[i].variable[k][0], rows[i].variable[k][1], 1);
        struct settings *s = NULL;
        struct err err = {0};
        bool ok = settings_load(NULL, &s, &err);
        ROW_INT(rows[i].name, ok, rows[i].want != NULL);
        if (ok)
            ROW_TEXT(rows[i].name, settings_text(s, rows[i].id), rows[i].want);
        settings_free(s);
    }
}

/* One variable each: accepted as `want`, or refused with a message that has both texts. */
static void checks(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *value;
        enum setting id;
        const char *want;
        const char *says[2];
    } rows[] = {
        {"SQUADBOT_MAX_TASKS",         "1",                      S_MAX_TASKS,       "1",                 {0}                                                  },
        {"SQUADBOT_MAX_TASKS",         "10000",                  S_MAX_TASKS,       "10000",             {0}                                                  },
        {"SQUADBOT_MAX_TASKS",         "0",                      0,                 NULL,                {"number 0", "from 1 to 10000"}                      },
        {"SQUADBOT_MAX_TASKS",         "10001",                  0,                 NULL,                {"number 10001", "from 1 to 10000"}                  },
        {"SQUADBOT_MAX_TASKS",         "1.5",                    0,                 NULL,                {"number 1.5", "whole"}                              },
        {"SQUADBOT_MAX_TASKS",         "many",                   0,                 NULL,                {"4 bytes", "whole number"}                          },
        {"SQUADBOT_MAX_TASKS",         " 5",                     0,                 NULL,                {"2 bytes", "whole number"}                          },
        {"SQUADBOT_BUDGET_TASK_USD",   "0.5",                    S_BUDGET_TASK_USD, "0.5",               {0}                                                  },
        {"SQUADBOT_BUDGET_TASK_USD",   "-1",                     0,                 NULL,                {"number -1", "from 0 to"}                           },
        {"SQUADBOT_AGENT",             "gemini",                 S_AGENT,           "gemini",            {0}                                                  },
        {"SQUADBOT_AGENT",             "Claude",                 0,                 NULL,                {"6 bytes", "claude, codex, gemini"}                 },
        {"SQUADBOT_AGENT",             "claude|codex",           0,                 NULL,                {"SQUADBOT_AGENT", "one of"}                         },
        {"SQUADBOT_LOG",               "off",                    S_LOG,             "off",               {0}                                                  },
        {"SQUADBOT_LABEL",             "",                       S_LABEL,           "squadbot",          {0}                                                  },
        {"SQUADBOT_LABEL",
         "0123456789012345678901234567890123456789012345678901", 0,
         NULL,                                                                                           {"52 bytes", "at most 50"}                           },
        {"SQUADBOT_PUBLIC_URL",
         "https://bot.example.com/",                             S_PUBLIC_URL,
         "https://bot.example.com",                                                                      {0}                                                  },
        {"SQUADBOT_PUBLIC_URL",
         "https://bot.example.com/a//",                          S_PUBLIC_URL,
         "https://bot.example.com/a",                                                                    {0}                                                  },
        {"SQUADBOT_PUBLIC_URL",        "http://[::1]:8080",      S_PUBLIC_URL,      "http://[::1]:8080", {0}                                                  },
        {"SQUADBOT_PUBLIC_URL",
         "http://localhost:8080/x?y=1",                          S_PUBLIC_URL,
         "http://localhost:8080/x?y=1",                                                                  {0}                                                  },
        {"SQUADBOT_PUBLIC_URL",        "bot.example.com",        0,                 NULL,                {"15 bytes", "https://"}                             },
        {"SQUADBOT_PUBLIC_URL",        "ftp://bot.example.com",  0,                 NULL,                {"21 bytes", "https://"}                             },
        {"SQUADBOT_PUBLIC_URL",        "https://",               0,                 NULL,                {"8 bytes", "https://"}                              },
        {"SQUADBOT_PUBLIC_URL",        "https:///path",          0,                 NULL,                {"13 bytes", "https://"}                             },
        {"SQUADBOT_PUBLIC_URL",        "https://me:pw@host",     0,                 NULL,                {"18 bytes", "without user"}                         },
        {"SQUADBOT_PUBLIC_URL",        "https://host:99999",     0,                 NULL,                {"18 bytes", "https://"}                             },
        {"SQUADBOT_PUBLIC_URL",        "https://host:-5",        0,                 NULL,                {"15 bytes", "https://"}                             },
        {"SQUADBOT_PUBLIC_URL",        "https://host:",          0,                 NULL,                {"13 bytes", "https://"}                             },
        {"SQUADBOT_PUBLIC_URL",        "https://ho st",          0,                 NULL,                {"13 bytes", "https://"}                             },
        {"SQUADBOT_PUBLIC_URL",        "https://host/#x",        0,                 NULL,                {"15 bytes", "https://"}                             },
        {"SQUADBOT_LISTEN",            "0.0.0.0:80,[::]:0",      S_LISTEN,          "0.0.0.0:80,[::]:0", {0}                                                  },
        {"SQUADBOT_LISTEN",            "localhost:0",            S_LISTEN,          "localhost:0",       {0}                                                  },
        {"SQUADBOT_LISTEN",            "8080",                   0,                 NULL,                {"number 8080", "host:port"}                         },
        {"SQUADBOT_LISTEN",            ":8080",                  0,                 NULL,                {"5 bytes", "host:port"}                             },
        {"SQUADBOT_LISTEN",            "host:",                  0,                 NULL,                {"5 bytes", "host:port"}                             },
        {"SQUADBOT_LISTEN",            "host:1,",                0,                 NULL,                {"7 bytes", "host:port"}                             },
        {"SQUADBOT_LISTEN",            "host:65536",             0,                 NULL,                {"10 bytes", "65535"}                                },
        {"SQUADBOT_LISTEN",            "::1:80",                 0,                 NULL,                {"6 bytes", "[IPv6]"}                                },
        {"SQUADBOT_LISTEN",            "[::1]",                  0,                 NULL,                {"5 bytes", "[IPv6]"}                                },
        {"SQUADBOT_MAX_TASK",          "5",                      0,                 NULL,                {"not a setting", "did you mean SQUADBOT_MAX_TASKS?"}},
        {"SQUADBOT_LSITEN",            "x:1",                    0,                 NULL,                {"not a setting", "did you mean SQUADBOT_LISTEN?"}   },
        {"SQUADBOT_SOMETHING_ELSE",    "5",                      0,                 NULL,                {"SQUADBOT_SOMETHING_ELSE", "not a setting"}         },
        {"SQUADBOT_LABEL_FILE",        "/x",                     0,                 NULL,                {"SQUADBOT_LABEL_FILE", "not a setting"}             },
        {"SQUADBOT_TASK_ID",           "x",                      S_LABEL,           "squadbot",          {0}                                                  },
        {"SQUADBOT_REPOSITORY",        "x",                      S_LABEL,           "squadbot",          {0}                                                  },
        {"SQUADBOT_BRANCH",            "x",                      S_LABEL,           "squadbot",          {0}                                                  },
        {"SQUADBOT_PROMPT_FILE",       "x",                      S_LABEL,           "squadbot",          {0}                                                  },
        {"SQUADBOT_TEST_ANYTHING",     "x",                      S_LABEL,           "squadbot",          {0}                                                  },
        {"SQUADBOT_UNKNOWN_BUT_EMPTY", "",                       S_LABEL,           "squadbot",          {0}                                                  },
        {"GITHUB_TOKN",                "x",                      S_LABEL,           "squadbot",          {0}                                                  },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO(mem_freep) char *row = mem_printf("%s=%s", rows[i].name, rows[i].value);
        for (int in_file = 0; in_file < 2; in_file++) {
            fresh_environment();
            AUTO(mem_freep) char *line = mem_printf("%s='%s'\n", rows[i].name, rows[i].value);
            AUTO(mem_freep) char *file = put_file("env", in_file ? line : "");
            if (!in_file)
                setenv(rows[i].name, rows[i].value, 1);
            struct settings *s = NULL;
            struct err err = {0};
            bool ok = settings_load(file, &s, &err);
            if (ok != (rows[i].want != NULL))
                fail_msg("row \"%s\": %s", row, ok ? "accepted" : err.text);
            if (ok) {
                ROW_TEXT(row, settings_text(s, rows[i].id), rows[i].want);
            } else {
                ROW_INT(row, err.kind, ERR_INPUT);
                for (size_t k = 0; k < 2; k++)
                    if (!strstr(err.text, rows[i].says[k]))
                        fail_msg("row \"%s\": \"%s\" lacks \"%s\"", row, err.text, rows[i].says[k]);
            }
            settings_free(s);
        }
    }
}

static void dotenv_syntax(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *text;
        const char *want; /* of SQUADBOT_AGENT_COMMAND; NULL = refused */
        const char *says;
    } rows[] = {
        {"plain",               "C=echo hi\n",                          "echo hi",              NULL                    },
        {"spaces",              "  C =  echo hi  \n",                   "echo hi",              NULL                    },
        {"export",              "export C=x",                           "x",                    NULL                    },
        {"comment",             "# C=no\n\nC=yes # really\n#C=no",      "yes",                  NULL                    },
        {"hash inside",         "C=a#b",                                "a#b",                  NULL                    },
        {"single quotes",       "C='a \"b\" \\n # c' # d\n",            "a \"b\" \\n # c",      NULL                    },
        {"double quotes",       "C=\"a \\\"b\\\"\\n\\t\\\\ # c\\q\"\n", "a \"b\"\n\t\\ # c\\q", NULL                    },
        {"several lines",       "C=\"one\ntwo\n\"\nSQUADBOT_LABEL=x\n", "one\ntwo\n",           NULL                    },
        {"cr lf",               "C=x\r\n",                              "x",                    NULL                    },
        {"cr lf after a quote", "C='x'\r\nSQUADBOT_LABEL=y\r\n",        "x",                    NULL                    },
        {"later one counts",    "C=a\nC=b\n",                           "b",                    NULL                    },
        {"empty",               "C=\n",                                 "",                     NULL                    },
        {"equals inside",       "C=a=b\n",                              "a=b",                  NULL                    },
        {"no equals",           "ok=1\n\nC\n",                          NULL,                   "line 3: not NAME=VALUE"},
        {"bad name",            "1C=x",                                 NULL,                   "line 1: not NAME=VALUE"},
        {"open quote",          "A='a\nb\nc'\nC=\"s3cr3t-text\n\n\n",   NULL,
         "line 4: the quote is not closed"                                                                              },
        {"text behind",         "C='a' s3cr3t-text\n",                  NULL,                   "line 1: text after"    },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        fresh_environment();
        AUTO(buf_done) struct buf text = {0};
        struct str rest = str_of(rows[i].text);
        for (bool start = true; rest.n > 0; start = rest.p[-1] == '\n' || rest.p[-1] == ' ') {
            if (start && rest.p[0] == 'C' && (rest.n < 2 || strchr("= \n", rest.p[1])))
                buf_puts(&text, "SQUADBOT_AGENT_COMMAND");
            else
                buf_putc(&text, rest.p[0]);
            rest = str_sub(rest, 1, rest.n);
        }
        AUTO(mem_freep) char *file = put_file("env", buf_cstr(&text));
        struct settings *s = NULL;
        struct err err = {0};
        bool ok = settings_load(file, &s, &err);
        if (ok != (rows[i].want != NULL))
            fail_msg("row \"%s\": %s", rows[i].name, ok ? "accepted" : err.text);
        if (ok)
            ROW_TEXT(rows[i].name, settings_text(s, S_AGENT_COMMAND), rows[i].want);
        else if (!strstr(err.text, rows[i].says) || strstr(err.text, "s3cr3t"))
            fail_msg("row \"%s\": %s", rows[i].name, err.text);
        settings_free(s);
    }
}

static void environment_wins(void **state)
{
    (void)state;
    fresh_environment();
    AUTO(mem_freep) char *token = put_file("token", "from-a-file-in-dotenv\n");
    AUTO(mem_freep)
    char *text = mem_printf("SQUADBOT_LABEL=file\nSQUADBOT_MAX_TASKS=7\nGITHUB_TOKEN_FILE=%s\n"
                            "E2B_API_KEY=dotenv-e2b-key\nOWN_KEY=own-key-of-the-agent\n"
                            "SQUADBOT_AGENT_ENV=OWN_KEY, NOT_THERE\n",
                            token);
    AUTO(mem_freep) char *file = put_file("env", text);
    setenv("SQUADBOT_LABEL", "environment", 1);
    setenv("SQUADBOT_MAX_TASKS", "", 1);
    setenv("GITHUB_TOKEN", "from-the-environment", 1);
    struct settings *s = load(file);
    assert_string_equal(settings_text(s, S_LABEL), "environment");
    assert_int_equal(settings_int(s, S_MAX_TASKS), 7);
    assert_string_equal(settings_secret(s, S_GITHUB_TOKEN)->p, "from-the-environment");
    assert_string_equal(settings_secret(s, S_E2B_API_KEY)->p, "dotenv-e2b-key");
    assert_true(settings_is_set(s, S_MAX_TASKS) && settings_is_set(s, S_E2B_API_KEY));
    assert_string_equal(settings_variable(s, "OWN_KEY"), "own-key-of-the-agent");
    assert_null(settings_variable(s, "NOT_THERE"));
    assert_true(redact_finds(STR("x own-key-of-the-agent x")));
    assert_true(redact_finds(STR("x dotenv-e2b-key x")));
    settings_free(s);
    assert_false(redact_finds(STR("x own-key-of-the-agent x")));
}

static void secrets(void **state)
{
    (void)state;
    fresh_environment();
    AUTO(mem_freep) char *file = put_file("secret", "line-one-of-secret\nline-two\n");
    setenv("SQUADBOT_API_TOKEN_FILE", file, 1);
    setenv("GITHUB_APP_PRIVATE_KEY", "-----BEGIN X-----\\nabc\\n-----END X-----\\n", 1);
    setenv("DATABASE_URL", "postgres://me:p%40ss%3Aword-1@db/x?a=1", 1);
    struct settings *s = load(NULL);
    assert_string_equal(settings_secret(s, S_API_TOKEN)->p, "line-one-of-secret\nline-two");
    assert_string_equal(settings_secret(s, S_APP_KEY)->p,
                        "-----BEGIN X-----\nabc\n-----END X-----\n");
    assert_string_equal(settings_text(s, S_API_TOKEN), "");
    assert_true(redact_finds(STR("pass p@ss:word-1 end")));
    AUTO(buf_done) struct buf out = {0};
    settings_print(s, &out);
    assert_non_null(strstr(buf_cstr(&out), "\nSQUADBOT_API_TOKEN=***\n"));
    assert_non_null(strstr(buf_cstr(&out), "\nGITHUB_TOKEN=\n"));
    assert_non_null(strstr(buf_cstr(&out), "\nSQUADBOT_MAX_TASKS=100\n"));
    assert_null(strstr(buf_cstr(&out), "line-one"));
    settings_free(s);

    static const struct {
        const char *name;
        const char *value;
        const char *path;
        const char *says;
    } rows[] = {
        {"both",     "x", "/dev/null",     "SQUADBOT_API_TOKEN and SQUADBOT_API_TOKEN_FILE are both set"},
        {"no file",  "",  "/nowhere/file", "SQUADBOT_API_TOKEN_FILE: open /nowhere/file"                },
        {"a folder", "",  "/",             "SQUADBOT_API_TOKEN_FILE"                                    },
        {"endless",  "",  "/dev/zero",     "SQUADBOT_API_TOKEN_FILE"                                    },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        setenv("SQUADBOT_API_TOKEN", rows[i].value, 1);
        setenv("SQUADBOT_API_TOKEN_FILE", rows[i].path, 1);
        struct settings *none = NULL;
        struct err err = {0};
        ROW_TRUE(rows[i].name, !settings_load(NULL, &none, &err));
        if (!strstr(err.text, rows[i].says))
            fail_msg("row \"%s\": %s", rows[i].name, err.text);
        ROW_TRUE(rows[i].name, none == NULL);
    }
    /* A secret that is too long is not in the message, whatever it looks like. */
    fresh_environment();
    AUTO(buf_done) struct buf digits = {0};
    for (int i = 0; i < 1100; i++)
        buf_putc(&digits, '7');
    setenv("E2B_API_KEY", buf_cstr(&digits), 1);
    struct settings *none = NULL;
    struct err err = {0};
    assert_false(settings_load(NULL, &none, &err));
    assert_non_null(strstr(err.text, "1100 bytes"));
    assert_null(strstr(err.text, "777"));
}

static void reloading(void **state)
{
    (void)state;
    fresh_environment();
    AUTO(mem_freep) char *token = put_file("token", "first-token-value");
    AUTO(mem_freep) char *hook = put_file("hook", "first-hook-value");
    AUTO(mem_freep) char *text = mem_printf("GITHUB_WEBHOOK_SECRET_FILE=%s\n", hook);
    AUTO(mem_freep) char *env_file = put_file("env", text);
    setenv("GITHUB_TOKEN_FILE", token, 1);
    setenv("GITHUB_APP_PRIVATE_KEY", "the-app-key-to-wipe", 1);
    struct settings *s = load(env_file);
    const struct secret *before = settings_secret(s, S_GITHUB_TOKEN);
    settings_wipe_secret(s, S_APP_KEY);
    struct err err = {0};
    assert_true(settings_reload_secrets(env_file, s, &err));
    assert_ptr_equal(settings_secret(s, S_GITHUB_TOKEN), before);

    free(put_file("token", "second-token-value\n"));
    free(put_file("hook", "second-hook-value\n"));
    assert_true(settings_reload_secrets(env_file, s, &err));
    assert_string_equal(settings_secret(s, S_GITHUB_TOKEN)->p, "second-token-value");
    assert_string_equal(settings_secret(s, S_WEBHOOK_SECRET)->p, "second-hook-value");
    assert_string_equal(before->p, "first-token-value"); /* a reader may still hold it */
    assert_true(redact_finds(STR("first-token-value")));
    assert_true(redact_finds(STR("second-token-value")));
    assert_false(secret_is_set(settings_secret(s, S_APP_KEY)));

    /* All or nothing. */
    free(put_file("hook", "third-hook-value\n"));
    assert_int_equal(unlink(token), 0);
    assert_false(settings_reload_secrets(env_file, s, &err));
    assert_non_null(strstr(err.text, "GITHUB_TOKEN_FILE"));
    assert_string_equal(settings_secret(s, S_WEBHOOK_SECRET)->p, "second-hook-value");
    settings_free(s);
}

/* In a program of its own, because only what the kernel put there is in /proc/self/environ. */
static int wipe_and_look(void)
{
    struct settings *s = NULL;
    struct err err = {0};
    if (!settings_load(NULL, &s, &err))
        return 10;
    if (!str_eq(secret_str(settings_secret(s, S_APP_KEY)), STR("canary-app-key-1234")))
        return 11;
    settings_wipe_secret(s, S_APP_KEY);
    AUTO(buf_done) struct buf text = {0};
    if (!file_read("/proc/self/environ", 100000, &text, &err))
        return 12;
    if (str_find(buf_str(&text), STR("canary-app"), 0) < text.len)
        return 13;
    if (str_find(buf_str(&text), STR("/home/somebody"), 0) == text.len)
        return 14;
    if (getenv("GITHUB_APP_PRIVATE_KEY") || secret_is_set(settings_secret(s, S_APP_KEY)))
        return 15;
    if (redact_finds(STR("canary-app-key-1234")) || !settings_is_set(s, S_APP_KEY))
        return 16;
    settings_free(s);
    return 0;
}

static void wiping(void **state)
{
    (void)state;
    const char *const argv[] = {"/proc/self/exe", "wipe", NULL};
    const char *const envp[] = {"HOME=/home/somebody", "GITHUB_APP_PRIVATE_KEY=canary-app-key-1234",
                                "SQUADBOT_LABEL=x", NULL};
    struct err err = {0};
    struct proc_result result = {0};
    struct call call = call_in(60000, NULL);
    if (!proc_run(argv, envp, NULL, &call, &result, &err))
        fail_msg("%s", err.text);
    if (result.exit_code != 0)
        fail_msg("%d: %s", result.exit_code, buf_cstr(&result.out));
    buf_done(&result.out);
}

/* The sample is a dotenv file of comments; each line without its '#' is accepted. */
static void sample(void **state)
{
    (void)state;
    fresh_environment();
    AUTO(buf_done) struct buf text = {0};
    AUTO(buf_done) struct buf active = {0};
    settings_print_sample(&text);
    struct str rest = buf_str(&text);
    size_t names = 0;
    for (struct str line; str_line(&rest, &line);) {
        ROW_TRUE("sample", line.n == 0 || line.p[0] == '#');
        if (line.n > 1 && line.p[1] != ' ') {
            buf_printf(&active, STR_FMT "\n", STR_ARG(str_sub(line, 1, line.n)));
            names++;
        }
    }
    assert_int_equal(names, SETTINGS);
    AUTO(mem_freep) char *file = put_file("env", buf_cstr(&active));
    struct settings *a = load(file);
    struct settings *b = load(NULL);
    AUTO(buf_done) struct buf from_sample = {0};
    AUTO(buf_done) struct buf from_nothing = {0};
    settings_print(a, &from_sample);
    settings_print(b, &from_nothing);
    assert_string_equal(buf_cstr(&from_sample), buf_cstr(&from_nothing));
    /* What is printed can be read again. */
    AUTO(mem_freep) char *again = put_file("env", buf_cstr(&from_sample));
    settings_free(load(again));
    settings_free(a);
    settings_free(b);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "wipe") == 0)
        return wipe_and_look();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),         cmocka_unit_test(computed),
        cmocka_unit_test(checks),           cmocka_unit_test(dotenv_syntax),
        cmocka_unit_test(environment_wins), cmocka_unit_test(secrets),
        cmocka_unit_test(reloading),        cmocka_unit_test(wiping),
        cmocka_unit_test(sample),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
