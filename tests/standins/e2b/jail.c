/* Starts bubblewrap and talks to process 1 in the jail; see jail.h. One reader thread a jail takes
 * answers and ends of commands apart. bubblewrap's --die-with-parent is not used, because it ends
 * the jail with the thread that made it; process 1 leaves when the socket closes instead. */
#include "tests/standins/e2b/jail.h"

#include "bot/base/io.h"
#include "bot/base/mem.h"
#include "bot/base/thread.h"
#include "tests/standins/e2b/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELLO_MS  10000
#define ANSWER_MS 10000
#define ARGS_MAX  160

struct jail {
    int fd;
    int root;
    pid_t monitor; /* bubblewrap's outer process */
    pthread_t reader;
    jail_exited exited;
    void *arg;
    pthread_mutex_t asking; /* one question at a time */
    pthread_mutex_t mutex;  /* guards what follows */
    pthread_cond_t answered;
    bool has_answer;
    bool gone;
    struct wire_message answer;
};

/* The root folder of a jail: one host folder, so that a rename works between any two places, with
 * the host's /usr and a little of its /etc mounted over it. */
static bool make_root(const char *dir, struct err *err)
{
    static const char *const folders[] = {"home/user", "root", "tmp", "var/tmp", "opt",
                                          "mnt",       "srv",  "etc", "run"};
    static const struct {
        const char *path;
        const char *text;
    } files[] = {
        {"etc/passwd",   "root:x:0:0:root:/root:/bin/bash\n"
                       "user:x:1000:1000::/home/user:/bin/bash\n"
                       "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
        {"etc/group",    "root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n"                                     },
        {"etc/profile",  "export PATH=\"${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:"
                        "/usr/bin:/sbin:/bin}\"\n"                                  },
        {"etc/hostname", "e2b.local\n"                                                                     },
    };
    for (size_t i = 0; i < COUNT(folders); i++) {
        AUTO(mem_freep) char *path = mem_printf("%s/%s", dir, folders[i]);
        if (!dir_make(path, 0755, err))
            return false;
    }
    for (size_t i = 0; i < COUNT(files); i++) {
        AUTO(mem_freep) char *path = mem_printf("%s/%s", dir, files[i].path);
        AUTO(fd_close) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0 ? errno != EEXIST : !fd_write_all(fd, str_of(files[i].text), err))
            return err_set(err, ERR_SANDBOX, "%s: %s", path, strerror(errno));
    }
    return true;
}

/* The argument list of bubblewrap; texts belong to the arena. */
struct arguments {
    struct arena *arena;
    char *v[ARGS_MAX];
    size_t n;
};

static void add(struct arguments *a, const char *first, ...) __attribute__((sentinel));
static void add(struct arguments *a, const char *first, ...)
{
    va_list more;
    va_start(more, first);
    for (const char *s = first; s && a->n + 1 < ARGS_MAX; s = va_arg(more, const char *))
        a->v[a->n++] = arena_str(a->arena, str_of(s));
    va_end(more);
}

/* A top folder that is a link into /usr becomes one; a real one is shown read-only. */
static bool add_top(struct arguments *a, const char *dir, const char *path, struct err *err)
{
    char target[256];
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n > 0) {
        target[n] = '\0';
        const char *link = arena_printf(a->arena, "%s%s", dir, path);
        if (symlink(target, link) != 0 && errno != EEXIST)
            return err_set(err, ERR_SANDBOX, "%s: %s", link, strerror(errno));
    } else if (file_exists(path)) {
        add(a, "--ro-bind", path, path, NULL);
    }
    return true;
}

static bool add_mounts(struct arguments *a, const struct jail_spec *spec, const char *exe,
                       struct err *err)
{
    static const char *const tops[] = {"/bin", "/sbin", "/lib", "/lib32", "/lib64"};
    static const char *const etc[] = {
        "/etc/ld.so.cache",   "/etc/ld.so.conf",      "/etc/ld.so.conf.d", "/etc/alternatives",
        "/etc/ssl",           "/etc/ca-certificates", "/etc/resolv.conf",  "/etc/hosts",
        "/etc/nsswitch.conf", "/etc/localtime",       "/etc/mime.types",   "/etc/protocols",
        "/etc/services",      "/etc/debian_version",  "/etc/os-release"};
    add(a, "--bind", spec->dir, "/", "--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev",
        "/dev", NULL);
    for (size_t i = 0; i < COUNT(tops); i++)
        if (!add_top(a, spec->dir, tops[i], err))
            return false;
    for (size_t i = 0; i < COUNT(etc); i++)
        if (file_exists(etc[i]))
            add(a, "--ro-bind", etc[i], etc[i], NULL);
    if (spec->bin_dir)
        add(a, "--ro-bind", spec->bin_dir, "/usr/local/sbin", NULL);
    add(a, "--ro-bind", exe, "/run/envd", NULL);
    return true;
}

static bool run_bwrap(struct jail *j, const struct jail_spec *spec, int inner, struct err *err)
{
    char exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0)
        return err_set(err, ERR_BUG, "/proc/self/exe: %s", strerror(errno));
    exe[n] = '\0';
    AUTO(arena_freep) struct arena *arena = arena_new();
    struct arguments a = {.arena = arena};
    add(&a, "bwrap", "--unshare-user", "--uid", "1000", "--gid", "1000", "--unshare-pid",
        "--unshare-ipc", "--unshare-uts", "--hostname", "e2b.local", "--as-pid-1", "--new-session",
        "--clearenv", NULL);
    if (!spec->network)
        add(&a, "--unshare-net", NULL);
    if (!add_mounts(&a, spec, exe, err))
        return false;
    add(&a, "--chdir", "/", "--", "/run/envd", "--inside", "3", NULL);

    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, inner, 3);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    char *const environment[] = {NULL};
    int failed =
        posix_spawn(&j->monitor, "/usr/bin/bwrap", &actions, &attributes, a.v, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (failed)
        return err_set(err, ERR_SANDBOX, "bwrap: %s", strerror(failed));
    return true;
}

static bool hear_hello(struct jail *j, struct err *err)
{
    struct wire_message m;
    struct iovec part = {&m, sizeof m};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control.space};
    struct pollfd p = {.fd = j->fd, .events = POLLIN};
    if (poll(&p, 1, HELLO_MS) != 1 || recvmsg(j->fd, &message, MSG_CMSG_CLOEXEC) != sizeof m)
        return err_set(err, ERR_SANDBOX, "the jail did not start (see bwrap's text on stderr)");
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    if (!c || c->cmsg_type != SCM_RIGHTS)
        return err_set(err, ERR_SANDBOX, "the jail sent no root folder");
    memcpy(&j->root, CMSG_DATA(c), sizeof j->root);
    return true;
}

static void *run_reader(void *arg)
{
    struct jail *j = arg;
    for (;;) {
        struct wire_message m;
        ssize_t n = recv(j->fd, &m, sizeof m, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == (ssize_t)sizeof m && m.kind == WIRE_EXITED) {
            j->exited(j->arg, m.token, m.status);
            continue;
        }
        pthread_mutex_lock(&j->mutex);
        j->gone = n != (ssize_t)sizeof m;
        j->has_answer = true;
        j->answer = m;
        pthread_cond_broadcast(&j->answered);
        pthread_mutex_unlock(&j->mutex);
        if (n != (ssize_t)sizeof m)
            return NULL;
    }
}

static void reap_monitor(struct jail *j)
{
    while (waitpid(j->monitor, NULL, 0) < 0 && errno == EINTR) {
    }
}

bool jail_start(const struct jail_spec *spec, struct jail **out, struct err *err)
{
    if (!make_root(spec->dir, err))
        return false;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_set(err, ERR_BUG, "socketpair: %s", strerror(errno));
    struct jail *j = mem_alloc(sizeof *j);
    j->fd = pair[0];
    j->root = -1;
    j->exited = spec->exited;
    j->arg = spec->arg;
    pthread_mutex_init(&j->asking, NULL);
    pthread_mutex_init(&j->mutex, NULL);
    pthread_cond_init(&j->answered, NULL);
    bool spawned = run_bwrap(j, spec, pair[1], err);
    fd_close(&pair[1]);
    if (spawned && hear_hello(j, err) && thread_start(&j->reader, "jail", run_reader, j, err)) {
        *out = j;
        return true;
    }
    fd_close(&j->fd);
    if (spawned)
        reap_monitor(j);
    fd_close(&j->root);
    free(j);
    return false;
}

void jail_stop(struct jail *j)
{
    shutdown(j->fd, SHUT_RDWR);
    reap_monitor(j);
    pthread_join(j->reader, NULL);
    fd_close(&j->fd);
    fd_close(&j->root);
    pthread_mutex_destroy(&j->asking);
    pthread_mutex_destroy(&j->mutex);
    pthread_cond_destroy(&j->answered);
    free(j);
}

int jail_root(const struct jail *j)
{
    return j->root;
}

/* Sends m (with descriptors) and waits for the answer, into m. */
static bool ask(struct jail *j, struct wire_message *m, const int *fds, size_t nfds,
                struct err *err)
{
    struct iovec part = {m, sizeof *m};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * WIRE_START_FDS)];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (nfds) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
    }
    pthread_mutex_lock(&j->asking);
    pthread_mutex_lock(&j->mutex);
    if (!j->gone) {
        j->has_answer = false;
        if (sendmsg(j->fd, &message, MSG_NOSIGNAL) != (ssize_t)sizeof *m)
            j->gone = true;
    }
    while (!j->gone && !j->has_answer)
        pthread_cond_wait(&j->answered, &j->mutex);
    bool ok = !j->gone;
    if (ok)
        *m = j->answer;
    pthread_mutex_unlock(&j->mutex);
    pthread_mutex_unlock(&j->asking);
    return ok || err_set(err, ERR_SANDBOX, "the jail is gone");
}

static void add_texts(struct buf *out, const char *const *texts, uint32_t *count)
{
    for (*count = 0; texts[*count]; (*count)++)
        buf_add(out, texts[*count], strlen(texts[*count]) + 1);
}

bool jail_spawn(struct jail *j, const struct jail_command *command, int *pid, struct err *err)
{
    struct wire_message m = {
        .kind = WIRE_START, .pty = command->pty ? 1 : 0, .token = command->token};
    AUTO(buf_done) struct buf texts = {0};
    buf_add(&texts, command->cwd, strlen(command->cwd) + 1);
    add_texts(&texts, command->argv, &m.argc);
    add_texts(&texts, command->env, &m.envc);
    AUTO(fd_close) int file = memfd_create("command", MFD_CLOEXEC);
    if (texts.overflow || file < 0 || !fd_write_all(file, buf_str(&texts), err))
        return err_set(err, ERR_BUG, "the command does not fit");
    int fds[WIRE_START_FDS] = {file, command->fds[0], command->fds[1], command->fds[2]};
    if (!ask(j, &m, fds, COUNT(fds), err))
        return false;
    if (m.pid < 0)
        return err_set(err, ERR_SANDBOX, "fork: %s", strerror(m.error));
    *pid = m.pid;
    return true;
}

bool jail_signal(struct jail *j, int pid, int number)
{
    struct wire_message m = {.kind = WIRE_SIGNAL, .pid = pid, .signal = number};
    struct err err;
    return ask(j, &m, NULL, 0, &err) && m.error == 0;
}

void jail_signal_unanswered(struct jail *j, int pid, int number)
{
    struct wire_message m = {.kind = WIRE_SIGNAL, .pid = pid, .signal = number, .silent = 1};
    ssize_t sent UNUSED = send(j->fd, &m, sizeof m, MSG_NOSIGNAL | MSG_DONTWAIT);
}
