/* The private PostgreSQL cluster under the data folder, used when DATABASE_URL is unset: initdb on
 * first start (data checksums, UTF-8, C.UTF-8), unix socket only, started and stopped with the bot.
 * When we are root the server runs as user "postgres" (PostgreSQL refuses root). Recovers after
 * kill -9 of the bot (a server that still runs is adopted or restarted) and of itself (watched and
 * started again). A second process on the same data folder only connects; the first one owns the
 * server. Where the user "postgres" may not enter the data folder (root's home) the cluster is kept
 * in /var/lib/squadbot and DATA_DIR/pg.location says where. Main thread. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"

#include <stdbool.h>

struct cluster;
/* data_dir: absolute. ERR_INPUT names the Debian package when the server programs are missing. */
bool cluster_start(const char *data_dir, struct cluster **out, struct err *err) MUST_CHECK;
/* libpq connection string, valid as long as the cluster. */
const char *cluster_conninfo(const struct cluster *c);
void cluster_stop(struct cluster *c); /* fast shutdown; NULL is fine */
/* Are PostgreSQL's server programs installed? ERR_INPUT names the Debian package if not. */
bool cluster_available(struct err *err) MUST_CHECK;
