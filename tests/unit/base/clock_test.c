/* Clocks and time texts. */
#include "bot/base/clock.h"

#include "tests/unit/row.h"

static void rfc3339(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        bool ok;
        int64_t want;
    } rows[] = {
        {"1970-01-01T00:00:00Z",            true,  0              },
        {"1970-01-01T00:00:00.001Z",        true,  1              },
        {"2026-11-20T18:00:00.123Z",        true,  1795197600123  },
        {"2026-11-20T18:00:00.123456789Z",  true,  1795197600123  },
        {"2026-11-20T19:30:00+01:30",       true,  1795197600000  },
        {"2026-11-20T10:00:00-08:00",       true,  1795197600000  },
        {"2026-11-20t18:00:00z",            true,  1795197600000  },
        {"2026-11-20 18:00:00Z",            true,  1795197600000  },
        {"2024-02-29T00:00:00Z",            true,  1709164800000  },
        {"2000-02-29T00:00:00Z",            true,  951782400000   },
        {"1969-12-31T23:59:59.999Z",        true,  -1             },
        {"0000-01-01T00:00:00Z",            true,  -62167219200000},
        {"9999-12-31T23:59:59.999Z",        true,  253402300799999},
        {"2016-12-31T23:59:60Z",            true,  1483228800000  },
        {"2023-02-29T00:00:00Z",            false, 0              },
        {"1900-02-29T00:00:00Z",            false, 0              },
        {"2026-13-01T00:00:00Z",            false, 0              },
        {"2026-00-01T00:00:00Z",            false, 0              },
        {"2026-04-31T00:00:00Z",            false, 0              },
        {"2026-01-01T24:00:00Z",            false, 0              },
        {"2026-01-01T00:60:00Z",            false, 0              },
        {"2026-01-01T00:00:61Z",            false, 0              },
        {"2026-01-01T00:00:00",             false, 0              },
        {"2026-01-01T00:00:00.Z",           false, 0              },
        {"2026-01-01T00:00:00.1234567890Z", false, 0              },
        {"2026-01-01T00:00:00+0100",        false, 0              },
        {"2026-01-01T00:00:00+24:00",       false, 0              },
        {"2026-01-01T00:00:00Zx",           false, 0              },
        {"2026-1-01T00:00:00Z",             false, 0              },
        {"-026-01-01T00:00:00Z",            false, 0              },
        {"",                                false, 0              },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t got = 42;
        bool ok = time_parse(str_of(rows[i].in), &got);
        ROW_INT(rows[i].in, ok, rows[i].ok);
        ROW_INT(rows[i].in, got, ok ? rows[i].want : 42);
    }
}

static void formats(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *want;
    } rows[] = {
        {0,             "1970-01-01T00:00:00.000Z"},
        {1795197600123, "2026-11-20T18:00:00.123Z"},
        {-1,            "1969-12-31T23:59:59.999Z"},
        {951782400000,  "2000-02-29T00:00:00.000Z"},
        {INT64_MAX,     "9999-12-31T23:59:59.999Z"},
        {INT64_MIN,     "0000-01-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[TIME_TEXT];
        time_format(rows[i].ms, text);
        ROW_TEXT(rows[i].want, text, rows[i].want);
    }
    /* There and back, over four centuries in odd steps. */
    for (int64_t ms = -62167219200000; ms < 253402300000000; ms += 86399 * 1000 * INT64_C(97) + 7) {
        char text[TIME_TEXT];
        int64_t back = 42;
        time_format(ms, text);
        ROW_TRUE(text, time_parse(str_of(text), &back));
        ROW_INT(text, back, ms);
    }
}

static void http_dates(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        bool ok;
        int64_t want;
    } rows[] = {
        {"Fri, 20 Nov 2026 18:00:00 GMT",  true,  1795197600000},
        {"Thu, 01 Jan 1970 00:00:00 GMT",  true,  0            },
        {"Friday, 20-Nov-26 18:00:00 GMT", false, 0            },
        {"Fri Nov 20 18:00:00 2026",       false, 0            },
        {"Fri, 20 Nov 2026 18:00:00 UTC",  false, 0            },
        {"Fri, 20 Nov 2026 18:00:00",      false, 0            },
        {"Fri, 2 Nov 2026 18:00:00 GMT",   false, 0            },
        {"Fri, 31 Nov 2026 18:00:00 GMT",  false, 0            },
        {"Xxx, 20 Nov 2026 18:00:00 GMT",  false, 0            },
        {"Fri, 20 nov 2026 18:00:00 GMT",  false, 0            },
        {"",                               false, 0            },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t got = 42;
        bool ok = time_parse_http(str_of(rows[i].in), &got);
        ROW_INT(rows[i].in, ok, rows[i].ok);
        ROW_INT(rows[i].in, got, ok ? rows[i].want : 42);
    }
}

static void shifting(void **state)
{
    (void)state;
    int64_t mono = clock_mono_ms();
    int64_t wall = clock_wall_s();
    clock_test_shift_ms(3600000, 7200000);
    assert_true(clock_mono_ms() - mono >= 3600000);
    assert_true(clock_wall_s() - wall >= 7200);
    clock_test_shift_ms(-3600000, -7200000);
    assert_true(clock_mono_ms() - mono < 3600000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc3339),
        cmocka_unit_test(formats),
        cmocka_unit_test(http_dates),
        cmocka_unit_test(shifting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
