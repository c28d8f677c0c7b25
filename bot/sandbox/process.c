/* Runs a command in a sandbox to its end, over a Connect stream. The stream is only a view: when it
 * breaks the process goes on, so we attach again by pid. When it breaks before the pid was told we
 * look for our tag (each run has its own) in the list of processes; when it is not there, the
 * command either never started or is over, and is started again.
 *
 * Limits: what a process writes while nobody is attached is lost (output_cut tells); an end that is
 * older than 30 s cannot be learned any more (ERR_UPSTREAM). A cancelled call leaves the process
 * alone; one whose deadline passes has it killed by the daemon (the leader, not its children). */
#include "bot/sandbox/process.h"

#include "bot/base/enc.h"
#include "bot/base/mem.h"
#include "bot/sandbox/connect_stream.h"
#include "bot/sandbox/envd.h"

#include <inttypes.h>
#include <stdio.h>

#define OUTPUT_MAX_BYTES ((size_t)1024 * 1024)
#define STREAM_IDLE_S    120   /* two keepalives of 50 s missed */
#define STEADY_MS        10000 /* a stream that lasted so long was a good one */
#define KILL_SLACK_MS    2000  /* the daemon's deadline comes after ours */
#define SCRIPT_MAX_BYTES 4096  /* kept output of our own scripts */

struct exec {
    struct envd envd;
    const struct sandbox_run *run;
    char tag[96];
    int64_t pid; /* 0 = not known */
    struct sandbox_exit exit;
    bool ended;
    bool closed; /* the stream said its last word: code */
    char code[CONNECT_CODE_MAX];
    char message[CONNECT_MESSAGE_MAX];
};

static void exec_done(struct exec *x)
{
    envd_done(&x->envd);
    buf_done(&x->exit.output);
}

/* ------------------------------------------------------------------------------------- events */

static void keep(struct exec *x, struct str data)
{
    struct buf *out = &x->exit.output;
    size_t room = out->max - out->len;
    if (data.n > room) {
        x->exit.output_cut = true;
        data.n = room;
    }
    buf_add_str(out, data);
}

static bool on_event(void *arg, const struct connect_event *event, struct err *err)
{
    struct exec *x = arg;
    switch (event->kind) {
    case CONNECT_START:
        if (event->pid <= 0)
            return err_set(err, ERR_UPSTREAM, "stream: start without a process id");
        x->pid = event->pid;
        break;
    case CONNECT_DATA:
        keep(x, event->data);
        break;
    case CONNECT_END:
        x->ended = true;
        x->exit.exited = event->exited;
        x->exit.exit_code = event->exit_code;
        break;
    case CONNECT_CLOSE:
        x->closed = true;
        memcpy(x->code, event->code, sizeof(x->code));
        memcpy(x->message, event->message, sizeof(x->message));
        break;
    case CONNECT_OTHER:
        break;
    }
    return true;
}

static bool on_piece(void *arg, struct str piece, struct err *err)
{
    return connect_stream_feed(arg, piece, err);
}

/* ----------------------------------------------------------------------------------- requests */

static bool add_text(struct buf *out, const char *text, struct err *err)
{
    struct str s = str_of(text);
    if (!str_is_utf8(s))
        return err_set(err, ERR_INPUT, "command: text is not UTF-8");
    buf_putc(out, '"');
    enc_json(out, s);
    buf_putc(out, '"');
    return true;
}

static bool add_envs(struct buf *out, const char *const *envp, struct err *err)
{
    buf_puts(out, ",\"envs\":{");
    for (size_t i = 0; envp && envp[i]; i++) {
        const char *equals = strchr(envp[i], '=');
        if (!equals || equals == envp[i])
            return err_set(err, ERR_BUG, "command: environment without a name");
        AUTO(mem_freep) char *name = str_dup((struct str){envp[i], (size_t)(equals - envp[i])});
        buf_puts(out, i ? "," : "");
        if (!add_text(out, name, err))
            return false;
        buf_putc(out, ':');
        if (!add_text(out, equals + 1, err))
            return false;
    }
    buf_putc(out, '}');
    return true;
}

static bool start_message(const struct exec *x, struct buf *out, struct err *err)
{
    const struct sandbox_run *run = x->run;
    buf_puts(out, "{\"process\":{\"cmd\":");
    if (!add_text(out, run->argv[0], err))
        return false;
    buf_puts(out, ",\"args\":[");
    for (size_t i = 1; run->argv[i]; i++) {
        buf_puts(out, i > 1 ? "," : "");
        if (!add_text(out, run->argv[i], err))
            return false;
    }
    buf_puts(out, "]");
    if (run->envp && !add_envs(out, run->envp, err))
        return false;
    if (run->cwd) {
        buf_puts(out, ",\"cwd\":");
        if (!add_text(out, run->cwd, err))
            return false;
    }
    buf_puts(out, "},\"tag\":");
    if (!add_text(out, x->tag, err))
        return false;
    buf_puts(out, ",\"stdin\":false}");
    if (out->overflow)
        return err_set(err, ERR_INPUT, "command: too long");
    return true;
}

/* One stream, Start or Connect, until it ends somehow. *answered as by http_do(); events go to x.
 */
static bool stream(struct exec *x, const char *path, struct str message, const struct call *call,
                   struct envd_request *q, struct http_response *r, struct err *err)
{
    char timeout[48];
    AUTO(buf_done) struct buf body = {0};
    AUTO(connect_stream_done) struct connect_stream s = {.on_event = on_event, .arg = x};
    int64_t left = call ? call_left_ms(call) : -1, begin = clock_mono_ms();
    snprintf(timeout, sizeof(timeout), "Connect-Timeout-Ms: %" PRId64, left + KILL_SLACK_MS);
    connect_stream_wrap(&body, message);
    *q = (struct envd_request){
        .operation = "exec",
        .method = "POST",
        .path = path,
        .headers = {"Content-Type: application/connect+json", "Connect-Protocol-Version: 1",
                    "Keepalive-Ping-Interval: 50"},
        .body = buf_str(&body),
        .sink = on_piece,
        .sink_arg = &s,
        .low_speed_s = STREAM_IDLE_S,
        .only_once = x->pid == 0,
    };
    /* At most ten digits are allowed, and only on the call that starts the process. */
    if (left >= 0 && left < INT32_MAX && x->pid == 0)
        q->headers[3] = timeout;
    x->closed = false;
    bool answered = envd_once(&x->envd, q, call, r, err);
    q->body = (struct str){0};
    q->sink_arg = NULL;
    q->headers[3] = NULL;
    if (clock_mono_ms() - begin >= STEADY_MS)
        x->envd.failures = 0;
    return answered;
}

/* The pid of the process with our tag, 0 when there is none. */
static bool find_tag(struct exec *x, const struct call *call, struct err *err)
{
    AUTO(http_response_done) struct http_response r = {0};
    AUTO(json_decrefp) json_t *j = NULL;
    struct envd_request q = {
        .operation = "processes",
        .method = "POST",
        .path = "/process.Process/List",
        .headers = {"Content-Type: application/json", "Connect-Protocol-Version: 1"},
        .body = STR("{}")
    };
    if (!envd_do(&x->envd, &q, 0, 0, call, &r, err))
        return false;
    if (!json_parse(buf_str(&r.body), &j, err))
        return err_set(err, ERR_UPSTREAM, "processes: not JSON");
    const json_t *list = json_at(j, "processes");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        if (str_eq(json_str(one, "tag"), str_of(x->tag)))
            x->pid = json_int(one, "pid", 0);
    }
    return true;
}

/* -------------------------------------------------------------------------------------- loop */

/* What a stream's own error means; the words are the protocol's codes. */
static const struct {
    const char *code;
    enum err_kind kind;
    bool passing;
} codes[] = {
    {"invalid_argument",    ERR_INPUT,    false},
    {"failed_precondition", ERR_INPUT,    false},
    {"out_of_range",        ERR_INPUT,    false},
    {"unimplemented",       ERR_INPUT,    false},
    {"unauthenticated",     ERR_INPUT,    false}, /* an unknown user of the sandbox */
    {"permission_denied",   ERR_INPUT,    false},
    {"deadline_exceeded",   ERR_TIMEOUT,  false},
    {"not_found",           ERR_UPSTREAM, false}, /* of an attached process: it ended unseen */
};

/* True = err was set from the stream's last word and *passing tells whether to go on. */
static bool closed_by_error(const struct exec *x, bool *passing, struct err *err)
{
    if (!x->closed || !*x->code)
        return false;
    enum err_kind kind = ERR_UPSTREAM;
    *passing = true;
    for (size_t i = 0; i < COUNT(codes); i++)
        if (strcmp(codes[i].code, x->code) == 0) {
            kind = codes[i].kind;
            *passing = codes[i].passing;
        }
    err_set(err, kind, "command: %s: %s", x->code, x->message);
    return true;
}

/* After a stream that ended before the process did. True: x->pid tells how to go on. */
static bool recover(struct exec *x, const struct envd_request *q, bool answered,
                    const struct http_response *r, const struct call *call, struct err *err)
{
    bool passing = true;
    bool cut = answered && r->status >= 200 && r->status <= 299;
    if (cut && closed_by_error(x, &passing, err)) {
        if (!passing)
            return false;
    } else if (cut) {
        err_set(err, ERR_UPSTREAM, "command: its stream ended before it did");
    }
    if (!envd_recover(&x->envd, q, answered && !cut, r, call, err))
        return false;
    if (x->pid == 0)
        return find_tag(x, call, err);
    return true;
}

static bool run_to_end(struct exec *x, struct str start, const struct call *call, struct err *err)
{
    for (;;) {
        AUTO(http_response_done) struct http_response r = {0};
        AUTO(buf_done) struct buf connect = {0};
        struct envd_request q;
        bool attached = x->pid != 0;
        buf_printf(&connect, "{\"process\":{\"pid\":%" PRId64 "}}", x->pid);
        /* Whether the break lost output nobody can tell, so it counts as lost. */
        x->exit.output_cut |= attached;
        bool answered = stream(x, attached ? "/process.Process/Connect" : "/process.Process/Start",
                               attached ? buf_str(&connect) : start, call, &q, &r, err);
        if (x->ended)
            return true;
        if (!recover(x, &q, answered, &r, call, err))
            return false;
    }
}

bool sandbox_exec(struct sandbox_client *c, const struct sandbox *s, const struct sandbox_run *run,
                  const struct call *call, struct sandbox_exit *out, struct err *err)
{
    struct err local = {0};
    if (!err)
        err = &local;
    char nonce[17];
    AUTO(exec_done)
    struct exec x = {
        .envd = {.c = c, .s = s},
          .run = run
    };
    AUTO(buf_done) struct buf start = {.max = CONNECT_PAYLOAD_MAX};
    x.exit.output.max = run->output_max ? run->output_max : OUTPUT_MAX_BYTES;
    random_hex(nonce, 16);
    snprintf(x.tag, sizeof(x.tag), "%.64s.%s", run->tag ? run->tag : "squadbot", nonce);
    if (!start_message(&x, &start, err))
        return false;
    if (!run_to_end(&x, buf_str(&start), call, err))
        return err_wrap(err, "%s", run->argv[0]);
    *out = x.exit;
    x.exit = (struct sandbox_exit){0};
    return true;
}

bool process_script(struct sandbox_client *c, const struct sandbox *s, const char *script,
                    const char *arg1, const char *arg2, const struct call *call, int *exit_code,
                    struct buf *output, struct err *err)
{
    const char *const argv[] = {"/bin/sh", "-c", script, "sh", arg1, arg2, NULL};
    struct sandbox_run run = {.argv = argv, .output_max = SCRIPT_MAX_BYTES};
    struct sandbox_exit done = {0};
    if (!sandbox_exec(c, s, &run, call, &done, err))
        return false;
    *exit_code = done.exited ? done.exit_code : -1;
    if (output)
        buf_add_str(output, buf_str(&done.output));
    buf_done(&done.output);
    return true;
}
