/* Commands in a sandbox: start, the pump that reads their output and hands it to every follower,
 * and their end. A pump blocks while any follower's queue is full, so that a reader that stops
 * reading stops the command, as the real daemon does; with no follower output is thrown away.
 * Limits: one thread a command. */
#include "tests/standins/e2b/process.h"

#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/io.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOX_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* ---- followers; locked ---- */

void out_event_done(struct out_event *e)
{
    free(e->data);
    *e = (struct out_event){0};
}

bool sub_add(struct proc *p, struct sub *sub)
{
    *sub = (struct sub){.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (sub->event_fd < 0)
        return false;
    sub->next = p->subs;
    p->subs = sub;
    return true;
}

void sub_remove(struct world *w, struct proc *p, struct sub *sub)
{
    for (struct sub **at = &p->subs; *at; at = &(*at)->next) {
        if (*at == sub) {
            *at = sub->next;
            break;
        }
    }
    for (size_t i = 0; i < sub->n; i++)
        out_event_done(&sub->queue[i]);
    fd_close(&sub->event_fd);
    pthread_cond_broadcast(&w->changed);
}

static void wake(const struct sub *sub)
{
    const uint64_t one = 1;
    ssize_t n UNUSED = write(sub->event_fd, &one, sizeof one); /* full = awake already */
}

static bool any_full(const struct proc *p)
{
    for (const struct sub *s = p->subs; s; s = s->next)
        if (s->n == SUB_QUEUE)
            return true;
    return false;
}

/* ---- processes; locked ---- */

struct proc *proc_ref(struct proc *p)
{
    p->refs++;
    return p;
}

void proc_unref(struct proc *p)
{
    if (--p->refs > 0)
        return;
    json_decref(p->config);
    free(p->tag);
    fd_close(&p->in_fd);
    fd_close(&p->out_fd);
    fd_close(&p->err_fd);
    free(p);
}

struct proc *proc_select(struct box *b, int64_t pid, const char *tag, bool ended_too)
{
    for (struct proc *p = b->procs; p; p = p->next) {
        if (p->pid <= 0 || (p->ended && !ended_too))
            continue;
        if (tag ? p->tag && strcmp(p->tag, tag) == 0 : p->pid == pid)
            return p;
    }
    return NULL;
}

static void unlink_proc(struct box *b, struct proc *p)
{
    for (struct proc **at = &b->procs; *at; at = &(*at)->next) {
        if (*at == p) {
            *at = p->next;
            proc_unref(p);
            return;
        }
    }
}

static json_t *pid_field(const struct proc *p)
{
    char text[16];
    snprintf(text, sizeof text, "%d", p->pid);
    return json_pack("{ss}", "pid", text);
}

void proc_exited(struct world *w, struct box *b, uint64_t token, int wait_status)
{
    for (struct proc *p = b->procs; p; p = p->next) {
        if (p->token != token)
            continue;
        p->leader_done = true;
        p->wait_status = wait_status;
        box_log(b, "Process exited", pid_field(p));
    }
    pthread_cond_broadcast(&w->changed);
}

void procs_lost(struct world *w, struct box *b)
{
    for (struct proc *p = b->procs; p; p = p->next) {
        if (p->leader_done)
            continue;
        p->leader_done = true;
        p->wait_status = SIGKILL;
    }
    while (b->procs)
        unlink_proc(b, b->procs);
    pthread_cond_broadcast(&w->changed);
}

int64_t procs_tick(struct world *w, struct box *b, int64_t now_ms)
{
    int64_t next = INT64_MAX;
    for (struct proc *p = b->procs, *after; p; p = after) {
        after = p->next;
        int64_t at = INT64_MAX;
        if (p->ended) {
            at = p->ended_ms + w->end_kept_ms;
            if (at <= now_ms) {
                unlink_proc(b, p);
                continue;
            }
        } else if (p->kill_at_ms && !p->leader_done && p->pid > 0) {
            at = p->kill_at_ms;
            if (at <= now_ms) {
                p->kill_at_ms = 0;
                jail_signal_unanswered(b->jail, p->pid, SIGKILL);
                continue;
            }
        }
        next = at < next ? at : next;
    }
    return next;
}

json_t *proc_end_json(const struct proc *p)
{
    json_t *end = json_object();
    char text[64];
    int status = p->wait_status;
    if (WIFEXITED(status)) {
        snprintf(text, sizeof text, "exit status %d", WEXITSTATUS(status));
        if (WEXITSTATUS(status))
            json_object_set_new(end, "exitCode", json_integer(WEXITSTATUS(status)));
        json_object_set_new(end, "exited", json_true());
    } else {
        const char *name = sigdescr_np(WTERMSIG(status));
        AUTO(mem_freep) char *low = mem_strdup(name ? name : "unknown");
        low[0] = (char)(low[0] >= 'A' && low[0] <= 'Z' ? low[0] - 'A' + 'a' : low[0]);
        snprintf(text, sizeof text, "signal: %s", low);
        json_object_set_new(end, "exitCode", json_integer(-1));
    }
    json_object_set_new(end, "status", json_string(text));
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        json_object_set_new(end, "error", json_string(text));
    return end;
}

/* ---- the pump ---- */

struct pump {
    struct world *w;
    struct proc *p;
};

static bool frozen(const struct box *b)
{
    return b->state == BOX_PAUSING || b->state == BOX_PAUSED || b->state == BOX_RESUMING;
}

static void deliver(struct world *w, struct proc *p, const char *channel, const char *data,
                    size_t n)
{
    world_lock(w);
    while (!p->muted && any_full(p))
        pthread_cond_wait(&w->changed, &w->mutex);
    for (struct sub *s = p->subs; s && !p->muted; s = s->next) {
        s->queue[s->n++] = (struct out_event){channel, str_dup((struct str){data, n}), n};
        wake(s);
    }
    world_unlock(w);
}

/* One read of a channel. False: it is at its end. */
static bool pump_one(struct pump *pump, int fd, const char *channel, char *scratch, size_t size)
{
    struct world *w = pump->w;
    struct proc *p = pump->p;
    world_lock(w);
    while (frozen(p->box) && !p->leader_done)
        pthread_cond_wait(&w->changed, &w->mutex);
    if (w->split)
        size = 1 + (size_t)(random_unit() * 200);
    world_unlock(w);
    ssize_t n = read(fd, scratch, size);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (n <= 0)
        return false;
    deliver(w, p, channel, scratch, (size_t)n);
    return true;
}

static void *run_pump(void *arg)
{
    struct pump *pump = arg;
    struct world *w = pump->w;
    struct proc *p = pump->p;
    const size_t size = p->pty ? PTY_READ_BYTES : OUT_READ_BYTES;
    char *scratch = mem_alloc(size + 256);
    struct pollfd fds[] = {
        {.fd = p->out_fd, .events = POLLIN},
        {.fd = p->err_fd, .events = POLLIN}
    };
    const char *const channels[] = {p->pty ? "pty" : "stdout", "stderr"};
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (poll(fds, COUNT(fds), -1) < 0)
            continue;
        for (size_t i = 0; i < COUNT(fds); i++)
            if (fds[i].fd >= 0 && fds[i].revents &&
                !pump_one(pump, fds[i].fd, channels[i], scratch, size))
                fds[i].fd = -1;
    }
    free(scratch);
    world_lock(w);
    while (!p->leader_done)
        pthread_cond_wait(&w->changed, &w->mutex);
    p->ended = true;
    p->ended_ms = clock_mono_ms();
    for (const struct sub *s = p->subs; s; s = s->next)
        wake(s);
    proc_unref(p);
    world_unlock(w);
    bell_ring(&w->tick);
    free(pump);
    return NULL;
}

/* ---- start ---- */

/* Ours and the command's ends of its three channels. */
struct channels {
    int ours[3];
    int theirs[3];
};

static void channels_done(struct channels *c)
{
    for (int i = 0; i < 3; i++) {
        fd_close(&c->ours[i]);
        fd_close(&c->theirs[i]);
    }
}

static bool open_pipes(struct channels *c, bool stdin_pipe)
{
    int pair[2];
    for (int i = 1; i < 3; i++) {
        if (pipe2(pair, O_CLOEXEC) != 0)
            return false;
        c->ours[i] = pair[0];
        c->theirs[i] = pair[1];
    }
    if (!stdin_pipe)
        return (c->theirs[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;
    if (pipe2(pair, O_CLOEXEC) != 0)
        return false;
    c->theirs[0] = pair[0];
    c->ours[0] = pair[1];
    /* Ours must not block: a full pipe is waited for together with the client. */
    return fcntl(c->ours[0], F_SETFL, O_NONBLOCK) == 0;
}

/* A terminal of the jail's own devpts, so that its name is right inside. */
static bool open_terminal(struct channels *c, int root, const struct proc_start *s)
{
    struct winsize size = {.ws_row = (unsigned short)s->rows, .ws_col = (unsigned short)s->cols};
    int zero = 0;
    c->ours[1] = openat(root, "dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (c->ours[1] < 0 || ioctl(c->ours[1], TIOCSPTLCK, &zero) != 0 ||
        ioctl(c->ours[1], TIOCSWINSZ, &size) != 0)
        return false;
    c->theirs[0] = ioctl(c->ours[1], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (c->theirs[0] < 0)
        return false;
    c->theirs[1] = fcntl(c->theirs[0], F_DUPFD_CLOEXEC, 0);
    c->theirs[2] = fcntl(c->theirs[0], F_DUPFD_CLOEXEC, 0);
    return c->theirs[1] >= 0 && c->theirs[2] >= 0;
}

/* Later ones win: name=value texts of the arena in *list. */
struct environment {
    struct arena *arena;
    const char **list;
    size_t n;
};

static void set_env(struct environment *e, const char *name, const char *value)
{
    const char *text = arena_printf(e->arena, "%s=%s", name, value);
    size_t key = strlen(name) + 1;
    for (size_t i = 0; i < e->n; i++) {
        if (strncmp(e->list[i], text, key) == 0) {
            e->list[i] = text;
            return;
        }
    }
    e->list = mem_grow(e->list, e->n + 2, sizeof(char *));
    e->list[e->n++] = text;
    e->list[e->n] = NULL;
}

static void set_env_all(struct environment *e, json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
        set_env(e, name, json_is_string(value) ? json_string_value(value) : "");
}

static void build_env(struct environment *e, const struct box *b, const struct proc_start *s)
{
    set_env(e, "PATH", BOX_PATH);
    set_env(e, "HOME", s->user->home);
    set_env(e, "USER", s->user->name);
    set_env(e, "LOGNAME", s->user->name);
    set_env(e, "E2B_SANDBOX", "true");
    set_env(e, "E2B_SANDBOX_ID", b->id);
    set_env(e, "E2B_TEMPLATE_ID", b->spec.tpl->id);
    if (s->pty)
        set_env(e, "TERM", "xterm-256color");
    set_env_all(e, b->spec.env_vars);
    set_env_all(e, json_object_get(s->config, "envs"));
}

static bool spawn(struct box *b, struct proc *p, const struct proc_start *s,
                  const struct channels *c, int *pid, struct err *err)
{
    AUTO(arena_freep) struct arena *arena = arena_new();
    struct environment env = {.arena = arena};
    build_env(&env, b, s);
    size_t n = 0;
    while (s->args[n])
        n++;
    const char **argv = mem_array(n + 2, sizeof(char *));
    argv[0] = s->cmd;
    for (size_t i = 0; i < n; i++)
        argv[1 + i] = s->args[i];
    const struct jail_command command = {
        .argv = argv,
        .env = env.list,
        .cwd = s->cwd,
        .fds = {c->theirs[0], c->theirs[1], c->theirs[2]},
        .pty = s->pty,
        .token = p->token
    };
    bool ok = jail_spawn(b->jail, &command, pid, err);
    free(argv);
    free(env.list);
    return ok;
}

bool proc_start(struct world *w, struct box *b, const struct proc_start *s, struct sub *sub,
                struct proc **out, struct err *err)
{
    struct channels c = {
        {-1, -1, -1},
        {-1, -1, -1}
    };
    if (!(s->pty ? open_terminal(&c, jail_root(b->jail), s) : open_pipes(&c, s->stdin_pipe))) {
        err_set(err, ERR_LIMIT, "no pipes: %s", strerror(errno));
        channels_done(&c);
        return false;
    }
    struct proc *p = mem_alloc(sizeof *p);
    *p = (struct proc){.refs = 2, .box = b, .config = json_incref(s->config), .pty = s->pty};
    p->tag = mem_strdup(s->tag);
    p->in_fd = c.ours[0];
    p->out_fd = c.ours[1];
    p->err_fd = c.ours[2];
    p->kill_at_ms = s->kill_at_ms;
    struct channels rest = {
        {-1,          -1,          -1         },
        {c.theirs[0], c.theirs[1], c.theirs[2]}
    };
    world_lock(w);
    p->token = ++w->last_token;
    p->next = b->procs; /* before the spawn: its end may be told before we come back */
    b->procs = p;
    bool ok = sub_add(p, sub) || err_set(err, ERR_LIMIT, "no descriptor left");
    world_unlock(w);
    int pid = 0;
    ok = ok && spawn(b, p, s, &c, &pid, err);
    channels_done(&rest);
    struct pump *pump = mem_alloc(sizeof *pump);
    *pump = (struct pump){w, p};
    pthread_t thread;
    world_lock(w);
    p->pid = pid;
    proc_ref(p); /* the pump's */
    ok = ok && thread_start(&thread, "pump", run_pump, pump, err);
    if (ok) {
        pthread_detach(thread);
        box_log(b, "Process started", pid_field(p));
        *out = p; /* refs: list, pump, caller */
    } else {
        sub_remove(w, p, sub);
        unlink_proc(b, p);
        proc_unref(p);
        proc_unref(p);
        free(pump);
    }
    world_unlock(w);
    bell_ring(&w->tick);
    return ok;
}
