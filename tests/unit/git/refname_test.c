/* Names against the case file, and the case file against git's own opinion. */
#include "bot/git/refname.h"

#include "tests/unit/case_file.h"
#include "tests/unit/git/git_run.h"

static void check_branch(struct str line)
{
    struct str rest = line, verdict;
    AUTO(buf_done) struct buf name = {0};
    assert_true(str_split(&rest, '|', &verdict));
    case_unescape(rest, &name);
    bool task = str_eq(verdict, STR("task"));
    bool own = str_eq(verdict, STR("own:"));
    bool valid = task || str_eq(verdict, STR("valid"));
    if (!valid && !own && !str_eq(verdict, STR("invalid")))
        fail_msg("verdict of \"" STR_FMT "\"", STR_ARG(line));
    ROW_INT(buf_cstr(&name), refname_branch_ok(buf_str(&name)), valid);
    ROW_INT(buf_cstr(&name), refname_task_branch_ok(buf_str(&name)), task);
    AUTO(mem_freep) char *ref = mem_printf("refs/heads/%s", buf_cstr(&name));
    AUTO(buf_done) struct buf words = {0};
    bool git = git_code("/", &words, "check-ref-format", ref) == 0;
    ROW_INT(buf_cstr(&name), git, valid || own);
}

static void test_branches(void **state)
{
    (void)state;
    case_file_each("refnames.txt", 50, check_branch);
}

static void test_branch_bytes(void **state)
{
    (void)state;
    char name[246];
    memset(name, 'a', sizeof(name));
    assert_true(refname_branch_ok((struct str){name, 244}));
    assert_false(refname_branch_ok((struct str){name, 245}));
    for (int c = 0; c < 256; c++) {
        char text[3] = {'a', (char)c, 'b'};
        bool want = c > 0x20 && c < 0x7f && !strchr("~^:?*[\\", c);
        if (refname_branch_ok((struct str){text, 3}) != want)
            fail_msg("byte %d", c);
    }
}

static const struct {
    const char *name;
    bool valid;
} repositories[] = {
    {"ada/engine",                                 true },
    {"A-1/b.c_d-e",                                true },
    {"a/.github",                                  true },
    {"a/..x",                                      true },
    {"a",                                          false},
    {"/a",                                         false},
    {"a/",                                         false},
    {"a/b/c",                                      false},
    {"a/.",                                        false},
    {"a/..",                                       false},
    {"a_b/c",                                      false},
    {"a.b/c",                                      false},
    {"a b/c",                                      false},
    {"a/b c",                                      false},
    {"a/b%2f",                                     false},
    {"../b",                                       false},
    {"",                                           false},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/b", false},
};

static void test_repositories(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(repositories); i++)
        ROW_INT(repositories[i].name, refname_repository_ok(str_of(repositories[i].name)),
                repositories[i].valid);
    assert_false(refname_repository_ok(STR("a/b\0c")));
    assert_false(refname_repository_ok(STR("a\0/b")));
}

static void test_oids(void **state)
{
    (void)state;
    struct str oid, rest;
    assert_true(refname_oid_ok(STR("0123456789abcdef0123456789abcdef01234567")));
    assert_false(refname_oid_ok(STR("0123456789ABCDEF0123456789abcdef01234567")));
    assert_false(refname_oid_ok(STR("0123456789abcdef0123456789abcdef0123456")));
    assert_false(refname_oid_ok(STR("0123456789abcdef0123456789abcdef012345678")));
    assert_false(refname_oid_ok(STR("0123456789abcdef0123456789abcdef0123456g")));
    assert_true(refname_oid_line(STR("0123456789abcdef0123456789abcdef01234567 x y"), &oid, &rest));
    assert_true(str_eq(rest, STR("x y")));
    assert_false(refname_oid_line(STR("0123456789abcdef0123456789abcdef01234567 "), &oid, &rest));
    assert_false(refname_oid_line(STR("0123456789abcdef0123456789abcdef01234567-x"), &oid, &rest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_branches),
        cmocka_unit_test(test_branch_bytes),
        cmocka_unit_test(test_repositories),
        cmocka_unit_test(test_oids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
