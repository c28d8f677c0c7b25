/* The dispatch transaction. Its row locks are the lease: whoever dies holding them gives the rows
 * back. The caller's function runs between the SELECT and the writes, so it must not block.
 *
 * Replays: the signature of a delivery that has effects is remembered for ever, because the GUID
 * header is not signed. A second delivery with the same signature keeps its row but not its
 * effects. Two replicas that dispatch the two at once are ordered by the unique index.
 *
 * Limits: at most `max` rows and max × DISPATCH_OUTBOX_MAX outbox rows a transaction. */
#include "bot/store/dispatch.h"

#include "bot/store/pg.h"

#include <assert.h>

static const struct pg_sql sql_take = {
    "dispatch_take", "SELECT id, source = 'tasks', swept, guid, event, body, signature FROM inbox"
                     " WHERE state = 'new' AND run_at <= now() ORDER BY id LIMIT $1::bigint"
                     " FOR UPDATE SKIP LOCKED"};
static const struct pg_sql sql_acted = {
    "dispatch_acted", "INSERT INTO inbox_acted (signature, guid)"
                      " SELECT * FROM unnest($1::bytea[], $2::text[]) ON CONFLICT DO NOTHING"
                      " RETURNING signature, guid"};
static const struct pg_sql sql_close = {
    "dispatch_close",
    "UPDATE inbox SET state = u.state::inbox_state, error = u.error, done_at = now()"
    " FROM unnest($1::bigint[], $2::text[], $3::text[]) AS u(id, state, error)"
    " WHERE inbox.id = u.id AND inbox.state = 'new'"};
static const struct pg_sql sql_outbox = {
    "dispatch_outbox", "WITH fresh AS (INSERT INTO outbox (key, kind, payload)"
                       " SELECT u.key, u.kind, u.payload::jsonb"
                       " FROM unnest($1::text[], $2::text[], $3::text[]) AS u(key, kind, payload)"
                       " ON CONFLICT (key) DO NOTHING RETURNING id)"
                       " SELECT pg_notify('outbox', '')::text WHERE EXISTS (SELECT FROM fresh)"};

/* What the callback said about one row. */
struct answer {
    struct inbox_row row;
    struct str signature;
    enum dispatch_verdict verdict;
    const char *error;
    struct outbox_new effects[DISPATCH_OUTBOX_MAX];
    int n;
};

static bool is_known_effect(const struct answer *a)
{
    return a->verdict == DISPATCH_DONE && a->n > 0 && a->signature.n > 0;
}

static void ask(struct answer *a, dispatch_fn fn, void *arg, struct arena *arena)
{
    struct err why = {0};
    a->verdict = fn(arg, &a->row, arena, a->effects, &a->n, &why);
    assert(a->n >= 0 && a->n <= DISPATCH_OUTBOX_MAX);
    if (a->verdict != DISPATCH_DONE)
        a->n = 0;
    if (a->verdict == DISPATCH_DEAD)
        a->error = arena_str(arena, str_of(why.text));
}

static bool has_acted(const PGresult *res, const struct answer *a)
{
    for (int r = 0; r < PQntuples(res); r++)
        if (str_eq(pg_str(res, r, 0), a->signature) && str_eq(pg_str(res, r, 1), a->row.guid))
            return true;
    return false;
}

/* Remembers the signatures of rows with effects; a row that comes too late loses its effects. */
static bool refuse_replays(struct pg *c, struct answer *answers, int n, struct err *err)
{
    int acting = 0;
    for (int i = 0; i < n; i++)
        acting += is_known_effect(&answers[i]);
    if (acting == 0)
        return true;
    pg_array_begin(pg_scratch(c, 0), PG_BYTEA, acting);
    pg_array_begin(pg_scratch(c, 1), PG_TEXT, acting);
    for (int i = 0; i < n; i++) {
        if (!is_known_effect(&answers[i]))
            continue;
        pg_array_add(pg_scratch(c, 0), answers[i].signature);
        pg_array_add(pg_scratch(c, 1), answers[i].row.guid);
    }
    struct pg_args a = {0};
    pg_arg_array(&a, pg_scratch(c, 0));
    pg_arg_array(&a, pg_scratch(c, 1));
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_exec(c, &sql_acted, &a, &res, err))
        return false;
    for (int i = 0; i < n; i++) {
        if (!is_known_effect(&answers[i]) || has_acted(res, &answers[i]))
            continue;
        answers[i].verdict = DISPATCH_IGNORED;
        answers[i].error = "replayed signature";
        answers[i].n = 0;
    }
    return true;
}

static bool close_rows(struct pg *c, const struct answer *answers, int n, struct err *err)
{
    static const char *const states[] = {
        [DISPATCH_DONE] = "done", [DISPATCH_IGNORED] = "ignored", [DISPATCH_DEAD] = "dead"};
    struct buf *ids = pg_scratch(c, 0), *to = pg_scratch(c, 1), *errors = pg_scratch(c, 2);
    pg_array_begin(ids, PG_INT8, n);
    pg_array_begin(to, PG_TEXT, n);
    pg_array_begin(errors, PG_TEXT, n);
    for (int i = 0; i < n; i++) {
        pg_array_add_int(ids, answers[i].row.id);
        pg_array_add(to, str_of(states[answers[i].verdict]));
        if (answers[i].error)
            pg_array_add_text(errors, str_of(answers[i].error));
        else
            pg_array_add_null(errors);
    }
    struct pg_args a = {0};
    pg_arg_array(&a, ids);
    pg_arg_array(&a, to);
    pg_arg_array(&a, errors);
    return pg_exec(c, &sql_close, &a, NULL, err);
}

static bool add_effects(struct pg *c, const struct answer *answers, int n, struct err *err)
{
    int count = 0;
    for (int i = 0; i < n; i++)
        count += answers[i].n;
    if (count == 0)
        return true;
    struct buf *keys = pg_scratch(c, 0), *kinds = pg_scratch(c, 1), *payloads = pg_scratch(c, 2);
    pg_array_begin(keys, PG_TEXT, count);
    pg_array_begin(kinds, PG_TEXT, count);
    pg_array_begin(payloads, PG_TEXT, count);
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < answers[i].n; k++) {
            pg_array_add(keys, str_of(answers[i].effects[k].key));
            pg_array_add(kinds, str_of(answers[i].effects[k].kind));
            pg_array_add(payloads, str_of(answers[i].effects[k].payload));
        }
    }
    struct pg_args a = {0};
    pg_arg_array(&a, keys);
    pg_arg_array(&a, kinds);
    pg_arg_array(&a, payloads);
    return pg_exec(c, &sql_outbox, &a, NULL, err);
}

static struct inbox_row read_row(const PGresult *res, int r)
{
    enum inbox_source github = pg_bool(res, r, 2) ? INBOX_SWEEP : INBOX_GITHUB;
    return (struct inbox_row){.id = pg_int(res, r, 0),
                              .source = pg_bool(res, r, 1) ? INBOX_TASKS : github,
                              .guid = pg_str(res, r, 3),
                              .event = pg_str(res, r, 4),
                              .body = pg_str(res, r, 5)};
}

bool dispatch_batch(struct store *s, int max, dispatch_fn fn, void *arg, int *taken,
                    struct err *err)
{
    AUTO(arena_freep) struct arena *arena = arena_new();
    AUTO(pg_givep) struct pg *c = NULL;
    AUTO(pg_resultp) PGresult *res = NULL;
    struct pg_args a = {0};
    pg_arg_int(&a, max);
    if (!pg_borrow(s, &c, err) || !pg_begin(c, err) || !pg_exec(c, &sql_take, &a, &res, err))
        return false;
    int n = PQntuples(res);
    if (n > 0) {
        struct answer *answers = arena_alloc(arena, (size_t)n * sizeof(*answers));
        for (int i = 0; i < n; i++) {
            answers[i].row = read_row(res, i);
            answers[i].signature = pg_str(res, i, 6);
            ask(&answers[i], fn, arg, arena);
        }
        if (!refuse_replays(c, answers, n, err) || !close_rows(c, answers, n, err) ||
            !add_effects(c, answers, n, err))
            return false;
    }
    if (!pg_commit(c, err))
        return false;
    *taken = n;
    return true;
}
