/* Storing deliveries: the hot path of the whole bot. A batch is one statement and one round trip:
 * the columns travel as binary arrays, PostgreSQL commits by itself, and the GUIDs that were new
 * come back. One NOTIFY a batch is in the same statement.
 *
 * A delivery found in GitHub's own log ('sweep') has the identity of the one that GitHub should
 * have brought, so it is stored under source 'github' with a mark: it can never act twice.
 *
 * Limits: rows go in statements of at most CHUNK_BYTES (or one row), so a batch of huge bodies
 * commits in several parts; a failure then reports false although earlier parts are stored, which
 * a repeated delivery notices. */
#include "bot/store/inbox.h"

#include "bot/store/pg.h"

#include <assert.h>

#define CHUNK_BYTES  ((size_t)8 * 1024 * 1024)
#define FORGET_BYTES ((size_t)4 * 1024 * 1024) /* libpq never gives back a buffer that grew */

/* swept is sent as text 't' or NULL, because a one-byte array type is not worth its own code. */
static const struct pg_sql sql_insert = {
    "inbox_insert",
    "WITH fresh AS (INSERT INTO inbox (source, swept, guid, event, signature, body)"
    " SELECT CASE WHEN u.source = 'tasks' THEN 'tasks'::inbox_source ELSE 'github' END,"
    " u.source = 'sweep', u.guid, u.event, u.signature, u.body"
    " FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bytea[])"
    " AS u(source, guid, event, signature, body)"
    " ON CONFLICT DO NOTHING RETURNING source, guid)"
    " SELECT guid, source = 'tasks' FROM fresh"
    " UNION ALL SELECT pg_notify('inbox', '')::text, NULL WHERE EXISTS (SELECT FROM fresh)"};

static const char *const source_names[] = {
    [INBOX_GITHUB] = "github", [INBOX_TASKS] = "tasks", [INBOX_SWEEP] = "sweep"};

/* PostgreSQL returns the new rows in the order given, so `from` mostly points at the match. */
static void mark(const struct inbox_new *rows, int n, int *from, struct str guid, bool tasks,
                 bool *stored)
{
    for (int k = 0; k < n; k++) {
        int i = (*from + k) % n;
        if (stored[i] || (rows[i].source == INBOX_TASKS) != tasks || !str_eq(rows[i].guid, guid))
            continue;
        stored[i] = true;
        *from = i + 1;
        return;
    }
}

static bool insert_chunk(struct pg *c, const struct inbox_new *rows, int n, bool *stored,
                         struct err *err)
{
    struct buf *columns[] = {pg_scratch(c, 0), pg_scratch(c, 1), pg_scratch(c, 2), pg_scratch(c, 3),
                             pg_scratch(c, 4)};
    for (size_t i = 0; i < COUNT(columns); i++)
        pg_array_begin(columns[i], i < 3 ? PG_TEXT : PG_BYTEA, n);
    for (int i = 0; i < n; i++) {
        const struct inbox_new *row = &rows[i];
        pg_array_add(columns[0], str_of(source_names[row->source]));
        pg_array_add(columns[1], row->guid);
        pg_array_add(columns[2], row->event);
        if (row->signature)
            pg_array_add(columns[3], (struct str){(const char *)row->signature, 32});
        else
            pg_array_add_null(columns[3]);
        pg_array_add(columns[4], row->body);
    }
    struct pg_args a = {0};
    size_t bytes = 0;
    for (size_t i = 0; i < COUNT(columns); i++) {
        pg_arg_array(&a, columns[i]);
        bytes += columns[i]->len;
    }
    if (bytes > FORGET_BYTES)
        pg_forget(c);

    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_exec(c, &sql_insert, &a, &res, err))
        return false;
    memset(stored, 0, (size_t)n * sizeof(*stored));
    int from = 0;
    for (int r = 0; r < PQntuples(res); r++)
        if (!PQgetisnull(res, r, 1)) /* else the NOTIFY's row */
            mark(rows, n, &from, pg_str(res, r, 0), pg_bool(res, r, 1), stored);
    return true;
}

bool inbox_insert(struct store *s, const struct inbox_new *rows, int n, bool *stored,
                  struct err *err)
{
    assert(n > 0 && n <= INBOX_BATCH_MAX);
    bool fresh[INBOX_BATCH_MAX];
    AUTO(pg_givep) struct pg *c = NULL;
    if (!pg_borrow(s, &c, err))
        return false;
    int from = 0;
    while (from < n) {
        size_t bytes = 0;
        int to = from;
        do
            bytes += rows[to++].body.n;
        while (to < n && bytes + rows[to].body.n <= CHUNK_BYTES);
        if (!insert_chunk(c, rows + from, to - from, fresh + from, err))
            return false;
        from = to;
    }
    memcpy(stored, fresh, (size_t)n * sizeof(*stored));
    return true;
}

bool inbox_waiting(struct store *s, int64_t *depth, double *oldest_s, struct err *err)
{
    /* The count stops at a figure that is alarming enough, so that asking stays cheap. */
    static const struct pg_sql sql = {
        "inbox_waiting",
        "SELECT (SELECT count(*) FROM (SELECT FROM inbox WHERE state = 'new' LIMIT 200000) n),"
        " coalesce((SELECT extract(epoch FROM now() - received_at)::float8 FROM inbox"
        "  WHERE state = 'new' ORDER BY id LIMIT 1), 0)"};
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, &sql, NULL, &res, err))
        return false;
    *depth = pg_int(res, 0, 0);
    *oldest_s = pg_num(res, 0, 1);
    return true;
}
