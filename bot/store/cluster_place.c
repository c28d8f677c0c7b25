/* The ground on which the private cluster stands: programs, user, folders, initdb.
 *
 * PostgreSQL refuses to run as root. When we are root its user is "postgres", who must be able to
 * enter every folder above the cluster. A home folder like /root forbids that, and it is not ours
 * to open; then the cluster lives under /var/lib/squadbot, and the data folder says where. Nobody
 * else gets in: the cluster and the socket's folder are open to that user only (and root), which is
 * why connections over the socket need no password.
 *
 * Limits: a socket's path has at most 107 bytes, so under a long data folder the socket moves to a
 * folder in /run or /tmp whose name is a hash of the data folder. */
#include "bot/store/cluster_place.h"

#include "bot/store/cluster.h"

#include "bot/base/buf.h"
#include "bot/base/enc.h"
#include "bot/base/io.h"
#include "bot/base/log.h"
#include "bot/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SERVER_USER     "postgres"
#define OTHER_HOME      "/var/lib/squadbot"
#define SOCKET_PATH_MAX 107
#define SOCKET_NAME     "/.s.PGSQL.5432"
#define INITDB_MS       60000
#define LOG_KEEP_BYTES  (8 * 1024 * 1024)

static bool join(char out[PATH_MAX], const char *folder, const char *name, struct err *err)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    return (n > 0 && n < PATH_MAX) || err_set(err, ERR_INPUT, "path too long: %.80s…", folder);
}

/* ------------------------------------------------------------------------------------ programs */

/* Debian's folders are named by the version, so the highest number is the newest. */
static bool newest_debian(char out[PATH_MAX])
{
    glob_t found = {0};
    int64_t best = 0;
    if (glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            struct str path = str_of(found.gl_pathv[i]);
            struct str version =
                str_sub(path, strlen("/usr/lib/postgresql/"), path.n - strlen("/bin/postgres"));
            int64_t v = 0;
            if (!str_to_i64(version, 1, 1000, &v) || v <= best)
                continue;
            best = v;
            snprintf(out, PATH_MAX, "/usr/lib/postgresql/%d/bin", (int)v);
        }
    }
    globfree(&found);
    return best > 0;
}

static bool find_programs(struct cluster_place *p, struct err *err)
{
    char path[PATH_MAX];
    AUTO(buf_done) struct buf version = {0};
    if (!join(path, p->data, "PG_VERSION", err))
        return false;
    if (file_exists(path)) { /* only the same major version can read it */
        if (!file_read(path, 16, &version, err))
            return false;
        struct str v = str_trim(buf_str(&version));
        snprintf(p->bin, sizeof(p->bin), "/usr/lib/postgresql/" STR_FMT "/bin", STR_ARG(v));
        if (join(path, p->bin, "postgres", err) && file_exists(path))
            return true;
    } else if (newest_debian(p->bin)) {
        return true;
    }
    /* Other systems have one version, in PATH. */
    char resolved[PATH_MAX];
    if (proc_find("postgres", NULL, path, sizeof(path)) && realpath(path, resolved)) {
        *strrchr(resolved, '/') = '\0';
        return str_copy(p->bin, sizeof(p->bin), str_of(resolved)) ||
               err_set(err, ERR_BUG, "path of postgres");
    }
    struct str v = str_trim(buf_str(&version));
    return err_set(err, ERR_INPUT,
                   "DATABASE_URL is unset and the programs of PostgreSQL " STR_FMT
                   " are missing: install the package postgresql" STR_FMT STR_FMT
                   ", or set DATABASE_URL",
                   STR_ARG(v), v.n ? 1 : 0, "-", STR_ARG(v));
}

static bool find_user(struct cluster_place *p, struct err *err)
{
    p->uid = geteuid();
    p->gid = getegid();
    p->as_other_user = p->uid == 0;
    if (!p->as_other_user)
        return true;
    char space[4096];
    struct passwd entry, *found = NULL;
    if (getpwnam_r(SERVER_USER, &entry, space, sizeof(space), &found) != 0 || !found)
        return err_set(err, ERR_INPUT,
                       "PostgreSQL does not run as root and there is no user " SERVER_USER
                       ": install the package postgresql, or set DATABASE_URL");
    p->uid = entry.pw_uid;
    p->gid = entry.pw_gid;
    return true;
}

/* ------------------------------------------------------------------------------------- folders */

static bool may_enter(const struct cluster_place *p, const struct stat *st)
{
    if (st->st_uid == p->uid)
        return st->st_mode & S_IXUSR;
    if (st->st_gid == p->gid)
        return st->st_mode & S_IXGRP;
    return st->st_mode & S_IXOTH;
}

/* Every folder from / down to data_dir must let the server's user through; closed gets the one that
 * does not. data_dir itself is ours to open (for passing, not for listing); those above are not. */
static bool way_is_open(const struct cluster_place *p, const char *data_dir, char closed[PATH_MAX])
{
    size_t n = strlen(data_dir);
    for (size_t i = 1; p->as_other_user && i <= n; i++) {
        struct stat st;
        if (data_dir[i] != '/' && data_dir[i] != '\0')
            continue;
        if (!str_copy(closed, PATH_MAX, (struct str){data_dir, i}) || stat(closed, &st) != 0)
            return false;
        if (may_enter(p, &st))
            continue;
        if (i < n || st.st_uid != geteuid() || chmod(closed, (st.st_mode & 07777) | S_IXOTH) != 0)
            return false;
    }
    return true;
}

/* A folder that only the server's user may use. One that somebody else put there is refused. */
static bool own_folder(const struct cluster_place *p, const char *path, struct err *err)
{
    struct stat st;
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST)
        return err_set(err, ERR_INPUT, "make folder %.200s: %m", path);
    if (made && p->as_other_user && chown(path, p->uid, p->gid) != 0)
        return err_set(err, ERR_INPUT, "give folder %.200s to " SERVER_USER ": %m", path);
    if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != p->uid ||
        (st.st_mode & 077) != 0)
        return err_set(err, ERR_INPUT, "%.200s must be a folder of the server's user, mode 0700",
                       path);
    return true;
}

static bool find_socket(struct cluster_place *p, struct err *err)
{
    if (!join(p->socket, p->dir, "run", err))
        return false;
    if (strlen(p->socket) + strlen(SOCKET_NAME) <= SOCKET_PATH_MAX)
        return own_folder(p, p->socket, err);
    unsigned char digest[SHA256_BYTES];
    AUTO(buf_done) struct buf hex = {0};
    sha256(p->dir, strlen(p->dir), digest);
    enc_hex(&hex, digest, 8);
    snprintf(p->socket, sizeof(p->socket), "%s/squadbot-%s", p->as_other_user ? "/run" : "/tmp",
             buf_cstr(&hex));
    return own_folder(p, p->socket, err);
}

bool cluster_available(struct err *err)
{
    struct cluster_place p = {0};
    return find_user(&p, err) && find_programs(&p, err);
}

/* Under a closed folder the cluster lives in OTHER_HOME, and a file in the data folder says where.
 * Its name is random: with the data folder removed, nothing finds the old cluster again. */
static bool find_other_home(struct cluster_place *p, const char *data_dir, const char *closed,
                            struct err *err)
{
    char marker[PATH_MAX], name[17];
    AUTO(buf_done) struct buf text = {0};
    struct err why;
    if (!join(marker, data_dir, "pg.location", err))
        return false;
    if (file_exists(p->dir)) /* it could be entered once */
        return err_set(err, ERR_INPUT, "the user " SERVER_USER " may not enter %.200s", closed);
    if (file_exists(marker)) {
        if (!file_read(marker, PATH_MAX, &text, err))
            return false;
        struct str line = str_trim(buf_str(&text));
        return (str_starts(line, STR(OTHER_HOME "/")) && str_copy(p->dir, PATH_MAX, line)) ||
               err_set(err, ERR_INPUT, "%.200s names no folder in " OTHER_HOME, marker);
    }
    random_hex(name, sizeof(name) - 1);
    snprintf(p->dir, sizeof(p->dir), OTHER_HOME "/pg-%s", name);
    char shut[PATH_MAX]; /* it may be there, made by something that closed it */
    if (!dir_make(OTHER_HOME, 0711, &why) || !way_is_open(p, OTHER_HOME, shut) ||
        !file_write(marker, str_of(p->dir), 0600, &why))
        return err_set(err, ERR_INPUT,
                       "the user " SERVER_USER ", who runs the private cluster, may not enter"
                       " %.150s: set SQUADBOT_DATA_DIR=" OTHER_HOME ", or DATABASE_URL",
                       closed);
    log_info("the private cluster is kept elsewhere, because its user may not enter a folder",
             "folder", closed, "cluster", p->dir, NULL);
    return true;
}

bool cluster_place_find(const char *data_dir, struct cluster_place *p, struct err *err)
{
    char closed[PATH_MAX];
    memset(p, 0, sizeof(*p));
    if (data_dir[0] != '/')
        return err_set(err, ERR_INPUT, "data folder %.200s is not an absolute path", data_dir);
    /* Folders that we make are made so that the server's user may pass. */
    if (!find_user(p, err) || !dir_make(data_dir, p->as_other_user ? 0711 : 0700, err) ||
        !join(p->dir, data_dir, "pg", err))
        return false;
    if (!way_is_open(p, data_dir, closed) && !find_other_home(p, data_dir, closed, err))
        return false;
    return join(p->data, p->dir, "data", err) && join(p->log, p->dir, "postgres.log", err) &&
           find_programs(p, err) && own_folder(p, p->dir, err) && find_socket(p, err);
}

/* ----------------------------------------------------------------------------------- processes */

/* Between fork and exec: only calls that are safe there. */
static NORETURN void become(const struct cluster_place *p, const char *path,
                            const char *const *argv, const char *env_path, int null_fd, int log_fd)
{
    const char *const env[] = {env_path, "LC_ALL=C.UTF-8", "TZ=UTC", NULL};
    sigset_t none;
    sigemptyset(&none);
    for (int s = 1; s < SIGRTMIN; s++)
        signal(s, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0); /* Ctrl-C is for us; we stop the server when we are done with it */
    umask(077);
    bool ok = dup2(null_fd, 0) == 0 && dup2(log_fd, 1) == 1 && dup2(log_fd, 2) == 2;
    close_range(3, ~0U, 0);
    if (p->as_other_user)
        ok = ok && setgroups(1, &p->gid) == 0 && setgid(p->gid) == 0 && setuid(p->uid) == 0;
    ok = ok && chdir(p->dir) == 0;
    if (ok) {
        /* execve() promises not to change the strings. */
        union {
            const char *const *in;
            char *const *out;
        } a = {argv}, e = {env};
        execve(path, a.out, e.out);
    }
    static const char sorry[] = "squadbot: the server's program cannot be run\n";
    (void)!write(2, sorry, sizeof(sorry) - 1);
    _exit(127);
}

bool cluster_spawn(const struct cluster_place *p, const char *const *argv, pid_t *pid,
                   struct err *err)
{
    char path[PATH_MAX], env_path[PATH_MAX + 32];
    struct stat st;
    if (!join(path, p->bin, argv[0], err))
        return false;
    /* The programs look for each other by PATH. */
    snprintf(env_path, sizeof(env_path), "PATH=%s:/usr/bin:/bin", p->bin);
    if (stat(p->log, &st) == 0 && st.st_size > LOG_KEEP_BYTES)
        unlink(p->log);
    AUTO(fd_close) int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    AUTO(fd_close)
    int log_fd = open(p->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (null_fd < 0 || log_fd < 0)
        return err_set(err, ERR_INPUT, "open %.200s: %m", p->log);
    pid_t child = fork();
    if (child < 0)
        return err_set(err, ERR_UPSTREAM, "fork: %m");
    if (child == 0)
        become(p, path, argv, env_path, null_fd, log_fd);
    *pid = child;
    return true;
}

void cluster_log_tail(const struct cluster_place *p, struct buf *out)
{
    AUTO(buf_done) struct buf text = {0};
    struct str rest, line, last = {0};
    if (!file_read(p->log, 2 * (size_t)LOG_KEEP_BYTES, &text, NULL))
        return;
    rest = buf_str(&text);
    while (str_line(&rest, &line)) {
        bool says_why = str_find(line, STR("FATAL:"), 0) < line.n ||
                        str_find(line, STR("PANIC:"), 0) < line.n ||
                        str_find(line, STR("error:"), 0) < line.n;
        if (says_why || last.n == 0)
            last = str_trim(line);
    }
    buf_add_str(out, str_sub(last, 0, 300));
}

bool cluster_place_init(const struct cluster_place *p, struct err *err)
{
    char version[PATH_MAX], fresh[PATH_MAX];
    if (!join(version, p->data, "PG_VERSION", err) || !join(fresh, p->dir, "data.new", err))
        return false;
    if (file_exists(version))
        return true;
    /* Aside and then renamed, so that a crash leaves no half of a cluster. */
    if (!dir_remove(fresh, err) || !own_folder(p, fresh, err))
        return false;
    const char *const argv[] = {"initdb",
                                "-D",
                                fresh,
                                "-U",
                                "squadbot",
                                "-E",
                                "UTF8",
                                "--locale=C.UTF-8",
                                "--data-checksums",
                                "--auth-local=trust",
                                "--auth-host=reject",
                                "--no-instructions",
                                NULL};
    pid_t pid = 0;
    if (!cluster_spawn(p, argv, &pid, err))
        return false;
    AUTO(fd_close) int pidfd = pidfd_open(pid, 0);
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    int n;
    while ((n = poll(&ended, 1, INITDB_MS)) < 0 && errno == EINTR) {
    }
    if (n == 0)
        kill(pid, SIGKILL);
    int status = 0;
    waitpid(pid, &status, 0);
    if (n <= 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        AUTO(buf_done) struct buf why = {0};
        cluster_log_tail(p, &why);
        return err_set(err, ERR_INPUT, "initdb failed (log: %.200s): %s", p->log, buf_cstr(&why));
    }
    if (rename(fresh, p->data) != 0)
        return err_set(err, ERR_INPUT, "rename %.200s: %m", fresh);
    return true;
}
