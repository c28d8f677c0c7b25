/* squadbot doctor: asks every outside party what serve will need of it. One line a check, with the
 * mend behind anything that is not ok. */
#include "bot/cli/cli.h"

#include "bot/agent/agent.h"
#include "bot/base/io.h"
#include "bot/base/json.h"
#include "bot/base/version.h"
#include "bot/sandbox/sandbox.h"
#include "bot/store/cluster.h"
#include "bot/store/store.h"
#include "github-app/client.h"
#include "github-app/signer.h"

#include <stdio.h>
#include <string.h>

#define CALL_MS     30000
#define SKEW_WARN_S 30

enum verdict { OK, WARN, FAIL };

struct doctor {
    struct settings *settings;
    struct http *http;
    struct signer *signer;
    struct err signer_err;
    struct arena *arena;
    int failed;
};

static void say(struct doctor *d, enum verdict v, const char *what, const char *text,
                const char *mend)
{
    static const char *const words[] = {"ok  ", "warn", "FAIL"};
    printf("%s  %-20s %s%s%s\n", words[v], what, text, mend ? "  → " : "", mend ? mend : "");
    d->failed += v == FAIL;
}

static void check_database(struct doctor *d)
{
    const struct secret *url = settings_secret(d->settings, S_DATABASE_URL);
    struct err err = {0};
    int pending;
    if (!secret_is_set(url)) {
        if (cluster_available(&err))
            say(d, OK, "database", "private cluster under the data folder", NULL);
        else
            say(d, FAIL, "database", err.text, "install postgresql, or set DATABASE_URL");
        return;
    }
    struct store *store = store_open(url->p, 1);
    if (!store_migrate(store, false, &pending, &err))
        say(d, FAIL, "database", err.text, "check DATABASE_URL and that the server runs");
    else if (pending)
        say(d, WARN, "database", "migrations are pending",
            "serve applies them, or squadbot migrate");
    else
        say(d, OK, "database", "reachable, schema up to date", NULL);
    store_close(store);
}

static void check_webhook_secret(struct doctor *d)
{
    const struct secret *s = settings_secret(d->settings, S_WEBHOOK_SECRET);
    if (!secret_is_set(s))
        say(d, FAIL, "webhook secret", "not set: every delivery is refused",
            "set GITHUB_WEBHOOK_SECRET as in the App's settings");
    else if (s->n < 32)
        say(d, WARN, "webhook secret", "shorter than 32 bytes", "use openssl rand -hex 32");
    else
        say(d, OK, "webhook secret", "set", NULL);
}

static const struct {
    const char *name;
    const char *level;
} wanted_permissions[] = {
    {"metadata",      "read" },
    {"contents",      "write"},
    {"pull_requests", "write"},
    {"issues",        "write"},
};
static const char *const wanted_events[] = {"issues", "issue_comment", "pull_request"};

static bool has_event(const json_t *events, const char *name)
{
    size_t i;
    json_t *row;
    json_array_foreach(events, i, row)
    {
        const char *text = json_string_value(row);
        if (text && strcmp(text, name) == 0)
            return true;
    }
    return false;
}

static void check_grants(struct doctor *d, const char *permissions, const char *events)
{
    AUTO(json_decrefp) json_t *have = NULL;
    AUTO(json_decrefp) json_t *list = NULL;
    AUTO(buf_done) struct buf missing = {0};
    struct err err = {0};
    if (!json_parse(str_of(permissions), &have, &err) || !json_parse(str_of(events), &list, &err)) {
        say(d, FAIL, "App permissions", err.text, NULL);
        return;
    }
    for (size_t i = 0; i < COUNT(wanted_permissions); i++) {
        struct str level = json_str(have, wanted_permissions[i].name);
        if (!str_eq(level, STR("write")) && !str_eq(level, str_of(wanted_permissions[i].level)))
            buf_printf(&missing, " %s:%s", wanted_permissions[i].name, wanted_permissions[i].level);
    }
    for (size_t i = 0; i < COUNT(wanted_events); i++)
        if (!has_event(list, wanted_events[i]))
            buf_printf(&missing, " event %s", wanted_events[i]);
    if (missing.len)
        say(d, FAIL, "App permissions", buf_cstr(&missing),
            "grant these in the App's settings; each account must accept the change");
    else
        say(d, OK, "App permissions", "permissions and events as needed", NULL);
}

static void check_github(struct doctor *d)
{
    const struct settings *s = d->settings;
    bool token = settings_is_set(s, S_GITHUB_TOKEN);
    if (d->signer_err.kind != ERR_NONE) {
        say(d, FAIL, "GitHub App key", d->signer_err.text,
            "download a new key in the App's settings");
        return;
    }
    if (!d->signer && !token) {
        say(d, FAIL, "GitHub", "no App and no token is configured",
            "set GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY_FILE, or GITHUB_TOKEN");
        return;
    }
    struct github_config config = {settings_text(s, S_GITHUB_API_URL),
                                   settings_text(s, S_GITHUB_URL), settings_text(s, S_APP_ID),
                                   d->signer, token ? settings_secret(s, S_GITHUB_TOKEN) : NULL};
    struct github *g = github_new(d->http, &config);
    struct call call = call_in(CALL_MS, NULL);
    struct err err = {0};
    const char *permissions, *events;
    int64_t skew_s;
    if (!github_check(g, &call, d->arena, &permissions, &events, &skew_s, &err)) {
        say(d, FAIL, "GitHub", err.text, "check GITHUB_APP_ID, the key and GITHUB_API_URL");
    } else {
        char text[64];
        snprintf(text, sizeof(text), "%lld s apart", (long long)skew_s);
        say(d, OK, "GitHub", settings_text(s, S_GITHUB_API_URL), NULL);
        bool far = skew_s > SKEW_WARN_S || skew_s < -SKEW_WARN_S;
        say(d, far ? WARN : OK, "clock", text, far ? "run a time service (NTP)" : NULL);
        if (d->signer)
            check_grants(d, permissions, events);
    }
    github_free(g);
}

static void check_e2b(struct doctor *d)
{
    const struct settings *s = d->settings;
    const struct secret *key = settings_secret(s, S_E2B_API_KEY);
    const char *template_id = settings_text(s, S_E2B_TEMPLATE_ID);
    if (!secret_is_set(key)) {
        say(d, FAIL, "E2B", "no key is configured", "set E2B_API_KEY");
        return;
    }
    struct sandbox_config config = {settings_text(s, S_E2B_API_URL),
                                    settings_text(s, S_E2B_SANDBOX_URL),
                                    settings_text(s, S_E2B_DOMAIN), key};
    struct sandbox_client *c = sandbox_client_new(d->http, &config);
    struct call call = call_in(CALL_MS, NULL);
    struct err err = {0};
    if (sandbox_check(c, template_id, &call, &err))
        say(d, OK, "E2B", template_id, NULL);
    else
        say(d, FAIL, "E2B", err.text, "check E2B_API_KEY, E2B_TEMPLATE_ID and E2B_API_URL");
    sandbox_client_free(c);
}

static void check_agent(struct doctor *d)
{
    const struct settings *s = d->settings;
    struct agent_settings agent = {settings_text(s, S_AGENT), settings_text(s, S_AGENT_COMMAND),
                                   settings_text(s, S_AGENT_ENV), s};
    struct err err = {0};
    if (agent_check(&agent, &err))
        say(d, OK, "agent", agent.driver, NULL);
    else
        say(d, FAIL, "agent", err.text, NULL);
}

static void check_api(struct doctor *d)
{
    if (!secret_is_set(settings_secret(d->settings, S_API_TOKEN)))
        say(d, WARN, "API token", "not set: the API answers on loopback only",
            "set SQUADBOT_API_TOKEN (openssl rand -hex 32)");
    else
        say(d, OK, "API token", "set", NULL);
    if (!settings_text(d->settings, S_PUBLIC_URL)[0])
        say(d, WARN, "public URL", "not set: comments carry no links to logs",
            "set SQUADBOT_PUBLIC_URL");
    else
        say(d, OK, "public URL", settings_text(d->settings, S_PUBLIC_URL), NULL);
}

static void (*const checks[])(struct doctor *) = {
    check_database, check_webhook_secret, check_github, check_e2b, check_agent, check_api};

int cli_doctor(struct settings *settings, int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        fprintf(stderr, "squadbot: usage: squadbot doctor\n");
        return 2;
    }
    struct doctor d = {.settings = settings, .arena = arena_new()};
    const struct secret *key = settings_secret(settings, S_APP_KEY);
    if (secret_is_set(key)) {
        if (!signer_start(key, settings_text(settings, S_APP_ID), &d.signer, &d.signer_err))
            d.signer = NULL;
        settings_wipe_secret(settings, S_APP_KEY);
    }
    char agent[64];
    snprintf(agent, sizeof(agent), "squadbot/%s", version());
    const char *ca = settings_text(settings, S_CA_FILE);
    d.http = http_new(agent, ca[0] ? ca : NULL);
    say(&d, OK, "settings", "all understood", NULL);
    for (size_t i = 0; i < COUNT(checks); i++)
        checks[i](&d);
    http_free(d.http);
    signer_stop(d.signer);
    arena_free(d.arena);
    return d.failed ? 1 : 0;
}
