/* Rows of sandboxes, with their money: what a sandbox costs is known from its size and the time
 * between its creation and its end, at E2B's public rates a second. */
#include "bot/store/sandboxes.h"

#include "bot/store/pg.h"

#define CPU_USD_S "14e-6"  /* a virtual CPU, a second */
#define GIB_USD_S "4.5e-6" /* a GiB of memory, a second */

#define LIVE "status IN ('CREATED', 'RUNNING', 'PAUSED')"
/* Until its end, or until now. */
#define COST                                                                                       \
    "((coalesce(b.cpu_count, 0) * " CPU_USD_S " + coalesce(b.memory_mb, 0) / 1024.0 * " GIB_USD_S  \
    ") * extract(epoch FROM now() - b.created_at))::numeric(14, 6)"
#define COLUMNS                                                                                    \
    "b.id::text, b.nonce, b.e2b_id, b.status::text, b.task_id, b.repository, b.template,"          \
    " b.cpu_count, b.memory_mb, (extract(epoch FROM b.created_at) * 1000)::bigint,"                \
    " (extract(epoch FROM b.expires_at) * 1000)::bigint,"                                          \
    " (CASE WHEN b." LIVE " THEN " COST " ELSE b.cost_usd END)::float8"

static struct sandbox_row read_row(const PGresult *res, int r, struct arena *arena)
{
    return (struct sandbox_row){.id = pg_dup(arena, res, r, 0),
                                .nonce = pg_dup(arena, res, r, 1),
                                .e2b_id = pg_dup(arena, res, r, 2),
                                .status = pg_dup(arena, res, r, 3),
                                .task_id = pg_dup(arena, res, r, 4),
                                .repository = pg_dup(arena, res, r, 5),
                                .template_id = pg_dup(arena, res, r, 6),
                                .cpu_count = (int)pg_int(res, r, 7),
                                .memory_mb = (int)pg_int(res, r, 8),
                                .created_ms = pg_int(res, r, 9),
                                .expires_ms = pg_int(res, r, 10),
                                .cost_usd = pg_num(res, r, 11)};
}

bool sandbox_row_new(struct store *s, const char *task_id, const char *repository,
                     int64_t repository_id, const char *template_id, const char *nonce,
                     struct arena *arena, const char **id, struct err *err)
{
    static const struct pg_sql sql = {
        "sandbox_row_new",
        "INSERT INTO sandboxes (task_id, repository, repository_id, template, nonce) VALUES"
        " ($1::text, $2::text, $3::bigint, $4::text, $5::text) RETURNING id::text"};
    struct pg_args a = {0};
    pg_arg_text(&a, task_id);
    pg_arg_text(&a, repository);
    pg_arg_id(&a, repository_id);
    pg_arg_text(&a, template_id);
    pg_arg_text(&a, nonce);
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, &sql, &a, &res, err))
        return false;
    *id = pg_dup(arena, res, 0, 0);
    return true;
}

/* One row must have changed. */
static bool change(struct store *s, const struct pg_sql *q, const struct pg_args *a, const char *id,
                   struct err *err)
{
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, q, a, &res, err))
        return false;
    return PQntuples(res) > 0 || err_set(err, ERR_GONE, "no live sandbox %.36s", id);
}

bool sandbox_row_running(struct store *s, const char *id, const char *e2b_id, int cpu_count,
                         int memory_mb, int64_t expires_ms, struct err *err)
{
    static const struct pg_sql sql = {
        "sandbox_row_running",
        "UPDATE sandboxes SET status = 'RUNNING', e2b_id = $2::text, last_used_at = now(),"
        " cpu_count = $3::bigint::integer, memory_mb = $4::bigint::integer,"
        " expires_at = 'epoch'::timestamptz + $5::bigint * interval '1 millisecond'"
        " WHERE id = $1::text::uuid AND " LIVE " RETURNING 1"};
    struct pg_args a = {0};
    pg_arg_text(&a, id);
    pg_arg_text(&a, e2b_id);
    pg_arg_id(&a, cpu_count);
    pg_arg_id(&a, memory_mb);
    pg_arg_id(&a, expires_ms);
    return change(s, &sql, &a, id, err);
}

bool sandbox_row_used(struct store *s, const char *id, int64_t expires_ms, struct err *err)
{
    static const struct pg_sql sql = {
        "sandbox_row_used",
        "UPDATE sandboxes SET last_used_at = now(), expires_at ="
        " coalesce('epoch'::timestamptz + $2::bigint * interval '1 millisecond', expires_at)"
        " WHERE id = $1::text::uuid AND " LIVE " RETURNING 1"};
    struct pg_args a = {0};
    pg_arg_text(&a, id);
    pg_arg_id(&a, expires_ms);
    return change(s, &sql, &a, id, err);
}

bool sandbox_row_ended(struct store *s, const char *id, const char *status, double *cost_usd,
                       struct err *err)
{
    /* Ending twice changes nothing and tells the same cost. */
    static const struct pg_sql sql = {
        "sandbox_row_ended",
        "WITH ended AS (UPDATE sandboxes b SET status = $2::text::sandbox_status,"
        " terminated_at = now(), cost_usd = CASE WHEN e2b_id IS NULL THEN 0 ELSE " COST " END"
        " WHERE id = $1::text::uuid AND " LIVE " RETURNING id, cost_usd)"
        " SELECT coalesce(e.cost_usd, b.cost_usd)::float8 FROM sandboxes b"
        " LEFT JOIN ended e USING (id) WHERE b.id = $1::text::uuid"};
    struct pg_args a = {0};
    pg_arg_text(&a, id);
    pg_arg_text(&a, status);
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, &sql, &a, &res, err))
        return false;
    if (PQntuples(res) == 0)
        return err_set(err, ERR_GONE, "no sandbox %.36s", id);
    if (cost_usd)
        *cost_usd = pg_num(res, 0, 0);
    return true;
}

bool sandbox_row_get(struct store *s, const char *id, struct arena *arena, struct sandbox_row *out,
                     struct err *err)
{
    static const struct pg_sql sql = {
        "sandbox_row_get", "SELECT " COLUMNS " FROM sandboxes b WHERE b.id = $1::text::uuid"};
    struct pg_args a = {0};
    pg_arg_text(&a, id);
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, &sql, &a, &res, err))
        return false;
    if (PQntuples(res) == 0)
        return err_set(err, ERR_GONE, "no sandbox %.36s", id);
    *out = read_row(res, 0, arena);
    return true;
}

bool sandbox_row_of_task(struct store *s, const char *task_id, struct arena *arena,
                         struct sandbox_row *out, bool *found, struct err *err)
{
    static const struct pg_sql sql = {"sandbox_row_of_task",
                                      "SELECT " COLUMNS
                                      " FROM sandboxes b WHERE b.task_id = $1::text AND b." LIVE};
    struct pg_args a = {0};
    pg_arg_text(&a, task_id);
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, &sql, &a, &res, err))
        return false;
    *found = PQntuples(res) > 0;
    if (*found)
        *out = read_row(res, 0, arena);
    return true;
}

bool sandbox_row_orphans(struct store *s, int grace_s, struct arena *arena,
                         struct sandbox_row **rows, int *n, struct err *err)
{
    /* At most 100 a time: the janitor comes again. */
    static const struct pg_sql sql = {
        "sandbox_row_orphans",
        "SELECT " COLUMNS " FROM sandboxes b LEFT JOIN task_executions t ON t.id = b.task_id"
        " WHERE b." LIVE " AND (t.id IS NULL OR NOT task_is_live(t.state))"
        " AND greatest(b.last_used_at, t.finished_at) < now() - $1::bigint * interval '1 second'"
        " ORDER BY b.created_at LIMIT 100"};
    struct pg_args a = {0};
    pg_arg_int(&a, grace_s);
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, &sql, &a, &res, err))
        return false;
    *n = PQntuples(res);
    *rows = arena_alloc(arena, (size_t)(*n + 1) * sizeof(**rows));
    for (int i = 0; i < *n; i++)
        (*rows)[i] = read_row(res, i, arena);
    return true;
}

bool sandbox_row_counts(struct store *s, int64_t counts[5], struct err *err)
{
    static const struct pg_sql sql = {
        "sandbox_row_counts",
        "SELECT count(b.status) FROM unnest(enum_range(NULL::sandbox_status))"
        " WITH ORDINALITY AS e(status, nr) LEFT JOIN sandboxes b ON b.status = e.status"
        " GROUP BY e.nr ORDER BY e.nr"};
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, &sql, NULL, &res, err))
        return false;
    for (int r = 0; r < 5; r++)
        counts[r] = pg_int(res, r, 0);
    return true;
}
