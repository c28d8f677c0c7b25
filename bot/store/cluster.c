/* The private cluster's life. `postgres` is our own child in a process group of its own, not
 * started through pg_ctl, so that its end is seen at once. Whoever holds the lock file owns the
 * server: starts it, watches it in a thread, starts it again when it dies, stops it. Another bot or
 * command line on the same data folder only connects.
 *
 * After kill -9 of the owner the server lives on; the next owner finds it by postmaster.pid and
 * adopts it. After kill -9 of the server its children need a moment to notice, and until then
 * PostgreSQL refuses to start: so a failed start is repeated for a while.
 *
 * Limits: START_MS for a start, including crash recovery; a server that ends at once is tried again
 * for RETRY_FOR_MS; STOP_MS for a fast shutdown, then an
 * immediate one, whose recovery is done by the next start. */
#include "bot/store/cluster.h"

#include "bot/base/buf.h"
#include "bot/base/call.h"
#include "bot/base/clock.h"
#include "bot/base/io.h"
#include "bot/base/log.h"
#include "bot/base/mem.h"
#include "bot/base/thread.h"
#include "bot/store/cluster_place.h"

#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS     60000
#define RETRY_MS     150
#define RETRY_FOR_MS 15000
#define LOOK_MS      10
#define STOP_MS      20000
#define QUIT_MS      5000

struct cluster {
    struct cluster_place place;
    char *conninfo;
    int lock_fd; /* -1 = somebody else owns the server */
    /* The server; the watcher's while it runs. */
    pid_t pid;
    int pidfd;
    bool is_child;
    bool watched;
    pthread_t watcher;
    struct cancel *stop;
};

/* ----------------------------------------------------------------------------- looking at it */

/* Has the process ended, after at most ms? */
static bool has_ended(int pidfd, int ms)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int64_t until = clock_mono_ms() + ms;
    int n;
    while ((n = poll(&p, 1, ms)) < 0 && errno == EINTR)
        ms = (int)(until > clock_mono_ms() ? until - clock_mono_ms() : 0);
    return n != 0;
}

/* Is this process a server in our data folder? A container's root may not look at the folder of
 * another user's process; then its name must do. */
static bool is_our_server(const struct cluster_place *p, pid_t pid)
{
    char path[64], cwd[PATH_MAX], own[PATH_MAX];
    AUTO(buf_done) struct buf name = {0};
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    if (!file_read(path, 64, &name, NULL) || !str_eq(str_trim(buf_str(&name)), STR("postgres")))
        return false;
    snprintf(path, sizeof(path), "/proc/%d/cwd", (int)pid);
    ssize_t n = readlink(path, cwd, sizeof(cwd) - 1);
    if (n < 0)
        return errno == EACCES || errno == EPERM;
    cwd[n] = '\0';
    return realpath(p->data, own) && strcmp(cwd, own) == 0;
}

/* The living postmaster that postmaster.pid names; 0 = none. After a restart of a container its
 * number may belong to anybody, and PostgreSQL would wait for that process: then the file goes. */
static pid_t running_server(const struct cluster_place *p)
{
    char path[PATH_MAX + 32];
    AUTO(buf_done) struct buf text = {0};
    snprintf(path, sizeof(path), "%s/postmaster.pid", p->data);
    if (!file_exists(path) || !file_read(path, 4096, &text, NULL))
        return 0;
    struct str rest = buf_str(&text), line = {0};
    int64_t pid = 0;
    if (!str_line(&rest, &line) || !str_to_i64(str_trim(line), 2, INT32_MAX, &pid))
        return 0;
    if (is_our_server(p, (pid_t)pid))
        return (pid_t)pid;
    if (kill((pid_t)pid, 0) == 0)
        unlink(path);
    return 0;
}

static bool server_ended(const struct cluster *c, struct err *err)
{
    AUTO(buf_done) struct buf why = {0};
    cluster_log_tail(&c->place, &why);
    return err_set(err, ERR_UPSTREAM, "the server ended at once (log: %.150s): %s", c->place.log,
                   buf_cstr(&why));
}

/* Waits until the server answers; pidfd -1 = not known. False also when it ended. */
static bool wait_ready(const struct cluster *c, int pidfd, const struct call *call, struct err *err)
{
    const char *const names[] = {"dbname", "connect_timeout", NULL};
    const char *const values[] = {c->conninfo, "2", NULL};
    while (PQpingParams(names, values, 1) != PQPING_OK) {
        if (!call_check(call, err) || (pidfd < 0 && !call_wait(call, LOOK_MS, err)))
            return false;
        if (pidfd >= 0 && has_ended(pidfd, LOOK_MS))
            return server_ended(c, err);
    }
    return true;
}

/* ----------------------------------------------------------------------------- starting it */

static bool spawn_server(const struct cluster *c, pid_t *pid, struct err *err)
{
    /* A list with commas, therefore quoted. */
    AUTO(buf_done) struct buf sockets = {0};
    buf_puts(&sockets, "--unix_socket_directories=\"");
    for (const char *s = c->place.socket; *s; s++)
        buf_printf(&sockets, *s == '"' ? "\"\"" : "%c", *s);
    buf_putc(&sockets, '"');
    const char *const argv[] = {
        "postgres", "-D", c->place.data, "--port=5432", "--listen_addresses=", buf_cstr(&sockets),
        "--unix_socket_permissions=0700", "--max_connections=60",
        /* Small: the hot data of a bot is little, and the kernel caches as well. */
        "--shared_buffers=32MB", "--maintenance_work_mem=32MB",
        "--max_parallel_workers_per_gather=0", "--max_worker_processes=2",
        "--autovacuum_max_workers=2", "--huge_pages=off",
        /* Nobody replicates or archives this cluster. */
        "--wal_level=minimal", "--max_wal_senders=0", "--wal_compression=lz4",
        "--max_wal_size=512MB", "--min_wal_size=64MB",
        /* Failed statements are reported to us; the log keeps what concerns the server. */
        "--log_min_messages=log", "--log_checkpoints=off", "--logging_collector=off",
        "--log_timezone=UTC", "--timezone=UTC", NULL};
    return cluster_spawn(&c->place, argv, pid, err);
}

/* One try: adopt the running server, or start one. */
static bool start_once(struct cluster *c, const struct call *call, struct err *err)
{
    pid_t pid = running_server(&c->place);
    bool child = pid == 0;
    if (child && !spawn_server(c, &pid, err))
        return false;
    int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0)
        return err_set(err, ERR_UPSTREAM, "the server is gone: %m");
    if (!wait_ready(c, pidfd, call, err)) {
        if (child) { /* ended, or late: then it must not stay behind */
            kill(pid, SIGQUIT);
            if (!has_ended(pidfd, QUIT_MS))
                kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
        }
        fd_close(&pidfd);
        return false;
    }
    c->pid = pid;
    c->pidfd = pidfd;
    c->is_child = child;
    return true;
}

static bool start_server(struct cluster *c, struct err *err)
{
    struct call call = call_in(START_MS, c->stop);
    int64_t again_until = clock_mono_ms() + RETRY_FOR_MS;
    while (!start_once(c, &call, err)) {
        struct err over; /* err keeps the server's own reason */
        if (clock_mono_ms() > again_until || !call_wait(&call, RETRY_MS, &over))
            return false;
    }
    return true;
}

static void *watch(void *arg)
{
    struct cluster *c = arg;
    for (;;) {
        struct pollfd p[] = {
            {.fd = cancel_fd(c->stop), .events = POLLIN},
            {.fd = c->pidfd,           .events = POLLIN}
        };
        poll(p, COUNT(p), -1);
        if (cancel_fired(c->stop))
            return NULL;
        if (!p[1].revents)
            continue;
        log_warn("the private PostgreSQL ended, starting it again", "log", c->place.log, NULL);
        if (c->is_child)
            waitpid(c->pid, NULL, 0);
        c->pid = 0;
        fd_close(&c->pidfd);
        struct err err = {0};
        while (!start_server(c, &err)) {
            if (cancel_fired(c->stop))
                return NULL;
            log_err(LOG_ERROR, "the private PostgreSQL does not start", &err);
            struct call call = {.cancel = c->stop};
            if (!call_wait(&call, RETRY_FOR_MS, &err))
                return NULL;
        }
    }
}

/* ---------------------------------------------------------------------------------- in public */

/* libpq's quoting: the path may hold blanks and quotes. */
static char *conninfo_of(const struct cluster_place *p)
{
    struct buf b = {0};
    buf_puts(&b, "host='");
    for (const char *s = p->socket; *s; s++) {
        if (*s == '\'' || *s == '\\')
            buf_putc(&b, '\\');
        buf_putc(&b, *s);
    }
    buf_puts(&b, "' port=5432 user=squadbot dbname=postgres");
    return buf_take(&b);
}

static void cluster_free(struct cluster *c)
{
    fd_close(&c->pidfd);
    fd_close(&c->lock_fd); /* and with it the lock */
    cancel_unref(c->stop);
    free(c->conninfo);
    free(c);
}

/* lock_fd stays -1 when somebody else holds it. */
static bool take_lock(struct cluster *c, struct err *err)
{
    char path[PATH_MAX + 8];
    snprintf(path, sizeof(path), "%s/owner", c->place.dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set(err, ERR_INPUT, "open %.200s: %m", path);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        c->lock_fd = fd;
    else
        fd_close(&fd);
    return true;
}

static bool start_owned(struct cluster *c, struct err *err)
{
    if (!cluster_place_init(&c->place, err) || !start_server(c, err))
        return false;
    c->watched = thread_start(&c->watcher, "pg-watch", watch, c, err);
    return c->watched;
}

bool cluster_start(const char *data_dir, struct cluster **out, struct err *err)
{
    struct cluster *c = mem_alloc(sizeof(*c));
    c->lock_fd = -1;
    c->pidfd = -1;
    c->stop = cancel_new();
    bool ok = cluster_place_find(data_dir, &c->place, err) && take_lock(c, err);
    if (ok) {
        c->conninfo = conninfo_of(&c->place);
        struct call call = call_in(START_MS, NULL);
        ok = c->lock_fd >= 0 ? start_owned(c, err) : wait_ready(c, -1, &call, err);
    }
    if (!ok) {
        cluster_stop(c);
        return err_wrap(err, "private PostgreSQL");
    }
    *out = c;
    return true;
}

const char *cluster_conninfo(const struct cluster *c)
{
    return c->conninfo;
}

void cluster_stop(struct cluster *c)
{
    if (!c)
        return;
    cancel_fire(c->stop);
    if (c->watched)
        pthread_join(c->watcher, NULL);
    if (c->pid > 0 && !has_ended(c->pidfd, 0)) {
        pidfd_send_signal(c->pidfd, SIGINT, NULL, 0);
        if (!has_ended(c->pidfd, STOP_MS)) {
            pidfd_send_signal(c->pidfd, SIGQUIT, NULL, 0);
            has_ended(c->pidfd, QUIT_MS);
        }
    }
    if (c->pid > 0 && c->is_child)
        waitpid(c->pid, NULL, WNOHANG);
    cluster_free(c);
}
