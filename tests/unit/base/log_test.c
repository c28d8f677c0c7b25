/* Log lines as they leave standard error. */
#include "bot/base/log.h"

#include "bot/base/buf.h"
#include "bot/base/io.h"
#include "bot/base/json.h"
#include "bot/base/redact.h"
#include "bot/base/thread.h"
#include "tests/unit/row.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int kept = -1;
static int memory = -1;

/* From here on standard error is a file in memory. */
static void capture(void)
{
    memory = memfd_create("log", MFD_CLOEXEC);
    kept = dup(STDERR_FILENO);
    assert_true(memory >= 0 && kept >= 0 && dup2(memory, STDERR_FILENO) >= 0);
}

static void captured(struct buf *out)
{
    dup2(kept, STDERR_FILENO);
    close(kept);
    char block[4096];
    off_t at = 0;
    for (ssize_t n; (n = pread(memory, block, sizeof(block), at)) > 0; at += n)
        buf_add(out, block, (size_t)n);
    close(memory);
}

/* What stands behind "ts=… ". */
static const char *after_time(const struct buf *b)
{
    assert_true(str_starts(buf_str(b), STR("ts=20")));
    return strchr(buf_cstr(b), ' ') + 1;
}

static void quoting(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *value;
        const char *want;
    } rows[] = {
        {"plain",           "abc-1.5/x:y",               "abc-1.5/x:y"                   },
        {"space",           "a b",                       "\"a b\""                       },
        {"quote",           "a\"b",                      "\"a\\\"b\""                    },
        {"equals",          "a=b",                       "\"a=b\""                       },
        {"backslash",       "a\\b",                      "\"a\\\\b\""                    },
        {"empty",           "",                          "\"\""                          },
        {"newline",         "a\nlevel=error msg=forged", "\"a\\nlevel=error msg=forged\""},
        {"utf-8",           "\xc3\xa9",                  "\"\xc3\xa9\""                  },
        {"invalid",         "\xff",                      "\"\xef\xbf\xbd\""              },
        {"escape sequence", "\x1b[2J",                   "\"\\u001b[2J\""                },
        {"token",           "ghp_abcdefghij0123456789",  "***"                           },
        {"registered",      "with \"quoted\" secret",    "***"                           },
    };
    redact_add(STR("with \"quoted\" secret"));
    log_init(LOG_INFO, LOG_LOGFMT);
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO(buf_done) struct buf got = {0};
        AUTO(buf_done) struct buf want = {0};
        capture();
        log_info("a message", "key", rows[i].value, "left_out", NULL, "n", "1", NULL);
        captured(&got);
        buf_printf(&want, "level=info msg=\"a message\" key=%s n=1\n", rows[i].want);
        ROW_TEXT(rows[i].name, after_time(&got), buf_cstr(&want));
        capture();
        log_init(LOG_INFO, LOG_JSON);
        log_info("a message", "key", rows[i].value, NULL);
        log_init(LOG_INFO, LOG_LOGFMT);
        buf_clear(&got);
        captured(&got);
        ROW_TRUE(rows[i].name, json_valid(buf_str(&got)));
        ROW_TRUE(rows[i].name, str_ends(buf_str(&got), STR("}\n")));
        ROW_INT(rows[i].name, strstr(buf_cstr(&got), "***") != NULL,
                strcmp(rows[i].want, "***") == 0);
    }
    redact_remove(STR("with \"quoted\" secret"));
}

static void levels(void **state)
{
    (void)state;
    static const char *const words[] = {"debug", "info", "warn", "error", "off"};
    for (size_t i = 0; i < COUNT(words); i++) {
        enum log_level level;
        ROW_TRUE(words[i], log_level_parse(words[i], &level));
        log_init(level, LOG_LOGFMT);
        for (int k = LOG_DEBUG; k <= LOG_ERROR; k++)
            ROW_INT(words[i], log_enabled((enum log_level)k), k >= (int)level);
        ROW_TRUE(words[i], !log_enabled(LOG_OFF));
        AUTO(buf_done) struct buf got = {0};
        capture();
        log_debug("d", NULL);
        log_warn("w", NULL);
        captured(&got);
        ROW_INT(words[i], strstr(buf_cstr(&got), "msg=d") != NULL, level == LOG_DEBUG);
        ROW_INT(words[i], strstr(buf_cstr(&got), "msg=w") != NULL, level <= LOG_WARN);
    }
    enum log_level untouched = LOG_WARN;
    assert_false(log_level_parse("loud", &untouched));
    assert_false(log_level_parse("", &untouched));
    assert_int_equal(untouched, LOG_WARN);
}

static void errors(void **state)
{
    (void)state;
    struct err err = {0};
    assert_false(err_set(&err, ERR_LIMIT, "POST /x: 429"));
    log_init(LOG_INFO, LOG_LOGFMT);
    AUTO(buf_done) struct buf got = {0};
    capture();
    log_err(LOG_ERROR, "task failed", &err);
    captured(&got);
    assert_string_equal(after_time(&got),
                        "level=error msg=\"task failed\" kind=limit error=\"POST /x: 429\"\n");
}

static void thread_fields(void **state)
{
    (void)state;
    log_init(LOG_INFO, LOG_LOGFMT);
    AUTO(buf_done) struct buf got = {0};
    char name[] = "task-1";
    char long_value[300];
    memset(long_value, 'x', sizeof(long_value) - 1);
    long_value[sizeof(long_value) - 1] = '\0';
    capture();
    log_field("task", name);
    name[0] = 'X'; /* the value was copied */
    log_field("repository", "a/b");
    log_field("repository", "a/c");
    log_info("one", NULL);
    log_field("task", NULL);
    log_field("unknown", NULL);
    log_info("two", NULL);
    log_field("repository", NULL);
    log_field("long", long_value);
    log_info("three", NULL);
    log_field("long", NULL);
    static const char *const many[] = {"a", "b", "c", "d", "e", "f", "g"};
    for (size_t i = 0; i < COUNT(many); i++)
        log_field(many[i], "v");
    log_info("four", NULL);
    for (size_t i = 0; i < COUNT(many); i++)
        log_field(many[i], NULL);
    captured(&got);
    assert_non_null(strstr(buf_cstr(&got), "msg=one task=task-1 repository=a/c\n"));
    assert_non_null(strstr(buf_cstr(&got), "msg=two repository=a/c\n"));
    assert_non_null(strstr(buf_cstr(&got), "msg=three long=xxx"));
    assert_non_null(strstr(buf_cstr(&got), "msg=four a=v b=v c=v d=v e=v f=v\n"));
}

static void *many_lines(void *arg)
{
    for (int i = 0; i < 200; i++)
        log_info("from a thread", "name", arg, "filler",
                 "0123456789012345678901234567890123456789012345678901234567890123456789", NULL);
    return NULL;
}

/* Lines of several threads do not mix; a huge one keeps its end. */
static void whole_lines(void **state)
{
    (void)state;
    log_init(LOG_INFO, LOG_LOGFMT);
    AUTO(buf_done) struct buf got = {0};
    AUTO(buf_done) struct buf huge = {0};
    for (int i = 0; i < 200000; i++)
        buf_putc(&huge, 'h');
    capture();
    /* Appending, as a terminal and a pipe do. */
    fcntl(memory, F_SETFL, O_APPEND);
    pthread_t threads[3];
    char names[3][2] = {"a", "b", "c"};
    struct err err = {0};
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_true(thread_start(&threads[i], "log", many_lines, names[i], &err));
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    log_info("huge", "v", buf_cstr(&huge), NULL);
    captured(&got);
    size_t lines = 0;
    struct str rest = buf_str(&got);
    for (struct str line; str_line(&rest, &line); lines++) {
        ROW_TRUE("line", str_starts(line, STR("ts=20")));
        ROW_TRUE("line", str_ends(line, STR("6789")) || str_ends(line, STR("hhh")));
    }
    assert_int_equal(lines, 3 * 200 + 1);
    assert_true(str_ends(buf_str(&got), STR("h\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quoting),       cmocka_unit_test(levels),      cmocka_unit_test(errors),
        cmocka_unit_test(thread_fields), cmocka_unit_test(whole_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
