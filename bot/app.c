/* serve, from the first fork to the last close. The order is the point: the signer child before any
 * thread or socket; the database before the web server; work before readiness. On SIGTERM: not
 * ready, stop claiming, let runs go (agents stay alive in their sandboxes), answer what is under
 * way, close. SIGHUP reads rotated secrets again. */
#include "bot/app.h"

#include "bot/base/enc.h"
#include "bot/base/io.h"
#include "bot/base/log.h"
#include "bot/base/version.h"
#include "bot/git/import.h"
#include "bot/store/cluster.h"
#include "bot/web/server.h"
#include "bot/work/engine.h"
#include "github-app/signer.h"
#include "handlers/handlers.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DRAIN_MS          20000 /* after SIGTERM, for runs to let go */
#define WEB_GRACE_MS      5000
#define STORE_CONNECTIONS 20
#define LEASE_S           45

const char *app_env_file;

struct app {
    struct settings *settings;
    bool no_migrate;

    struct signer *signer;
    struct http *http;
    struct cluster *cluster;
    struct store *store;
    struct github *github;
    struct sandbox_client *sandbox;
    struct engine *engine;
    struct store_listener *listener;
    struct web *web;

    struct task_env env;
    char work_dir[1024];
    char instance[UUID_TEXT];
    char owner[128];
    atomic_bool ready;
    atomic_bool database_answers; /* as of the last second */
};

static bool is_ready(void *arg, const char **why)
{
    struct app *app = arg;
    *why = atomic_load(&app->ready) ? "the database does not answer" : "starting or stopping";
    return atomic_load(&app->ready) && atomic_load(&app->database_answers);
}

static void wake_dispatch(void *arg)
{
    struct app *app = arg;
    if (atomic_load(&app->ready))
        engine_wake_inbox(app->engine);
}

/* What PostgreSQL tells us that others (or we ourselves) have done. */
static void on_notify(void *arg, const char *channel, const char *payload)
{
    struct app *app = arg;
    if (strcmp(channel, "events") == 0)
        web_notify_event(app->web, payload);
    if (!atomic_load(&app->ready))
        return;
    static const struct {
        const char *channel;
        void (*wake)(struct engine *);
    } wakes[] = {
        {"inbox",  engine_wake_inbox },
        {"outbox", engine_wake_outbox},
        {"tasks",  engine_wake_tasks },
        {"cancel", engine_wake_cancel},
    };
    for (size_t i = 0; i < COUNT(wakes); i++)
        if (strcmp(channel, wakes[i].channel) == 0)
            wakes[i].wake(app->engine);
}

static bool start_signer(struct app *app, struct err *err)
{
    struct settings *s = app->settings;
    const struct secret *key = settings_secret(s, S_APP_KEY);
    if (!secret_is_set(key))
        return true;
    if (!settings_text(s, S_APP_ID)[0])
        return err_set(err, ERR_INPUT, "GITHUB_APP_PRIVATE_KEY is set, but GITHUB_APP_ID is not");
    bool ok = signer_start(key, settings_text(s, S_APP_ID), &app->signer, err);
    settings_wipe_secret(s, S_APP_KEY);
    return ok || err_wrap(err, "GITHUB_APP_PRIVATE_KEY");
}

static bool start_store(struct app *app, struct err *err)
{
    const struct secret *url = settings_secret(app->settings, S_DATABASE_URL);
    const char *conninfo = url->p;
    if (!secret_is_set(url)) {
        if (!cluster_start(settings_text(app->settings, S_DATA_DIR), &app->cluster, err))
            return err_wrap(err, "private PostgreSQL");
        conninfo = cluster_conninfo(app->cluster);
    }
    app->store = store_open(conninfo, STORE_CONNECTIONS);
    return true;
}

static bool migrate(struct app *app, struct err *err)
{
    int n;
    if (!store_migrate(app->store, !app->no_migrate, &n, err))
        return err_wrap(err, "migrations");
    if (app->no_migrate && n > 0)
        return err_set(err, ERR_CONFLICT, "%d migration(s) are pending; run squadbot migrate", n);
    return store_instance_id(app->store, app->instance, err);
}

/* Crash tests shorten the lease; nobody else should. */
static int lease_s(const struct settings *s)
{
    int64_t seconds;
    const char *text = settings_variable(s, "SQUADBOT_TEST_LEASE_S");
    return text && str_to_i64(str_of(text), 1, LEASE_S, &seconds) ? (int)seconds : LEASE_S;
}

static void fill_env(struct app *app)
{
    const struct settings *s = app->settings;
    char host[64] = "host";
    gethostname(host, sizeof(host) - 1);
    char nonce[9];
    random_hex(nonce, 8);
    snprintf(app->owner, sizeof(app->owner), "%s:%d:%s", host, (int)getpid(), nonce);
    snprintf(app->work_dir, sizeof(app->work_dir), "%s/work", settings_text(s, S_DATA_DIR));
    app->env = (struct task_env){
        .settings = s,
        .store = app->store,
        .http = app->http,
        .github = app->github,
        .sandbox = app->sandbox,
        .agent = {settings_text(s, S_AGENT), settings_text(s, S_AGENT_COMMAND),
                  settings_text(s, S_AGENT_ENV), s},
        .web_url = settings_text(s, S_GITHUB_URL),
        .public_url = settings_text(s, S_PUBLIC_URL),
        .work_dir = app->work_dir,
        .template_id = settings_text(s, S_E2B_TEMPLATE_ID),
        .instance = app->instance,
        .owner = app->owner,
        .lease_s = lease_s(s),
        .task_timeout_s = (int)settings_int(s, S_TASK_TIMEOUT_S),
        .sandbox_ttl_s = (int)settings_int(s, S_SANDBOX_TTL_S),
        .clone_depth = (int)settings_int(s, S_CLONE_DEPTH),
        .pack_max_bytes = settings_int(s, S_PACK_MAX_MIB) << 20,
    };
}

static void make_clients(struct app *app)
{
    const struct settings *s = app->settings;
    char agent[64];
    snprintf(agent, sizeof(agent), "squadbot/%s", version());
    const char *ca = settings_text(s, S_CA_FILE);
    app->http = http_new(agent, ca[0] ? ca : NULL);
    struct github_config github = {
        .api_url = settings_text(s, S_GITHUB_API_URL),
        .web_url = settings_text(s, S_GITHUB_URL),
        .app_id = settings_text(s, S_APP_ID),
        .signer = app->signer,
        .token = settings_is_set(s, S_GITHUB_TOKEN) ? settings_secret(s, S_GITHUB_TOKEN) : NULL,
    };
    app->github = github_new(app->http, &github);
    struct sandbox_config sandbox = {
        .api_url = settings_text(s, S_E2B_API_URL),
        .sandbox_url = settings_text(s, S_E2B_SANDBOX_URL),
        .domain = settings_text(s, S_E2B_DOMAIN),
        .api_key = settings_secret(s, S_E2B_API_KEY),
    };
    app->sandbox = sandbox_client_new(app->http, &sandbox);
}

static struct web_secrets web_secrets(const struct settings *s)
{
    return (struct web_secrets){
        .webhook = settings_secret(s, S_WEBHOOK_SECRET),
        .webhook_previous = settings_secret(s, S_WEBHOOK_SECRET_PREVIOUS),
        .api_token = settings_secret(s, S_API_TOKEN),
    };
}

static bool start_web(struct app *app, struct err *err)
{
    const struct settings *s = app->settings;
    const char *cert = settings_text(s, S_TLS_CERT_FILE);
    const char *key = settings_text(s, S_TLS_KEY_FILE);
    struct web_config config = {
        .listen = settings_text(s, S_LISTEN),
        .tls_cert = cert[0] ? cert : NULL,
        .tls_key = key[0] ? key : NULL,
        .store = app->store,
        .wanted = handlers_want,
        .ready = is_ready,
        .ready_arg = app,
        .wake_dispatch = wake_dispatch,
        .wake_arg = app,
    };
    struct web_secrets secrets = web_secrets(s);
    return web_start(&config, &secrets, &app->web, err);
}

static bool start(struct app *app, struct err *err)
{
    const char *data_dir = settings_text(app->settings, S_DATA_DIR);
    if (!start_signer(app, err) || !dir_make(data_dir, 0700, err))
        return false;
    fill_env(app);
    if (!agent_check(&app->env.agent, err))
        return false;
    agent_protect_env(&app->env.agent);
    make_clients(app);
    if (!start_store(app, err) || !start_web(app, err) || !migrate(app, err))
        return false;
    fill_env(app);
    if (!dir_make(app->work_dir, 0700, err))
        return false;
    struct engine_config engine = {&app->env, (int)settings_int(app->settings, S_MAX_TASKS)};
    if (!engine_start(&engine, &app->engine, err))
        return false;
    app->listener = store_listen(app->store, on_notify, app);
    atomic_store(&app->database_answers, true);
    atomic_store(&app->ready, true);
    return true;
}

/* True = everything has ended; else something still hangs on and the process should just exit. */
static bool stop(struct app *app)
{
    atomic_store(&app->ready, false);
    if (app->web)
        web_stop_accepting(app->web);
    bool clean = !app->engine || engine_stop(app->engine, DRAIN_MS);
    if (app->listener)
        store_listener_stop(app->listener);
    if (app->web)
        web_stop(app->web, WEB_GRACE_MS);
    if (clean && app->engine)
        engine_free(app->engine);
    return clean;
}

static void close_all(struct app *app)
{
    store_close(app->store);
    github_free(app->github);
    sandbox_client_free(app->sandbox);
    http_free(app->http);
    signer_stop(app->signer);
    git_engine_done();
}

static void reload_secrets(struct app *app)
{
    struct err err = {0};
    if (!settings_reload_secrets(app_env_file, app->settings, &err)) {
        log_err(LOG_ERROR, "secrets not read again; the old ones stay", &err);
        return;
    }
    struct web_secrets secrets = web_secrets(app->settings);
    web_set_secrets(app->web, &secrets);
    log_info("secrets read again", NULL);
}

/* Until SIGTERM or SIGINT; looks after the database meanwhile. */
static void wait_for_end(struct app *app, const sigset_t *signals)
{
    const struct timespec second = {1, 0};
    for (;;) {
        struct err err = {0};
        atomic_store(&app->database_answers, store_ping(app->store, &err));
        int signal = sigtimedwait(signals, NULL, &second);
        if (signal == SIGTERM || signal == SIGINT)
            return;
        if (signal == SIGHUP)
            reload_secrets(app);
    }
}

static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* No core dumps, nobody else of our user reads our memory. The leak checker of a sanitizer build
 * traces its own process and needs it open. */
static void harden(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int print_settings(const struct settings *s, bool sample)
{
    AUTO(buf_done) struct buf text = {0};
    if (sample)
        settings_print_sample(&text);
    else
        settings_print(s, &text);
    fputs(buf_cstr(&text), stdout);
    return 0;
}

static void log_addresses(struct app *app)
{
    char port[16];
    snprintf(port, sizeof(port), "%d", web_port(app->web));
    log_info("ready", "listen", settings_text(app->settings, S_LISTEN), "port", port, "version",
             version(), NULL);
    if (!app->signer && !settings_is_set(app->settings, S_GITHUB_TOKEN))
        log_warn("no GitHub App and no GITHUB_TOKEN is configured: nothing can be done on GitHub",
                 NULL);
}

int app_serve(struct settings *settings, int argc, char **argv)
{
    struct app app = {.settings = settings};
    for (int i = 1; i < argc; i++) {
        bool sample = strcmp(argv[i], "--print-sample") == 0;
        if (sample || strcmp(argv[i], "--print-settings") == 0)
            return print_settings(settings, sample);
        if (strcmp(argv[i], "--no-migrate") != 0) {
            fprintf(stderr, "squadbot: serve has no option %s\n", argv[i]);
            return 2;
        }
        app.no_migrate = true;
    }
    sigset_t signals;
    block_signals(&signals);
    umask(0077);
    harden();
    struct err err = {0};
    bool ok = start(&app, &err);
    if (ok) {
        log_addresses(&app);
        wait_for_end(&app, &signals);
        log_info("stopping", NULL);
    } else {
        log_err(LOG_ERROR, "not started", &err);
    }
    bool clean = stop(&app);
    if (clean)
        close_all(&app);
    cluster_stop(app.cluster);
    log_info("stopped", NULL);
    if (!clean)
        _exit(1); /* threads of runs are still there: freeing under them would be worse */
    return ok ? 0 : err.kind == ERR_INPUT ? 2 : 1;
}
