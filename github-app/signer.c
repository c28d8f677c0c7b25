/* The bot's side of the signer: fork, ask, stop. The key is never parsed here, so nothing of it is
 * left in this process once the caller has wiped its text. Requests are numbered, so that an answer
 * that came too late is not taken for the next one. */
#include "github-app/signer.h"

#include "bot/base/clock.h"
#include "bot/base/io.h"
#include "bot/base/log.h"
#include "bot/base/mem.h"
#include "github-app/signer_child.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MS 5000
#define START_MS  30000

struct signer {
    pthread_mutex_t mutex; /* one request at a time; the child is a stranger to remote waits */
    int fd;
    pid_t pid;
    uint64_t number;
    char *fingerprint;
};

static bool ended(struct err *err)
{
    return err_set(err, ERR_AUTH, "the signer process has ended; restart the bot with its key");
}

/* The answer with that number; older ones are dropped. */
static bool hear(const struct signer *s, uint64_t number, int64_t ms, struct signer_answer *a,
                 struct err *err)
{
    int64_t until = clock_mono_ms() + ms;
    for (;;) {
        struct pollfd fd = {.fd = s->fd, .events = POLLIN};
        int64_t left = until - clock_mono_ms();
        int rc = poll(&fd, 1, left > 0 ? (int)left : 0); /* at most START_MS */
        if (rc < 0 && errno == EINTR)
            continue;
        if (rc == 0)
            return err_set(err, ERR_TIMEOUT, "the signer process does not answer");
        ssize_t n = recv(s->fd, a, sizeof(*a), MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < (ssize_t)SIGNER_HEAD_BYTES || (size_t)n != SIGNER_HEAD_BYTES + a->n)
            return ended(err);
        if (a->number == number)
            return true;
    }
}

static bool greet(struct signer *s, struct err *err)
{
    struct signer_answer a;
    if (!hear(s, 0, START_MS, &a, err))
        return err_wrap(err, "start the signer");
    struct str text = {a.text, a.n};
    if (!a.ok)
        return err_set(err, ERR_INPUT, STR_FMT, STR_ARG(text));
    s->fingerprint = str_dup(text);
    return true;
}

bool signer_start(const struct secret *pem, const char *issuer, struct signer **out,
                  struct err *err)
{
    int fds[2];
    if (!signer_child_is_confined())
        log_debug("sanitizer build: the signer runs without its system-call filter", NULL);
    if (!secret_is_set(pem) || !issuer || !*issuer)
        return err_set(err, ERR_INPUT, "the App needs both an id and a private key");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        return err_set(err, ERR_BUG, "socketpair: %s", strerrordesc_np(errno));
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        signer_child_run(fds[1], parent, pem, issuer);
    int why = errno;
    fd_close(&fds[1]);
    if (pid < 0) {
        fd_close(&fds[0]);
        return err_set(err, ERR_BUG, "fork: %s", strerrordesc_np(why));
    }
    struct signer *s = mem_alloc(sizeof(*s));
    *s = (struct signer){.fd = fds[0], .pid = pid};
    pthread_mutex_init(&s->mutex, NULL);
    if (!greet(s, err)) {
        signer_stop(s);
        return false;
    }
    *out = s;
    return true;
}

bool signer_jwt(struct signer *s, int64_t skew_s, struct secret *out, struct err *err)
{
    struct signer_answer a = {0};
    pthread_mutex_lock(&s->mutex);
    struct signer_request q = {.number = ++s->number, .skew_s = skew_s};
    bool ok = send(s->fd, &q, sizeof(q), MSG_NOSIGNAL) == (ssize_t)sizeof(q) || ended(err);
    ok = ok && hear(s, q.number, ANSWER_MS, &a, err);
    pthread_mutex_unlock(&s->mutex);
    struct str text = {a.text, a.n};
    if (ok && a.ok)
        secret_set(out, text);
    else if (ok)
        ok = err_set(err, ERR_INPUT, STR_FMT, STR_ARG(text));
    explicit_bzero(&a, sizeof(a));
    return ok;
}

const char *signer_fingerprint(const struct signer *s)
{
    return s->fingerprint;
}

pid_t signer_pid(const struct signer *s)
{
    return s->pid;
}

void signer_stop(struct signer *s)
{
    if (!s)
        return;
    fd_close(&s->fd);
    kill(s->pid, SIGKILL); /* it holds nothing that could be left half done */
    while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    pthread_mutex_destroy(&s->mutex);
    free(s->fingerprint);
    free(s);
}
