/* Closing words: the case file; what was defused stays so. */
#include "bot/git/closing.h"

#include "bot/base/attr.h"
#include "tests/unit/case_file.h"

static void check_case(struct str line)
{
    struct str rest = line, field;
    AUTO(buf_done) struct buf before = {0};
    AUTO(buf_done) struct buf after = {0};
    AUTO(buf_done) struct buf out = {0};
    AUTO(buf_done) struct buf again = {0};
    assert_true(str_split(&rest, '|', &field));
    case_unescape(field, &before);
    case_unescape(rest, &after);
    closing_defuse(buf_str(&before), &out);
    closing_defuse(buf_str(&out), &again);
    if (!str_eq(buf_str(&out), buf_str(&after)))
        fail_msg("\"%s\" became \"%s\"", buf_cstr(&before), buf_cstr(&out));
    if (!str_eq(buf_str(&again), buf_str(&out)))
        fail_msg("\"%s\" became \"%s\" the second time", buf_cstr(&out), buf_cstr(&again));
}

static void test_cases(void **state)
{
    (void)state;
    case_file_each("closing_words.txt", 30, check_case);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
