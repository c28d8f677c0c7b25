/* From events to intents: who and what starts or stops a task, and who never does. */
#include "handlers/handlers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define REPO "\"repository\":{\"id\":7,\"full_name\":\"o/r\",\"default_branch\":\"main\"},"
#define HUMAN                                                                                      \
    "\"sender\":{\"id\":5,\"login\":\"ada\",\"type\":\"User\"},\"installation\":{\"id\":9}"
#define ROBOT                                                                                      \
    "\"sender\":{\"id\":6,\"login\":\"x[bot]\",\"type\":\"Bot\"},\"installation\":{\"id\":9}"
#define ISSUE                                                                                      \
    "\"issue\":{\"number\":12,\"title\":\"T\",\"body\":\"B\",\"state\":\"open\",\"user\":{"        \
    "\"login\":\"eve\"}},"
#define CLOSED                                                                                     \
    "\"issue\":{\"number\":12,\"title\":\"T\",\"body\":null,\"state\":\"closed\",\"user\":{"       \
    "\"login\":\"eve\"}},"
#define LABEL(name)   "\"label\":{\"name\":\"" name "\"},"
#define COMMENT(text) "\"comment\":{\"id\":3,\"body\":\"" text "\",\"user\":{\"login\":\"ada\"}},"
#define PULL(head, repo, merged)                                                                   \
    "\"number\":4,\"pull_request\":{\"number\":4,\"state\":\"closed\",\"merged\":" merged          \
    ",\"head\":{\"ref\":\"" head "\",\"sha\":\"aa\",\"repo\":{\"id\":" repo                        \
    "}},\"base\":{\"ref\":\"main\"}},"

/* clang-format off */
static const struct {
    const char *name;
    const char *event;
    const char *body;
    const char *want; /* kinds, or "" */
} rows[] = {
    {"label", "issues", "{\"action\":\"labeled\"," LABEL("squadbot") ISSUE REPO HUMAN "}", "start!"},
    {"label with role", "issues", "{\"action\":\"labeled\"," LABEL("squadbot:tests") ISSUE REPO HUMAN "}", "start!:tests"},
    {"other label", "issues", "{\"action\":\"labeled\"," LABEL("squadbots") ISSUE REPO HUMAN "}", ""},
    {"empty role", "issues", "{\"action\":\"labeled\"," LABEL("squadbot:") ISSUE REPO HUMAN "}", ""},
    {"label on a closed issue", "issues", "{\"action\":\"labeled\"," LABEL("squadbot") CLOSED REPO HUMAN "}", ""},
    {"label by a bot", "issues", "{\"action\":\"labeled\"," LABEL("squadbot") ISSUE REPO ROBOT "}", ""},
    {"unlabeled", "issues", "{\"action\":\"unlabeled\"," LABEL("squadbot") ISSUE REPO HUMAN "}", "stop"},
    {"another label off", "issues", "{\"action\":\"unlabeled\"," LABEL("bug") ISSUE REPO HUMAN "}", ""},
    {"closed", "issues", "{\"action\":\"closed\"," CLOSED REPO HUMAN "}", "stop"},
    {"closed by a bot", "issues", "{\"action\":\"closed\"," CLOSED REPO ROBOT "}", "stop"},
    {"opened", "issues", "{\"action\":\"opened\"," ISSUE REPO HUMAN "}", ""},
    {"run", "issue_comment", "{\"action\":\"created\"," COMMENT("/squadbot run") ISSUE REPO HUMAN "}", "start!"},
    {"stop", "issue_comment", "{\"action\":\"created\"," COMMENT("/squadbot stop") ISSUE REPO HUMAN "}", "stop!"},
    {"status", "issue_comment", "{\"action\":\"created\"," COMMENT("/squadbot status") ISSUE REPO HUMAN "}", "status!"},
    {"help", "issue_comment", "{\"action\":\"created\"," COMMENT("/squadbot what") ISSUE REPO HUMAN "}", "help!"},
    {"mention", "issue_comment", "{\"action\":\"created\"," COMMENT("@squadbot do it") ISSUE REPO HUMAN "}", "start!"},
    {"edited comment", "issue_comment", "{\"action\":\"edited\"," COMMENT("/squadbot run") ISSUE REPO HUMAN "}", ""},
    {"comment by a bot", "issue_comment", "{\"action\":\"created\"," COMMENT("/squadbot run") ISSUE REPO ROBOT "}", ""},
    {"our own comment", "issue_comment", "{\"action\":\"created\"," COMMENT("<!-- squadbot:task=1 -->\\n/squadbot run") ISSUE REPO HUMAN "}", ""},
    {"merged", "pull_request", "{\"action\":\"closed\"," PULL("task-12", "7", "true") REPO HUMAN "}", "pull_closed"},
    {"closed unmerged", "pull_request", "{\"action\":\"closed\"," PULL("task-12", "7", "false") REPO HUMAN "}", "pull_closed"},
    {"reopened", "pull_request", "{\"action\":\"reopened\"," PULL("task-12", "7", "false") REPO HUMAN "}", "pull_closed"},
    {"ready", "pull_request", "{\"action\":\"ready_for_review\"," PULL("task-12", "7", "false") REPO HUMAN "}", "pull_closed"},
    {"foreign branch", "pull_request", "{\"action\":\"closed\"," PULL("feature", "7", "true") REPO HUMAN "}", ""},
    {"fork", "pull_request", "{\"action\":\"closed\"," PULL("task-12", "8", "true") REPO HUMAN "}", ""},
    {"push", "push", "{\"ref\":\"refs/heads/main\",\"before\":\"0\",\"after\":\"1\"," REPO HUMAN "}", ""},
};
/* clang-format on */

static void describe(const struct intents *in, char *out, size_t size)
{
    out[0] = '\0';
    for (int i = 0; i < in->n; i++) {
        const struct intent *x = &in->rows[i];
        snprintf(out + strlen(out), size - strlen(out), "%s%s%s%s%s", i ? "," : "",
                 intent_kind_name(x->kind), x->requires_write ? "!" : "", x->agent ? ":" : "",
                 x->agent ? x->agent : "");
    }
}

static void table(void **state)
{
    (void)state;
    struct repo_config config = {"squadbot", "squadbot"};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena *arena = arena_new();
        struct event e;
        struct intents in = {.arena = arena};
        struct err err = {0};
        char have[256];
        if (!event_parse(str_of(rows[i].event), str_of(rows[i].body), arena, &e, &err) ||
            !handlers_run(&e, &config, &in, &err))
            fail_msg("%s: %s", rows[i].name, err.text);
        describe(&in, have, sizeof(have));
        if (strcmp(have, rows[i].want) != 0)
            fail_msg("%s: wanted \"%s\", got \"%s\"", rows[i].name, rows[i].want, have);
        arena_free(arena);
    }
}

static void stored_intents_read_back(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct intent in = {
        .kind = INTENT_START,
        .requires_write = true,
        .source = "label",
        .task_id = "t",
        .installation_id = 1LL << 40,
        .repository_id = 2,
        .repository = "o/r",
        .sender = "ada",
        .sender_id = 3,
        .issue = 12,
        .title = "\"quoted\" \xc3\xa4",
        .description = "line\nline",
        .agent = "tests",
        .comment = 1LL << 50,
    };
    struct intent out;
    struct buf json = {0}, again = {0};
    struct err err = {0};
    intent_write(&in, &json);
    assert_true(intent_read(buf_cstr(&json), arena, &out, &err));
    intent_write(&out, &again);
    assert_string_equal(buf_cstr(&json), buf_cstr(&again));
    assert_string_equal(out.title, in.title);
    assert_int_equal(out.comment, in.comment);
    assert_false(intent_read("{\"kind\":\"dance\"}", arena, &out, &err));
    buf_done(&json);
    buf_done(&again);
    arena_free(arena);
}

static void only_wanted_events_are_stored(void **state)
{
    (void)state;
    assert_true(handlers_want(STR("issues")));
    assert_true(handlers_want(STR("installation")));
    assert_false(handlers_want(STR("ping")));
    assert_false(handlers_want(STR("push")));
    assert_false(handlers_want(STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(stored_intents_read_back),
        cmocka_unit_test(only_wanted_events_are_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
