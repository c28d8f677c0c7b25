/* Payloads into struct event: what is read, what is tolerated, and that a body under another
 * event's name is refused. */
#include "tests/unit/row.h"

#include "bot/base/mem.h"
#include "github-app/event.h"

#define COMMON                                                                                     \
    "\"sender\":{\"id\":7,\"login\":\"ann\",\"type\":\"User\"},"                                   \
    "\"repository\":{\"id\":9007199254740993,\"full_name\":\"o/r\",\"default_branch\":\"dev\"},"   \
    "\"installation\":{\"id\":5,\"node_id\":\"x\"}"
#define ISSUE                                                                                      \
    "\"issue\":{\"number\":12,\"title\":\"T\",\"body\":\"B\",\"state\":\"open\","                  \
    "\"user\":{\"login\":\"bob\"}}"
#define PULL                                                                                       \
    "\"pull_request\":{\"number\":3,\"merged\":true,\"merged_by\":{\"login\":\"eve\"},"            \
    "\"head\":{\"ref\":\"task-1\",\"sha\":\"abc\",\"repo\":{\"id\":8}},\"base\":{\"ref\":"         \
    "\"main\"}}"
#define COMMENT                                                                                    \
    "\"comment\":{\"id\":99,\"body\":\"hi\",\"user\":{\"login\":\"cy\"},"                          \
    "\"performed_via_github_app\":{\"id\":4}}"
#define ACCOUNT                                                                                    \
    "\"installation\":{\"id\":5,\"account\":{\"id\":6,\"login\":\"o\",\"type\":\"Organization\"}," \
    "\"permissions\":{\"issues\":\"write\"},\"events\":[\"push\"]}"

static bool parse(const char *name, const char *body, struct arena *arena, struct event *e,
                  struct err *err)
{
    return event_parse(str_of(name), str_of(body), arena, e, err);
}

static void issue_event(void **state)
{
    struct arena *arena = arena_new();
    struct event e;
    struct err err;
    (void)state;
    assert_true(parse(
        "issues", "{\"action\":\"labeled\"," ISSUE ",\"label\":{\"name\":\"squadbot\"}," COMMON "}",
        arena, &e, &err));
    assert_string_equal(e.name, "issues");
    assert_string_equal(e.action, "labeled");
    assert_int_equal(e.installation_id, 5);
    assert_int_equal(e.sender.id, 7);
    assert_string_equal(e.sender.login, "ann");
    assert_string_equal(e.sender.type, "User");
    assert_true(e.repository.id == 9007199254740993); /* a double would lose the last bit */
    assert_string_equal(e.repository.full_name, "o/r");
    assert_string_equal(e.repository.default_branch, "dev");
    assert_int_equal(e.issue.number, 12);
    assert_string_equal(e.issue.title, "T");
    assert_string_equal(e.issue.body, "B");
    assert_string_equal(e.issue.state, "open");
    assert_string_equal(e.issue.user, "bob");
    assert_false(e.issue.is_pull_request);
    assert_string_equal(e.label, "squadbot");
    assert_int_equal(e.pull.number, 0);
    assert_null(e.comment.body);
    arena_free(arena);
}

static void pull_and_comment_events(void **state)
{
    struct arena *arena = arena_new();
    struct event e;
    struct err err;
    (void)state;
    assert_true(
        parse("pull_request", "{\"action\":\"closed\"," PULL "," COMMON "}", arena, &e, &err));
    assert_int_equal(e.pull.number, 3);
    assert_true(e.pull.merged);
    assert_string_equal(e.pull.head_branch, "task-1");
    assert_string_equal(e.pull.head_sha, "abc");
    assert_int_equal(e.pull.head_repo_id, 8);
    assert_string_equal(e.pull.base_branch, "main");
    assert_string_equal(e.pull.merged_by, "eve");
    assert_null(e.label);
    assert_true(parse("issue_comment",
                      "{\"action\":\"created\"," COMMENT ",\"issue\":{\"number\":4,"
                      "\"pull_request\":{}}," COMMON "}",
                      arena, &e, &err));
    assert_int_equal(e.comment.id, 99);
    assert_string_equal(e.comment.body, "hi");
    assert_string_equal(e.comment.user, "cy");
    assert_int_equal(e.comment.app_id, 4);
    assert_true(e.issue.is_pull_request);
    assert_true(parse("installation", "{\"action\":\"created\"," ACCOUNT "}", arena, &e, &err));
    assert_int_equal(e.installation.id, 5);
    assert_int_equal(e.installation.account_id, 6);
    assert_string_equal(e.installation.account_login, "o");
    assert_string_equal(e.installation.account_type, "Organization");
    assert_string_equal(e.installation.permissions, "{\"issues\":\"write\"}");
    assert_string_equal(e.installation.events, "[\"push\"]");
    arena_free(arena);
}

static void absent_and_odd_values(void **state)
{
    static const struct {
        const char *name, *body, *title, *text;
        int number;
    } rows[] = {
        {"null body",       "{\"issue\":{\"number\":1,\"title\":\"t\",\"body\":null}}", "t",  NULL, 1},
        {"wrong types",     "{\"issue\":{\"number\":\"1\",\"title\":5,\"body\":[]}}",   NULL, NULL, 0},
        {"null user",       "{\"issue\":{\"number\":1,\"user\":null}}",                 NULL, NULL, 1},
        {"NUL in the text", "{\"issue\":{\"number\":1,\"title\":\"a\\u0000b\"}}",       "ab", NULL, 1},
        {"huge number",     "{\"issue\":{\"number\":4294967297}}",                      NULL, NULL, 0},
        {"negative",        "{\"issue\":{\"number\":-1}}",                              NULL, NULL, 0},
        {"real",            "{\"issue\":{\"number\":1.5}}",                             NULL, NULL, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena *arena = arena_new();
        struct event e;
        struct err err;
        ROW_TRUE(rows[i].name, parse("issues", rows[i].body, arena, &e, &err));
        ROW_INT(rows[i].name, e.issue.number, rows[i].number);
        ROW_TEXT(rows[i].name, e.issue.title ? e.issue.title : "-",
                 rows[i].title ? rows[i].title : "-");
        ROW_TRUE(rows[i].name, e.issue.body == NULL);
        ROW_TEXT(rows[i].name, e.action, "");
        arena_free(arena);
    }
}

static void name_and_body_must_fit(void **state)
{
    static const struct {
        const char *row, *name, *body;
        bool ok;
    } rows[] = {
        {"issue",                        "issues",              "{" ISSUE "}",                             true },
        {"comment as issue",             "issues",              "{" ISSUE "," COMMENT "}",                 false},
        {"pull as issue",                "issues",              "{" PULL "}",                              false},
        {"issue as comment",             "issue_comment",       "{" ISSUE "}",                             false},
        {"review comment as comment",    "issue_comment",       "{" PULL "," COMMENT "}",                  false},
        {"review comment as pull",       "pull_request",        "{" PULL "," COMMENT "}",                  false},
        {"review as pull",               "pull_request",        "{" PULL ",\"review\":{}}",                false},
        {"thread as pull",               "pull_request",        "{" PULL ",\"thread\":{}}",                false},
        {"review",                       "pull_request_review", "{" PULL ",\"review\":{}}",                true },
        {"null issue",                   "issues",              "{\"issue\":null}",                        false},
        {"any as installation",          "installation",        "{" ISSUE "," COMMON "}",                  false},
        {"repositories as installation", "installation",        "{" ACCOUNT ",\"repositories_added\":[]}",
         false                                                                                                  },
        {"issue as repository",          "repository",          "{" ISSUE "," COMMON "}",                  false},
        {"repository",                   "repository",          "{" COMMON "}",                            true },
        {"delete as create",             "create",              "{\"ref\":\"a\",\"ref_type\":\"branch\"}", false},
        {"create as delete",             "delete",
         "{\"ref\":\"a\",\"ref_type\":\"branch\",\"master_branch\":\"m\"}",                                false},
        {"unknown event",                "future_event2",       "{\"x\":1," COMMON "}",                    true },
        {"unknown, empty",               "future_event2",       "{}",                                      true },
        {"empty name",                   "",                    "{}",                                      false},
        {"odd name",                     "issues\n",            "{" ISSUE "}",                             false},
        {"array",                        "issues",              "[]",                                      false},
        {"string",                       "unknown",             "\"x\"",                                   false},
        {"broken",                       "issues",              "{" ISSUE,                                 false},
        {"empty",                        "issues",              "",                                        false},
        {"duplicate key",                "issues",              "{" ISSUE "," ISSUE "}",                   false},
        {"bad UTF-8",                    "issues",              "{\"issue\":{\"title\":\"\xff\"}}",        false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena *arena = arena_new();
        struct event e = {.name = "untouched"};
        struct err err;
        bool ok = parse(rows[i].name, rows[i].body, arena, &e, &err);
        ROW_INT(rows[i].row, ok, rows[i].ok);
        if (!ok) {
            ROW_INT(rows[i].row, err.kind, ERR_INPUT);
            ROW_TEXT(rows[i].row, e.name, "untouched");
        }
        arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(issue_event),
        cmocka_unit_test(pull_and_comment_events),
        cmocka_unit_test(absent_and_odd_values),
        cmocka_unit_test(name_and_body_must_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
