/* Child processes. A child runs in a process group of its own, with nothing of ours but standard
 * input (empty) and one pipe for what it prints; when the call ends early the whole group is
 * killed. Without a change of user it is started by posix_spawn(), which does not copy our page
 * tables; the change of user needs fork(), and between fork and exec only calls that are safe in
 * the child of a threaded process. */
#include "bot/base/io.h"

#include "bot/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUT_MAX_BYTES ((size_t)1024 * 1024)
#define BLIND_POLL_MS 100 /* when a cancel token has no descriptor */

extern char **environ;

struct child {
    const char *path;
    char *const *argv;
    char *const *envp;
    const struct proc_user *user;
    int out; /* the pipe's writing end */
    int null;
    pid_t pid;
};

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* folder/name, when that is a program. */
static bool is_program_in(struct str folder, const char *name, char *out, size_t out_size)
{
    char path[PATH_MAX];
    if (folder.n == 0)
        folder = STR(".");
    int n = snprintf(path, sizeof(path), STR_FMT "/%s", STR_ARG(folder), name);
    return n > 0 && (size_t)n < sizeof(path) && is_program(path) &&
           str_copy(out, out_size, str_of(path));
}

bool proc_find(const char *name, const char *const *folders, char *out, size_t out_size)
{
    if (strchr(name, '/'))
        return is_program(name) && str_copy(out, out_size, str_of(name));
    const char *list = getenv("PATH");
    struct str rest = str_of(list ? list : "/usr/local/bin:/usr/bin:/bin");
    for (struct str folder; str_split(&rest, ':', &folder);)
        if (is_program_in(folder, name, out, out_size))
            return true;
    for (; folders && *folders; folders++)
        if (is_program_in(str_of(*folders), name, out, out_size))
            return true;
    return false;
}

/* exec() takes char *const * for reasons of history; it changes nothing. */
static char *const *exec_list(const char *const *list)
{
    char *const *same;
    memcpy(&same, &list, sizeof(same));
    return same;
}

static int start_spawn(struct child *c)
{
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t files;
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                        POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, c->null, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, c->out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, c->out, STDERR_FILENO);
    int rc = posix_spawn(&c->pid, c->path, &files, &attr, c->argv, c->envp);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return rc;
}

NORETURN static void become_child(const struct child *c)
{
    sigset_t none;
    sigemptyset(&none);
    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    bool ok = setpgid(0, 0) == 0 && dup2(c->null, STDIN_FILENO) >= 0 &&
              dup2(c->out, STDOUT_FILENO) >= 0 && dup2(c->out, STDERR_FILENO) >= 0 &&
              setgroups(0, NULL) == 0 && setgid(c->user->gid) == 0 && setuid(c->user->uid) == 0;
    if (ok)
        execve(c->path, c->argv, c->envp);
    static const char text[] = "cannot change the user or start the program\n";
    if (write(c->out, text, sizeof(text) - 1) < 0)
        _exit(126);
    _exit(127);
}

static int start_as_user(struct child *c)
{
    /* Blocked, so that no handler of ours runs in the child before its signals are reset. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    c->pid = fork();
    if (c->pid == 0)
        become_child(c);
    int code = c->pid < 0 ? errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code == 0)
        setpgid(c->pid, c->pid); /* either of us is first */
    return code;
}

/* Takes what the pipe has. False at its end. */
static bool drain(int fd, struct buf *out)
{
    char block[8192];
    for (;;) {
        ssize_t n = read(fd, block, sizeof(block));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0;
        size_t max = out->max ? out->max : OUT_MAX_BYTES;
        size_t room = max > out->len ? max - out->len : 0;
        if ((size_t)n > room)
            out->overflow = true;
        buf_add(out, block, (size_t)n < room ? (size_t)n : room);
    }
}

/* Reads until the child has ended, not until the pipe has: a daemon that it left behind may hold
 * the pipe for ever. */
static bool watch(int pid_fd, int pipe_fd, const struct call *call, struct buf *out,
                  struct err *err)
{
    struct pollfd fds[3] = {
        {.fd = pid_fd,                              .events = POLLIN},
        {.fd = pipe_fd,                             .events = POLLIN},
        {.fd = call ? cancel_fd(call->cancel) : -1, .events = POLLIN},
    };
    bool blind = call && call->cancel && fds[2].fd < 0;
    for (;;) {
        if (!call_check(call, err))
            return false;
        int64_t wait = call_left_ms(call);
        if (blind && (wait < 0 || wait > BLIND_POLL_MS))
            wait = BLIND_POLL_MS;
        if (wait > INT_MAX)
            wait = INT_MAX;
        if (poll(fds, COUNT(fds), (int)wait) < 0 && errno != EINTR)
            return err_set(err, ERR_BUG, "poll: %s", strerrordesc_np(errno));
        if (fds[1].revents && !drain(pipe_fd, out))
            fds[1].fd = -1;
        if (fds[0].revents) {
            if (fds[1].fd >= 0)
                drain(pipe_fd, out);
            return true;
        }
    }
}

static int reap(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool start(struct child *c, struct err *err)
{
    int code = c->user ? start_as_user(c) : start_spawn(c);
    if (code != 0)
        return err_set(err,
                       code == EACCES || code == EPERM ? ERR_DENIED
                       : code == E2BIG                 ? ERR_INPUT
                                                       : ERR_LIMIT,
                       "start %s: %s", c->path, strerrordesc_np(code));
    return true;
}

bool proc_run(const char *const *argv, const char *const *envp, const struct proc_user *user,
              const struct call *call, struct proc_result *result, struct err *err)
{
    char path[PATH_MAX];
    if (!proc_find(argv[0], NULL, path, sizeof(path)))
        return err_set(err, ERR_GONE, "%s: program not found", argv[0]);
    if (!call_check(call, err))
        return err_wrap(err, "%s", argv[0]);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(err, ERR_LIMIT, "pipe: %s", strerrordesc_np(errno));
    AUTO(fd_close) int from_child = ends[0];
    AUTO(fd_close) int to_us = ends[1];
    AUTO(fd_close) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || fcntl(from_child, F_SETFL, O_NONBLOCK) != 0)
        return err_set(err, ERR_LIMIT, "/dev/null: %s", strerrordesc_np(errno));
    struct child child = {.path = path,
                          .argv = exec_list(argv),
                          .envp = envp ? exec_list(envp) : environ,
                          .user = user,
                          .out = to_us,
                          .null = null};
    if (!start(&child, err))
        return false;
    fd_close(&to_us);

    struct buf out = {.max = result->out.max};
    AUTO(fd_close) int pid_fd = pidfd_open(child.pid, 0);
    bool ok = pid_fd >= 0 ? watch(pid_fd, from_child, call, &out, err)
                          : err_set(err, ERR_LIMIT, "pidfd: %s", strerrordesc_np(errno));
    if (!ok)
        kill(-child.pid, SIGKILL);
    int exit_code = reap(child.pid);
    if (!ok) {
        buf_done(&out);
        return err_wrap(err, "%s", argv[0]);
    }
    buf_done(&result->out);
    result->out = out;
    result->exit_code = exit_code;
    return true;
}
