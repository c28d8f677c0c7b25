/* Receiving and storing alone: the web server over a private cluster, without dispatcher, runners
 * and janitor, for the `ingest` bench. Prints its port; ends on SIGTERM.
 *
 *   bench-intake SECRET DATA_FOLDER [LOOPS [WRITERS]] */
#include "bot/base/log.h"
#include "bot/store/cluster.h"
#include "bot/store/store.h"
#include "bot/web/server.h"

#include <signal.h>
#include <stdio.h>

static bool wanted(struct str event)
{
    return str_eq(event, STR("issues"));
}

static bool serve(const char *secret_text, const char *folder, int loops, int writers,
                  struct err *err)
{
    struct cluster *cluster;
    struct web *web;
    struct secret secret = {0};
    int applied, signal_number;
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    secret_set(&secret, str_of(secret_text));
    if (!cluster_start(folder, &cluster, err))
        return false;
    struct store *store = store_open(cluster_conninfo(cluster), 12);
    struct web_config config = {.listen = "127.0.0.1:0",
                                .store = store,
                                .loops = loops,
                                .writers = writers,
                                .wanted = wanted};
    struct web_secrets secrets = {.webhook = &secret};
    bool ok = store_migrate(store, true, &applied, err) && web_start(&config, &secrets, &web, err);
    if (ok) {
        printf("port=%d\n", web_port(web));
        fflush(stdout);
        sigwait(&stop, &signal_number);
        web_stop_accepting(web);
        web_stop(web, 2000);
    }
    store_close(store);
    cluster_stop(cluster);
    secret_done(&secret);
    return ok;
}

int main(int argc, char **argv)
{
    int64_t loops = 0, writers = 0;
    if (argc < 3 || (argc > 3 && !str_to_i64(str_of(argv[3]), 0, 64, &loops)) ||
        (argc > 4 && !str_to_i64(str_of(argv[4]), 0, 16, &writers))) {
        fprintf(stderr, "usage: bench-intake SECRET DATA_FOLDER [LOOPS [WRITERS]]\n");
        return 2;
    }
    log_init(LOG_INFO, LOG_LOGFMT);
    struct err err = {0};
    if (serve(argv[1], argv[2], (int)loops, (int)writers, &err))
        return 0;
    log_err(LOG_ERROR, "bench-intake", &err);
    return 1;
}
