/* Numbered migrations that are embedded in the program. Each runs in one transaction together with
 * its row in schema_migrations, under an advisory lock, so that several processes may start at
 * once: the losers wait and then find the work done. A migration that was edited after it had been
 * applied is refused, because no two databases would be alike any more.
 *
 * Limits: a migration may take MIGRATION_TIMEOUT, and waits as long for the lock. */
#include "bot/store/pg.h"

#include "bot/base/embed.h"
#include "bot/base/enc.h"

#define MIGRATION_TIMEOUT "10min"

extern const struct embedded_file migrations_files[];

static const struct pg_sql sql_session = {
    "migrate_session",
    "SELECT set_config('statement_timeout', '" MIGRATION_TIMEOUT "', false),"
    " set_config('lock_timeout', '" MIGRATION_TIMEOUT "', false),"
    " set_config('idle_in_transaction_session_timeout', '" MIGRATION_TIMEOUT "', false)"};
static const struct pg_sql sql_lock = {"migrate_lock",
                                       "SELECT pg_advisory_xact_lock(7163220415)::text"};
static const struct pg_sql sql_exists = {"migrate_exists",
                                         "SELECT to_regclass('schema_migrations') IS NOT NULL"};
static const struct pg_sql sql_create = {"migrate_create",
                                         "CREATE TABLE IF NOT EXISTS schema_migrations ("
                                         " name text PRIMARY KEY, sha256 text NOT NULL,"
                                         " applied_at timestamptz NOT NULL DEFAULT now())"};
static const struct pg_sql sql_find = {
    "migrate_find",
    "SELECT sha256, to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
    " FROM schema_migrations WHERE name = $1::text"};
static const struct pg_sql sql_record = {
    "migrate_record", "INSERT INTO schema_migrations (name, sha256) VALUES ($1::text, $2::text)"};

#define NAME_MAX_CHARS 100
struct migration {
    char name[NAME_MAX_CHARS]; /* without .sql */
    char sha256[2 * SHA256_BYTES + 1];
    const char *sql;
};

static bool read_migration(const struct embedded_file *f, struct migration *m, struct err *err)
{
    struct str name = str_of(f->name);
    unsigned char digest[SHA256_BYTES];
    if (!str_copy(m->name, sizeof(m->name), str_sub(name, 0, name.n - strlen(".sql"))))
        return err_set(err, ERR_BUG, "migration %s: its name is too long", f->name);
    sha256(f->data, f->size, digest);
    AUTO(buf_done) struct buf hex = {0};
    enc_hex(&hex, digest, sizeof(digest));
    m->sql = (const char *)f->data; /* the embedder ends it with NUL */
    return str_copy(m->sha256, sizeof(m->sha256), buf_str(&hex)) ||
           err_set(err, ERR_BUG, "migration %s: digest", f->name);
}

/* *at (may be NULL) is "" while the migration is pending. */
static bool is_applied(struct pg *c, const struct migration *m, bool *applied, struct buf *at,
                       struct err *err)
{
    AUTO(pg_resultp) PGresult *exists = NULL;
    AUTO(pg_resultp) PGresult *row = NULL;
    if (!pg_exec(c, &sql_exists, NULL, &exists, err))
        return false;
    *applied = false;
    if (!pg_bool(exists, 0, 0))
        return true;
    struct pg_args a = {0};
    pg_arg_text(&a, m->name);
    if (!pg_exec(c, &sql_find, &a, &row, err))
        return false;
    if (PQntuples(row) == 0)
        return true;
    if (!str_eq(pg_str(row, 0, 0), str_of(m->sha256)))
        return err_set(err, ERR_CONFLICT, "migration %s was edited after it had been applied",
                       m->name);
    *applied = true;
    if (at)
        buf_add_str(at, pg_str(row, 0, 1));
    return true;
}

/* *done is false when somebody else was faster. */
static bool apply_one(struct pg *c, const struct migration *m, bool *done, struct err *err)
{
    bool applied = false;
    if (!pg_begin(c, err) || !pg_exec(c, &sql_lock, NULL, NULL, err) ||
        !pg_exec(c, &sql_create, NULL, NULL, err) || !is_applied(c, m, &applied, NULL, err))
        return false;
    if (!applied) {
        /* The simple protocol, because a file holds many statements; its text is our own. */
        AUTO(pg_resultp) PGresult *res = PQexec(pg_raw(c), m->sql);
        if (PQresultStatus(res) != PGRES_COMMAND_OK && PQresultStatus(res) != PGRES_TUPLES_OK)
            return pg_error(pg_raw(c), res, err);
        struct pg_args a = {0};
        pg_arg_text(&a, m->name);
        pg_arg_text(&a, m->sha256);
        if (!pg_exec(c, &sql_record, &a, NULL, err))
            return false;
    }
    *done = !applied;
    return pg_commit(c, err);
}

bool store_migrate(struct store *s, bool apply, int *count, struct err *err)
{
    AUTO(pg_givep) struct pg *c = NULL;
    if (!pg_borrow(s, &c, err))
        return false;
    pg_forget(c); /* its time-outs are not those of the others */
    if (apply && !pg_exec(c, &sql_session, NULL, NULL, err))
        return false;
    int n = 0;
    for (const struct embedded_file *f = migrations_files; f->name; f++) {
        struct migration m;
        bool applied = false;
        if (!read_migration(f, &m, err))
            return false;
        if (!is_applied(c, &m, &applied, NULL, err))
            return err_wrap(err, "migrations");
        bool counts = !applied;
        if (!applied && apply && !apply_one(c, &m, &counts, err))
            return err_wrap(err, "migration %s", m.name);
        n += counts;
    }
    *count = n;
    return true;
}

bool store_migrate_status(struct store *s, struct buf *out, struct err *err)
{
    AUTO(pg_givep) struct pg *c = NULL;
    AUTO(buf_done) struct buf text = {0};
    if (!pg_borrow(s, &c, err))
        return false;
    for (const struct embedded_file *f = migrations_files; f->name; f++) {
        struct migration m;
        bool applied = false;
        AUTO(buf_done) struct buf at = {0};
        if (!read_migration(f, &m, err) || !is_applied(c, &m, &applied, &at, err))
            return false;
        buf_printf(&text, "%s %s%s\n", m.name, applied ? "applied " : "pending", buf_cstr(&at));
    }
    buf_add_str(out, buf_str(&text));
    return true;
}

bool store_instance_id(struct store *s, char out[UUID_TEXT], struct err *err)
{
    static const struct pg_sql sql = {"instance_id", "SELECT id::text FROM instance"};
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, &sql, NULL, &res, err))
        return false;
    if (PQntuples(res) != 1 || !str_copy(out, UUID_TEXT, pg_str(res, 0, 0)))
        return err_set(err, ERR_BUG, "table instance has no row");
    return true;
}
