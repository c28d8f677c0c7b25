/* squadbot migrate [--status]: for operators who run several replicas on one external database. */
#include "bot/cli/cli.h"

#include "bot/base/buf.h"
#include "bot/base/log.h"
#include "bot/store/cluster.h"
#include "bot/store/store.h"

#include <stdio.h>
#include <string.h>

static bool migrate(struct store *store, bool status, struct err *err)
{
    AUTO(buf_done) struct buf text = {0};
    int n;
    if (status) {
        if (!store_migrate_status(store, &text, err))
            return false;
        fputs(buf_cstr(&text), stdout);
        return true;
    }
    if (!store_migrate(store, true, &n, err))
        return false;
    printf("%d migration(s) applied\n", n);
    return true;
}

int cli_migrate(struct settings *settings, int argc, char **argv)
{
    bool status = argc == 2 && strcmp(argv[1], "--status") == 0;
    if (argc > 2 || (argc == 2 && !status)) {
        fprintf(stderr, "squadbot: usage: squadbot migrate [--status]\n");
        return 2;
    }
    struct err err = {0};
    struct cluster *cluster = NULL;
    const struct secret *url = settings_secret(settings, S_DATABASE_URL);
    if (!secret_is_set(url) &&
        !cluster_start(settings_text(settings, S_DATA_DIR), &cluster, &err)) {
        fprintf(stderr, "squadbot: private PostgreSQL: %s\n", err.text);
        return err.kind == ERR_INPUT ? 2 : 1;
    }
    struct store *store = store_open(cluster ? cluster_conninfo(cluster) : url->p, 2);
    bool ok = migrate(store, status, &err);
    if (!ok)
        fprintf(stderr, "squadbot: %s\n", err.text);
    store_close(store);
    cluster_stop(cluster);
    return ok ? 0 : 1;
}
