/* The endpoints: permission, refs, pull requests, comments, ourselves; what happens after refusals
 * and lost answers. */
#include "tests/unit/github-app/fake.h"

#include "github-app/names.h"

static struct signer *signer;
static const struct github_repo repo = {.installation_id = 5, .id = 77, .full_name = "o/r"};

#define R      API "/repos/o/r"
#define EMPTY  "{\"message\":\"Not Found\"}"
#define LIST   "GET " R "/pulls?state=open&sort=created&direction=desc&per_page=100&head=o%3Atask-1$"
#define SHA    "0123456789012345678901234567890123456789"
#define REPO_J "{\"id\":77,\"full_name\":\"o/r\",\"default_branch\":\"main\"}"
#define PULL(number, id)                                                                           \
    "{\"number\":" number ",\"state\":\"open\",\"html_url\":\"https://h/" number                   \
    "\",\"draft\":true,\"user\":{\"id\":9},\"head\":{\"sha\":\"" SHA                               \
    "\",\"ref\":\"task-1\",\"repo\":{\"id\":" id                                                   \
    ",\"full_name\":\"o/r\"}},\"base\":{\"ref\":\"main\"}}"

static struct call soon(void)
{
    return call_in(600000, NULL);
}

/* -------------------------------------------------------------------------------- permission */

static void permission_fails_closed(void **state)
{
    static const struct {
        const char *login;
        int status;
        const char *body;
        bool ok;
        enum github_role role;
        enum err_kind kind;
    } rows[] = {
        {"ann",     200, "{\"permission\":\"admin\"}",                            true,  GITHUB_ROLE_ADMIN, 0           },
        {"ann",     200, "{\"permission\":\"write\",\"role_name\":\"maintain\"}", true,
         GITHUB_ROLE_WRITE,                                                                                 0           },
        {"ann",     200, "{\"permission\":\"read\",\"role_name\":\"triage\"}",    true,  GITHUB_ROLE_READ,
         0                                                                                                              },
        {"ann",     200, "{\"permission\":\"maintain\"}",                         true,  GITHUB_ROLE_WRITE, 0           },
        {"ann",     200, "{\"permission\":\"triage\"}",                           true,  GITHUB_ROLE_READ,  0           },
        {"ann",     200, "{\"permission\":\"none\"}",                             true,  GITHUB_ROLE_NONE,  0           },
        {"ann",     404, EMPTY,                                                   true,  GITHUB_ROLE_NONE,  0           },
        {"b[bot]",  200, "{\"permission\":\"write\"}",                            true,  GITHUB_ROLE_WRITE, 0           },
        {"a_corp",  200, "{\"permission\":\"read\"}",                             true,  GITHUB_ROLE_READ,  0           },
        {"ann",     200, "{\"permission\":\"owner\"}",                            false, 0,                 ERR_UPSTREAM},
        {"ann",     200, "{\"permission\":null}",                                 false, 0,                 ERR_UPSTREAM},
        {"ann",     200, "[]",                                                    false, 0,                 ERR_UPSTREAM},
        {"ann",     200, "",                                                      false, 0,                 ERR_UPSTREAM},
        {"ann",     200, "{\"permission\":\"admin\"",                             false, 0,                 ERR_UPSTREAM},
        {"ann",     403, "{\"message\":\"Resource not accessible\"}",             false, 0,                 ERR_DENIED  },
        {"ann",     451, "{\"message\":\"blocked\"}",                             false, 0,                 ERR_DENIED  },
        {"ann",     500, "oops",                                                  false, 0,                 ERR_UPSTREAM},
        {"ann",     0,   NULL,                                                    false, 0,                 ERR_UPSTREAM},
        {"",        200, "{\"permission\":\"admin\"}",                            false, 0,                 ERR_INPUT   },
        {"a/b",     200, "{\"permission\":\"admin\"}",                            false, 0,                 ERR_INPUT   },
        {"..",      200, "{\"permission\":\"admin\"}",                            false, 0,                 ERR_INPUT   },
        {"a?x",     200, "{\"permission\":\"admin\"}",                            false, 0,                 ERR_INPUT   },
        {"[bot]",   200, "{\"permission\":\"admin\"}",                            false, 0,                 ERR_INPUT   },
        {"a[bot]x", 200, "{\"permission\":\"admin\"}",                            false, 0,                 ERR_INPUT   },
        {"a b",     200, "{\"permission\":\"admin\"}",                            false, 0,                 ERR_INPUT   },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fake_rule rules[] = {
            MINT, {"GET", rows[i].status, NULL, rows[i].body, 0},
             {0}
        };
        struct fake *f = fake_new(rules, signer, NULL);
        enum github_role role = GITHUB_ROLE_NONE;
        struct call call = soon();
        struct err err = {0};
        bool ok = github_permission(f->g, &repo, rows[i].login, &call, &role, &err);
        if (ok != rows[i].ok || role != rows[i].role || (!ok && err.kind != rows[i].kind))
            fail_msg("row %zu (%s, %d, %s): %s", i, rows[i].login, rows[i].status,
                     rows[i].body ? rows[i].body : "", err.text);
        fake_free(f);
    }
}

static void names_are_checked(void **state)
{
    static const struct {
        bool (*check)(struct str);
        const char *text;
        bool ok;
    } rows[] = {
        {name_repo_ok,   "o/r",            true },
        {name_repo_ok,   "My-Org/r.e_p-o", true },
        {name_repo_ok,   "o/.github",      true },
        {name_repo_ok,   "o",              false},
        {name_repo_ok,   "o/",             false},
        {name_repo_ok,   "/r",             false},
        {name_repo_ok,   "o/r/x",          false},
        {name_repo_ok,   "o/..",           false},
        {name_repo_ok,   "../r",           false},
        {name_repo_ok,   "o/r?x",          false},
        {name_repo_ok,   "o/r%2f",         false},
        {name_repo_ok,   "-o/r",           false},
        {name_branch_ok, "main",           true },
        {name_branch_ok, "feat/a-b_c.d",   true },
        {name_branch_ok, "b\xc3\xa4r",     true },
        {name_branch_ok, "a#b",            true },
        {name_branch_ok, "",               false},
        {name_branch_ok, "-x",             false},
        {name_branch_ok, "@",              false},
        {name_branch_ok, "a..b",           false},
        {name_branch_ok, "a/../b",         false},
        {name_branch_ok, "a/.b",           false},
        {name_branch_ok, "a//b",           false},
        {name_branch_ok, "/a",             false},
        {name_branch_ok, "a/",             false},
        {name_branch_ok, "a.lock",         false},
        {name_branch_ok, "a.lock/b",       false},
        {name_branch_ok, "a b",            false},
        {name_branch_ok, "a@{b",           false},
        {name_branch_ok, "a~1",            false},
        {name_branch_ok, "a\nb",           false},
        {name_branch_ok, "a.",             false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].check(str_of(rows[i].text)) != rows[i].ok)
            fail_msg("%s", rows[i].text);
}

/* -------------------------------------------------------------------------------------- refs */

static void ref_is_read(void **state)
{
    static const struct {
        const char *name;
        int status;
        const char *body;
        bool ok;
        bool found;
    } rows[] = {
        {"there",             200, "{\"ref\":\"refs/heads/feat/a#1\",\"object\":{\"sha\":\"" SHA "\"}}",  true,
         true                                                                                                         },
        {"none",              404, EMPTY,                                                                 true,  false},
        {"empty repository",  409, "{\"message\":\"Git Repository is empty.\"}",                          true,  false},
        {"prefix only",       200, "{\"ref\":\"refs/heads/feat/a#12\",\"object\":{\"sha\":\"" SHA "\"}}",
         true,                                                                                                   false},
        {"array of prefixes", 200, "[]",                                                                  true,  false},
        {"no id",             200, "{\"ref\":\"refs/heads/feat/a#1\",\"object\":{\"sha\":\"xyz\"}}",      false,
         false                                                                                                        },
        {"denied",            403, EMPTY,                                                                 false, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fake_rule rules[] = {
            MINT,
            {"GET " R "/git/ref/heads/feat/a%231", rows[i].status, NULL, rows[i].body, 0},
            {0                               }
        };
        struct fake *f = fake_new(rules, signer, NULL);
        char oid[41] = "";
        bool found = false;
        struct call call = soon();
        struct err err = {0};
        bool ok = github_ref_get(f->g, &repo, "feat/a#1", &call, oid, &found, &err);
        if (ok != rows[i].ok || found != rows[i].found || (found && strcmp(oid, SHA) != 0))
            fail_msg("%s: %s", rows[i].name, err.text);
        fake_free(f);
    }
}

static void branch_is_deleted(void **state)
{
    static const struct {
        const char *name;
        int status, ref_status;
        bool ok;
    } rows[] = {
        {"deleted",      204, 404, true },
        {"gone already", 422, 404, true },
        {"not found",    404, 404, true },
        {"protected",    422, 200, false},
        {"not allowed",  403, 200, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fake_rule rules[] = {
            MINT,
            {"DELETE " R "/git/refs/heads/task-1$", rows[i].status, NULL,
              rows[i].status == 204 ? NULL : "{\"message\":\"Reference\"}", 0},
            {"DELETE " API "/installation/token$",                                 204, NULL, NULL, 0},
            {"GET",                                    rows[i].ref_status, NULL,
              "{\"ref\":\"refs/heads/task-1\",\"object\":{\"sha\":\"" SHA "\"}}", 0},
            {0 }
        };
        struct fake *f = fake_new(rules, signer, NULL);
        struct call call = soon();
        struct err err = {0};
        if (github_branch_delete(f->g, &repo, "task-1", &call, &err) != rows[i].ok)
            fail_msg("%s: %s", rows[i].name, err.text);
        assert_int_equal(fake_count(f, "DELETE " API "/installation/token"), 1);
        fake_free(f);
    }
}

static void branch_is_protected(void **state)
{
    static const struct {
        const char *name;
        const char *branch;
        int rules_status;
        const char *rules;
        bool ok, is_protected;
    } rows[] = {
        {"flag",            "{\"protected\":true}",  200, "[]",                        true,  true },
        {"neither",         "{\"protected\":false}", 200, "[{\"type\":\"creation\"}]", true,  false},
        {"rule",            "{\"protected\":false}", 200, "[{\"type\":\"deletion\"}]", true,  true },
        {"no rulesets",     "{\"protected\":false}", 404, EMPTY,                       true,  false},
        {"rules forbidden", "{\"protected\":false}", 403, EMPTY,                       false, false},
        {"no flag",         "{}",                    200, "[]",                        false, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fake_rule rules[] = {
            MINT,
            {"GET " R "/branches/a%2Fb$", 200, NULL, rows[i].branch, 0},
            {"GET " R "/rules/branches/a%2Fb?",                       rows[i].rules_status, NULL, rows[i].rules, 0},
            {0                         }
        };
        struct fake *f = fake_new(rules, signer, NULL);
        bool out = false;
        struct call call = soon();
        struct err err = {0};
        bool ok = github_branch_protected(f->g, &repo, "a/b", &call, &out, &err);
        if (ok != rows[i].ok || out != rows[i].is_protected)
            fail_msg("%s: %s", rows[i].name, err.text);
        fake_free(f);
    }
}

/* ---------------------------------------------------------------------------- repositories */

static void repository_is_found_by_name(void **state)
{
    static const struct fake_rule rules[] = {
        {"GET " API "/repos/old/name/installation$",           301,
         "Location: " API "/repositories/77/installation\r\n", "{}", 0},
        {"GET " API "/repositories/77/installation$", 200, NULL, "{\"id\":5}", 0},
        {"GET " API "/repos/old/name$",                                                   301, "Location: " API "/repositories/77\r\n", "{}", 0},
        {"GET " API "/repositories/77$",          200, NULL, REPO_J, 0},
        MINT,
        {0                                               }
    };
    (void)state;
    struct fake *f = fake_new(rules, signer, NULL);
    struct github_repo found;
    struct github_repo_info info;
    struct arena *arena = arena_new();
    struct call call = soon();
    struct err err;
    if (!github_repo_find(f->g, "old/name", &call, arena, &found, &info, &err))
        fail_msg("%s", err.text);
    assert_int_equal(found.installation_id, 5);
    assert_int_equal(found.id, 77);
    assert_string_equal(found.full_name, "o/r");
    assert_non_null(strstr(fake_last(f, "POST")->body, "\"repository_ids\":[77]"));
    assert_false(github_repo_find(f->g, "no such", &call, arena, &found, &info, &err));
    assert_int_equal(err.kind, ERR_INPUT);
    arena_free(arena);
    fake_free(f);
}

static void token_by_name_before_the_id_is_known(void **state)
{
    static const struct fake_rule rules[] = {
        {"GET " R "/installation$", 200, NULL, "{\"id\":5}", 0},
        {"GET " R "$",                     200, NULL, REPO_J, 0},
        MINT,
        {0                       }
    };
    (void)state;
    struct fake *f = fake_new(rules, signer, NULL);
    struct github_repo found;
    struct github_repo_info info;
    struct arena *arena = arena_new();
    struct call call = soon();
    struct err err;
    assert_true(github_repo_find(f->g, "o/r", &call, arena, &found, &info, &err));
    assert_int_equal(found.id, 77);
    assert_non_null(strstr(fake_last(f, "POST")->body, "\"repositories\":[\"r\"]"));
    arena_free(arena);
    fake_free(f);
}

/* --------------------------------------------------------------------------- pull requests */

static const struct github_pull_text text = {
    .title = "feat: x", .body = "b", .head = "task-1", .base = "main", .draft = true};

static bool open_pull(struct fake *f, struct github_pull *out, struct arena *arena, struct err *err)
{
    struct call call = soon();
    return github_pull_open(f->g, &repo, &text, &call, arena, out, err);
}

static void pull_is_opened(void **state)
{
    static const struct {
        const char *name;
        struct fake_rule rules[8];
        bool ok;
        int posts, patches;
        int number;
    } rows[] = {
        {"new",
         {MINT, {LIST, 200, NULL, "[]", 0}, {"POST " R "/pulls", 201, NULL, PULL("3", "77"), 0}},
         true,  1,
         0, 3},
        {"one is open",
         {MINT,
          {LIST, 200, NULL, "[" PULL("3", "77") "]", 0},
          {"PATCH " R "/pulls/3$", 200, NULL, PULL("3", "77"), 0}},
         true,  0,
         1, 3},
        {"of a fork only",
         {MINT,
          {LIST, 200, NULL, "[" PULL("2", "78") "]", 0},
          {"POST " R "/pulls", 201, NULL, PULL("3", "77"), 0}},
         true,  1,
         0, 3},
        {"already exists",
         {MINT,
          {LIST, 200, NULL, "[]", 1},
          {LIST, 200, NULL, "[" PULL("3", "77") "]", 0},
          {"POST " R "/pulls", 422, NULL,
           "{\"message\":\"Validation "
           "Failed\",\"errors\":[{\"resource\":\"PullRequest\",\"code\":\"custom\",\"message\":\"A "
           "pull request already exists for o:task-1.\"}]}",
           0},
          {"PATCH " R "/pulls/3$", 200, NULL, PULL("3", "77"), 0}},
         true,  1,
         1, 3},
        {"lost answer, was made",
         {MINT,
          {LIST, 200, NULL, "[]", 1},
          {LIST, 200, NULL, "[" PULL("3", "77") "]", 0},
          {"POST " R "/pulls", 0, NULL, NULL, 0},
          {"PATCH " R "/pulls/3$", 200, NULL, PULL("3", "77"), 0}},
         true,  1,
         1, 3},
        {"502, was not made",
         {MINT,
          {LIST, 200, NULL, "[]", 0},
          {"POST " R "/pulls", 502, NULL, "bad gateway", 1},
          {"POST " R "/pulls", 201, NULL, PULL("4", "77"), 0}},
         true,  2,
         0, 4},
        {"no draft on this plan",
         {MINT,
          {LIST, 200, NULL, "[]", 0},
          {"POST " R "/pulls", 422, NULL,
           "{\"message\":\"Draft pull requests are not supported in this repository.\"}", 1},
          {"POST " R "/pulls", 201, NULL, PULL("5", "77"), 0}},
         true,  2,
         0, 5},
        {"head not visible yet",
         {MINT,
          {LIST, 200, NULL, "[]", 0},
          {"POST " R "/pulls", 422, NULL,
           "{\"message\":\"Validation "
           "Failed\",\"errors\":[{\"resource\":\"PullRequest\",\"field\":\"head\",\"code\":"
           "\"invalid\"}]}",
           2},
          {"POST " R "/pulls", 201, NULL, PULL("6", "77"), 0}},
         true,  3,
         0, 6},
        {"nothing between",
         {MINT,
          {LIST, 200, NULL, "[]", 0},
          {"POST " R "/pulls", 422, NULL,
           "{\"message\":\"Validation Failed\",\"errors\":[{\"code\":\"custom\",\"message\":\"No "
           "commits between main and task-1\"}]}",
           0}},
         false, 2,
         0, 0},
        {"always lost",
         {MINT, {LIST, 200, NULL, "[]", 0}, {"POST " R "/pulls", 0, NULL, NULL, 0}},
         false, 4,
         0, 0},
        {"denied",
         {MINT,
          {LIST, 200, NULL, "[]", 0},
          {"POST " R "/pulls", 403, NULL,
           "{\"message\":\"Resource not accessible by integration\"}", 0}},
         false, 1,
         0, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fake *f = fake_new(rows[i].rules, signer, NULL);
        struct github_pull pull = {0};
        struct arena *arena = arena_new();
        struct err err = {0};
        bool ok = open_pull(f, &pull, arena, &err);
        int posts = fake_count(f, "POST " R), patches = fake_count(f, "PATCH");
        if (ok != rows[i].ok || pull.number != rows[i].number || posts != rows[i].posts ||
            patches != rows[i].patches)
            fail_msg("%s: #%d, %d posts, %d patches: %s", rows[i].name, pull.number, posts, patches,
                     err.text);
        arena_free(arena);
        fake_free(f);
    }
}

static void draft_falls_back_only_when_refused(void **state)
{
    static const struct fake_rule rules[] = {
        MINT,
        {LIST,               200, NULL, "[]", 0},
        {"POST " R "/pulls",              422, NULL, "{\"errors\":[{\"field\":\"head\",\"code\":\"invalid\"}]}",
          1},
        {"POST " R "/pulls",                 422, NULL, "{\"message\":\"Draft pull requests are not supported\"}",
          1},
        {"POST " R "/pulls", 201, NULL, PULL("5", "77"), 0},
        {0             }
    };
    static const char *const drafts[] = {"\"draft\":true", "\"draft\":true", "\"draft\":false"};
    (void)state;
    struct fake *f = fake_new(rules, signer, NULL);
    struct github_pull pull;
    struct arena *arena = arena_new();
    struct err err = {0};
    size_t n = 0;
    assert_true(open_pull(f, &pull, arena, &err));
    for (int i = 0; i < fake_count(f, ""); i++)
        if (strncmp(f->seen[i].line, "POST " R, strlen("POST " R)) == 0)
            assert_non_null(strstr(f->seen[i].body, drafts[n++]));
    assert_int_equal(n, COUNT(drafts));
    arena_free(arena);
    fake_free(f);
}

static void pull_of_branch_and_use(void **state)
{
    static const struct fake_rule rules[] = {
        MINT,
        {"GET " R "/pulls?state=all", 200, NULL,
          "[" PULL("9", "78") "," PULL("8", "77") "," PULL("7", "77") "]", 0},
        {"GET " R "/pulls?state=open&sort=created&direction=desc&per_page=100&head=",                       200, NULL,
          "[" PULL("8", "77") "]", 0},
        {"GET " R "/pulls?state=open&sort=created&direction=desc&per_page=100&base=",         200, NULL,
          "[]", 0},
        {0                 }
    };
    (void)state;
    struct fake *f = fake_new(rules, signer, NULL);
    struct github_pull pull;
    struct arena *arena = arena_new();
    struct call call = soon();
    struct err err;
    bool yes = false;
    assert_true(github_pull_of_branch(f->g, &repo, "task-1", &call, arena, &pull, &yes, &err));
    assert_true(yes);
    assert_int_equal(pull.number, 8);
    assert_string_equal(pull.head_sha, SHA);
    assert_int_equal(pull.user_id, 9);
    assert_true(github_pull_of_branch(f->g, &repo, "task-2", &call, arena, &pull, &yes, &err));
    assert_false(yes);
    assert_true(github_branch_in_use(f->g, &repo, "task-1", 8, &call, &yes, &err));
    assert_false(yes);
    assert_true(github_branch_in_use(f->g, &repo, "task-1", 7, &call, &yes, &err));
    assert_true(yes);
    arena_free(arena);
    fake_free(f);
}

/* -------------------------------------------------------------------------------- comments */

#define MARK     "<!-- squadbot:task=1 -->"
#define COMMENTS "GET " R "/issues/4/comments?per_page=100$"
#define PAGE2    "GET " API "/repositories/77/issues/4/comments?page=2$"
#define POSTED   "POST " R "/issues/4/comments$"
#define WHO                                                                                        \
    {                                                                                              \
        "GET " API "/user$", 200, NULL, "{\"login\":\"owner\",\"id\":42}", 0                       \
    }
#define OURS(id)    "[{\"id\":" id ",\"user\":{\"id\":42},\"body\":\"" MARK "\\nx\"}]"
#define FOREIGN(id) "[{\"id\":" id ",\"user\":{\"id\":43},\"body\":\"" MARK "\\nx\"}]"
#define EDIT(id)    "PATCH " R "/issues/comments/" id "$"
#define MADE        "{\"id\":11}"

static void comment_is_put(void **state)
{
    static const struct {
        const char *name;
        struct fake_rule rules[8];
        int64_t before, after;
        int posts, patches;
    } rows[] = {
        {"first",                     {WHO, {COMMENTS, 200, NULL, "[]", 0}, {POSTED, 201, NULL, MADE, 0}}, 0,  11, 1, 0},
        {"by id",                     {{EDIT("10"), 200, NULL, "{}", 0}},                                  10, 10, 0, 1},
        {"by id, deleted",
         {WHO,
          {EDIT("10"), 404, NULL, EMPTY, 0},
          {COMMENTS, 200, NULL, "[]", 0},
          {POSTED, 201, NULL, MADE, 0}},
         10,                                                                                                   11,
         1,                                                                                                           1},
        {"by marker",
         {WHO, {COMMENTS, 200, NULL, OURS("10"), 0}, {EDIT("10"), 200, NULL, "{}", 0}},
         0,                                                                                                    10,
         0,                                                                                                           1},
        {"a stranger's marker",
         {WHO, {COMMENTS, 200, NULL, FOREIGN("9"), 0}, {POSTED, 201, NULL, MADE, 0}},
         0,                                                                                                    11,
         1,                                                                                                           0},
        {"on the second page",
         {WHO,
          {COMMENTS, 200,
           "Link: <http://127.0.0.1:@/x>; rel=\"prev\", <" API
           "/repositories/77/issues/4/comments?page=2>; rel=\"next\"\r\n",
           FOREIGN("9"), 0},
          {PAGE2, 200, NULL, OURS("10"), 0},
          {EDIT("10"), 200, NULL, "{}", 0}},
         0,                                                                                                    10,
         0,                                                                                                           1},
        {"lost answer, was made",
         {WHO,
          {COMMENTS, 200, NULL, "[]", 1},
          {COMMENTS, 200, NULL, OURS("11"), 0},
          {POSTED, 0, NULL, NULL, 0},
          {EDIT("11"), 200, NULL, "{}", 0}},
         0,                                                                                                    11,
         1,                                                                                                           1},
        {"lost answer, was not made",
         {WHO,
          {COMMENTS, 200, NULL, "[]", 0},
          {POSTED, 0, NULL, NULL, 1},
          {POSTED, 201, NULL, MADE, 0}},
         0,                                                                                                    11,
         2,                                                                                                           0},
        {"locked",
         {WHO, {COMMENTS, 200, NULL, "[]", 0}, {POSTED, 403, NULL, "{\"message\":\"locked\"}", 0}},
         0,                                                                                                    0,
         1,                                                                                                           0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fake *f = fake_new(rows[i].rules, NULL, "github_pat_0123456789");
        int64_t id = rows[i].before;
        struct call call = soon();
        struct err err = {0};
        bool ok = github_comment_put(f->g, &repo, 4, MARK, MARK "\nx", &call, &id, &err);
        int posts = fake_count(f, "POST"), patches = fake_count(f, "PATCH");
        if (ok != (rows[i].after > 0) || id != rows[i].after || posts != rows[i].posts ||
            patches != rows[i].patches)
            fail_msg("%s: id %lld, %d posts, %d patches: %s", rows[i].name, (long long)id, posts,
                     patches, err.text);
        fake_free(f);
    }
}

static void issue_is_read_and_reacted_to(void **state)
{
    static const struct fake_rule rules[] = {
        MINT,
        {"GET " R "/issues/4$", 404, NULL, EMPTY, 2}, /* lag after the event */
        {"GET " R "/issues/4$",                 200, NULL,
          "{\"number\":4,\"title\":\"T\",\"body\":null,\"state\":\"open\",\"user\":null,"
         "\"labels\":[{\"name\":\"Squadbot\"},\"other\"],\"pull_request\":{}}", 0},
        {"POST " R "/issues/4/reactions$",                    201, NULL, "{\"id\":1}", 0},
        {"POST " R "/issues/comments/8/reactions$", 200, NULL, "{\"id\":1}", 0},
        {0                }
    };
    (void)state;
    struct fake *f = fake_new(rules, signer, NULL);
    struct github_issue issue;
    struct arena *arena = arena_new();
    struct call call = soon();
    struct err err;
    assert_true(github_issue_get(f->g, &repo, 4, "squadbot", &call, arena, &issue, &err));
    assert_string_equal(issue.title, "T");
    assert_string_equal(issue.body, "");
    assert_string_equal(issue.user, "");
    assert_true(issue.has_label && issue.is_pull_request);
    assert_true(github_react(f->g, &repo, 4, 0, "eyes", &call, &err));
    assert_true(github_react(f->g, &repo, 4, 8, "rocket", &call, &err));
    assert_false(github_react(f->g, &repo, 4, 8, "boat", &call, &err));
    assert_false(github_issue_get(f->g, &repo, 5, NULL, &call, arena, &issue, &err));
    arena_free(arena);
    fake_free(f);
}

/* ---------------------------------------------------------------------------------- ourselves */

#define APP_J                                                                                      \
    "{\"id\":123456,\"slug\":\"squad\",\"permissions\":{\"issues\":\"write\"},\"events\":["        \
    "\"push\"]}"
#define BOT "GET " API "/users/squad%5Bbot%5D$"

static void app_knows_itself(void **state)
{
    static const struct {
        const char *name;
        struct fake_rule rules[6];
        int mints;
        bool ok;
    } rows[] = {
        {"open server",
         {{"GET " API "/app$", 200, NULL, APP_J, 0}, {BOT, 200, NULL, "{\"id\":99}", 0}},
         0, true },
        {"private server",
         {{"GET " API "/app$", 200, NULL, APP_J, 0},
          {BOT, 401, NULL, EMPTY, 1},
          {"GET " API "/app/installations?", 200, NULL,
           "[{\"id\":4,\"suspended_at\":\"2026-01-01T00:00:00Z\"},{\"id\":5}]", 0},
          MINT,
          {BOT, 200, NULL, "{\"id\":99}", 0}},
         1, true },
        {"anonymous budget used up",
         {{"GET " API "/app$", 200, NULL, APP_J, 0},
          {BOT, 403, "x-ratelimit-remaining: 0\r\nx-ratelimit-reset: 9999999999\r\n", EMPTY, 1},
          {"GET " API "/app/installations?", 200, NULL, "[{\"id\":5}]", 0},
          MINT,
          {BOT, 200, NULL, "{\"id\":99}", 0}},
         1, true },
        {"nowhere installed",
         {{"GET " API "/app$", 200, NULL, APP_J, 0},
          {BOT, 401, NULL, EMPTY, 1},
          {"GET " API "/app/installations?", 200, NULL, "[]", 0}},
         0, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fake *f = fake_new(rows[i].rules, signer, NULL);
        const struct github_self *self = NULL;
        struct call call = soon();
        struct err err = {0};
        bool ok = github_self(f->g, &call, &self, &err);
        if (ok != rows[i].ok || fake_count(f, "POST") != rows[i].mints)
            fail_msg("%s: %s", rows[i].name, err.text);
        if (ok) {
            int n = fake_count(f, "");
            assert_string_equal(self->slug, "squad");
            assert_string_equal(self->login, "squad[bot]");
            assert_string_equal(self->email, "99+squad[bot]@users.noreply.github.com");
            assert_int_equal(self->user_id, 99);
            assert_int_equal(self->app_id, 123456);
            assert_true(github_self(f->g, &call, &self, &err));
            assert_int_equal(fake_count(f, ""), n);
        }
        if (rows[i].mints)
            assert_string_equal(fake_last(f, "POST")->body,
                                "{\"permissions\":{\"metadata\":\"read\"}}");
        fake_free(f);
    }
}

static void owner_of_the_token_is_known(void **state)
{
    static const struct fake_rule rules[] = {WHO, {0}};
    (void)state;
    struct fake *f = fake_new(rules, NULL, "github_pat_0123456789");
    const struct github_self *self;
    struct call call = soon();
    struct err err;
    assert_true(github_self(f->g, &call, &self, &err));
    assert_string_equal(self->login, "owner");
    assert_string_equal(self->email, "42+owner@users.noreply.github.com");
    assert_int_equal(self->app_id, 0);
    assert_string_equal(f->seen[0].auth, "Bearer github_pat_0123456789");
    fake_free(f);
}

static void check_tells_grants_and_skew(void **state)
{
    static const struct fake_rule rules[] = {
        {"GET " API "/app$", 200, NULL, APP_J, 0},
        {0             }
    };
    (void)state;
    struct fake *f = fake_new(rules, signer, NULL);
    struct arena *arena = arena_new();
    const char *permissions, *events;
    int64_t skew_s = 0;
    struct call call = soon();
    struct err err;
    f->skew_s = 100;
    assert_true(github_check(f->g, &call, arena, &permissions, &events, &skew_s, &err));
    assert_string_equal(permissions, "{\"issues\":\"write\"}");
    assert_string_equal(events, "[\"push\"]");
    assert_in_range(skew_s, 98, 101);
    arena_free(arena);
    fake_free(f);
}

static int start(void **state)
{
    (void)state;
    signer = fake_signer();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    signer_stop(signer);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permission_fails_closed),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(ref_is_read),
        cmocka_unit_test(branch_is_deleted),
        cmocka_unit_test(branch_is_protected),
        cmocka_unit_test(repository_is_found_by_name),
        cmocka_unit_test(token_by_name_before_the_id_is_known),
        cmocka_unit_test(pull_is_opened),
        cmocka_unit_test(draft_falls_back_only_when_refused),
        cmocka_unit_test(pull_of_branch_and_use),
        cmocka_unit_test(comment_is_put),
        cmocka_unit_test(issue_is_read_and_reacted_to),
        cmocka_unit_test(app_knows_itself),
        cmocka_unit_test(owner_of_the_token_is_known),
        cmocka_unit_test(check_tells_grants_and_skew),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
