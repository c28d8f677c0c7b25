/* Putting the parts together, and taking them apart in the order that loses nothing: no new
 * connections, then answers for what is under way, then the writers (which store what was received
 * and not yet answered), then the loops. */
#include "bot/web/server.h"

#include "bot/base/log.h"
#include "bot/base/mem.h"
#include "bot/base/thread.h"
#include "bot/web/crew.h"
#include "bot/web/gate.h"
#include "bot/web/hub.h"
#include "bot/web/intake.h"
#include "bot/web/listen.h"
#include "bot/web/loop.h"
#include "bot/web/reply.h"
#include "bot/web/route.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

#define REQUEST_TIMEOUT_MS 10000 /* head and body, and how long an idle connection is kept */

/* Loops are not all that runs: for every two, there are writers and database processes to keep
 * busy. On two cores a second loop made deliveries dearer (40 against 36 us of CPU) and no faster.
 */
static int default_loops(void)
{
    return (int)(sysconf(_SC_NPROCESSORS_ONLN) + 1) / 2;
}

static void set_defaults(struct web_config *c)
{
    const struct {
        int *value;
        int fallback;
    } numbers[] = {
        {&c->loops,              default_loops()},
        {&c->writers,            2              },
        {&c->workers,            4              },
        {&c->queue_max,          8192           },
        {&c->connections_max,    4096           },
        {&c->connections_per_ip, 256            }
    };
    for (size_t i = 0; i < COUNT(numbers); i++)
        if (*numbers[i].value <= 0)
            *numbers[i].value = numbers[i].fallback;
    if (c->loops > WEB_LOOPS_MAX)
        c->loops = WEB_LOOPS_MAX;
    if (c->queue_max_bytes == 0)
        c->queue_max_bytes = (size_t)64 * 1024 * 1024;
}

static void configure_h2o(struct web *w)
{
    /* Larger bodies would go to a file in the temporary folder, which may be read-only. */
    h2o_socket_buffer_mmap_settings.threshold = SIZE_MAX;
    h2o_config_init(&w->h2o);
    w->h2o.server_name = (h2o_iovec_t){NULL, 0};
    /* One more, so that a body of one byte too many still gets an orderly answer. */
    w->h2o.max_request_entity_size = WEB_BODY_MAX_BYTES + 1;
    w->h2o.http1.req_timeout = REQUEST_TIMEOUT_MS;
    w->h2o.http1.upgrade_to_http2 = 0;
    h2o_hostconf_t *host =
        h2o_config_register_host(&w->h2o, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    route_register(h2o_config_register_path(host, "/", 0));
    reply_filter_register(&host->fallback_path);
}

void web_set_secrets(struct web *w, const struct web_secrets *secrets)
{
    atomic_store(&w->webhook_secret, secrets->webhook);
    atomic_store(&w->webhook_secret_previous, secrets->webhook_previous);
    atomic_store(&w->api_token, secrets->api_token);
}

static bool start_loops(struct web *w, struct err *err)
{
    w->loops = mem_array((size_t)w->config.loops, sizeof(*w->loops));
    for (int i = 0; i < w->config.loops; i++) {
        struct loop *loop = &w->loops[i];
        loop->web = w;
        loop->index = i;
        w->nloops = w->config.loops; /* read by the loops for their share of limits */
        if (!thread_start(&loop->thread, "web-loop", loop_run, loop, err)) {
            w->nloops = i;
            return false;
        }
    }
    return true;
}

static void wait_for(struct web *w, const int *count, int64_t max_ms)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)(max_ms / 1000) + 1;
    pthread_mutex_lock(&w->mutex);
    int rc = 0;
    while (*count < w->nloops && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&w->cond, &w->mutex, &end);
    pthread_mutex_unlock(&w->mutex);
}

static void init_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

bool web_start(const struct web_config *config, const struct web_secrets *secrets, struct web **out,
               struct err *err)
{
    struct web *w = mem_alloc(sizeof(*w));
    w->config = *config;
    set_defaults(&w->config);
    pthread_mutex_init(&w->mutex, NULL);
    init_cond(&w->cond);
    web_set_secrets(w, secrets);
    signal(SIGPIPE, SIG_IGN);
    configure_h2o(w);
    w->gate = gate_new(w->config.connections_max, w->config.connections_per_ip);
    w->hub = hub_new(w);
    bool tls = config->tls_cert && config->tls_cert[0];
    bool ok =
        !tls || listen_tls(config->tls_cert, config->tls_key ? config->tls_key : "", &w->tls, err);
    ok = ok && listen_open(config->listen, w->listeners, WEB_LISTENERS_MAX, &w->nlisteners,
                           &w->port, err);
    ok = ok && crew_start(w->config.workers, &w->crew, err) && intake_start(w, &w->intake, err) &&
         start_loops(w, err);
    if (w->nloops > 0)
        wait_for(w, &w->running, INT_MAX);
    if (!ok) {
        web_stop(w, 0);
        return false;
    }
    *out = w;
    return true;
}

int web_port(const struct web *w)
{
    return w->port;
}

void web_stop_accepting(struct web *w)
{
    atomic_store(&w->stopping, true);
    for (int i = 0; i < w->nloops; i++)
        loop_stop_accepting(&w->loops[i]);
    while (w->nlisteners > 0)
        close(w->listeners[--w->nlisteners]);
}

void web_stop(struct web *w, int64_t grace_ms)
{
    if (!w)
        return;
    atomic_store(&w->stopping, true);
    for (int i = 0; i < w->nloops; i++)
        loop_drain(&w->loops[i], grace_ms);
    wait_for(w, &w->drained, grace_ms);
    intake_stop(w->intake);
    crew_stop(w->crew);
    for (int i = 0; i < w->nloops; i++)
        loop_leave(&w->loops[i]);
    for (int i = 0; i < w->nloops; i++)
        pthread_join(w->loops[i].thread, NULL);
    for (int i = 0; i < w->nlisteners; i++)
        close(w->listeners[i]);
    intake_free(w->intake);
    crew_free(w->crew);
    hub_free(w->hub);
    gate_free(w->gate);
    h2o_config_dispose(&w->h2o);
    SSL_CTX_free(w->tls);
    pthread_cond_destroy(&w->cond);
    pthread_mutex_destroy(&w->mutex);
    free(w->loops);
    free(w);
}

void web_notify_event(struct web *w, const char *task_id)
{
    hub_notify(w->hub, task_id);
}
