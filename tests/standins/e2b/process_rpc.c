/* process.Process: the calls around running commands. */
#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/io.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/e2b/fs.h"
#include "tests/standins/e2b/process.h"
#include "tests/standins/e2b/rpc.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- following ---- */

static bool send_event(struct rpc *r, const char *name, json_t *value)
{
    return rpc_send(r, json_pack("{s{so}}", "event", name, value));
}

static void add_output(struct rpc *r, struct buf *out, const struct out_event *e)
{
    AUTO(buf_done) struct buf text = {0};
    enc_base64(&text, e->data, e->n);
    rpc_add(r, out, json_pack("{s{s{ss}}}", "event", "data", e->channel, buf_cstr(&text)));
}

/* What waits, as envelopes; tells whether the process has ended and nothing waits. */
static bool take_output(struct rpc *r, struct proc *p, struct sub *sub, struct buf *out)
{
    struct out_event taken[SUB_QUEUE];
    world_lock(r->w);
    size_t n = sub->n;
    memcpy(taken, sub->queue, n * sizeof taken[0]);
    sub->n = 0;
    bool ended = n == 0 && p->ended;
    if (n)
        pthread_cond_broadcast(&r->w->changed);
    world_unlock(r->w);
    for (size_t i = 0; i < n; i++) {
        add_output(r, out, &taken[i]);
        out_event_done(&taken[i]);
    }
    return ended;
}

/* Sleeps until something may have happened. False: the client left. */
static bool wait_more(struct rpc *r, const struct sub *sub, int64_t until_ms)
{
    int64_t left = until_ms - clock_mono_ms();
    struct pollfd p[] = {
        {.fd = sub->event_fd, .events = POLLIN   },
        {.fd = http_fd(r->x), .events = POLLRDHUP}
    };
    if (left > 0 && poll(p, COUNT(p), left > INT32_MAX ? INT32_MAX : (int)left) > 0) {
        uint64_t rings;
        ssize_t n UNUSED = read(sub->event_fd, &rings, sizeof rings);
        if (p[1].revents)
            return false;
    }
    return !http_gone(r->x);
}

/* Streams p's events until it ends, the client leaves or the time is over. */
static void follow(struct rpc *r, struct proc *p, struct sub *sub)
{
    rpc_begin(r);
    bool up = send_event(r, "start", json_pack("{si}", "pid", p->pid));
    int64_t ping_at = clock_mono_ms() + r->keepalive_ms;
    while (up) {
        AUTO(buf_done) struct buf out = {0};
        bool ended = take_output(r, p, sub, &out);
        int64_t now = clock_mono_ms();
        if (r->deadline_ms && now >= r->deadline_ms) {
            rpc_fail(r, "deadline_exceeded", "context deadline exceeded");
            return;
        }
        if (out.len) {
            up = http_write(r->x, buf_str(&out));
            ping_at = clock_mono_ms() + r->keepalive_ms;
            continue;
        }
        if (ended) {
            send_event(r, "end", proc_end_json(p));
            rpc_end(r);
            return;
        }
        if (now >= ping_at) {
            up = send_event(r, "keepalive", json_object());
            ping_at = now + r->keepalive_ms;
        }
        int64_t until = r->deadline_ms && r->deadline_ms < ping_at ? r->deadline_ms : ping_at;
        up = up && wait_more(r, sub, until);
    }
}

static void stop_following(struct rpc *r, struct proc *p, struct sub *sub)
{
    world_lock(r->w);
    sub_remove(r->w, p, sub);
    proc_unref(p);
    world_unlock(r->w);
}

/* ---- Start ---- */

/* The config as List shows it: without what is at its default. */
static json_t *clean_config(const json_t *process)
{
    json_t *config = json_object();
    static const char *const fields[] = {"cmd", "args", "envs", "cwd"};
    for (size_t i = 0; i < COUNT(fields); i++) {
        json_t *value = json_object_get(process, fields[i]);
        if (json_is_string(value) ? json_string_length(value) > 0
                                  : json_object_size(value) + json_array_size(value) > 0)
            json_object_set(config, fields[i], value);
    }
    return config;
}

static bool args_of(struct rpc *r, const json_t *process, const char ***out)
{
    json_t *args = json_object_get(process, "args");
    size_t n = json_array_size(args);
    *out = arena_alloc(r->arena, (n + 1) * sizeof(char *));
    for (size_t i = 0; i < n; i++) {
        (*out)[i] = json_string_value(json_array_get(args, i));
        if (!(*out)[i])
            return false;
    }
    return true;
}

static void run_start(struct rpc *r)
{
    const json_t *process = json_object_get(r->request, "process");
    AUTO(json_decrefp) json_t *config = clean_config(process);
    json_t *in = json_object_get(r->request, "stdin");
    json_t *pty = json_object_get(r->request, "pty");
    struct proc_start start = {.user = &r->user,
                               .cmd = json_cstr(process, "cmd"),
                               .config = config,
                               .tag = json_cstr(r->request, "tag"),
                               .stdin_pipe = !in || json_is_true(in),
                               .pty = json_is_object(pty),
                               .cols = (unsigned)json_int(pty, "size.cols", 80),
                               .rows = (unsigned)json_int(pty, "size.rows", 24),
                               .kill_at_ms = r->deadline_ms};
    const char **args;
    if (!start.cmd || !args_of(r, process, &args)) {
        rpc_fail(r, "invalid_argument", "process.cmd is needed, process.args are strings");
        return;
    }
    start.args = args;
    start.cwd = fs_absolute(r->arena, &r->user, json_str(process, "cwd"));
    if (!fs_is_dir(r->b, start.cwd)) {
        rpc_fail(r, "invalid_argument", "cwd '%s' does not exist", start.cwd);
        return;
    }
    struct proc *p = NULL;
    struct sub sub;
    struct err err;
    if (!proc_start(r->w, r->b, &start, &sub, &p, &err)) {
        rpc_fail(r, "invalid_argument", "error starting process: %s", err.text);
        return;
    }
    faults_note(r->w->faults, r->entry, "pid", json_integer(p->pid));
    follow(r, p, &sub);
    stop_following(r, p, &sub);
}

/* ---- the rest ---- */

/* The selected process, referenced; NULL: answered. */
static struct proc *selected(struct rpc *r, const json_t *request, bool ended_too)
{
    int64_t pid = json_int(request, "process.pid", 0);
    const char *tag = json_cstr(request, "process.tag");
    world_lock(r->w);
    struct proc *p = pid || tag ? proc_select(r->b, pid, pid ? NULL : tag, ended_too) : NULL;
    if (p)
        proc_ref(p);
    world_unlock(r->w);
    if (p)
        return p;
    if (!pid && !tag)
        rpc_fail(r, "invalid_argument", "a process selector is needed");
    else if (pid)
        rpc_fail(r, "not_found", "process with pid %lld not found", (long long)pid);
    else
        rpc_fail(r, "not_found", "process with tag %s not found", tag);
    return NULL;
}

static void release(struct rpc *r, struct proc *p)
{
    world_lock(r->w);
    proc_unref(p);
    world_unlock(r->w);
}

static void run_connect(struct rpc *r)
{
    struct proc *p = selected(r, r->request, true);
    if (!p)
        return;
    struct sub sub;
    world_lock(r->w);
    bool ok = sub_add(p, &sub);
    world_unlock(r->w);
    if (!ok) {
        rpc_fail(r, "resource_exhausted", "no descriptor left");
        release(r, p);
        return;
    }
    follow(r, p, &sub);
    stop_following(r, p, &sub);
}

static void run_list(struct rpc *r)
{
    json_t *all = json_array();
    world_lock(r->w);
    for (const struct proc *p = r->b->procs; p; p = p->next) {
        if (p->pid <= 0 || p->ended)
            continue;
        json_t *row = json_pack("{so si}", "config", json_deep_copy(p->config), "pid", p->pid);
        if (p->tag)
            json_object_set_new(row, "tag", json_text(str_of(p->tag)));
        json_array_insert_new(all, 0, row);
    }
    world_unlock(r->w);
    json_t *reply = json_object();
    if (json_array_size(all))
        json_object_set(reply, "processes", all);
    json_decref(all);
    rpc_reply(r, reply);
}

/* Writes to the process while the client waits. False: nobody reads, or the client left. */
static bool feed(struct rpc *r, struct proc *p, int fd, struct str data)
{
    while (data.n) {
        ssize_t n = write(fd, data.p, data.n);
        if (n >= 0) {
            data = str_sub(data, (size_t)n, data.n);
            continue;
        }
        if (errno != EAGAIN && errno != EINTR)
            return false;
        struct pollfd wait[] = {
            {.fd = fd,            .events = POLLOUT  },
            {.fd = http_fd(r->x), .events = POLLRDHUP}
        };
        if (poll(wait, COUNT(wait), -1) > 0 && wait[1].revents && (http_gone(r->x) || p->ended))
            return false;
    }
    return true;
}

/* {"stdin":…} or {"pty":…} into p. False: answered. */
static bool take_input(struct rpc *r, struct proc *p, const json_t *input)
{
    bool pty = json_object_get(input, "pty") != NULL;
    AUTO(buf_done) struct buf data = {0};
    if (!enc_unbase64(json_str(input, pty ? "pty" : "stdin"), &data)) {
        rpc_fail(r, "invalid_argument", "input is not base64");
        return false;
    }
    world_lock(r->w);
    int ours = pty == p->pty ? (pty ? p->out_fd : p->in_fd) : -1;
    AUTO(fd_close) int fd = ours >= 0 ? dup(ours) : -1;
    world_unlock(r->w);
    if (fd >= 0 && feed(r, p, fd, buf_str(&data)))
        return true;
    if (pty)
        rpc_fail(r, "internal", "error writing to tty: no tty");
    else
        rpc_fail(r, "internal", "error writing to stdin: stdin not enabled or closed");
    return false;
}

static void run_send_input(struct rpc *r)
{
    struct proc *p = selected(r, r->request, false);
    if (!p)
        return;
    if (take_input(r, p, json_object_get(r->request, "input")))
        rpc_reply(r, json_object());
    release(r, p);
}

static void run_stream_input(struct rpc *r)
{
    struct proc *p = selected(r, json_object_get(r->request, "start"), false);
    if (!p)
        return;
    json_t *message = NULL;
    bool bad = false;
    bool ok = true;
    while (ok && rpc_next(r, &message, &bad)) {
        const json_t *input = json_at(message, "data.input");
        ok = !input || take_input(r, p, input);
        json_decref(message);
    }
    if (ok && bad)
        rpc_fail(r, "invalid_argument", "protocol error: broken envelope");
    if (ok && !bad) {
        rpc_begin(r);
        rpc_send(r, json_object());
        rpc_end(r);
    }
    release(r, p);
}

static void run_close_stdin(struct rpc *r)
{
    struct proc *p = selected(r, r->request, false);
    if (!p)
        return;
    world_lock(r->w);
    fd_close(&p->in_fd);
    world_unlock(r->w);
    if (p->pty)
        rpc_fail(r, "failed_precondition", "a terminal has no stdin to close");
    else
        rpc_reply(r, json_object());
    release(r, p);
}

static void run_send_signal(struct rpc *r)
{
    struct str name = json_str(r->request, "signal");
    int number = str_eq(name, STR("SIGNAL_SIGTERM"))   ? SIGTERM
                 : str_eq(name, STR("SIGNAL_SIGKILL")) ? SIGKILL
                                                       : 0;
    struct proc *p = selected(r, r->request, false);
    if (!p)
        return;
    if (!number) {
        rpc_fail(r, "unimplemented", "invalid signal: " STR_FMT, STR_ARG(name));
        release(r, p);
        return;
    }
    world_lock(r->w);
    bool done = p->leader_done;
    p->muted = p->muted || !done; /* the daemon stops its pumps: the tail of the output is lost */
    pthread_cond_broadcast(&r->w->changed);
    world_unlock(r->w);
    if (done || !jail_signal(r->b->jail, p->pid, number))
        rpc_fail(r, "not_found", "process with pid %d not found", p->pid);
    else
        rpc_reply(r, json_object());
    release(r, p);
}

static void run_update(struct rpc *r)
{
    struct proc *p = selected(r, r->request, false);
    if (!p)
        return;
    struct winsize size = {.ws_col = (unsigned short)json_int(r->request, "pty.size.cols", 80),
                           .ws_row = (unsigned short)json_int(r->request, "pty.size.rows", 24)};
    if (!p->pty || ioctl(p->out_fd, TIOCSWINSZ, &size) != 0)
        rpc_fail(r, "internal", "error resizing tty: no tty");
    else
        rpc_reply(r, json_object());
    release(r, p);
}

const struct rpc_method process_methods[] = {
    {"/process.Process/Start",       true,  run_start       },
    {"/process.Process/Connect",     true,  run_connect     },
    {"/process.Process/List",        false, run_list        },
    {"/process.Process/SendInput",   false, run_send_input  },
    {"/process.Process/StreamInput", true,  run_stream_input},
    {"/process.Process/CloseStdin",  false, run_close_stdin },
    {"/process.Process/SendSignal",  false, run_send_signal },
    {"/process.Process/Update",      false, run_update      },
    {NULL,                           false, NULL            },
};
