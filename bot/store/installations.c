/* Installations of the App. Stopping their tasks is in task_moves.c, with the other moves. */
#include "bot/store/installations.h"

#include "bot/store/pg.h"

bool installation_put(struct store *s, const struct installation *i, struct err *err)
{
    static const struct pg_sql sql = {
        "installation_put",
        "INSERT INTO installations AS old (id, account_login, account_id, account_type,"
        " permissions, events, suspended_at, deleted_at) VALUES ($1::bigint, $2::text, $3::bigint,"
        " $4::text, coalesce($5::text::jsonb, '{}'), coalesce($6::text::jsonb, '[]'),"
        " CASE WHEN $7::bool THEN now() END, CASE WHEN $8::bool THEN now() END)"
        " ON CONFLICT (id) DO UPDATE SET account_login = excluded.account_login,"
        " account_id = excluded.account_id, account_type = excluded.account_type,"
        " permissions = CASE WHEN $5::text IS NULL THEN old.permissions"
        "  ELSE excluded.permissions END,"
        " events = CASE WHEN $6::text IS NULL THEN old.events ELSE excluded.events END,"
        /* The first moment stays while the state does. */
        " suspended_at = CASE WHEN $7::bool THEN coalesce(old.suspended_at, now()) END,"
        " deleted_at = CASE WHEN $8::bool THEN coalesce(old.deleted_at, now()) END,"
        " updated_at = now()"};
    struct pg_args a = {0};
    pg_arg_int(&a, i->id);
    pg_arg_text(&a, i->account_login);
    pg_arg_int(&a, i->account_id);
    pg_arg_text(&a, i->account_type);
    pg_arg_text(&a, i->permissions);
    pg_arg_text(&a, i->events);
    pg_arg_bool(&a, i->suspended);
    pg_arg_bool(&a, i->deleted);
    return pg_run(s, &sql, &a, NULL, err);
}
