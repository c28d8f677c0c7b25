/* A run that survives us. The command runs in a session of its own under a small shell script, also
 * in a session of its own, that writes what is left to know into a folder:
 *
 *   started   a folder: whoever makes it (mkdir is atomic) is the one start
 *   log       stdout and stderr as they come
 *   pgid      process group = session of the command, there before the command runs
 *   shell     process id of the script
 *   exit      "STATUS SIZE", SIZE of the log when the command ended; put in place by a rename
 *
 * Following it needs no stream: ranges of the log, and `exit`. The script and the command are in
 * different sessions so that an agent that kills its own group does not take the exit status along.
 * Environment and arguments travel in the script's text, single-quoted, in a folder of mode 0700;
 * the starter opens that file and unlinks it before anything runs.
 *
 * Limits: descendants that made themselves a new session are not killed by sandbox_job_kill(); the
 * command runs as the same user as the script, so a hostile one can forge log and exit status (its
 * work is checked elsewhere). A job whose shell is gone too is noticed within CHECK_MS. */
#include "bot/sandbox/envd.h"
#include "bot/sandbox/process.h"

#include "bot/base/enc.h"
#include "bot/base/mem.h"

#include <stdio.h>

#define CHECK_MS         30000
#define SCRIPT_MAX_BYTES ((size_t)2 * 1024 * 1024) /* more cannot be handed to a process anyway */
#define EXIT_MAX_BYTES   64
#define LOST_EXIT_CODE   137 /* as a shell reports a killed command */

/* Exit codes of our scripts; 11 and others: it did not work. */
#define DONE_ALREADY 10
#define DONE_LOST    12

/* $1 = folder. */
static const char prepare_script[] = "umask 077\n"
                                     "mkdir -p -- \"$1\" && chmod 700 -- \"$1\" || exit 11\n"
                                     "[ -d \"$1/started\" ] && exit 10\n"
                                     "exit 0\n";

/* $1 = folder, $2 = the run script in it. Two of these may run at once, also with the same file:
 * both may hold it open, one makes the folder. When the file is gone, another one is between
 * opening it and making the folder. */
static const char start_script[] = "cd -- \"$1\" || exit 11\n"
                                   "if command exec 3<\"$2\"; then\n"
                                   "    rm -f -- \"$2\"\n"
                                   "    mkdir -m 700 started || exit 10\n"
                                   "    cd\n"
                                   "    setsid /bin/sh -s <&3 3<&- >/dev/null 2>&1 &\n"
                                   "    exit 0\n"
                                   "fi 2>/dev/null\n"
                                   "n=0\n"
                                   "while [ $n -lt 20 ]; do\n"
                                   "    [ -d started ] && exit 10\n"
                                   "    sleep 0.1\n"
                                   "    n=$((n + 1))\n"
                                   "done\n"
                                   "exit 11\n";

/* The run script: sb_dir=…, this, the change of folder, the subshell, the end. */
static const char run_head[] =
    ": >>\"$sb_dir/log\"\n"
    "echo $$ >\"$sb_dir/shell\"\n"
    /* Room that is taken now: a full disk must not swallow the exit status. */
    "printf '%3d %15d\\n' 0 0 >\"$sb_dir/exit.tmp\"\n"
    "finish() {\n"
    "    size=$(wc -c <\"$sb_dir/log\" 2>/dev/null) || size=0\n"
    "    printf '%3d %15d\\n' \"$1\" \"$size\" 1<>\"$sb_dir/exit.tmp\"\n"
    "    mv -f -- \"$sb_dir/exit.tmp\" \"$sb_dir/exit\"\n"
    "    exit 0\n"
    "}\n";
/* The exports come in a subshell and everything it needs is in its positional parameters, because
 * they may name any variable, PATH too. */
static const char run_subshell[] = "(\nset -- \"$sb_dir\" \"$(command -v setsid)\"\n";
/* The command's own session; its arguments follow. Only builtins before the command. */
static const char run_command[] =
    "\"$2\" /bin/sh -c 'echo $$ >\"$1/pgid\" || exit 125; shift; exec \"$@\"' sh \"$1\"";
static const char run_tail[] = "\n) </dev/null >>\"$sb_dir/log\" 2>&1\n"
                               "finish $?\n";

/* $1 = folder. Fields of /proc/PID/stat after the name: state, parent, group, session. */
#define SHELL_ALIVE                                                                                \
    "alive() {\n"                                                                                  \
    "    read -r line 2>/dev/null <\"/proc/$1/stat\" || return 1\n"                                \
    "    line=${line##*) }\n"                                                                      \
    "    [ \"${line%% *}\" != Z ]\n"                                                               \
    "}\n"
#define SHELL_PID "pid() { read -r p 2>/dev/null <\"$1\" && [ \"$p\" -gt 1 ] && echo \"$p\"; }\n"

static const char check_script[] =
    SHELL_ALIVE SHELL_PID "cd -- \"$1\" 2>/dev/null || exit 12\n"
                          "n=0\n"
                          "while [ $n -lt 20 ]; do\n"
                          "    [ -e exit ] && exit 0\n"
                          "    p=$(pid shell) && alive \"$p\" && exit 0\n"
                          "    p=$(pid pgid) && alive \"$p\" && exit 0\n"
                          "    sleep 0.1\n" /* it may be on its way from one state to the next */
                          "    n=$((n + 1))\n"
                          "done\n"
                          "exit 12\n";

/* $1 = folder, $2 = seconds of grace. */
static const char kill_script[] = SHELL_ALIVE SHELL_PID
    "cd -- \"$1\" 2>/dev/null || exit 0\n"
    "[ -d started ] || exit 0\n"
    "members() {\n"
    "    for f in /proc/[0-9]*/stat; do\n"
    "        read -r line 2>/dev/null <\"$f\" || continue\n"
    "        line=${line##*) }\n"
    "        set -- $line\n"
    "        [ \"$4\" = \"$sid\" ] && [ \"$1\" != Z ] || continue\n"
    "        f=${f#/proc/}\n"
    "        echo \"${f%/stat}\"\n"
    "    done\n"
    "}\n"
    "waiting() {\n" /* tenths of a second, command: true once it fails */
    "    n=$1\n"
    "    shift\n"
    "    while \"$@\"; do\n"
    "        [ $n -gt 0 ] || return 1\n"
    "        n=$((n - 1))\n"
    "        sleep 0.1\n"
    "    done\n"
    "}\n"
    "left() { [ -n \"$(members)\" ]; }\n"
    "starting() { [ ! -s pgid ] && [ ! -e exit ]; }\n"
    "waiting 20 starting\n"
    "sid=$(pid pgid) || sid=$(pid shell) || exit 0\n"
    "strike() { kill \"-$1\" -- \"-$sid\" 2>/dev/null; kill \"-$1\" $(members) 2>/dev/null; }\n"
    "left && strike TERM\n"
    /* Again and again: members may beget members between the look and the blow. */
    "killed() { strike KILL; left; }\n"
    "waiting $(($2 * 10)) left || waiting 30 killed || exit 11\n"
    "shell=$(pid shell) || exit 0\n"
    "unfinished() { [ ! -e exit ] && alive \"$shell\"; }\n"
    "waiting 20 unfinished\n"
    "exit 0\n";

/* -------------------------------------------------------------------------------------- start */

static void add_quoted(struct buf *out, struct str s)
{
    buf_putc(out, '\'');
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\'')
            buf_puts(out, "'\\''");
        else
            buf_putc(out, s.p[i]);
    buf_putc(out, '\'');
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return s.n > 0;
}

static bool run_text(const struct sandbox_job *job, struct buf *out, struct err *err)
{
    buf_puts(out, "sb_dir=");
    add_quoted(out, str_of(job->dir));
    buf_putc(out, '\n');
    buf_puts(out, run_head);
    if (job->cwd) {
        buf_puts(out, "cd -- ");
        add_quoted(out, str_of(job->cwd));
        buf_puts(out, " 2>>\"$sb_dir/log\" || finish 126\n");
    }
    buf_puts(out, run_subshell);
    for (size_t i = 0; job->envp && job->envp[i]; i++) {
        struct str pair = str_of(job->envp[i]);
        size_t equals = str_find(pair, STR("="), 0);
        if (equals == pair.n || !is_name(str_sub(pair, 0, equals)))
            return err_set(err, ERR_BUG, "job: environment without a name");
        buf_puts(out, "export ");
        buf_add_str(out, str_sub(pair, 0, equals + 1));
        add_quoted(out, str_sub(pair, equals + 1, pair.n));
        buf_putc(out, '\n');
    }
    buf_puts(out, run_command);
    for (size_t i = 0; job->argv[i]; i++) {
        buf_putc(out, ' ');
        add_quoted(out, str_of(job->argv[i]));
    }
    buf_puts(out, run_tail);
    if (out->overflow)
        return err_set(err, ERR_INPUT, "job: command and environment are too long");
    return true;
}

static char *dir_path(const char *dir, const char *name)
{
    return mem_printf("%s/%s", dir, name);
}

static bool is_started(struct sandbox_client *c, const struct sandbox *s, const char *dir,
                       const struct call *call, bool *started, struct err *err)
{
    AUTO(envd_done) struct envd e = {.c = c, .s = s};
    AUTO(http_response_done) struct http_response r = {0};
    AUTO(mem_freep) char *path = dir_path(dir, "started");
    AUTO(buf_done) struct buf body = {0};
    buf_puts(&body, "{\"path\":\"");
    enc_json(&body, str_of(path));
    buf_puts(&body, "\"}");
    struct envd_request q = {
        .operation = "stat",
        .method = "POST",
        .path = "/filesystem.Filesystem/Stat",
        .headers = {"Content-Type: application/json", "Connect-Protocol-Version: 1"},
        .body = buf_str(&body)
    };
    if (!envd_do(&e, &q, 404, 0, call, &r, err))
        return false;
    *started = r.status != 404;
    return true;
}

/* The text has the agent's keys in it, so it does not stay in our memory. */
static void wipe(struct buf *text)
{
    if (text->data)
        explicit_bzero(text->data, text->cap);
    buf_done(text);
}

static bool script_failed(int code, const struct buf *output, struct err *err)
{
    struct str text = str_trim(buf_str(output));
    text.n = str_utf8_floor(text, 200);
    return err_set(err, ERR_SANDBOX, "exit status %d%s" STR_FMT, code, text.n ? ": " : "",
                   STR_ARG(text));
}

static bool start(struct sandbox_client *c, const struct sandbox *s, const struct sandbox_job *job,
                  const struct call *call, struct err *err)
{
    char name[32] = "run-0123456789abcdef.sh";
    AUTO(wipe) struct buf text = {.max = SCRIPT_MAX_BYTES};
    AUTO(buf_done) struct buf output = {0};
    int code = 0;
    if (!run_text(job, &text, err) ||
        !process_script(c, s, prepare_script, job->dir, NULL, call, &code, &output, err))
        return false;
    if (code == DONE_ALREADY)
        return true;
    if (code != 0)
        return script_failed(code, &output, err);
    random_hex(name + 4, 16);
    memcpy(name + 20, ".sh", 4);
    AUTO(mem_freep) char *path = dir_path(job->dir, name);
    if (!sandbox_put(c, s, path, buf_str(&text), call, err))
        return false;
    if (!process_script(c, s, start_script, job->dir, name, call, &code, &output, err)) {
        /* The start may have come through all the same. */
        bool started = false;
        struct err ignored = {0};
        return e2b_judge_transfer(err->kind).passing &&
               is_started(c, s, job->dir, call, &started, &ignored) && started;
    }
    if (code != 0 && code != DONE_ALREADY)
        return script_failed(code, &output, err);
    return true;
}

bool sandbox_job_start(struct sandbox_client *c, const struct sandbox *s,
                       const struct sandbox_job *job, const struct call *call, struct err *err)
{
    struct err local = {0};
    if (!err)
        err = &local;
    if (job->dir[0] != '/')
        return err_set(err, ERR_BUG, "job: folder is not absolute");
    return start(c, s, job, call, err) || err_wrap(err, "start the job");
}

/* --------------------------------------------------------------------------------------- poll */

/* "STATUS SIZE" */
static bool read_exit(struct sandbox_client *c, const struct sandbox *s, const char *dir,
                      const struct call *call, bool *found, int64_t *log_size,
                      struct sandbox_job_state *state, struct err *err)
{
    AUTO(mem_freep) char *path = dir_path(dir, "exit");
    AUTO(buf_done) struct buf text = {0};
    if (!sandbox_read(c, s, path, 0, EXIT_MAX_BYTES, call, &text, found, err))
        return false;
    if (!*found)
        return true;
    struct str all = str_trim(buf_str(&text));
    size_t space = str_find(all, STR(" "), 0);
    int64_t code = 0;
    if (!str_to_i64(str_sub(all, 0, space), 0, 255, &code) ||
        !str_to_i64(str_trim(str_sub(all, space, all.n)), 0, INT64_MAX, log_size)) {
        /* Somebody in there wrote this file; what we know is that the job is over. */
        code = LOST_EXIT_CODE;
        *log_size = 0;
        state->lost = true;
    }
    state->exit_code = (int)code;
    return true;
}

/* From time to time, while nothing is heard of it: is anybody there to write the exit status? */
static bool check_alive(struct sandbox_client *c, const struct sandbox *s, const char *dir,
                        const struct call *call, struct sandbox_job_state *state, struct err *err)
{
    int64_t now = clock_mono_ms();
    int code = 0;
    if (state->checked_ms == 0)
        state->checked_ms = now;
    if (now - state->checked_ms < CHECK_MS)
        return true;
    if (!process_script(c, s, check_script, dir, NULL, call, &code, NULL, err))
        return false;
    state->checked_ms = now;
    if (code == DONE_LOST) {
        state->ended = state->lost = true;
        state->exit_code = LOST_EXIT_CODE;
    }
    return true;
}

/* The exit status is read before the log: bytes that were written before it are then surely met. */
static bool look(struct sandbox_client *c, const struct sandbox *s, const char *dir, int64_t offset,
                 size_t max, const struct call *call, struct buf *out,
                 struct sandbox_job_state *state, struct err *err)
{
    AUTO(mem_freep) char *path = dir_path(dir, "log");
    bool have_exit = false, have_log = false;
    int64_t log_size = 0;
    size_t before = out->len;
    if (!read_exit(c, s, dir, call, &have_exit, &log_size, state, err) ||
        !sandbox_read(c, s, path, offset, max, call, out, &have_log, err))
        return false;
    size_t n = out->len - before;
    state->started = have_exit || have_log;
    if (!state->started && !is_started(c, s, dir, call, &state->started, err))
        return false;
    state->ended = have_exit && (!have_log || n == 0 || offset + (int64_t)n >= log_size);
    if (n > 0)
        state->checked_ms = clock_mono_ms();
    if (n > 0 || have_exit || !state->started)
        return true;
    return check_alive(c, s, dir, call, state, err);
}

bool sandbox_job_poll(struct sandbox_client *c, const struct sandbox *s, const char *dir,
                      int64_t *offset, size_t max, const struct call *call, struct buf *out,
                      struct sandbox_job_state *state, struct err *err)
{
    struct err local = {0};
    struct sandbox_job_state now = *state;
    size_t before = out->len;
    if (!err)
        err = &local;
    if (!look(c, s, dir, *offset, max, call, out, &now, err)) {
        if (out->data) { /* the log's bytes are not told twice */
            out->len = before;
            out->data[before] = '\0';
        }
        return err_wrap(err, "look at the job");
    }
    *offset += (int64_t)(out->len - before);
    *state = now;
    return true;
}

/* --------------------------------------------------------------------------------------- kill */

bool sandbox_job_kill(struct sandbox_client *c, const struct sandbox *s, const char *dir,
                      int grace_s, const struct call *call, struct err *err)
{
    struct err local = {0};
    char grace[16];
    int code = 0;
    AUTO(buf_done) struct buf output = {0};
    if (!err)
        err = &local;
    snprintf(grace, sizeof(grace), "%d", grace_s > 0 ? grace_s : 0);
    if (!process_script(c, s, kill_script, dir, grace, call, &code, &output, err) ||
        (code != 0 && !script_failed(code, &output, err)))
        return err_wrap(err, "kill the job");
    return true;
}
