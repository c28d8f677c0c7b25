/* The envelope reader: the protocol page's own examples, cut at every byte, and what must be
 * refused. */
#include "bot/sandbox/connect_stream.h"
#include "tests/unit/row.h"

struct seen {
    struct buf text; /* one word an event */
    int64_t pid;
    struct buf data;
};

static bool note(void *arg, const struct connect_event *e, struct err *err)
{
    struct seen *s = arg;
    (void)err;
    switch (e->kind) {
    case CONNECT_OTHER:
        buf_puts(&s->text, "other ");
        break;
    case CONNECT_START:
        buf_printf(&s->text, "start:%lld ", (long long)e->pid);
        break;
    case CONNECT_DATA:
        buf_printf(&s->text, "data:%zu ", e->data.n);
        buf_add_str(&s->data, e->data);
        break;
    case CONNECT_END:
        buf_printf(&s->text, "end:%d:%d ", e->exited, e->exit_code);
        break;
    case CONNECT_CLOSE:
        buf_printf(&s->text, "close:%s:%s", e->code, e->message);
        break;
    }
    return true;
}

static void seen_done(struct seen *s)
{
    buf_done(&s->text);
    buf_done(&s->data);
}

#define E(head, json) head json
#define HI                                                                                         \
    E("\0\0\0\0\x20", "{\"event\":{\"start\":{\"pid\":1234}}}")                                    \
    E("\0\0\0\0\x24", "{\"event\":{\"data\":{\"stdout\":\"aGkK\"}}}")                              \
    E("\0\0\0\0\x1a", "{\"event\":{\"keepalive\":{}}}")

/* The literal without its own NUL: the heads contain some. */
#define BYTES(text)                                                                                \
    {                                                                                              \
        "" text, sizeof(text) - 1                                                                  \
    }

static const struct {
    const char *name;
    struct str in;
    const char *want;
    const char *data;
} rows[] = {
    {"exit 0",
     BYTES(HI E("\0\0\0\0\x3a", "{\"event\":{\"end\":{\"exited\":true,\"status\":\"exit status 0\"}"
                                "}}") "\2\0\0\0\2{}"),
     "start:1234 data:3 other end:1:0 close::",                                                                                                             "hi\n"},
    {"killed",
     BYTES(E("\0\0\0\0\x54",                "{\"event\":{\"end\":{\"exitCode\":-1,\"status\":\"signal: killed\","
                             "\"error\":\"signal: killed\"}}}") "\2\0\0\0\2{}"),
     "end:0:-1 close::",                                                ""},
    {"timed out",
     BYTES("\2\0\0\0\x4c{\"error\":{\"code\":\"deadline_exceeded\",\"message\":\"context deadline "
           "exceeded\"}}"),
     "close:deadline_exceeded:context deadline exceeded",                                                               ""                                                                                                                                },
    {"not found",
     BYTES("\2\0\0\0\x4a{\"error\":{\"code\":\"not_found\",\"message\":\"process with pid 1234 "
           "not found\"}}"),
     "close:not_found:process with pid 1234 not found", ""                                                                                                                               },
    {"exit 3 with blanks",
     BYTES("\0\0\0\0\x33{\"event\" : {\"end\": {\"exitCode\":3, \"exited\" :true}}}"),                     "end:1:3 ",
     ""                                                                     },
    {"both channels, a newer field",
     BYTES("\0\0\0\0\x4f{\"event\":{\"data\":{\"stderr\":\"ZQ==\",\"stdout\":\"bw==\",\"new\":1},"
           "\"x\":[1,{\"y\":null}]}}"),
     "data:1 data:1 ",                                             "oe"                                                                                                                    },
    {"unknown event, then an empty message",    BYTES("\0\0\0\0\x13{\"event\":{\"new\":1}}\0\0\0\0\0"),
     "other other ",""},
    {"error without a code",      BYTES("\2\0\0\0\x0c{\"error\":{}}"),                     "close:unknown:",                                                               ""                                                                                                                                                                                                              },
    {"after the end",      BYTES("\2\0\0\0\2{}rubbish that is not an envelope"),                     "close::",""},
    {"half an envelope",      BYTES("\0\0\0\0\x20{\"event\":"),                     "",                                                            ""                                                                                                                                                                                                                                                                                                 },
};

static void check(const char *name, const struct seen *s, const char *want, const char *data)
{
    ROW_TEXT(name, buf_cstr(&s->text), want);
    ROW_TEXT(name, buf_cstr(&s->data), data);
}

static void test_cut_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t cut = 0; cut <= rows[i].in.n; cut++) {
            struct seen seen = {0};
            struct err err = {0};
            struct connect_stream s = {.on_event = note, .arg = &seen};
            ROW_TRUE(rows[i].name, connect_stream_feed(&s, str_sub(rows[i].in, 0, cut), &err));
            ROW_TRUE(rows[i].name,
                     connect_stream_feed(&s, str_sub(rows[i].in, cut, rows[i].in.n), &err));
            check(rows[i].name, &seen, rows[i].want, rows[i].data);
            connect_stream_done(&s);
            seen_done(&seen);
        }
    }
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct seen seen = {0};
        struct err err = {0};
        struct connect_stream s = {.on_event = note, .arg = &seen};
        for (size_t at = 0; at < rows[i].in.n; at++)
            ROW_TRUE(rows[i].name, connect_stream_feed(&s, str_sub(rows[i].in, at, at + 1), &err));
        check(rows[i].name, &seen, rows[i].want, rows[i].data);
        connect_stream_done(&s);
        seen_done(&seen);
    }
}

static const struct {
    const char *name;
    struct str in;
} refused[] = {
    {"packed",                  BYTES("\1\0\0\0\2{}")                                            },
    {"unknown flag",            BYTES("\4\0\0\0\2{}")                                            },
    {"longer than the ceiling", BYTES("\0\1\0\0\1")                                              },
    {"huge",                    BYTES("\0\xff\xff\xff\xff")                                      },
    {"not JSON",                BYTES("\0\0\0\0\3abc")                                           },
    {"cut JSON",                BYTES("\0\0\0\0\1{")                                             },
    {"not base64",              BYTES("\0\0\0\0\x24{\"event\":{\"data\":{\"stdout\":\"a-?K\"}}}")},
    {"HTML",                    BYTES("<html><body>bad gateway</body></html>")                   },
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct seen seen = {0};
        struct err err = {0};
        struct connect_stream s = {.on_event = note, .arg = &seen};
        ROW_TRUE(refused[i].name, !connect_stream_feed(&s, refused[i].in, &err));
        ROW_INT(refused[i].name, err.kind, ERR_UPSTREAM);
        connect_stream_done(&s);
        seen_done(&seen);
    }
}

/* A header that announces the ceiling must not cost the ceiling's memory. */
static void test_no_memory_in_advance(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct err err = {0};
    struct connect_stream s = {.on_event = note, .arg = &seen};
    static const struct str head = BYTES("\0\1\0\0\0{");
    assert_true(connect_stream_feed(&s, head, &err));
    assert_true(s.payload.cap < 65536);
    connect_stream_done(&s);
}

/* The first request bytes of the page's example: 00 00 00 00 6e 7b 22 70 … */
static void test_wrap(void **state)
{
    (void)state;
    static const char json[] =
        "{\"process\":{\"cmd\":\"/bin/bash\",\"args\":[\"-l\",\"-c\",\"echo hi\"],"
        "\"envs\":{\"A\":\"1\"},\"cwd\":\"/home/user\"},\"stdin\":false}";
    AUTO(buf_done) struct buf b = {0};
    connect_stream_wrap(&b, str_of(json));
    assert_int_equal(b.len, 115);
    assert_memory_equal(b.data, "\0\0\0\0\x6e\x7b\x22\x70\x72\x6f\x63", 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_no_memory_in_advance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
