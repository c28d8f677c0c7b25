/* Running git, and reading what it prints. Only plumbing commands are used, so that no setting of
 * the machine changes the output: the environment is cut down and the system's and the user's
 * configuration are ignored. Output is held in memory (the ceiling is buf's); packs do not pass
 * here but through smart.c, which streams. */
#include "tests/standins/github/git.h"

#include "bot/base/enc.h"
#include "bot/base/io.h"
#include "bot/base/mem.h"
#include "bot/base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENV_MAX 24

static const char *const git_environment[] = {
    "PATH=/usr/local/bin:/usr/bin:/bin",
    "LC_ALL=C.UTF-8",
    "HOME=/nonexistent",
    "GIT_CONFIG_NOSYSTEM=1",
    "GIT_CONFIG_GLOBAL=/dev/null",
    "GIT_CONFIG_COUNT=2",
    "GIT_CONFIG_KEY_0=safe.directory",
    "GIT_CONFIG_VALUE_0=*",
    "GIT_CONFIG_KEY_1=core.quotePath",
    "GIT_CONFIG_VALUE_1=false",
    NULL,
};

static bool pipes_make(int in[2], int out[2], bool with_input)
{
    in[0] = in[1] = out[0] = out[1] = -1;
    if (with_input ? pipe2(in, O_CLOEXEC) != 0
                   : (in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
        return false;
    return pipe2(out, O_CLOEXEC) == 0;
}

bool child_start(const char *const *argv, const char *const *envp, bool with_input,
                 struct child *out)
{
    int in_pipe[2];
    int out_pipe[2];
    if (!pipes_make(in_pipe, out_pipe, with_input)) {
        fd_close(&in_pipe[0]);
        fd_close(&in_pipe[1]);
        return false;
    }
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigset_t pipe_only;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in_pipe[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out_pipe[1], STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &pipe_only);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    pid_t pid = -1;
    /* posix_spawnp takes char *const[] for historical reasons and does not write to it. */
    int rc = posix_spawnp(&pid, argv[0], &actions, &attributes, (char *const *)(uintptr_t)argv,
                          (char *const *)(uintptr_t)envp);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    fd_close(&in_pipe[0]);
    fd_close(&out_pipe[1]);
    if (rc != 0) {
        fd_close(&in_pipe[1]);
        fd_close(&out_pipe[0]);
        return false;
    }
    *out = (struct child){pid, in_pipe[1], out_pipe[0]};
    return true;
}

int child_end(struct child *c)
{
    int status = 0;
    fd_close(&c->in);
    fd_close(&c->out);
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Writes in and reads out at the same time, so that neither pipe can fill up and block us. */
static void exchange(struct child *c, struct str in, struct buf *out)
{
    size_t sent = 0;
    if (c->in >= 0)
        (void)fcntl(c->in, F_SETFL, O_NONBLOCK);
    for (;;) {
        if (c->in >= 0 && sent == in.n)
            fd_close(&c->in);
        struct pollfd fds[2] = {
            {c->out, POLLIN,  0},
            {c->in,  POLLOUT, 0}
        };
        if (poll(fds, c->in >= 0 ? 2 : 1, -1) < 0)
            continue;
        if (c->in >= 0 && fds[1].revents != 0) {
            ssize_t n = write(c->in, in.p + sent, in.n - sent);
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                fd_close(&c->in);
            else if (n > 0)
                sent += (size_t)n;
        }
        if (fds[0].revents != 0) {
            char bytes[65536];
            ssize_t n = read(c->out, bytes, sizeof(bytes));
            if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
                return;
            if (n > 0 && out)
                buf_add(out, bytes, (size_t)n);
        }
    }
}

int git_feed(const char *dir, struct str in, const char *const *env, struct buf *out,
             const char *const *args)
{
    const char *argv[GIT_ARGS + 4] = {"git", "-C", dir};
    const char *envp[ENV_MAX];
    size_t n = 3;
    for (size_t i = 0; args[i] && n < GIT_ARGS + 3; i++)
        argv[n++] = args[i];
    argv[n] = NULL;
    n = 0;
    for (size_t i = 0; git_environment[i]; i++)
        envp[n++] = git_environment[i];
    for (size_t i = 0; env && env[i] && n < ENV_MAX - 1; i++)
        envp[n++] = env[i];
    envp[n] = NULL;
    struct child c;
    if (!child_start(argv, envp, in.n > 0, &c))
        return -1;
    exchange(&c, in, out);
    return child_end(&c);
}

bool git_run(const char *dir, struct buf *out, ...)
{
    const char *args[GIT_ARGS] = {NULL};
    va_list ap;
    va_start(ap, out);
    for (size_t i = 0; i < GIT_ARGS - 1 && (args[i] = va_arg(ap, const char *)); i++)
        continue;
    va_end(ap);
    return git_feed(dir, (struct str){NULL, 0}, NULL, out, args) == 0;
}

bool git_init_bare(const char *dir, const char *branch)
{
    static const char *const settings[][2] = {
        {"http.receivepack",                    "true"       },
        {"uploadpack.allowFilter",              "true"       },
        {"uploadpack.allowAnySHA1InWant",       "true"       },
        {"uploadpack.allowReachableSHA1InWant", "true"       },
        {"receive.hideRefs",                    "refs/pull"  },
        {"receive.advertisePushOptions",        "true"       },
        {"receive.unpackLimit",                 "1"          }, /* keep packs: a big push must not become loose objects */
        {"core.hooksPath",                      "../../hooks"},
        {"core.logAllRefUpdates",               "false"      },
        {"gc.auto",                             "0"          },
    };
    char *head = mem_printf("refs/heads/%s", branch);
    bool ok = git_run("/", NULL, "init", "-q", "--bare", dir, NULL) &&
              git_run(dir, NULL, "symbolic-ref", "HEAD", head, NULL);
    for (size_t i = 0; ok && i < COUNT(settings); i++)
        ok = git_run(dir, NULL, "config", settings[i][0], settings[i][1], NULL);
    free(head);
    return ok;
}

/* One line of output, without its end, as a SHA. */
static bool take_sha(struct buf *b, char sha[SHA_TEXT])
{
    return str_copy(sha, SHA_TEXT, str_trim(buf_str(b))) && strlen(sha) == SHA_TEXT - 1;
}

static bool packed_ref(const char *dir, const char *ref, char sha[SHA_TEXT])
{
    AUTO(buf_done) struct buf b = {0};
    AUTO(mem_freep) char *path = mem_printf("%s/packed-refs", dir);
    struct err err;
    if (!file_exists(path) || !file_read(path, BUF_MAX_DEFAULT, &b, &err))
        return false;
    struct str rest = buf_str(&b);
    struct str line;
    while (str_line(&rest, &line))
        if (line.n > SHA_TEXT && line.p[SHA_TEXT - 1] == ' ' &&
            str_eq(str_sub(line, SHA_TEXT, line.n), str_of(ref)))
            return str_copy(sha, SHA_TEXT, str_sub(line, 0, SHA_TEXT - 1));
    return false;
}

bool ref_read(const char *dir, const char *ref, char sha[SHA_TEXT])
{
    AUTO(buf_done) struct buf b = {0};
    AUTO(mem_freep) char *path = mem_printf("%s/%s", dir, ref);
    struct err err;
    if (!ref_name_ok(ref))
        return false;
    if (file_exists(path) && file_read(path, 4096, &b, &err) && take_sha(&b, sha))
        return true;
    return packed_ref(dir, ref, sha);
}

bool ref_write(const char *dir, const char *ref, const char *sha)
{
    return git_run(dir, NULL, "update-ref", ref, sha, NULL);
}

bool ref_delete(const char *dir, const char *ref)
{
    return git_run(dir, NULL, "update-ref", "-d", ref, NULL);
}

bool ref_name_ok(const char *ref)
{
    static const char *const parts[] = {"..", "//", "@{", "/.", ".lock/", "\\"};
    size_t n = strlen(ref);
    if (strncmp(ref, "refs/", 5) != 0 || n > 244 || ref[n - 1] == '/' || ref[n - 1] == '.')
        return false;
    if (n >= 5 && strcmp(ref + n - 5, ".lock") == 0)
        return false;
    for (size_t i = 0; i < COUNT(parts); i++)
        if (strstr(ref, parts[i]))
            return false;
    for (const char *p = ref; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 127 || strchr("~^:?*[", *p))
            return false;
    return true;
}

json_t *ref_list(const char *dir, const char *prefix)
{
    AUTO(buf_done) struct buf b = {0};
    json_t *all = json_object();
    if (!git_run(dir, &b, "for-each-ref", "--format=%(objectname) %(refname)", NULL))
        return all;
    struct str rest = buf_str(&b);
    struct str line;
    while (str_line(&rest, &line)) {
        struct str ref = str_sub(line, SHA_TEXT, line.n);
        if (line.n > SHA_TEXT && str_starts(ref, str_of(prefix)))
            json_object_setn_new(all, ref.p, ref.n, json_stringn(line.p, SHA_TEXT - 1));
    }
    return all;
}

bool git_resolve(const char *dir, const char *rev, char sha[SHA_TEXT])
{
    AUTO(buf_done) struct buf b = {0};
    if (rev[0] == '-' || rev[0] == '\0')
        return false;
    AUTO(mem_freep) char *head = mem_printf("refs/heads/%s", rev);
    if (ref_read(dir, head, sha))
        return true;
    AUTO(mem_freep) char *commit = mem_printf("%s^{commit}", rev);
    return git_run(dir, &b, "rev-parse", "-q", "--verify", commit, NULL) && take_sha(&b, sha);
}

bool git_type(const char *dir, const char *sha, char type[16], int64_t *size)
{
    AUTO(buf_done) struct buf b = {0};
    AUTO(mem_freep) char *line = mem_printf("%s\n", sha);
    static const char *const args[] = {"cat-file", "--batch-check=%(objecttype) %(objectsize)",
                                       NULL};
    if (git_feed(dir, str_of(line), NULL, &b, args) != 0)
        return false;
    struct str rest = str_trim(buf_str(&b));
    struct str kind;
    return str_split(&rest, ' ', &kind) && str_copy(type, 16, kind) &&
           str_to_i64(rest, 0, INT64_MAX, size);
}

bool git_is_ancestor(const char *dir, const char *older, const char *newer)
{
    return git_run(dir, NULL, "merge-base", "--is-ancestor", older, newer, NULL);
}

bool git_merge_base(const char *dir, const char *a, const char *b, char sha[SHA_TEXT])
{
    AUTO(buf_done) struct buf out = {0};
    return git_run(dir, &out, "merge-base", a, b, NULL) && take_sha(&out, sha);
}

int64_t git_count(const char *dir, const char *from, const char *to)
{
    AUTO(buf_done) struct buf b = {0};
    AUTO(mem_freep) char *range = mem_printf("%s..%s", from, to);
    int64_t n = 0;
    if (!git_run(dir, &b, "rev-list", "--count", range, NULL) ||
        !str_to_i64(str_trim(buf_str(&b)), 0, INT64_MAX, &n))
        return 0;
    return n;
}

bool git_commit_make(const char *dir, const char *tree, const char *const *parents,
                     const char *message, const struct git_person *author,
                     const struct git_person *committer, char sha[SHA_TEXT])
{
    AUTO(buf_done) struct buf out = {0};
    const char *args[GIT_ARGS] = {"commit-tree", tree};
    size_t n = 2;
    for (size_t i = 0; parents[i] && n < GIT_ARGS - 3; i++) {
        args[n++] = "-p";
        args[n++] = parents[i];
    }
    AUTO(mem_freep) char *an = mem_printf("GIT_AUTHOR_NAME=%s", author->name);
    AUTO(mem_freep) char *ae = mem_printf("GIT_AUTHOR_EMAIL=%s", author->email);
    AUTO(mem_freep) char *cn = mem_printf("GIT_COMMITTER_NAME=%s", committer->name);
    AUTO(mem_freep) char *ce = mem_printf("GIT_COMMITTER_EMAIL=%s", committer->email);
    AUTO(mem_freep) char *ad = mem_printf("GIT_AUTHOR_DATE=%s", author->date ? author->date : "");
    AUTO(mem_freep)
    char *cd = mem_printf("GIT_COMMITTER_DATE=%s", committer->date ? committer->date : "");
    const char *env[7] = {an, ae, cn, ce};
    size_t k = 4;
    if (author->date)
        env[k++] = ad;
    if (committer->date)
        env[k++] = cd;
    return git_feed(dir, str_of(message), env, &out, args) == 0 && take_sha(&out, sha);
}

bool git_blob_make(const char *dir, struct str content, char sha[SHA_TEXT])
{
    static const char *const args[] = {"hash-object", "-w", "--stdin", NULL};
    AUTO(buf_done) struct buf out = {0};
    return git_feed(dir, content, NULL, &out, args) == 0 && take_sha(&out, sha);
}

bool git_tree_make(const char *dir, const char *base, const json_t *rows, char sha[SHA_TEXT])
{
    static const char *const update[] = {"update-index", "-z", "--index-info", NULL};
    static const char *const write_tree[] = {"write-tree", NULL};
    char name[17];
    random_hex(name, 16);
    AUTO(mem_freep) char *path = mem_printf("%s/index.%s", dir, name);
    AUTO(mem_freep) char *index = mem_printf("GIT_INDEX_FILE=%s", path);
    const char *const env[] = {index, NULL};
    AUTO(buf_done) struct buf in = {0};
    AUTO(buf_done) struct buf out = {0};
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row)
    {
        const char *id = json_string_value(json_object_get(row, "sha"));
        const char *mode = json_string_value(json_object_get(row, "mode"));
        buf_printf(&in, "%s %s\t%s", id ? mode : "0", id ? id : ZERO_SHA,
                   json_string_value(json_object_get(row, "path")));
        buf_putc(&in, '\0');
    }
    const char *const read_tree[] = {"read-tree", base ? base : "--empty", NULL};
    bool ok = git_feed(dir, (struct str){NULL, 0}, env, NULL, read_tree) == 0 &&
              (in.len == 0 || git_feed(dir, buf_str(&in), env, NULL, update) == 0) &&
              git_feed(dir, (struct str){NULL, 0}, env, &out, write_tree) == 0;
    (void)unlink(path);
    return ok && take_sha(&out, sha);
}

bool git_merge_tree(const char *dir, const char *ours, const char *theirs, char tree[SHA_TEXT])
{
    AUTO(buf_done) struct buf out = {0};
    return git_run(dir, &out, "merge-tree", "--write-tree", "--no-messages", ours, theirs, NULL) &&
           take_sha(&out, tree);
}
