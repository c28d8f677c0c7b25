/* Process 1 of a sandbox: starts commands, reports their ends, sends signals. It exists so that all
 * pids of a sandbox live in one pid namespace, and so that the sandbox dies with it: when the
 * stand-in closes the socket (or is killed), this process leaves and the kernel kills the rest.
 * Single-threaded; no memory grows except the table of running commands. */
#include "bot/base/io.h"
#include "bot/base/mem.h"
#include "tests/standins/e2b/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
    pid_t pid;
    uint64_t token;
};

static struct child *children;
static size_t nchildren;

static void say(int fd, const struct wire_message *m)
{
    if (send(fd, m, sizeof *m, MSG_NOSIGNAL) != (ssize_t)sizeof *m)
        _exit(0); /* the stand-in is gone */
}

static void send_hello(int fd)
{
    struct wire_message m = {.kind = WIRE_HELLO};
    struct iovec part = {&m, sizeof m};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control.space};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    memcpy(CMSG_DATA(c), &root, sizeof root);
    if (root < 0 || sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
        _exit(1);
    close(root);
}

/* The message and its descriptors; the number of descriptors, or -1 when the stand-in is gone. */
static int hear(int fd, struct wire_message *m, int fds[WIRE_START_FDS])
{
    struct iovec part = {m, sizeof *m};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * WIRE_START_FDS)];
    } control = {0};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control.space};
    ssize_t n;
    do
        n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof *m)
        return -1;
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    if (!c || c->cmsg_type != SCM_RIGHTS)
        return 0;
    size_t bytes = c->cmsg_len - CMSG_LEN(0);
    memcpy(fds, CMSG_DATA(c), bytes);
    return (int)(bytes / sizeof(int));
}

/* The next NUL-terminated text of the memory file. */
static char *next_text(char **at, const char *end)
{
    char *text = *at;
    char *nul = text < end ? memchr(text, '\0', (size_t)(end - text)) : NULL;
    if (!nul)
        return NULL;
    *at = nul + 1;
    return text;
}

struct command {
    char *cwd;
    char **argv; /* "/bin/sh", "-c", script, then the command itself */
    char **env;
};

static bool read_command(const struct wire_message *m, char *texts, size_t size, struct command *c)
{
    /* The daemon does not fork the command itself: a shell takes its place, so that a command that
     * cannot be run is a start event, a line on stderr and exit code 127 or 126. */
    static const char *const shell[] = {"/bin/sh", "-c", "exec \"$0\" \"$@\""};
    char *at = texts;
    const char *end = texts + size;
    c->cwd = next_text(&at, end);
    c->argv = mem_array(m->argc + COUNT(shell) + 1, sizeof(char *));
    c->env = mem_array(m->envc + 1, sizeof(char *));
    for (size_t i = 0; i < COUNT(shell); i++)
        c->argv[i] = mem_strdup(shell[i]);
    for (size_t i = 0; i < m->argc; i++)
        if (!(c->argv[COUNT(shell) + i] = next_text(&at, end)))
            return false;
    for (size_t i = 0; i < m->envc; i++)
        if (!(c->env[i] = next_text(&at, end)))
            return false;
    return c->cwd && m->argc > 0;
}

NORETURN static void become(const struct command *c, const int fds[], bool pty)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (pty)
        setsid();
    for (int i = 0; i < 3; i++)
        if (dup2(fds[1 + i], i) < 0)
            _exit(126);
    if (pty && ioctl(0, TIOCSCTTY, 0) != 0)
        _exit(126);
    if (chdir(c->cwd) != 0)
        _exit(126);
    execve(c->argv[0], c->argv, c->env);
    _exit(127);
}

static pid_t fork_command(const struct wire_message *m, const int fds[])
{
    struct stat st;
    if (fstat(fds[0], &st) != 0 || st.st_size <= 0)
        return -1;
    size_t size = (size_t)st.st_size;
    char *texts = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fds[0], 0);
    if (texts == MAP_FAILED)
        return -1;
    struct command c = {0};
    pid_t pid = -1;
    errno = EINVAL;
    if (read_command(m, texts, size, &c) && (pid = fork()) == 0)
        become(&c, fds, m->pty);
    int saved = errno;
    for (size_t i = 0; c.argv && i < 3; i++)
        free(c.argv[i]);
    free(c.argv);
    free(c.env);
    munmap(texts, size);
    errno = saved;
    return pid;
}

static void start(int fd, struct wire_message *m, const int fds[], int nfds)
{
    m->kind = WIRE_STARTED;
    m->pid = -1;
    m->error = EBADMSG;
    if (nfds == WIRE_START_FDS) {
        m->pid = fork_command(m, fds);
        m->error = m->pid < 0 ? errno : 0;
    }
    for (int i = 0; i < nfds; i++)
        close(fds[i]);
    if (m->pid > 0) {
        children = mem_grow(children, nchildren + 1, sizeof *children);
        children[nchildren++] = (struct child){m->pid, m->token};
    }
    say(fd, m);
}

static void send_signal(int fd, struct wire_message *m)
{
    m->kind = WIRE_DONE;
    m->error = kill(m->pid, m->signal) == 0 ? 0 : errno;
    if (m->pid == -1 && m->error == ESRCH)
        m->error = 0; /* nothing runs: fine */
    if (!m->silent)
        say(fd, m);
}

static void reap(int fd)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        for (size_t i = 0; i < nchildren; i++) {
            if (children[i].pid != pid)
                continue;
            struct wire_message m = {
                .kind = WIRE_EXITED, .pid = pid, .status = status, .token = children[i].token};
            children[i] = children[--nchildren];
            say(fd, &m);
            break;
        }
    }
}

void inside_run(int fd)
{
    prctl(PR_SET_NAME, "envd");
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_SETMASK, &child, NULL);
    int ended = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    umask(022);
    send_hello(fd);
    if (dup2(0, 2) < 0) /* /dev/null: commands could open the stand-in's stderr through /proc */
        _exit(1);
    struct pollfd p[] = {
        {.fd = fd,    .events = POLLIN},
        {.fd = ended, .events = POLLIN}
    };
    for (;;) {
        if (poll(p, COUNT(p), -1) < 0)
            continue;
        if (p[1].revents) {
            struct signalfd_siginfo info;
            while (read(ended, &info, sizeof info) > 0) {
            }
            reap(fd);
        }
        if (!p[0].revents)
            continue;
        struct wire_message m;
        int fds[WIRE_START_FDS];
        int nfds = hear(fd, &m, fds);
        if (nfds < 0)
            _exit(0);
        if (m.kind == WIRE_START)
            start(fd, &m, fds, nfds);
        else if (m.kind == WIRE_SIGNAL)
            send_signal(fd, &m);
    }
}
