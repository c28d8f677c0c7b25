/* PostgreSQL, the only folder that includes libpq and the only one with SQL. A `struct store` is a
 * pool of connections with prepared statements; every function here borrows one connection for one
 * statement or one transaction, so no connection is ever held across a remote call. Safe from any
 * thread except h2o's loops (it blocks). All times come from PostgreSQL's clock.
 *
 * Errors: lost connection, too many connections, deadlock, serialization, disk full → ERR_UPSTREAM
 * (retry); statement timeout → ERR_TIMEOUT; unique violation → ERR_CONFLICT; missing parent row
 * → ERR_GONE; not UTF-8, JSON or a uuid → ERR_INPUT; check violation and anything else → ERR_BUG. A
 * COMMIT whose outcome is unknown is ERR_UPSTREAM: look before repeating. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/enc.h"
#include "bot/base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct store;

/* max: connections at most. Connects lazily; opening never fails for a database that is away. */
struct store *store_open(const char *conninfo, int max);
void store_close(struct store *s);
/* One round trip, to know whether the database answers (readiness). */
bool store_ping(struct store *s, struct err *err) MUST_CHECK;

/* The id shared by all replicas on this database. */
bool store_instance_id(struct store *s, char out[UUID_TEXT], struct err *err) MUST_CHECK;

/* Applies the embedded migrations (migrations/NNNN_name.sql, one transaction each, under an
 * advisory lock). *applied counts them. With apply = false only counts the pending ones. */
bool store_migrate(struct store *s, bool apply, int *count, struct err *err) MUST_CHECK;
/* One line a migration: "0001_core applied 2026-…" or "0002_x pending". */
struct buf;
bool store_migrate_status(struct store *s, struct buf *out, struct err *err) MUST_CHECK;

/* Wakes a callback when another process or thread NOTIFYs (channels "inbox", "tasks", "outbox",
 * "cancel", "events"). A hint only: callers poll too. One thread with its own connection;
 * reconnects by itself. payload is the NOTIFY payload; empty for every channel after a (re)connect,
 * when notifications may have been missed. */
typedef void (*store_notify_fn)(void *arg, const char *channel, const char *payload);
struct store_listener;
struct store_listener *store_listen(struct store *s, store_notify_fn fn, void *arg);
void store_listener_stop(struct store_listener *l);
