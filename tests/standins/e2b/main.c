/* standin-e2b: a stand-in for the sandbox service E2B, for tests. Real processes in bubblewrap
 * jails behind the service's two HTTP planes on one port, plus a ledger and fault switches. Reads
 * its options, serves until SIGTERM or SIGINT, kills every sandbox and leaves. */
#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/io.h"
#include "bot/base/mem.h"
#include "tests/standins/e2b/chrooted.h"
#include "tests/standins/e2b/wire.h"
#include "tests/standins/e2b/world.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "standin-e2b [--listen 127.0.0.1:0] [--port-file FILE] [--data DIR] [--access-log FILE]\n"
    "            [--api-key KEY]... [--template NAME]... [--bin DIR] [--max-concurrent N]\n"
    "            [--plan-max-s N] [--creates-per-second N] [--exact-json] [--split]\n"
    "            [--die-with-parent]\n"
    "--bin DIR is shown in every sandbox as /usr/local/sbin, first in its PATH.\n"
    "--exact-json leaves out the random blanks; --split sends streams in random pieces.\n";

enum option_id {
    OPT_LISTEN = 1,
    OPT_PORT_FILE,
    OPT_DATA,
    OPT_ACCESS_LOG,
    OPT_API_KEY,
    OPT_TEMPLATE,
    OPT_BIN,
    OPT_MAX_CONCURRENT,
    OPT_PLAN_MAX,
    OPT_CREATES,
    OPT_EXACT,
    OPT_SPLIT,
    OPT_DIE,
};

static const struct option options[] = {
    {"listen",             required_argument, NULL, OPT_LISTEN        },
    {"port-file",          required_argument, NULL, OPT_PORT_FILE     },
    {"data",               required_argument, NULL, OPT_DATA          },
    {"access-log",         required_argument, NULL, OPT_ACCESS_LOG    },
    {"api-key",            required_argument, NULL, OPT_API_KEY       },
    {"template",           required_argument, NULL, OPT_TEMPLATE      },
    {"bin",                required_argument, NULL, OPT_BIN           },
    {"max-concurrent",     required_argument, NULL, OPT_MAX_CONCURRENT},
    {"plan-max-s",         required_argument, NULL, OPT_PLAN_MAX      },
    {"creates-per-second", required_argument, NULL, OPT_CREATES       },
    {"exact-json",         no_argument,       NULL, OPT_EXACT         },
    {"split",              no_argument,       NULL, OPT_SPLIT         },
    {"die-with-parent",    no_argument,       NULL, OPT_DIE           },
    {NULL,                 0,                 NULL, 0                 },
};

struct start {
    struct world w;
    struct http_options http;
    bool own_data; /* made by us, removed at the end */
};

static void add_template(struct world *w, const char *name)
{
    struct template *t = &w->templates[w->ntemplates++];
    unsigned char digest[SHA256_BYTES];
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    sha256(name, strlen(name), digest); /* the same name has the same id in every run */
    t->name = name;
    t->created_ms = clock_wall_ms();
    for (size_t i = 0; i < TEMPLATE_ID - 1; i++)
        t->id[i] = alphabet[digest[i] % (sizeof alphabet - 1)];
}

static bool number(const char *text, int64_t max, int64_t *out)
{
    return str_to_i64(str_of(text), 0, max, out);
}

static bool take_option(struct start *s, int id)
{
    struct world *w = &s->w;
    int64_t n = 0;
    switch (id) {
    case OPT_LISTEN:
        s->http.listen = optarg;
        return true;
    case OPT_PORT_FILE:
        s->http.port_file = optarg;
        return true;
    case OPT_DATA:
        w->data_dir = optarg;
        return true;
    case OPT_ACCESS_LOG:
        s->http.access_log = optarg;
        return true;
    case OPT_API_KEY:
        if (w->nkeys < NAMES_MAX)
            w->keys[w->nkeys++] = optarg;
        return true;
    case OPT_TEMPLATE:
        if (w->ntemplates < NAMES_MAX)
            add_template(w, optarg);
        return true;
    case OPT_BIN:
        w->bin_dir = realpath(optarg, NULL);
        return w->bin_dir != NULL;
    case OPT_MAX_CONCURRENT:
        if (!number(optarg, 100000, &n))
            return false;
        w->max_concurrent = (size_t)n;
        return true;
    case OPT_PLAN_MAX:
        return number(optarg, INT32_MAX, &w->plan_max_s);
    case OPT_CREATES:
        return number(optarg, 100000, &w->creates_per_s);
    case OPT_EXACT:
        w->blanks = false;
        return true;
    case OPT_SPLIT:
        w->split = true;
        return true;
    case OPT_DIE:
        return prctl(PR_SET_PDEATHSIG, SIGTERM) == 0;
    default:
        return false;
    }
}

/* The jail's root is made below it, so it is absolute, and open to whom the jail maps. */
static bool prepare_data(struct start *s, struct err *err)
{
    static char template[] = "/tmp/standin-e2b-XXXXXX";
    if (!s->w.data_dir) {
        s->w.data_dir = mkdtemp(template);
        s->own_data = true;
        return s->w.data_dir || err_set(err, ERR_INPUT, "%s: %s", template, strerror(errno));
    }
    if (!dir_make(s->w.data_dir, 0755, err))
        return false;
    s->w.data_dir = realpath(s->w.data_dir, NULL);
    return s->w.data_dir || err_set(err, ERR_INPUT, "--data: %s", strerror(errno));
}

static bool serve(struct start *s, struct err *err)
{
    struct http_server *server;
    pthread_mutex_init(&s->w.mutex, NULL);
    pthread_cond_init(&s->w.changed, NULL);
    bell_init(&s->w.tick);
    s->w.faults = faults_new();
    if (!prepare_data(s, err) || !http_serve(&s->http, &server, err))
        return false;
    world_run_ticker(&s->w);
    http_wait(server);
    world_stop(&s->w);
    return !s->own_data || dir_remove(s->w.data_dir, err);
}

int main(int argc, char **argv)
{
    static struct start s;
    int64_t fd;
    if (argc == 3 && strcmp(argv[1], "--inside") == 0 && number(argv[2], INT_MAX, &fd))
        inside_run((int)fd);
    s.w.max_concurrent = 20;
    s.w.plan_max_s = 86400;
    s.w.end_kept_ms = 30000;
    s.w.blanks = true;
    s.http = (struct http_options){.listen = "127.0.0.1:0", .handler = route, .arg = &s.w};
    for (int id; (id = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (!take_option(&s, id)) {
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fputs(usage, stderr);
        return 2;
    }
    if (s.w.nkeys == 0)
        s.w.keys[s.w.nkeys++] = "e2b_0123456789abcdef0123456789abcdef01234567";
    if (s.w.ntemplates == 0)
        add_template(&s.w, "base");
    chrooted_leave(argv);
    umask(022);
    struct err err = {0};
    bool ok = serve(&s, &err);
    if (!ok)
        fprintf(stderr, "standin-e2b: %s\n", err.text);
    fflush(stdout);
    _exit(ok ? 0 : 1); /* connection threads may still run */
}
