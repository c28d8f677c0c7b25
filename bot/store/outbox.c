/* The outbox's leases. A claim moves run_at to the end of the lease, so a job whose worker died is
 * simply due again then; nobody has to look for dead workers, and the index over run_at stays the
 * only one needed.
 *
 * Jobs about one issue go in the order in which their events came: "stop" must not overtake the
 * "start" that it means. A job that waits for its next try holds back the later ones of its issue
 * only. */
#include "bot/store/outbox.h"

#include "bot/store/pg.h"

bool outbox_add(struct store *s, const struct outbox_new *row, struct err *err)
{
    static const struct pg_sql sql = {
        "outbox_add",
        "WITH fresh AS (INSERT INTO outbox (key, kind, payload)"
        " VALUES ($1::text, $2::text, $3::text::jsonb) ON CONFLICT (key) DO NOTHING RETURNING id)"
        " SELECT pg_notify('outbox', '')::text FROM fresh"};
    struct pg_args a = {0};
    pg_arg_text(&a, row->key);
    pg_arg_text(&a, row->kind);
    pg_arg_text(&a, row->payload);
    return pg_run(s, &sql, &a, NULL, err);
}

bool outbox_claim(struct store *s, const char *owner, int lease_s, struct arena *arena,
                  struct outbox_job *job, bool *found, struct err *err)
{
    static const struct pg_sql sql = {
        "outbox_claim",
        "UPDATE outbox SET lease_owner = $1::text, attempts = attempts + 1,"
        " run_at = now() + $2::bigint * interval '1 second'"
        " WHERE id = (SELECT id FROM outbox o WHERE state = 'new' AND run_at <= now()"
        "  AND NOT EXISTS (SELECT FROM outbox e WHERE e.state = 'new'"
        "   AND e.payload->>'repository_id' = o.payload->>'repository_id'"
        "   AND e.payload->>'issue' = o.payload->>'issue' AND e.id < o.id)"
        "  ORDER BY run_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)"
        " RETURNING id, key, kind, payload::text, attempts"};
    struct pg_args a = {0};
    pg_arg_text(&a, owner);
    pg_arg_int(&a, lease_s);
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, &sql, &a, &res, err))
        return false;
    *found = PQntuples(res) > 0;
    if (*found)
        *job = (struct outbox_job){.id = pg_int(res, 0, 0),
                                   .key = pg_dup(arena, res, 0, 1),
                                   .kind = pg_dup(arena, res, 0, 2),
                                   .payload = pg_dup(arena, res, 0, 3),
                                   .attempts = (int)pg_int(res, 0, 4)};
    return true;
}

bool outbox_done(struct store *s, int64_t id, struct err *err)
{
    static const struct pg_sql sql = {
        "outbox_done", "UPDATE outbox SET state = 'done', done_at = now(), lease_owner = NULL"
                       " WHERE id = $1::bigint AND state = 'new'"};
    struct pg_args a = {0};
    pg_arg_int(&a, id);
    return pg_run(s, &sql, &a, NULL, err);
}

bool outbox_retry(struct store *s, int64_t id, int delay_s, bool dead, const char *error,
                  struct err *err)
{
    static const struct pg_sql sql = {
        "outbox_retry", "UPDATE outbox SET lease_owner = NULL, error = $4::text,"
                        " run_at = now() + $2::bigint * interval '1 second',"
                        " state = CASE WHEN $3::bool THEN 'dead'::outbox_state ELSE 'new' END,"
                        " done_at = CASE WHEN $3::bool THEN now() END"
                        " WHERE id = $1::bigint AND state = 'new'"};
    struct pg_args a = {0};
    pg_arg_int(&a, id);
    pg_arg_int(&a, delay_s);
    pg_arg_bool(&a, dead);
    pg_arg_text(&a, error);
    return pg_run(s, &sql, &a, NULL, err);
}
