/* Framing: what is written can be read in pieces of every size, and nothing else can. */
#include "bot/git/pktline.h"

#include "tests/unit/row.h"

#include <stdlib.h>

struct seen {
    struct buf text;
};

static bool on_packet(void *arg, enum pkt_kind kind, struct str payload, struct err *err)
{
    static const char *const names[] = {"flush", "delim", "end", "data"};
    struct seen *seen = arg;
    if (str_eq(payload, STR("stop")))
        return err_set(err, ERR_BUG, "stopped");
    buf_printf(&seen->text, "%s:" STR_FMT ";", names[kind], STR_ARG(payload));
    return true;
}

static void test_pieces(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct err err = {0};
    pkt_put(&bytes, STR("one\n"));
    pkt_printf(&bytes, "two %d", 2);
    pkt_mark(&bytes, PKT_DELIM);
    pkt_put(&bytes, STR(""));
    pkt_mark(&bytes, PKT_FLUSH);
    pkt_mark(&bytes, PKT_END);
    for (size_t size = 1; size <= bytes.len; size++) {
        struct pkt_reader reader = {0};
        struct seen seen = {0};
        for (size_t at = 0; at < bytes.len; at += size)
            assert_true(
                pkt_feed(&reader, str_sub(buf_str(&bytes), at, at + size), on_packet, &seen, &err));
        assert_true(pkt_reader_idle(&reader));
        assert_string_equal(buf_cstr(&seen.text),
                            "data:one\n;data:two 2;delim:;data:;flush:;end:;");
        pkt_reader_done(&reader);
        buf_done(&seen.text);
    }
    buf_done(&bytes);
}

static void test_largest(void **state)
{
    (void)state;
    char *payload = calloc(PKT_PAYLOAD_MAX, 1);
    struct buf bytes = {0};
    struct err err = {0};
    struct seen seen = {0};
    pkt_put(&bytes, (struct str){payload, PKT_PAYLOAD_MAX});
    assert_memory_equal(bytes.data, "fff0", 4);
    struct pkt_reader reader = {0};
    assert_true(pkt_feed(&reader, str_sub(buf_str(&bytes), 0, 100), on_packet, &seen, &err));
    assert_false(pkt_reader_idle(&reader));
    assert_true(
        pkt_feed(&reader, str_sub(buf_str(&bytes), 100, bytes.len), on_packet, &seen, &err));
    assert_true(pkt_reader_idle(&reader));
    pkt_reader_done(&reader);
    buf_done(&seen.text);
    buf_done(&bytes);
    free(payload);
}

static void test_nonsense(void **state)
{
    (void)state;
    static const char *const rows[] = {"zzzz", "0003", "fff1", "ffff",
                                       "-001", "00 5", "<htm", "0x12"};
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t size = 1; size <= 4; size++) {
            struct pkt_reader reader = {0};
            struct seen seen = {0};
            struct err err = {0};
            bool ok = true;
            for (size_t at = 0; at < 4 && ok; at += size)
                ok = pkt_feed(&reader, str_sub(str_of(rows[i]), at, at + size), on_packet, &seen,
                              &err);
            ROW_TRUE(rows[i], !ok);
            ROW_INT(rows[i], err.kind, ERR_UPSTREAM);
            pkt_reader_done(&reader);
            buf_done(&seen.text);
        }
}

static void test_stop(void **state)
{
    (void)state;
    struct pkt_reader reader = {0};
    struct seen seen = {0};
    struct err err = {0};
    assert_false(pkt_feed(&reader, STR("0005a0008stop0005b"), on_packet, &seen, &err));
    assert_string_equal(err.text, "stopped");
    assert_string_equal(buf_cstr(&seen.text), "data:a;");
    pkt_reader_done(&reader);
    buf_done(&seen.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
