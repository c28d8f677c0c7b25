/* Honest work, made by real git in shallow clones as the sandbox makes it: bundle out, import, push
 * pack, patch. Also that a repeat gives the same ids, and how long a thousand files take. */
#include "bot/git/import.h"
#include "bot/git/message.h"

#include "tests/unit/git/git_run.h"

#include <sys/stat.h>
#include <time.h>

#define REF      "refs/heads/task-12"
#define TRAILERS "Refs: #12\nCo-authored-by: Ada <7+ada@users.noreply.example.com>"

struct place {
    char *dir, *origin, *box,
        *work; /* all; the repository; the sandbox's clone; the import's folder */
    char *bundle;
    char base[GIT_OID_HEX + 1];
    int depth;
};

static void place_make(struct place *p, int depth)
{
    char number[32];
    p->depth = depth;
    p->dir = tmp_make();
    p->origin = mem_printf("%s/origin", p->dir);
    p->box = mem_printf("%s/box", p->dir);
    p->work = mem_printf("%s/work", p->dir);
    p->bundle = mem_printf("%s/out.bundle", p->work);
    make_folder(p->work);
    git_sample(p->origin, 60);
    AUTO(mem_freep) char *url = mem_printf("file://%s", p->origin);
    snprintf(number, sizeof(number), "--depth=%d", depth);
    git_run(p->dir, "clone", "-q", depth ? number : "--no-local", url, p->box);
    snprintf(p->base, sizeof(p->base), "%s", git_line(p->box, "rev-parse", "HEAD"));
}

/* The pack of the clone as it is now, as the bot keeps it. */
static void keep_base(const struct place *p)
{
    char command[2048];
    git_run(p->box, "repack", "-q", "-a", "-d");
    snprintf(command, sizeof(command), "cp %s/.git/objects/pack/*.pack %s/base.pack", p->box,
             p->work);
    assert_int_equal(run_argv((const char *const[]){"sh", "-c", command, NULL}, NULL), 0);
    git_run(p->box, "checkout", "-q", "-b", "task-12");
}

static void place_done(struct place *p)
{
    tmp_remove(p->dir);
    free(p->origin);
    free(p->box);
    free(p->work);
    free(p->bundle);
}

static void bundle(const struct place *p)
{
    AUTO(mem_freep) char *not_base = mem_printf("^%s", p->base);
    AUTO(buf_done) struct buf content = {0};
    git_run(p->box, "bundle", "create", "-q", p->bundle, REF, not_base);
    read_file(p->bundle, &content);
    /* However shallow the clone: one prerequisite, the base, and one ref. */
    AUTO(mem_freep) char *want = mem_printf("# v2 git bundle\n-%s ", p->base);
    AUTO(mem_freep)
    char *tail = mem_printf("\n%s %s\n\nPACK", git_line(p->box, "rev-parse", "HEAD"), REF);
    struct str head = str_sub(buf_str(&content), 0, 400);
    assert_true(str_starts(head, str_of(want)));
    size_t end = str_find(head, str_of(tail), 0);
    assert_int_equal(end, str_find(head, STR("\n"), strlen(want)));
}

static void import(const struct place *p, struct git_import_result *out)
{
    struct git_import_spec spec = {
        .dir = p->work,
        .bundle_path = p->bundle,
        .base_oid = p->base,
        .ref = REF,
        .author = {"squadbot[bot]", "1+squadbot[bot]@users.noreply.example.com"},
        .time_s = 1700000000,
        .title = "feat: do the task",
        .trailers = TRAILERS,
    };
    struct err err = {0};
    struct call call = call_in(60000, NULL);
    if (!git_import(&spec, &call, out, &err))
        fail_msg("%s", err.text);
}

/* The pack into a bare clone of the origin, as the server would take it. */
static void check_pack(const struct place *p, const struct git_import_result *r)
{
    AUTO(mem_freep) char *bare = mem_printf("%s/check.git", p->dir);
    AUTO(mem_freep) char *pack = mem_printf("%s/objects/pack/pack-new.pack", bare);
    AUTO(mem_freep) char *mine = mem_printf("%s^{tree}", r->tip);
    AUTO(buf_done) struct buf content = {0};
    struct err err = {0};
    assert_true(dir_remove(bare, &err));
    git_run(p->dir, "clone", "-q", "--bare", p->origin, bare);
    read_file(r->pack_path, &content);
    write_file(pack, buf_str(&content));
    git_run(bare, "index-pack", pack);
    git_run(bare, "update-ref", REF, r->tip);
    AUTO(buf_done) struct buf words = {0};
    assert_int_equal(git_code(bare, &words, "fsck", "--full", "--strict", "--no-dangling"), 0);
    assert_string_equal(buf_cstr(&words), "");
    assert_string_equal(git_line(bare, "rev-parse", mine),
                        git_line(p->box, "rev-parse", "HEAD^{tree}"));
    AUTO(mem_freep) char *range = mem_printf("%s..%s", p->base, r->tip);
    char count[16];
    snprintf(count, sizeof(count), "%d", r->commits_n);
    assert_string_equal(git_line(bare, "rev-list", "--count", range), count);
    assert_string_equal(
        git_line(bare, "log", "-1", "--format=%an|%ae|%cn|%ce|%ad|%at", "--date=raw", r->tip),
        git_line(bare, "log", "-1",
                 "--format=squadbot[bot]|1+squadbot[bot]@users.noreply.example.com|"
                 "squadbot[bot]|1+squadbot[bot]@users.noreply.example.com|%ct +0000|%ct",
                 r->tip));
    /* The intermediate trees are the agent's too. */
    AUTO(buf_done) struct buf ours = {0};
    AUTO(buf_done) struct buf theirs = {0};
    AUTO(mem_freep) char *box_range = mem_printf("%s..HEAD", p->base);
    assert_int_equal(git_code(bare, &ours, "log", "--format=%T", range), 0);
    assert_int_equal(git_code(p->box, &theirs, "log", "--format=%T", box_range), 0);
    assert_string_equal(buf_cstr(&ours), buf_cstr(&theirs));
}

static void check_patch(const struct place *p, const struct git_import_result *r)
{
    AUTO(mem_freep) char *tree = mem_printf("%s/am", p->dir);
    AUTO(mem_freep) char *mbox = mem_printf("%s/series.mbox", p->dir);
    struct err err = {0};
    assert_true(r->patch.len > 0);
    assert_true(dir_remove(tree, &err));
    git_run(p->dir, "clone", "-q", p->origin, tree);
    write_file(mbox, buf_str(&r->patch));
    git_run(tree, "am", "-q", "--keep-cr", mbox);
    assert_string_equal(git_line(tree, "rev-parse", "HEAD^{tree}"),
                        git_line(p->box, "rev-parse", "HEAD^{tree}"));
}

static void write_in(const struct place *p, const char *name, struct str content)
{
    AUTO(mem_freep) char *path = mem_printf("%s/%s", p->box, name);
    write_file(path, content);
}

static void all_kinds_of_changes(const struct place *p)
{
    char binary[3000];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof(binary); i++)
        binary[i] = (char)((x = x * 1664525u + 1013904223u) >> 24);
    write_in(p, "image.bin", (struct str){binary, sizeof(binary)});
    write_in(p, "d\xc3\xa9j\xc3\xa0 vu.txt", STR("ol\xc3\xa9\n"));
    write_in(p, "crlf.txt", STR("one\r\ntwo\r\n"));
    write_in(p, "no-newline.txt", STR("no newline"));
    write_in(p, "empty", STR(""));
    git_run(p->box, "add", "-A");
    git_run(p->box, "commit", "-q", "-m",
            "feat(files): add many kinds\n\nWith a body.\n\nSigned-off-by: x <x@y>");
    AUTO(mem_freep) char *run = mem_printf("%s/src/deep/a.c", p->box);
    AUTO(mem_freep) char *link = mem_printf("%s/src/link", p->box);
    assert_int_equal(chmod(run, 0755), 0);
    assert_int_equal(symlink("../README.md", link), 0);
    binary[7] = 'x';
    write_in(p, "image.bin", (struct str){binary, sizeof(binary)});
    git_run(p->box, "mv", "crlf.txt", "src/moved.txt");
    git_run(p->box, "rm", "-q", "README.md");
    git_run(p->box, "add", "-A");
    git_run(p->box, "commit", "-q", "-m", "Changed some THINGS.\n\nWhy: because.");
}

static void honest(int depth)
{
    struct place p;
    struct git_import_result r = {0}, again = {0};
    place_make(&p, depth);
    keep_base(&p);
    all_kinds_of_changes(&p);
    bundle(&p);
    import(&p, &r);
    assert_int_equal(r.commits_n, 2);
    assert_string_equal(r.commits[0].subject, "feat(files): add many kinds");
    assert_false(r.commits[0].reworded);
    assert_string_equal(r.commits[1].subject, "feat: changed some THINGS");
    assert_true(r.commits[1].reworded);
    assert_string_equal(r.commits[1].oid, r.tip);
    assert_int_equal(r.files, 8);
    assert_int_equal(r.insertions, 5);
    assert_int_equal(r.deletions, 1);
    assert_non_null(strstr(buf_cstr(&r.diffstat), "README.md | +0 -1\n"));
    assert_non_null(strstr(buf_cstr(&r.diffstat), "image.bin | binary\n"));
    check_pack(&p, &r);
    check_patch(&p, &r);
    import(&p, &again); /* now with base.idx there */
    assert_string_equal(again.tip, r.tip);
    assert_string_equal(again.commits[0].oid, r.commits[0].oid);
    assert_string_equal(buf_cstr(&again.patch), buf_cstr(&r.patch));
    git_import_result_done(&r);
    git_import_result_done(&again);
    place_done(&p);
}

static void test_honest(void **state)
{
    (void)state;
    honest(1);
    honest(50);
    honest(0);
}

static void check_message(const char *row, const char *given, const char *want)
{
    struct place p;
    struct git_import_result r = {0};
    place_make(&p, 1);
    keep_base(&p);
    write_in(&p, "message", str_of(given));
    AUTO(mem_freep) char *file = mem_printf("%s/message", p.box);
    git_run(p.box, "commit", "-q", "--allow-empty", "--allow-empty-message", "--cleanup=verbatim",
            "-F", file);
    git_commit_file(p.box, "x", "x", "feat: x");
    bundle(&p);
    import(&p, &r);
    check_pack(&p, &r);
    check_patch(&p, &r);
    AUTO(mem_freep) char *bare = mem_printf("%s/check.git", p.dir);
    AUTO(buf_done) struct buf got = {0};
    assert_int_equal(git_code(bare, &got, "log", "-1", "--format=%B", r.commits[0].oid), 0);
    AUTO(mem_freep) char *whole = mem_printf("%s\n\n%s\n\n", want, TRAILERS);
    ROW_TEXT(row, buf_cstr(&got), whole);
    struct err err = {0};
    if (!commit_message_check(buf_str(&got), &err))
        fail_msg("row \"%s\": %s", row, err.text);
    git_import_result_done(&r);
    place_done(&p);
}

static void test_messages(void **state)
{
    (void)state;
    static const struct {
        const char *name, *given, *want;
    } rows[] = {
        {"kept",              "fix(parser): accept tabs\n\nBody.\n",                                 "fix(parser): accept tabs\n\nBody."                                                },
        {"no body",           "fix: accept tabs",                                                    "fix: accept tabs"                                                                 },
        {"reworded",          "Fix the parser.\n\nBody.",                                            "fix: fix the parser\n\nBody."                                                     },
        {"nothing said",      "wip\n\nBody.",                                                        "feat: do the task\n\nwip\n\nBody."                                                },
        {"empty",             "",                                                                    "feat: do the task"                                                                },
        {"long first line",
         "Add a function that takes the whole configuration of the machine and writes it to a file", "feat: add a function that takes the whole configuration of the machine\n\nAdd a function "
         "that takes the whole configuration of the machine and writes it to a file"},
        {"forged trailers",
         "fix: x y\n\nBody.\n\nCo-authored-by: Boss <b@x>\nsigned-off-by : me\nReviewed-By: you",    "fix: x y\n\nBody."                                                                },
        {"ours given",        "fix: x y\n\nRefs: #12\n",                                             "fix: x y"                                                                         },
        {"controls",
         "fix: x\x1b[31m y\xe2\x80\xae z\n\nB\x07o\xe2\x80\x8b"
         "dy.\r\nNext.",                                                                             "fix: x y z\n\nBody.\nNext."                                                       },
        {"latin 1",           "fix: caf\xe9 opens\n",                                                "fix: caf\xc3\xa9 opens"                                                           },
        {"ci",                "fix: x y [skip ci]\n\n[CI Skip] body\n\nskip-checks: true",           "fix: x y\n\nbody"                                                                 },
        {"ci in ci",          "fix: x y\n\n[skip [skip ci]ci]ok ***NO***NO_CI***_CI***",             "fix: x y\n\nok"                                                                   },
        {"ci in the subject", "fix: x [skip [no ci] ci] y [skip\tci]",                               "fix: x y"                                                                         },
        {"like a patch",
         "fix: x y\n\n---\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b",               "fix: x y\n\n> ---\n> diff --git a/x b/x\n> --- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b" },
        {"breaking",          "feat!: drop it\n\nBREAKING CHANGE: it is gone",
         "feat!: drop it\n\nBREAKING CHANGE: it is gone"                                                                                                                                },
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check_message(rows[i].name, rows[i].given, rows[i].want);
}

static void test_thousand_files(void **state)
{
    (void)state;
    struct place p;
    struct git_import_result r = {0};
    place_make(&p, 1);
    AUTO(mem_freep) char *folder = mem_printf("%s/many", p.box);
    char name[64];
    AUTO(buf_done) struct buf text = {0};
    keep_base(&p);
    for (int d = 0; d < 20; d++) {
        AUTO(mem_freep) char *sub = mem_printf("%s/%d", folder, d);
        make_folder(sub);
    }
    for (int i = 0; i < 1000; i++) {
        buf_clear(&text);
        for (int k = 0; k < 60; k++)
            buf_printf(&text, "int function_%d_%d(void) { return %d; }\n", i, k, i * k);
        snprintf(name, sizeof(name), "many/%d/file-%d.c", i % 20, i);
        AUTO(mem_freep) char *path = mem_printf("%s/%s", p.box, name);
        FILE *f = fopen(path, "w"); /* without the fsync of file_write() */
        assert_non_null(f);
        assert_int_equal(fwrite(text.data, 1, text.len, f), text.len);
        assert_int_equal(fclose(f), 0);
    }
    git_run(p.box, "add", "-A");
    git_run(p.box, "commit", "-q", "-m", "feat: add a thousand files");
    bundle(&p);
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    import(&p, &r);
    clock_gettime(CLOCK_MONOTONIC, &to);
    print_message("1,000 files imported in %lld ms\n", (long long)(to.tv_sec - from.tv_sec) * 1000 +
                                                           (to.tv_nsec - from.tv_nsec) / 1000000);
    assert_int_equal(r.files, 1000);
    assert_int_equal(r.insertions, 60000);
    assert_true(str_ends(buf_str(&r.diffstat), STR("and 950 more files\n")));
    check_pack(&p, &r);
    git_import_result_done(&r);
    place_done(&p);
}

static int setup(void **state)
{
    (void)state;
    git_engine_init();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    git_engine_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_honest),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_thousand_files),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
