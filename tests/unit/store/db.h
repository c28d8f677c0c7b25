/* A throw-away cluster and store for a test program, in a folder of its own. Only for tests. */
#pragma once

#include "bot/base/clock.h"
#include "bot/base/err.h"
#include "bot/base/io.h"
#include "bot/base/mem.h"
#include "bot/base/thread.h"
#include "bot/store/cluster.h"
#include "bot/store/pg.h"
#include "bot/store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char db_dir[64];
static struct cluster *db_cluster;
static struct store *db;
static struct arena *mem;

/* Fails the test with the error's text. */
static inline void ok_at(bool ok, const struct err *err, const char *what, int line)
{
    if (!ok)
        fail_msg("line %d: %s: %s", line, what, err->text);
}
#define OK(call) ok_at((call), &err, #call, __LINE__)
#define FAILS(call, want)                                                                          \
    do {                                                                                           \
        assert_false(call);                                                                        \
        if (err.kind != (want))                                                                    \
            fail_msg("line %d: kind %d, not " #want ": %s", __LINE__, err.kind, err.text);         \
    } while (0)

static inline int db_up(void **state)
{
    (void)state;
    struct err err = {0};
    int n = 0;
    snprintf(db_dir, sizeof(db_dir), "/tmp/squadbot-test-XXXXXX");
    mem = arena_new();
    if (!mkdtemp(db_dir) || !cluster_start(db_dir, &db_cluster, &err)) {
        fprintf(stderr, "%s: %s\n", db_dir, err.text);
        return -1;
    }
    db = store_open(cluster_conninfo(db_cluster), 8);
    if (!store_migrate(db, true, &n, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    return 0;
}

static inline int db_down(void **state)
{
    (void)state;
    struct err err = {0};
    store_close(db);
    cluster_stop(db_cluster);
    arena_free(mem);
    return dir_remove(db_dir, &err) ? 0 : -1;
}

/* One statement without parameters; the first value as an integer. */
static inline int64_t db_int(const char *sql)
{
    struct err err = {0};
    struct pg_args none = {0};
    AUTO(pg_givep) struct pg *c = NULL;
    AUTO(pg_resultp) PGresult *res = NULL;
    OK(pg_borrow(db, &c, &err));
    OK(pg_exec_once(c, sql, &none, &res, &err));
    return PQntuples(res) > 0 && PQnfields(res) > 0 ? pg_int(res, 0, 0) : 0;
}
