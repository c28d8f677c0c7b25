/* LISTEN on a connection of its own. Notifications are hints: while the connection is away some
 * are lost, so after every (re)connect each channel is rung once with an empty payload, which says
 * "look yourself".
 *
 * Limits: reconnects wait 0.1 s, doubling to 5 s. */
#include "bot/store/pg.h"

#include "bot/base/call.h"
#include "bot/base/log.h"
#include "bot/base/thread.h"

#include <poll.h>
#include <pthread.h>

#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 5000

static const char *const channels[] = {"inbox", "tasks", "outbox", "cancel", "events"};

struct store_listener {
    struct store *store;
    store_notify_fn fn;
    void *arg;
    struct cancel *stop;
    pthread_t thread;
};

static PGconn *start(const struct store_listener *l, struct err *err)
{
    PGconn *conn = pg_connect(l->store, err);
    if (!conn)
        return NULL;
    static const char *const listen[] = {"LISTEN inbox", "LISTEN tasks", "LISTEN outbox",
                                         "LISTEN cancel", "LISTEN events"};
    _Static_assert(COUNT(listen) == COUNT(channels), "one LISTEN a channel");
    for (size_t i = 0; i < COUNT(listen); i++) {
        AUTO(pg_resultp)
        PGresult *res = PQexecParams(conn, listen[i], 0, NULL, NULL, NULL, NULL, 1);
        if (PQresultStatus(res) != PGRES_COMMAND_OK) {
            pg_error(conn, res, err);
            PQfinish(conn);
            return NULL;
        }
    }
    return conn;
}

/* Until told to stop (true) or the connection is lost (false). */
static bool follow(const struct store_listener *l, PGconn *conn)
{
    for (;;) {
        PGnotify *n;
        while ((n = PQnotifies(conn))) {
            l->fn(l->arg, n->relname, n->extra);
            PQfreemem(n);
        }
        struct pollfd fds[] = {
            {.fd = cancel_fd(l->stop), .events = POLLIN},
            {.fd = PQsocket(conn),     .events = POLLIN}
        };
        poll(fds, COUNT(fds), -1); /* an interrupted one just goes round */
        if (cancel_fired(l->stop))
            return true;
        if (fds[1].revents && !PQconsumeInput(conn))
            return false;
    }
}

static void *run(void *arg)
{
    const struct store_listener *l = arg;
    struct call call = {.cancel = l->stop};
    int64_t wait_ms = RETRY_MIN_MS;
    while (!cancel_fired(l->stop)) {
        struct err err = {0};
        PGconn *conn = start(l, &err);
        if (!conn) {
            log_err(LOG_DEBUG, "cannot listen", &err);
            if (!call_wait(&call, wait_ms, NULL))
                break;
            wait_ms = wait_ms * 2 < RETRY_MAX_MS ? wait_ms * 2 : RETRY_MAX_MS;
            continue;
        }
        wait_ms = RETRY_MIN_MS;
        for (size_t i = 0; i < COUNT(channels); i++)
            l->fn(l->arg, channels[i], "");
        bool stopped = follow(l, conn);
        PQfinish(conn);
        /* A server that accepts and drops us must not make us spin. */
        if (stopped || !call_wait(&call, wait_ms, NULL))
            break;
    }
    return NULL;
}

struct store_listener *store_listen(struct store *s, store_notify_fn fn, void *arg)
{
    struct store_listener *l = mem_alloc(sizeof(*l));
    struct err err = {0};
    l->store = s;
    l->fn = fn;
    l->arg = arg;
    l->stop = cancel_new();
    /* Without this thread everything still works by polling, only later. */
    bool ok = thread_start(&l->thread, "listen", run, l, &err);
    if (ok)
        return l;
    log_err(LOG_ERROR, "cannot listen for notifications", &err);
    cancel_unref(l->stop);
    free(l);
    return NULL;
}

void store_listener_stop(struct store_listener *l)
{
    if (!l)
        return;
    cancel_fire(l->stop);
    pthread_join(l->thread, NULL);
    cancel_unref(l->stop);
    free(l);
}
