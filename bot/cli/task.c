/* squadbot task …: a thin client of the bot's own HTTP API, for people at a terminal. The address
 * is SQUADBOT_PUBLIC_URL, else the first of SQUADBOT_LISTEN; the token is SQUADBOT_API_TOKEN. */
#include "bot/cli/cli.h"

#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/base/version.h"
#include "bot/net/http.h"

#include <stdio.h>
#include <string.h>

#define CALL_MS   30000
#define FOLLOW_MS ((int64_t)24 * 3600 * 1000)

struct client {
    struct http *http;
    const struct settings *settings;
    char base[1100];
};

/* One request; the answer's body is printed by the caller. False: the reason is on stderr. */
static bool ask(struct client *c, const char *method, const char *path, int64_t ms,
                http_sink_fn sink, struct http_response *r)
{
    AUTO(buf_done) struct buf url = {0};
    buf_printf(&url, "%s/api/v1/%s", c->base, path);
    const struct secret *token = settings_secret(c->settings, S_API_TOKEN);
    struct http_request q = {
        .method = method,
        .url = buf_cstr(&url),
        .auth = secret_is_set(token) ? token : NULL,
        .auth_scheme = "Bearer",
        .sink = sink,
        .low_speed_s = 120,
    };
    struct call call = call_in(ms, NULL);
    struct err err = {0};
    if (!http_do(c->http, &q, &call, r, &err)) {
        fprintf(stderr, "squadbot: %s: %s\n", c->base, err.text);
        return false;
    }
    if (r->status < 300)
        return true;
    AUTO(json_decrefp) json_t *body = NULL;
    const char *message = NULL;
    if (json_parse(buf_str(&r->body), &body, &err))
        message = json_cstr(body, "error.message");
    fprintf(stderr, "squadbot: %d: %s\n", r->status, message ? message : "no explanation");
    return false;
}

static void print_row(const json_t *t)
{
    struct str pr = json_str(t, "pull_request.url");
    printf("%-38s %-12s " STR_FMT "%s" STR_FMT "\n", json_cstr(t, "id"), json_cstr(t, "state"),
           STR_ARG(json_str(t, "title")), pr.n ? "  " : "", STR_ARG(pr));
}

static int list(struct client *c, const char *id)
{
    (void)id;
    struct http_response r = {0};
    struct err err = {0};
    AUTO(json_decrefp) json_t *body = NULL;
    bool ok = ask(c, "GET", "tasks?limit=50", CALL_MS, NULL, &r) &&
              json_parse(buf_str(&r.body), &body, &err);
    size_t i;
    json_t *row;
    if (ok)
        json_array_foreach(json_at(body, "items"), i, row) print_row(row);
    http_response_done(&r);
    return ok ? 0 : 1;
}

/* Prints the answer of one request about one task. */
static int one(struct client *c, const char *method, const char *id, const char *what)
{
    struct http_response r = {0};
    AUTO(buf_done) struct buf path = {0};
    buf_puts(&path, "tasks/");
    enc_percent(&path, str_of(id), false);
    buf_puts(&path, what);
    bool ok = ask(c, method, buf_cstr(&path), CALL_MS, NULL, &r);
    if (ok)
        fwrite(buf_cstr(&r.body), 1, r.body.len, stdout);
    if (ok && r.body.len && r.body.data[r.body.len - 1] != '\n')
        putchar('\n');
    http_response_done(&r);
    return ok ? 0 : 1;
}

static int show(struct client *c, const char *id)
{
    return one(c, "GET", id, "");
}

static int cancel(struct client *c, const char *id)
{
    return one(c, "POST", id, "/cancel");
}

static int retry(struct client *c, const char *id)
{
    return one(c, "POST", id, "/retry");
}

static int logs(struct client *c, const char *id)
{
    return one(c, "GET", id, "/log");
}

/* The state of a Server-Sent Events reader: only complete lines are looked at. */
struct sse {
    struct buf line;
    bool log; /* the event under way is a log line */
};

static void sse_line(struct sse *s, struct str line)
{
    if (str_starts(line, STR("event:")))
        s->log = str_eq(str_trim(str_sub(line, 6, line.n)), STR("log"));
    if (!s->log || !str_starts(line, STR("data:")))
        return;
    AUTO(json_decrefp) json_t *data = NULL;
    struct err err = {0};
    if (json_parse(str_trim(str_sub(line, 5, line.n)), &data, &err))
        printf(STR_FMT "\n", STR_ARG(json_str(data, "text")));
    fflush(stdout);
}

static struct sse sse;

static bool sse_feed(void *arg, struct str piece, struct err *err)
{
    (void)arg;
    (void)err;
    buf_add_str(&sse.line, piece);
    for (;;) {
        struct str have = buf_str(&sse.line);
        size_t end = str_find(have, STR("\n"), 0);
        if (end == have.n)
            return true;
        sse_line(&sse, str_trim(str_sub(have, 0, end)));
        buf_drop_front(&sse.line, end + 1);
    }
}

static int follow(struct client *c, const char *id)
{
    struct http_response r = {0};
    AUTO(buf_done) struct buf path = {0};
    buf_puts(&path, "tasks/");
    enc_percent(&path, str_of(id), false);
    buf_puts(&path, "/events");
    bool ok = ask(c, "GET", buf_cstr(&path), FOLLOW_MS, sse_feed, &r);
    bool over = ok && r.status == 204; /* finished long ago: the whole log is there */
    http_response_done(&r);
    buf_done(&sse.line);
    return over ? logs(c, id) : ok ? 0 : 1;
}

static const struct verb {
    const char *name;
    const char *option; /* must follow the id; NULL = nothing may */
    bool needs_id;
    int (*run)(struct client *, const char *id);
} verbs[] = {
    {"list",   NULL,       false, list  },
    {"show",   NULL,       true,  show  },
    {"cancel", NULL,       true,  cancel},
    {"retry",  NULL,       true,  retry },
    {"logs",   NULL,       true,  logs  },
    {"logs",   "--follow", true,  follow},
};

static const struct verb *verb_find(int argc, char **argv)
{
    for (size_t i = 0; i < COUNT(verbs); i++) {
        const struct verb *v = &verbs[i];
        int want = 2 + v->needs_id + (v->option != NULL);
        if (argc != want || strcmp(argv[1], v->name) != 0)
            continue;
        if (!v->option || strcmp(argv[3], v->option) == 0)
            return v;
    }
    return NULL;
}

static void address(const struct settings *s, char *out, size_t size)
{
    const char *url = settings_text(s, S_PUBLIC_URL);
    struct str first = str_of(settings_text(s, S_LISTEN));
    first = str_sub(first, 0, str_find(first, STR(","), 0));
    bool tls = settings_text(s, S_TLS_CERT_FILE)[0] != '\0';
    if (url[0])
        snprintf(out, size, "%s", url);
    else
        snprintf(out, size, "http%s://" STR_FMT, tls ? "s" : "", STR_ARG(first));
}

int cli_task(struct settings *settings, int argc, char **argv)
{
    const struct verb *v = verb_find(argc, argv);
    if (!v) {
        fprintf(stderr, "squadbot: usage: squadbot task list|show ID|cancel ID|retry ID|"
                        "logs ID [--follow]\n");
        return 2;
    }
    char agent[64];
    snprintf(agent, sizeof(agent), "squadbot/%s", version());
    const char *ca = settings_text(settings, S_CA_FILE);
    struct client c = {http_new(agent, ca[0] ? ca : NULL), settings, {0}};
    address(settings, c.base, sizeof(c.base));
    int status = v->run(&c, v->needs_id ? argv[2] : NULL);
    http_free(c.http);
    return status;
}
