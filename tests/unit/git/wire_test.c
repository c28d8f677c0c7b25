/* The wire against real git: ls-refs, fetches of every depth, pushes, races and refusals. */
#include "bot/git/wire.h"

#include "tests/unit/git/http_backend.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#define COMMITS 60
#define RACERS  20

static struct {
    char *dir;
    struct backend backend;
    struct http *http;
    struct secret token;
    char url[128];
} world;

static const struct git_remote *remote_at(const char *path)
{
    static struct git_remote r;
    static char url[256];
    snprintf(url, sizeof(url), "%s/%s", world.backend.url, path);
    r = (struct git_remote){world.http, url, &world.token};
    return &r;
}

static const struct git_remote *origin(void)
{
    return remote_at("origin.git");
}

static struct call soon(void)
{
    return call_in(20000, NULL);
}

static char *in_dir(const char *name)
{
    return mem_printf("%s/%s", world.dir, name);
}

static int setup(void **state)
{
    (void)state;
    world.dir = tmp_make();
    AUTO(mem_freep) char *work = in_dir("work");
    AUTO(mem_freep) char *bare = in_dir("origin.git");
    git_sample(work, COMMITS);
    git_run(work, "branch", "other/one", "HEAD~3");
    git_run(work, "clone", "-q", "--bare", ".", bare);
    backend_start(&world.backend, world.dir);
    world.http = http_new("squadbot-test", NULL);
    secret_set(&world.token, STR(BACKEND_TOKEN));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http_free(world.http);
    secret_done(&world.token);
    backend_stop(&world.backend);
    tmp_remove(world.dir);
    return 0;
}

static void test_ls_refs(void **state)
{
    (void)state;
    AUTO(mem_freep) char *bare = in_dir("origin.git");
    const char *const prefixes[] = {"HEAD", "refs/heads/other/", NULL};
    const char *const none[] = {"refs/heads/nothing", NULL};
    struct git_ref *refs;
    int n;
    struct err err = {0};
    struct call call = soon();
    assert_true(git_ls_refs(origin(), prefixes, &call, &refs, &n, &err));
    assert_int_equal(n, 2);
    assert_string_equal(refs[0].name, "HEAD");
    assert_string_equal(refs[0].symref, "refs/heads/main");
    assert_string_equal(refs[0].oid, git_line(bare, "rev-parse", "main"));
    assert_string_equal(refs[1].name, "refs/heads/other/one");
    assert_string_equal(refs[1].symref, "");
    free(refs);
    assert_true(git_ls_refs(origin(), none, &call, &refs, &n, &err));
    assert_int_equal(n, 0);
    free(refs);
}

static int progress_lines;

static void on_progress(void *arg, struct str line)
{
    (void)arg;
    progress_lines += line.n > 0;
}

static void fetch_depth(const char *name, int depth, int commits)
{
    AUTO(mem_freep) char *bare = in_dir("origin.git");
    AUTO(mem_freep) char *repo = in_dir(name);
    AUTO(mem_freep) char *pack = mem_printf("%s/objects/pack/base.pack", repo);
    AUTO(mem_freep) char *shallow = mem_printf("%s/shallow", repo);
    char tip[64];
    snprintf(tip, sizeof(tip), "%s", git_line(bare, "rev-parse", "main"));
    git_run(world.dir, "init", "-q", "--bare", repo);
    int fd = open(pack, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd > 0);
    const char *const oids[] = {tip};
    struct git_fetched got = {0};
    struct err err = {0};
    struct call call = soon();
    if (!git_fetch_pack(origin(), oids, 1, depth, fd, 1 << 20, &call, on_progress, NULL, &got,
                        &err))
        fail_msg("%s", err.text);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    close(fd);
    ROW_INT(name, got.pack_bytes, st.st_size);
    ROW_INT(name, got.objects, commits * 3 + 3);
    git_run(repo, "index-pack", pack);
    if (got.shallow.len > 0)
        write_file(shallow, buf_str(&got.shallow));
    ROW_INT(name, got.shallow.len, depth > 0 ? GIT_OID_HEX + 1 : 0);
    buf_done(&got.shallow);
    git_run(repo, "update-ref", "refs/heads/main", tip);
    git_run(repo, "fsck", "--full", "--strict", "--no-dangling");
    char want[16];
    snprintf(want, sizeof(want), "%d", commits);
    ROW_TEXT(name, git_line(repo, "rev-list", "--count", "main"), want);
}

static void test_fetch(void **state)
{
    (void)state;
    progress_lines = 0;
    fetch_depth("depth-1", 1, 1);
    fetch_depth("depth-50", 50, 50);
    fetch_depth("depth-all", 0, COMMITS);
    assert_true(progress_lines > 0);
}

static bool try_fetch(const struct git_remote *r, const char *oid, int64_t max, int64_t ms,
                      struct err *err)
{
    char name[] = "/tmp/squadbot-wire-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd > 0);
    unlink(name);
    const char *const oids[] = {oid};
    struct git_fetched got = {0};
    struct call call = call_in(ms, NULL);
    bool ok = git_fetch_pack(r, oids, 1, 1, fd, max, &call, NULL, NULL, &got, err);
    buf_done(&got.shallow);
    close(fd);
    return ok;
}

static void test_fetch_refused(void **state)
{
    (void)state;
    AUTO(mem_freep) char *bare = in_dir("origin.git");
    char tip[64];
    snprintf(tip, sizeof(tip), "%s", git_line(bare, "rev-parse", "main"));
    static const struct {
        const char *path;
        enum err_kind kind;
        const char *text;
        int retry_after_s;
    } rows[] = {
        {"nothing.git",           ERR_GONE,     "not found",                           0 },
        {"denied/origin.git",     ERR_DENIED,   "Permission to o/r.git denied to bot", 0 },
        {"slow-down/origin.git",  ERR_LIMIT,    "429",                                 7 },
        {"limited/origin.git",    ERR_LIMIT,    "403",                                 60},
        {"broken/origin.git",     ERR_UPSTREAM, "oops",                                0 },
        {"moved/origin.git",      ERR_GONE,     "redirects",                           0 },
        {"away/origin.git",       ERR_UPSTREAM, "redirects",                           0 },
        {"html/origin.git",       ERR_UPSTREAM, "text/html",                           0 },
        {"noise/origin.git",      ERR_UPSTREAM, "not git's protocol",                  0 },
        {"big-packet/origin.git", ERR_UPSTREAM, "not git's protocol",                  0 },
        {"empty/origin.git",      ERR_UPSTREAM, "cut",                                 0 },
        {"half/origin.git",       ERR_UPSTREAM, "cut",                                 0 },
        {"cut/origin.git",        ERR_UPSTREAM, "",                                    0 },
        {"err/origin.git",        ERR_UPSTREAM, "no such luck",                        0 },
        {"hang/origin.git",       ERR_TIMEOUT,  "",                                    0 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err = {0};
        bool hangs = rows[i].kind == ERR_TIMEOUT;
        ROW_TRUE(rows[i].path,
                 !try_fetch(remote_at(rows[i].path), tip, 1 << 20, hangs ? 300 : 20000, &err));
        ROW_TEXT(rows[i].path, err_policy(err.kind)->name, err_policy(rows[i].kind)->name);
        if (!strstr(err.text, rows[i].text))
            fail_msg("row \"%s\": %s", rows[i].path, err.text);
        ROW_INT(rows[i].path, err.retry_after_s, rows[i].retry_after_s);
        ROW_TRUE(rows[i].path, !strstr(err.text, BACKEND_TOKEN));
    }
    struct err err = {0};
    assert_false(
        try_fetch(origin(), "1234567890123456789012345678901234567890", 1 << 20, 20000, &err));
    assert_int_equal(err.kind, ERR_GONE);
    assert_false(try_fetch(origin(), tip, 100, 20000, &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_false(try_fetch(origin(), "HEAD", 100, 20000, &err));
    assert_int_equal(err.kind, ERR_INPUT);
    struct git_remote anonymous = *origin();
    anonymous.token = NULL;
    assert_false(try_fetch(&anonymous, tip, 1 << 20, 20000, &err));
    assert_int_equal(err.kind, ERR_AUTH);
}

static void test_cancel(void **state)
{
    (void)state;
    struct cancel *cancel = cancel_new();
    cancel_fire(cancel);
    struct call call = {0, cancel};
    struct err err = {0};
    struct git_ref *refs;
    int n;
    assert_false(git_ls_refs(remote_at("hang/origin.git"), NULL, &call, &refs, &n, &err));
    assert_int_equal(err.kind, ERR_CANCELLED);
    cancel_unref(cancel);
}

/* ---------------------------------------------------------------------------------------- pushes
 */

/* A commit upon `parent` in the work tree, and a file with its pack. */
struct change {
    char oid[GIT_OID_HEX + 1];
    char *pack;
};

static void change_make(struct change *c, const char *parent, const char *name)
{
    AUTO(mem_freep) char *work = in_dir("work");
    char command[600];
    git_run(work, "checkout", "-q", "--detach", parent);
    git_commit_file(work, name, name, name);
    snprintf(c->oid, sizeof(c->oid), "%s", git_line(work, "rev-parse", "HEAD"));
    c->pack = mem_printf("%s/%s.pack", world.dir, name);
    snprintf(command, sizeof(command),
             "printf '%%s\\n^%%s\\n' %s %s | git -C %s pack-objects --revs "
             "--stdout -q >%s",
             c->oid, parent, work, c->pack);
    assert_int_equal(run_argv((const char *const[]){"sh", "-c", command, NULL}, NULL), 0);
}

static enum git_push_result push(const char *path, const char *ref, const char *old,
                                 const struct change *c, struct buf *words)
{
    enum git_push_result result;
    struct err err = {0};
    struct call call = soon();
    int fd = open(c->pack, O_RDONLY | O_CLOEXEC);
    assert_true(fd > 0);
    buf_clear(words);
    if (!git_push(remote_at(path), ref, old, c->oid, fd, &call, &result, words, &err))
        fail_msg("%s", err.text);
    close(fd);
    return result;
}

static void test_push(void **state)
{
    (void)state;
    AUTO(mem_freep) char *bare = in_dir("origin.git");
    AUTO(buf_done) struct buf words = {0};
    static const char ref[] = "refs/heads/task-1";
    struct change first, second, third;
    char base[64];
    snprintf(base, sizeof(base), "%s", git_line(bare, "rev-parse", "main"));
    change_make(&first, base, "first");
    change_make(&second, first.oid, "second");
    change_make(&third, base, "third");
    assert_int_equal(push("origin.git", ref, NULL, &first, &words), GIT_PUSHED);
    assert_string_equal(git_line(bare, "rev-parse", ref), first.oid);
    git_run(bare, "fsck", "--strict", "--no-dangling");
    /* again: there already */
    assert_int_equal(push("origin.git", ref, NULL, &first, &words), GIT_PUSHED);
    /* new, but somebody made it */
    assert_int_equal(push("origin.git", ref, NULL, &third, &words), GIT_PUSH_STALE);
    assert_non_null(strstr(buf_cstr(&words), first.oid));
    /* another old id, or gone */
    assert_int_equal(push("origin.git", ref, base, &third, &words), GIT_PUSH_STALE);
    assert_int_equal(push("origin.git", "refs/heads/task-2", base, &third, &words), GIT_PUSH_STALE);
    assert_string_equal(git_line(bare, "rev-parse", ref), first.oid);
    assert_int_equal(push("origin.git", ref, first.oid, &second, &words), GIT_PUSHED);
    /* not a descendant: the old id decides, not the history */
    assert_int_equal(push("origin.git", ref, second.oid, &third, &words), GIT_PUSHED);
    assert_string_equal(git_line(bare, "rev-parse", ref), third.oid);
    struct err err = {0};
    enum git_push_result result;
    struct call call = soon();
    assert_false(
        git_push(origin(), "refs/tags/v1", NULL, third.oid, 1, &call, &result, &words, &err));
    assert_int_equal(err.kind, ERR_BUG);
    free(first.pack);
    free(second.pack);
    free(third.pack);
}

static void test_push_refused(void **state)
{
    (void)state;
    AUTO(mem_freep) char *bare = in_dir("hooked.git");
    AUTO(mem_freep) char *hook = mem_printf("%s/hooks/pre-receive", bare);
    AUTO(mem_freep) char *said = mem_printf("%s/words", bare);
    AUTO(mem_freep) char *origin_dir = in_dir("origin.git");
    static const struct {
        const char *words;
        enum git_push_result result;
    } rows[] = {
        {"the tests do not like this",                                       GIT_PUSH_REFUSED  },
        {"error: GH006: Protected branch update failed for refs/heads/x.",   GIT_PUSH_PROTECTED},
        {"error: GH013: Repository rule violations found for refs/heads/x.", GIT_PUSH_RULE     },
        {"error: GH001: Large files detected. You may want to try Git LFS",  GIT_PUSH_LARGE    },
        {"refusing to allow a GitHub App to create or update workflow `.github/workflows/x.yml` "
         "without `workflows` permission",                          GIT_PUSH_WORKFLOW },
        {"a hook may speak of a stale info or of fetch first",               GIT_PUSH_REFUSED  },
    };
    git_run(world.dir, "clone", "-q", "--bare", origin_dir, bare);
    write_file(hook, STR("#!/bin/sh\nprintf '\\033[31m' >&2\ncat \"$GIT_DIR/words\" >&2\n"
                         "echo second line >&2\nexit 1\n"));
    assert_int_equal(chmod(hook, 0755), 0);
    struct change c;
    AUTO(buf_done) struct buf words = {0};
    char base[64];
    snprintf(base, sizeof(base), "%s", git_line(bare, "rev-parse", "main"));
    change_make(&c, base, "refused");
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO(mem_freep) char *line = mem_printf("%s\n", rows[i].words);
        AUTO(mem_freep)
        char *want = mem_printf("%s second line (pre-receive hook declined)", rows[i].words);
        write_file(said, str_of(line));
        enum git_push_result got = push("hooked.git", "refs/heads/task-9", NULL, &c, &words);
        ROW_TEXT(rows[i].words, git_push_result_name(got), git_push_result_name(rows[i].result));
        ROW_TEXT(rows[i].words, buf_cstr(&words), want);
    }
    /* A pack that lacks an object of the commit. */
    assert_int_equal(unlink(hook), 0);
    struct change lacking = c;
    lacking.oid[0] = lacking.oid[0] == 'a' ? 'b' : 'a';
    assert_int_equal(push("hooked.git", "refs/heads/task-9", NULL, &lacking, &words),
                     GIT_PUSH_REFUSED);
    free(c.pack);
}

struct racer {
    pthread_t thread;
    struct change change;
    const char *old;
    struct git_remote remote;
    char url[256];
    pthread_barrier_t *start;
    bool answered;
    enum git_push_result result;
    struct err err;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    struct buf words = {0};
    struct call call = call_in(60000, NULL);
    int fd = open(r->change.pack, O_RDONLY | O_CLOEXEC);
    pthread_barrier_wait(r->start);
    r->answered = git_push(&r->remote, "refs/heads/race", r->old, r->change.oid, fd, &call,
                           &r->result, &words, &r->err);
    buf_done(&words);
    close(fd);
    return NULL;
}

static void race_once(const char *old, char winner[GIT_OID_HEX + 1])
{
    static struct racer racers[RACERS];
    pthread_barrier_t start;
    AUTO(mem_freep) char *bare = in_dir("origin.git");
    char base[64], name[32];
    int won = 0;
    snprintf(base, sizeof(base), "%s", git_line(bare, "rev-parse", "main"));
    pthread_barrier_init(&start, NULL, RACERS);
    for (int i = 0; i < RACERS; i++) {
        struct racer *r = &racers[i];
        *r = (struct racer){.old = old, .start = &start};
        snprintf(name, sizeof(name), "racer-%d%s", i, old ? "-again" : "");
        change_make(&r->change, base, name);
        snprintf(r->url, sizeof(r->url), "%s/origin.git", world.backend.url);
        r->remote = (struct git_remote){world.http, r->url, &world.token};
    }
    for (int i = 0; i < RACERS; i++)
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    for (int i = 0; i < RACERS; i++)
        pthread_join(racers[i].thread, NULL);
    for (int i = 0; i < RACERS; i++) {
        struct racer *r = &racers[i];
        if (!r->answered)
            fail_msg("racer %d: %s", i, r->err.text);
        if (r->result == GIT_PUSHED) {
            won++;
            memcpy(winner, r->change.oid, GIT_OID_HEX + 1);
        } else {
            assert_int_equal(r->result, GIT_PUSH_STALE);
        }
        free(r->change.pack);
    }
    pthread_barrier_destroy(&start);
    assert_int_equal(won, 1);
    assert_string_equal(git_line(bare, "rev-parse", "refs/heads/race"), winner);
}

static void test_race(void **state)
{
    (void)state;
    char first[GIT_OID_HEX + 1] = "", second[GIT_OID_HEX + 1] = "";
    race_once(NULL, first);
    race_once(first, second);
    assert_string_not_equal(first, second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ls_refs),       cmocka_unit_test(test_fetch),
        cmocka_unit_test(test_fetch_refused), cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_push),          cmocka_unit_test(test_push_refused),
        cmocka_unit_test(test_race),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
