/* Internal to bot/store: connections, statements, parameters and results. Nothing outside this
 * folder includes it. A borrowed connection belongs to one thread until pg_give().
 *
 * Parameters and results are binary, so nothing is quoted or parsed twice. Therefore every
 * parameter in SQL has a cast to the type that the pg_arg_ function sends ($1::bigint,
 * $2::text::task_state), and every result column is of a type that a pg_ reader knows: bigint,
 * integer, smallint, boolean, float8, text or bytea. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/err.h"
#include "bot/base/mem.h"
#include "bot/base/str.h"
#include "bot/store/store.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/* A prepared statement: one static object each, known by its address; name is unique. */
struct pg_sql {
    const char *name;
    const char *text;
};

struct pg; /* a connection */

#define PG_SCRATCH 6
/* Reusable buffers of the connection, for array parameters. */
struct buf *pg_scratch(struct pg *c, int i);

/* ERR_UPSTREAM when the database is away, ERR_TIMEOUT when all connections stay busy. */
bool pg_borrow(struct store *s, struct pg **out, struct err *err) MUST_CHECK;
void pg_give(struct pg *c); /* rolls back what is open; NULL is fine */
void pg_givep(struct pg **c);
void pg_forget(
    struct pg *c); /* pg_give() will close it: its buffers grew, or its session changed */

bool pg_begin(struct pg *c, struct err *err) MUST_CHECK;
bool pg_commit(struct pg *c, struct err *err) MUST_CHECK;

/* A new connection outside the pool (listener, migrations); PQfinish() it. */
PGconn *pg_connect(const struct store *s, struct err *err) MUST_CHECK;
PGconn *pg_raw(struct pg *c);
/* Sets err by the SQLSTATE of a failed result (or by the connection) and returns false. */
bool pg_error(PGconn *conn, const PGresult *res, struct err *err);

/* ------------------------------------------------------------------------------- parameters */

#define PG_ARGS_MAX 32
struct pg_args { /* {0} = none; values are borrowed until the call */
    int n;
    const char *values[PG_ARGS_MAX];
    int lengths[PG_ARGS_MAX];
    int formats[PG_ARGS_MAX];
    unsigned char numbers[PG_ARGS_MAX][8];
};
void pg_arg_text(struct pg_args *a, const char *text);         /* text; NULL = SQL NULL */
void pg_arg_str(struct pg_args *a, struct str s);              /* text, never NULL */
void pg_arg_bytes(struct pg_args *a, const void *p, size_t n); /* bytea; p NULL = SQL NULL */
void pg_arg_int(struct pg_args *a, int64_t v);                 /* bigint */
void pg_arg_id(struct pg_args *a, int64_t v);                  /* bigint, 0 = SQL NULL */
void pg_arg_num(struct pg_args *a, double v);                  /* float8 */
void pg_arg_bool(struct pg_args *a, bool v);
void pg_arg_array(struct pg_args *a, const struct buf *array);

/* One-dimensional arrays in binary: begin with the count (at least 1), then add each element. */
enum pg_oid { PG_BYTEA = 17, PG_INT8 = 20, PG_TEXT = 25 };
void pg_array_begin(struct buf *b, enum pg_oid type, int n);
void pg_array_add(struct buf *b, struct str element);
void pg_array_add_null(struct buf *b);
void pg_array_add_int(struct buf *b, int64_t v);
/* Text that may hold NUL, which PostgreSQL refuses: each becomes U+FFFD. */
void pg_array_add_text(struct buf *b, struct str text);

/* ------------------------------------------------------------------------------------ calls */

/* Runs a statement; *out (may be NULL) is the caller's. */
bool pg_exec(struct pg *c, const struct pg_sql *q, const struct pg_args *a, PGresult **out,
             struct err *err) MUST_CHECK;
/* Not prepared, planned anew with its values: for statements put together from constant parts. */
bool pg_exec_once(struct pg *c, const char *text, const struct pg_args *a, PGresult **out,
                  struct err *err) MUST_CHECK;
/* Borrow, run, give back. */
bool pg_run(struct store *s, const struct pg_sql *q, const struct pg_args *a, PGresult **out,
            struct err *err) MUST_CHECK;
void pg_resultp(PGresult **res); /* AUTO(pg_resultp) PGresult *res = NULL; */

/* SQL NULL reads as 0, false, the empty slice, NULL. */
int64_t pg_int(const PGresult *res, int row, int col);
bool pg_bool(const PGresult *res, int row, int col);
double pg_num(const PGresult *res, int row, int col);
struct str pg_str(const PGresult *res, int row, int col);
char *pg_dup(struct arena *arena, const PGresult *res, int row, int col);
