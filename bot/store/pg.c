/* The pool of connections, statements on them, and the one place where PostgreSQL's error codes
 * become ours. Connections are made when first needed and kept; at most `max` exist. A connection
 * that broke while idle is noticed at the next borrow (its socket is readable) and replaced before
 * anything is sent on it; one that breaks under a statement is an ERR_UPSTREAM to the caller, who
 * alone knows whether a repeat is harmless.
 *
 * Limits: a statement 15 s, a lock 5 s, an idle transaction 30 s, a connection attempt 5 s, a wait
 * for a free connection 15 s. A peer that vanished is noticed by TCP in about 20 s. */
#include "bot/store/pg.h"

#include "bot/base/clock.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>

#define STATEMENTS_MAX     128
#define BORROW_WAIT_MS     15000
#define SCRATCH_KEEP_BYTES ((size_t)2 * 1024 * 1024)

struct pg {
    struct store *store;
    PGconn *conn;
    struct pg *next; /* while idle */
    const struct pg_sql *prepared[STATEMENTS_MAX];
    int n_prepared;
    bool forget;
    struct buf scratch[PG_SCRATCH];
};

struct store {
    char *conninfo;
    int max;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t freed;
    struct pg *idle; /* last given first, so that the others can stay cold */
    int n;           /* idle and borrowed */
};

/* ------------------------------------------------------------------------------------- errors */

static const struct {
    const char *prefix; /* of the SQLSTATE; the first match counts */
    enum err_kind kind;
} kinds[] = {
    {"08",    ERR_UPSTREAM}, /* connection */
    {"53",    ERR_UPSTREAM}, /* disk full, out of memory, too many connections */
    {"58",    ERR_UPSTREAM}, /* input/output error of the server */
    {"57014", ERR_TIMEOUT }, /* statement time-out */
    {"57",    ERR_UPSTREAM}, /* shut down, starting up, killed */
    {"40",    ERR_UPSTREAM}, /* serialization, deadlock */
    {"55P03", ERR_UPSTREAM}, /* lock time-out */
    {"25P0",  ERR_UPSTREAM}, /* idle too long: the connection is gone */
    {"25006", ERR_UPSTREAM}, /* read-only: a standby that is not promoted yet */
    {"23505", ERR_CONFLICT}, /* unique */
    {"23503", ERR_GONE    }, /* foreign key: the task was deleted */
    {"22P02", ERR_INPUT   }, /* not a uuid, not JSON */
    {"22P05", ERR_INPUT   }, /* U+0000 in JSON */
    {"22021", ERR_INPUT   }, /* not UTF-8 */
};

bool pg_error(PGconn *conn, const PGresult *res, struct err *err)
{
    const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    if (!state) {
        /* Without a code the connection itself failed; its text has several lines. */
        struct str rest = str_of(conn ? PQerrorMessage(conn) : "out of memory"), line = {0};
        if (!str_line(&rest, &line) || line.n == 0)
            line = STR("connection lost");
        return err_set(err, ERR_UPSTREAM, "database: " STR_FMT, STR_ARG(line));
    }
    enum err_kind kind = ERR_BUG;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (str_starts(str_of(state), str_of(kinds[i].prefix))) {
            kind = kinds[i].kind;
            break;
        }
    }
    /* Not the detail field: it repeats values of the row. */
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    return err_set(err, kind, "database: %s (%s)", text ? text : "failed", state);
}

/* -------------------------------------------------------------------------------- connections */

static void quiet(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

PGconn *pg_connect(const struct store *s, struct err *err)
{
    /* Ours first: what the user's URI says wins. */
    static const char *const names[] = {"connect_timeout",
                                        "fallback_application_name",
                                        "keepalives_idle",
                                        "keepalives_interval",
                                        "keepalives_count",
                                        "tcp_user_timeout",
                                        "client_encoding",
                                        "dbname",
                                        NULL};
    const char *values[] = {"5", "squadbot", "10", "3", "3", "20000", "UTF8", s->conninfo, NULL};
    static const char session[] =
        "SELECT set_config('statement_timeout', '15s', false),"
        " set_config('lock_timeout', '5s', false),"
        " set_config('idle_in_transaction_session_timeout', '30s', false),"
        " set_config('jit', 'off', false)";
    PGconn *conn = PQconnectdbParams(names, values, 1);
    AUTO(pg_resultp) PGresult *res = NULL;
    if (PQstatus(conn) == CONNECTION_OK) {
        PQsetNoticeProcessor(conn, quiet, NULL);
        res = PQexecParams(conn, session, 0, NULL, NULL, NULL, NULL, 1);
        if (PQresultStatus(res) == PGRES_TUPLES_OK)
            return conn;
    }
    pg_error(conn, res, err);
    PQfinish(conn);
    return NULL;
}

/* An idle connection has nothing to read, unless the server said good-bye. */
static bool is_alive(const struct pg *c)
{
    struct pollfd p = {.fd = PQsocket(c->conn), .events = POLLIN};
    for (int i = 0; i < 8; i++) {
        int n = poll(&p, 1, 0);
        if (n == 0)
            return true;
        if ((n < 0 && errno != EINTR) || (n > 0 && !PQconsumeInput(c->conn)))
            return false;
    }
    return false;
}

static void pg_free(struct pg *c)
{
    if (!c)
        return;
    PQfinish(c->conn);
    for (int i = 0; i < PG_SCRATCH; i++)
        buf_done(&c->scratch[i]);
    free(c);
}

static struct timespec after_ms(int64_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(ms / 1000);
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* An idle connection, or the right to make one (*out = NULL). False when both stay away. */
static bool take(struct store *s, struct pg **out)
{
    struct timespec until = after_ms(BORROW_WAIT_MS);
    bool ok = true;
    pthread_mutex_lock(&s->mutex);
    while (!s->idle && s->n >= s->max && ok)
        ok = pthread_cond_timedwait(&s->freed, &s->mutex, &until) == 0;
    *out = s->idle;
    if (s->idle)
        s->idle = s->idle->next;
    else if (ok)
        s->n++;
    pthread_mutex_unlock(&s->mutex);
    return ok || *out;
}

static void give_right(struct store *s)
{
    pthread_mutex_lock(&s->mutex);
    s->n--;
    pthread_cond_signal(&s->freed);
    pthread_mutex_unlock(&s->mutex);
}

bool pg_borrow(struct store *s, struct pg **out, struct err *err)
{
    struct pg *c = NULL;
    if (!take(s, &c))
        return err_set(err, ERR_TIMEOUT, "database: no free connection for %d s",
                       BORROW_WAIT_MS / 1000);
    if (c && is_alive(c)) {
        *out = c;
        return true;
    }
    pg_free(c);
    PGconn *conn = pg_connect(s, err);
    if (!conn) {
        give_right(s);
        return false;
    }
    c = mem_alloc(sizeof(*c));
    c->store = s;
    c->conn = conn;
    *out = c;
    return true;
}

void pg_give(struct pg *c)
{
    if (!c)
        return;
    PGTransactionStatusType status = PQtransactionStatus(c->conn);
    if (status == PQTRANS_INTRANS || status == PQTRANS_INERROR) {
        PQclear(PQexecParams(c->conn, "ROLLBACK", 0, NULL, NULL, NULL, NULL, 1));
        status = PQtransactionStatus(c->conn);
    }
    struct store *s = c->store;
    for (int i = 0; i < PG_SCRATCH; i++)
        if (c->scratch[i].cap > SCRATCH_KEEP_BYTES)
            buf_done(&c->scratch[i]);
    if (c->forget || status != PQTRANS_IDLE) {
        pg_free(c);
        give_right(s);
        return;
    }
    pthread_mutex_lock(&s->mutex);
    c->next = s->idle;
    s->idle = c;
    pthread_cond_signal(&s->freed);
    pthread_mutex_unlock(&s->mutex);
}

void pg_givep(struct pg **c)
{
    pg_give(*c);
    *c = NULL;
}

void pg_forget(struct pg *c)
{
    c->forget = true;
}

PGconn *pg_raw(struct pg *c)
{
    return c->conn;
}

struct buf *pg_scratch(struct pg *c, int i)
{
    assert(i >= 0 && i < PG_SCRATCH);
    return &c->scratch[i];
}

/* --------------------------------------------------------------------------------- statements */

static bool finish(struct pg *c, PGresult *res, PGresult **out, struct err *err)
{
    ExecStatusType status = PQresultStatus(res);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        pg_error(c->conn, res, err);
        PQclear(res);
        return false;
    }
    if (out)
        *out = res;
    else
        PQclear(res);
    return true;
}

static bool prepare(struct pg *c, const struct pg_sql *q, struct err *err)
{
    for (int i = 0; i < c->n_prepared; i++)
        if (c->prepared[i] == q)
            return true;
    assert(c->n_prepared < STATEMENTS_MAX);
    if (!finish(c, PQprepare(c->conn, q->name, q->text, 0, NULL), NULL, err))
        return err_wrap(err, "%s", q->name);
    c->prepared[c->n_prepared++] = q;
    return true;
}

bool pg_exec(struct pg *c, const struct pg_sql *q, const struct pg_args *a, PGresult **out,
             struct err *err)
{
    static const struct pg_args none = {0};
    if (!a)
        a = &none;
    if (!prepare(c, q, err))
        return false;
    PGresult *res = PQexecPrepared(c->conn, q->name, a->n, a->values, a->lengths, a->formats, 1);
    return finish(c, res, out, err) || err_wrap(err, "%s", q->name);
}

bool pg_exec_once(struct pg *c, const char *text, const struct pg_args *a, PGresult **out,
                  struct err *err)
{
    PGresult *res = PQexecParams(c->conn, text, a->n, NULL, a->values, a->lengths, a->formats, 1);
    return finish(c, res, out, err);
}

bool pg_run(struct store *s, const struct pg_sql *q, const struct pg_args *a, PGresult **out,
            struct err *err)
{
    AUTO(pg_givep) struct pg *c = NULL;
    return pg_borrow(s, &c, err) && pg_exec(c, q, a, out, err);
}

bool pg_begin(struct pg *c, struct err *err)
{
    return finish(c, PQexecParams(c->conn, "BEGIN", 0, NULL, NULL, NULL, NULL, 1), NULL, err);
}

bool pg_commit(struct pg *c, struct err *err)
{
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!finish(c, PQexecParams(c->conn, "COMMIT", 0, NULL, NULL, NULL, NULL, 1), &res, err))
        return err_wrap(err, "commit");
    if (!str_eq(str_of(PQcmdStatus(res)), STR("COMMIT")))
        return err_set(err, ERR_BUG, "commit: the transaction had failed");
    return true;
}

/* --------------------------------------------------------------------------------------- store */

struct store *store_open(const char *conninfo, int max)
{
    assert(max > 0);
    struct store *s = mem_alloc(sizeof(*s));
    s->conninfo = mem_strdup(conninfo);
    s->max = max;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->freed, &attr);
    pthread_condattr_destroy(&attr);
    return s;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    while (s->idle) {
        struct pg *c = s->idle;
        s->idle = c->next;
        s->n--;
        pg_free(c);
    }
    assert(s->n == 0); /* a thread still uses a connection */
    pthread_cond_destroy(&s->freed);
    pthread_mutex_destroy(&s->mutex);
    explicit_bzero(s->conninfo, strlen(s->conninfo)); /* may hold the password */
    free(s->conninfo);
    free(s);
}

bool store_ping(struct store *s, struct err *err)
{
    static const struct pg_sql sql = {"store_ping", "SELECT 1::bigint"};
    return pg_run(s, &sql, NULL, NULL, err);
}
