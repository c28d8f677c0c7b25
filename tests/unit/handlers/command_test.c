/* The command grammar, case by case from tests/cases/commands.txt. */
#include "handlers/command.h"
#include "tests/unit/case_file.h"

static const char *const names[] = {
    [COMMAND_RUN] = "run",         [COMMAND_STOP] = "stop",       [COMMAND_RETRY] = "retry",
    [COMMAND_STATUS] = "status",   [COMMAND_STEER] = "steer",     [COMMAND_HELP] = "help",
    [COMMAND_MENTION] = "mention", [COMMAND_UNKNOWN] = "unknown",
};

static void one(struct str line)
{
    size_t bar = str_find(line, STR("|"), 0);
    struct str want = str_trim(str_sub(line, 0, bar));
    struct buf comment = {0};
    struct buf have = {0};
    case_unescape(str_sub(line, bar + 2, line.n), &comment);
    struct command c;
    if (command_find(buf_str(&comment), "squadbot-app", &c)) {
        buf_puts(&have, names[c.word]);
        if (c.text.n)
            buf_printf(&have, ":" STR_FMT, STR_ARG(c.text));
    } else {
        buf_putc(&have, '-');
    }
    if (!str_eq(buf_str(&have), want))
        fail_msg("case \"" STR_FMT "\": got \"%s\"", STR_ARG(line), buf_cstr(&have));
    buf_done(&comment);
    buf_done(&have);
}

static void cases(void **state)
{
    (void)state;
    case_file_each("commands.txt", 45, one);
}

static void without_slug_a_mention_is_text(void **state)
{
    (void)state;
    struct command c;
    assert_false(command_find(STR("@squadbot-app fix it"), NULL, &c));
    assert_true(command_find(STR("/squadbot run"), NULL, &c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases),
        cmocka_unit_test(without_slug_a_mention_is_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
