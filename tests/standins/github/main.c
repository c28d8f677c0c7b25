/* standin-github: GitHub for tests and the quickstart. One process, loopback, a world in memory and
 * bare repositories on disk. It behaves as shared knowledge of GitHub's protocol says and can be
 * told to misbehave; nothing in it is meant for the open network. */
#include "bot/base/clock.h"
#include "bot/base/io.h"
#include "bot/base/log.h"
#include "bot/base/mem.h"
#include "tests/standins/github/api.h"
#include "tests/standins/github/control.h"
#include "tests/standins/github/events.h"
#include "tests/standins/github/smart.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#define KEY_MAX_BYTES  65536
#define BODY_MAX_BYTES ((size_t)128 * 1024 * 1024)

struct options {
    const char *listen;
    const char *port_file;
    const char *data;
    const char *app_id;
    const char *client_id;
    const char *slug;
    const char *key;
    const char *hook_url;
    const char *hook_secret;
    const char *token_format;
    const char *api_prefix;
    const char *access_log;
    const char *mergeable_lag;
};

static const struct {
    const char *name;
    size_t offset;
    const char *help;
} names[] = {
    {"listen",         offsetof(struct options, listen),        "HOST:PORT, port 0 = any"             },
    {"port-file",      offsetof(struct options, port_file),     "file that gets the port"             },
    {"data",           offsetof(struct options, data),          "folder for the repositories (needed)"},
    {"app-id",         offsetof(struct options, app_id),        "the App's id"                        },
    {"client-id",      offsetof(struct options, client_id),     "the App's client id"                 },
    {"app-slug",       offsetof(struct options, slug),          "the App's slug"                      },
    {"app-key-pub",    offsetof(struct options, key),           "PEM file of its public key"          },
    {"webhook-url",    offsetof(struct options, hook_url),      "where events go; none = nowhere"     },
    {"webhook-secret", offsetof(struct options, hook_secret),   "signs them"                          },
    {"token-format",   offsetof(struct options, token_format),  "long or short"                       },
    {"api-prefix",     offsetof(struct options, api_prefix),    "in links: '' or /api/v3"             },
    {"access-log",     offsetof(struct options, access_log),    "one line a request"                  },
    {"mergeable-lag",  offsetof(struct options, mergeable_lag), "reads that answer mergeable: null"   },
};

static int usage(void)
{
    fprintf(stderr, "usage: standin-github --data DIR [options]\n");
    for (size_t i = 0; i < COUNT(names); i++)
        fprintf(stderr, "  --%-16s %s\n", names[i].name, names[i].help);
    return 2;
}

static bool options_read(int argc, char **argv, struct options *o)
{
    struct option rows[COUNT(names) + 1] = {0};
    int index = 0;
    for (size_t i = 0; i < COUNT(names); i++)
        rows[i] = (struct option){names[i].name, required_argument, NULL, 1};
    for (;;) {
        int c = getopt_long(argc, argv, "", rows, &index);
        if (c < 0)
            return optind == argc && o->data;
        if (c != 1)
            return false;
        *(const char **)((char *)o + names[index].offset) = optarg;
    }
}

static void serve(struct http_exchange *x, void *arg)
{
    struct faults *f = arg;
    uint64_t entry = 0;
    json_t *body = NULL;
    if (faults_serve(f, x) || control_serve(x))
        return;
    bool git = smart_is(x);
    /* A body that is no JSON is the API's to refuse, but must still be in the ledger. */
    if (!git && !http_body_json(x, BODY_MAX_BYTES, &body) && http_status(x) != 0)
        return;
    if (!faults_begin(f, x, NULL, body, &entry)) {
        AUTO(mem_freep) char *path = str_dup(http_path(x));
        if (git)
            smart_serve(x, f, entry);
        else
            api_serve(x, f, entry, path);
    }
    faults_finish(f, entry, x);
    json_decref(body);
}

static json_t *default_permissions(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "metadata", "read", "contents", "write",
                     "pull_requests", "write", "issues", "write", "checks", "write");
}

static json_t *default_events(void)
{
    return json_pack("[s, s, s, s, s, s, s, s, s, s, s, s, s]", "issues", "issue_comment",
                     "pull_request", "pull_request_review", "pull_request_review_comment",
                     "pull_request_review_thread", "check_run", "check_suite", "workflow_run",
                     "push", "create", "delete", "repository");
}

static bool world_make(const struct options *o, struct err *err)
{
    char real[PATH_MAX];
    AUTO(mem_freep) char *repos = NULL;
    pthread_mutex_init(&S.lock, NULL);
    if (!dir_make(o->data, 0755, err))
        return false;
    if (!realpath(o->data, real))
        return err_set(err, ERR_INPUT, "--data %s", o->data);
    S.data = mem_strdup(real);
    S.hooks = mem_printf("%s/hooks", S.data);
    repos = mem_printf("%s/repos", S.data);
    AUTO(mem_freep) char *push = mem_printf("%s/push", S.data);
    if (!dir_make(repos, 0755, err) || !dir_make(push, 0755, err) || !smart_start(err))
        return false;
    struct app *a = &S.app;
    if (!str_to_i64(str_of(o->app_id), 1, INT64_MAX, &a->id))
        return err_set(err, ERR_INPUT, "--app-id is a number");
    a->client_id = mem_strdup(o->client_id);
    a->slug = mem_strdup(o->slug);
    a->name = mem_strdup(o->slug);
    a->hook_url = o->hook_url && *o->hook_url ? mem_strdup(o->hook_url) : NULL;
    a->hook_secret = mem_strdup(o->hook_secret);
    a->hook_content_type = mem_strdup("application/json");
    a->hook_id = 480000001;
    a->created = now_ms();
    a->long_tokens = strcmp(o->token_format, "short") != 0;
    a->owner = user_new("standin-owner", "User");
    a->permissions = default_permissions();
    a->events = default_events();
    a->manifests = json_object();
    AUTO(mem_freep) char *bot = mem_printf("%s[bot]", a->slug);
    a->bot = user_new(bot, "Bot");
    (void)user_new("ghost", "User");
    int64_t lag = 0;
    if (!str_to_i64(str_of(o->mergeable_lag), 0, 1000, &lag))
        return err_set(err, ERR_INPUT, "--mergeable-lag is 0 to 1000");
    S.mergeable_lag = (int)lag;
    AUTO(buf_done) struct buf pem = {0};
    if (o->key && (!file_read(o->key, KEY_MAX_BYTES, &pem, err) || !app_key_set(buf_str(&pem))))
        return err_set(err, ERR_INPUT, "--app-key-pub %s is no PEM public key", o->key);
    return true;
}

int main(int argc, char **argv)
{
    struct options o = {.listen = "127.0.0.1:0",
                        .app_id = "12345",
                        .client_id = "Iv23standin0000000",
                        .slug = "squadbot",
                        .hook_secret = "",
                        .token_format = "long",
                        .api_prefix = "",
                        .mergeable_lag = "1"};
    struct err err;
    struct http_server *server = NULL;
    log_init(LOG_INFO, LOG_LOGFMT);
    if (!options_read(argc, argv, &o))
        return usage();
    if (!world_make(&o, &err)) {
        fprintf(stderr, "standin-github: %s\n", err.text);
        return 2;
    }
    /* The base URL holds the port, and requests may come as soon as it is open: they wait here. */
    state_lock();
    struct http_options http = {o.listen, o.port_file, o.access_log, serve, faults_new()};
    if (!http_serve(&http, &server, &err) || !hooks_start()) {
        fprintf(stderr, "standin-github: %s\n", err.text);
        return 1;
    }
    S.base = mem_printf("http://127.0.0.1:%d", http_port(server));
    S.api = mem_printf("%s%s", S.base, o.api_prefix);
    state_unlock();
    http_wait(server);
    _exit(0);
}
