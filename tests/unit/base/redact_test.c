/* The redactor: shapes, exact values in every form, streams cut anywhere. */
#include "bot/base/redact.h"

#include "bot/base/enc.h"
#include "bot/base/secret.h"
#include "tests/unit/row.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define A20      "abcdefghij0123456789"
#define A40      A20 A20
#define TOKEN    "ghs_" A40 ".x-y"
#define E2B_KEY  "e2b_" HEX40
#define HEX40    "0123456789abcdef0123456789abcdef01234567"
#define JWT      "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
#define PEM_BODY "MIIEpAIBAAKCAQEA7bq\nabcdef0123456789+/==\n"

static const struct {
    const char *name;
    const char *in;
    const char *want;
} shapes[] = {
    {"installation token",            "x ghs_" A40 " y",                                                                  "x *** y"                          },
    {"every letter",                  "gho_" A20 " ghu_" A20 " ghr_" A20 " ghp_" A20,                                     "*** *** *** ***"                  },
    {"new installation token",        "ghs_123456_eyJhbGciOi.eyJzdWIiOi-_x.c2lnbmF0dXJl!",                                "***!"                             },
    {"short",                         "ghp_abc",                                                                          "ghp_abc"                          },
    {"nineteen",                      "ghp_abcdefghij012345678",                                                          "ghp_abcdefghij012345678"          },
    {"inside a word",                 "lengths_of_the_very_long_rope_are",                                                "lengths_of_the_very_long_rope_are"},
    {"upper case letter",             "ghX_" A40,                                                                         "ghX_" A40                         },
    {"fine-grained",                  "github_pat_11ABCDE0_" A40,                                                         "***"                              },
    {"in a URL",                      "https://x-access-token:ghs_" A20 "@github.com/a/b.git",
     "https://x-access-token:***@github.com/a/b.git"                                                                                                         },
    {"openai",                        "key=sk-" A20 ",",                                                                  "key=***,"                         },
    {"anthropic",                     "sk-ant-api03-" A40 "-AA",                                                          "***"                              },
    {"task id is no key",             "task-01234567890123456789012345",                                                  "task-01234567890123456789012345"  },
    {"risk, disk, mask",              "risk-" A20 " disk-" A20 " mask-" A20,
     "risk-" A20 " disk-" A20 " mask-" A20                                                                                                                   },
    {"short sk",                      "sk-learn is a library",                                                            "sk-learn is a library"            },
    {"aws",                           "AKIAIOSFODNN7EXAMPLE ASIAIOSFODNN7EXAMPLE",                                        "*** ***"                          },
    {"aws too short",                 "AKIAIOSFODNN7EXAMPL",                                                              "AKIAIOSFODNN7EXAMPL"              },
    {"aws in a word",                 "xAKIAIOSFODNN7EXAMPLE",                                                            "xAKIAIOSFODNN7EXAMPLE"            },
    {"slack",                         "xoxb-123456789012-abcdef",                                                         "***"                              },
    {"google",                        "AIzaSyA-1234567890abcdefghijklmnopqrstu",                                          "***"                              },
    {"google too short",              "AIzaSyA-1234567890",                                                               "AIzaSyA-1234567890"               },
    {"e2b",                           "e2b_" HEX40,                                                                       "***"                              },
    {"e2b not hex",                   "e2b_this_is_a_name_of_a_function_in_python_code",
     "e2b_this_is_a_name_of_a_function_in_python_code"                                                                                                       },
    {"whsec",                         "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw==",                                         "***"                              },
    {"jwt",                           "Bearer " JWT ".",                                                                  "Bearer ***"                       },
    {"jwt without signature",         "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhYmMifQ.",                                          "***"                              },
    {"base64 of an object is no jwt", "eyJhIjoxLCJiIjoyfQ==",                                                             "eyJhIjoxLCJiIjoyfQ=="             },
    {"two parts are no jwt",          "eyJhbGciOiJub25lIn0.filename",                                                     "eyJhbGciOiJub25lIn0.filename"     },
    {"pem",                           "a\n-----BEGIN RSA PRIVATE KEY-----\n" PEM_BODY "-----END RSA PRIVATE KEY-----\nb",
     "a\n***\nb"                                                                                                                                             },
    {"pem without an end",            "-----BEGIN PRIVATE KEY-----\n" PEM_BODY,                                           "***"                              },
    {"pem cut in its end line",       "-----BEGIN PRIVATE KEY-----\n" PEM_BODY "-----END PRIV",                           "***"                              },
    {"openssh and encrypted",
     "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----,"
     "-----BEGIN ENCRYPTED PRIVATE KEY-----\nx\n-----END ENCRYPTED PRIVATE KEY-----",                                     "***,***"                          },
    {"pem in JSON",
     "{\"k\":\"-----BEGIN EC PRIVATE KEY-----\\nab\\n-----END EC PRIVATE KEY-----\\n\"}",                                 "{\"k\":\"***\\n\"}"               },
    {"certificate stays",             "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----",
     "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----"                                                                                           },
    {"public key stays",              "-----BEGIN PUBLIC KEY-----\nMII",                                                  "-----BEGIN PUBLIC KEY-----\nMII"  },
    {"begin without dashes",          "-----BEGIN PRIVATE KEY, he said",                                                  "-----BEGIN PRIVATE KEY, he said"  },
    {"behind an escaped newline",     "\\nghp_" A20 "\\tsk-" A20,                                                         "\\n***\\t***"                     },
    {"behind a percent code",         "token%3Dghp_" A20,                                                                 "token%3D***"                      },
    {"behind a colour",               "\x1b[1;31mghp_" A20 "\x1b[0m",                                                     "\x1b[1;31m***\x1b[0m"             },
    {"behind an underscore",          "GH_ghp_" A20,                                                                      "GH_***"                           },
    {"ends there",                    "ghp_" A20 "\"",                                                                    "***\""                            },
    {"two in a row",                  "ghp_" A20 " ghp_" A20,                                                             "*** ***"                          },
    {"nothing",                       "",                                                                                 ""                                 },
    {"ordinary text",                 "a - b -- c --- d: gh pr view; AKA Asia; xoxo; eyJ; whsec; e2b",
     "a - b -- c --- d: gh pr view; AKA Asia; xoxo; eyJ; whsec; e2b"                                                                                         },
};

static void masks_shapes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        AUTO(buf_done) struct buf out = {0};
        redact(&out, str_of(shapes[i].in));
        ROW_TEXT(shapes[i].name, buf_cstr(&out), shapes[i].want);
        ROW_INT(shapes[i].name, redact_finds(str_of(shapes[i].in)),
                strcmp(shapes[i].in, shapes[i].want) != 0);
    }
}

/* One cut at every place, and one byte at a time: the same result as in one piece. */
static void check_cuts(const char *name, struct str in, const char *want)
{
    for (size_t cut = 0; cut <= in.n + 1; cut++) {
        AUTO(redact_stream_done) struct redact_stream stream = {0};
        AUTO(buf_done) struct buf out = {0};
        if (cut <= in.n) {
            redact_feed(&stream, str_sub(in, 0, cut), &out);
            redact_feed(&stream, str_sub(in, cut, in.n), &out);
        } else {
            for (size_t i = 0; i < in.n; i++) {
                redact_feed(&stream, str_sub(in, i, i + 1), &out);
                ROW_TRUE(name, stream.held.len <= 8192);
            }
        }
        redact_finish(&stream, &out);
        ROW_TEXT(name, buf_cstr(&out), want);
    }
}

static void masks_shapes_in_streams(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i++)
        check_cuts(shapes[i].name, str_of(shapes[i].in), shapes[i].want);
}

static void masks_exact_values(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *secret;
        const char *in;
        const char *want;
    } rows[] = {
        {"raw",                            "hunter2!hunter2!",                                         "pw hunter2!hunter2! end",                "pw *** end"},
        {"inside a word",                  "hunter2hunter2",                                           "xhunter2hunter2x",                       "x***x"     },
        {"eight bytes",                    "12345678",                                                 "a12345678b",                             "a***b"     },
        {"seven bytes are not registered", "1234567",                                                  "a1234567b",                              "a1234567b" },
        {"percent",                        "a b/c?d=e&f",                                              "q=a%20b%2Fc%3Fd%3De%26f.",               "q=***."    },
        {"percent, lower case",            "a b/c?d=e&f",                                              "q=a%20b%2fc%3fd%3de%26f.",               "q=***."    },
        {"percent, slash kept",            "a b/c?d=e&f",                                              "q=a%20b/c%3Fd%3De%26f.",                 "q=***."    },
        {"hex",                            "hunter2!",                                                 "68756e7465723221!",                      "***!"      },
        {"hex, upper case",                "hunter2~~~",                                               "68756E746572327E7E7E!",                  "***!"      },
        {"base64, short",                  "hunter2!",                                                 "x aHVudGVyMiE= y",                       "x *** y"   },
        {"base64 of exactly that",         "hunter2!hunter2!hunter2!",                                 "aHVudGVyMiFodW50ZXIyIWh1bnRlcjIh",
         "***"                                                                                                                                               },
        {"JSON",                           "line\"one\"\nline two",                                    "{\"s\":\"line\\\"one\\\"\\nline two\"}",
         "{\"s\":\"***\"}"                                                                                                                                   },
        {"one line of many",               "first\n0123456789012345678901234567890123456789xyz\nlast",
         "got 0123456789012345678901234567890123456789xyz\n",                                                                                    "got ***\n" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str secret = str_of(rows[i].secret);
        redact_add(secret);
        AUTO(buf_done) struct buf out = {0};
        redact(&out, str_of(rows[i].in));
        ROW_TEXT(rows[i].name, buf_cstr(&out), rows[i].want);
        check_cuts(rows[i].name, str_of(rows[i].in), rows[i].want);
        redact_remove(secret);
        buf_clear(&out);
        redact(&out, str_of(rows[i].in));
        ROW_TEXT(rows[i].name, buf_cstr(&out), rows[i].in);
    }
}

/* A value within something that was encoded as a whole, at all three alignments: nothing of the
 * encoding may be left but its first bytes, before the value. */
static void masks_base64_around(void **state)
{
    (void)state;
    const struct str secret = STR("s3cr3t-value-of-a-token~?");
    redact_add(secret);
    for (size_t lead = 0; lead < 7; lead++) {
        for (size_t tail = 0; tail < 4; tail++) {
            for (int url = 0; url < 2; url++) {
                AUTO(buf_done) struct buf plain = {0};
                AUTO(buf_done) struct buf text = {0};
                AUTO(buf_done) struct buf out = {0};
                buf_add(&plain, "user:xy", lead);
                buf_add_str(&plain, secret);
                buf_add(&plain, "tail", tail);
                (url ? enc_base64url : enc_base64)(&text, plain.data, plain.len);
                redact(&out, buf_str(&text));
                ROW_TRUE(buf_cstr(&text), str_ends(buf_str(&out), STR("***")));
                /* At most the groups that hold the lead, and one shared with the value. */
                ROW_TRUE(buf_cstr(&text), out.len <= (lead + 2) / 3 * 4 + 3);
            }
        }
    }
    redact_remove(secret);
}

/* What the program base64 makes of a long token: lines of 76 characters. A break within the first
 * four characters of the value is the known gap. */
static void masks_broken_base64(void **state)
{
    (void)state;
    const struct str secret = STR("ghx-" A40 "-" A40 "-" A40 "-" A20);
    redact_add(secret);
    size_t masked = 0;
    for (size_t lead = 0; lead < 57; lead++) {
        AUTO(buf_done) struct buf plain = {0};
        AUTO(buf_done) struct buf text = {0};
        AUTO(buf_done) struct buf lines = {0};
        AUTO(buf_done) struct buf out = {0};
        for (size_t i = 0; i < lead; i++)
            buf_putc(&plain, '.');
        buf_add_str(&plain, secret);
        enc_base64(&text, plain.data, plain.len);
        for (size_t i = 0; i < text.len; i += 76)
            buf_printf(&lines, STR_FMT "\n", STR_ARG(str_sub(buf_str(&text), i, i + 76)));
        redact(&out, buf_str(&lines));
        masked += str_ends(buf_str(&out), STR("***\n"));
        check_cuts("broken base64", buf_str(&lines), buf_cstr(&out));
    }
    assert_in_range(masked, 53, 57);
    redact_remove(secret);
}

static void counts(void **state)
{
    (void)state;
    const struct str value = STR("counted-value");
    redact_add(value);
    redact_add(value);
    redact_remove(value);
    assert_true(redact_finds(value));
    redact_remove(value);
    assert_false(redact_finds(value));
    redact_remove(value); /* once too often does nothing */
    redact_add((struct str){NULL, 0});

    struct secret s = {0};
    secret_set(&s, STR("a-secret-text"));
    assert_true(redact_finds(STR("x a-secret-text")));
    secret_set(&s, str_sub(secret_str(&s), 2, 99)); /* a part of itself */
    assert_string_equal(s.p, "secret-text");
    assert_true(redact_finds(STR("secret-text")));
    secret_set(&s, STR(""));
    assert_false(secret_is_set(&s));
    assert_false(redact_finds(STR("secret-text")));
    secret_done(&s);
}

static void longest_wins(void **state)
{
    (void)state;
    redact_add(STR("password"));
    redact_add(STR("password-and-more"));
    check_cuts("longer", STR("a password-and-more b password-and-mor c"), "a *** b ***-and-mor c");
    check_cuts("in a row", STR("passwordpasswordpassword-and-more"), "*********");
    redact_remove(STR("password"));
    redact_remove(STR("password-and-more"));
}

/* Very long tokens and blocks neither pass nor fill the memory. */
static void bounded(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *start;
        const char *fill;
        size_t n;
        size_t left_max;
    } rows[] = {
        {"token",               "ghs_",                          "a",      200000, 3    },
        {"token with dots",     "ghs_",                          "a.b-c_", 200000, 3    },
        {"jwt",                 "eyJhbGciOiJIUzI1NiJ9.",         "b",      50000,  3    },
        {"key",                 "-----BEGIN PRIVATE KEY-----\n", "MIIE\n", 60000,  3    },
        {"key that never ends", "-----BEGIN PRIVATE KEY-----\n", "text ",  100000, 40000},
        {"dashes",              "-",                             "-",      50000,  50001},
        {"header of a jwt",     "eyJ",                           "a",      50000,  50003},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO(redact_stream_done) struct redact_stream stream = {0};
        AUTO(buf_done) struct buf out = {0};
        redact_feed(&stream, str_of(rows[i].start), &out);
        for (size_t n = 0; n < rows[i].n; n += strlen(rows[i].fill)) {
            redact_feed(&stream, str_of(rows[i].fill), &out);
            ROW_TRUE(rows[i].name, stream.held.len <= 8192);
        }
        redact_finish(&stream, &out);
        ROW_TRUE(rows[i].name, out.len <= rows[i].left_max + 10);
    }
}

/* A small generator, so that a failure can be repeated. */
static uint64_t seed;
static size_t pick(size_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (size_t)(seed % n);
}

/* Random text with secrets in it, in random pieces: no secret comes out, the rest does, and it is
 * what redact() gives for the whole. */
static void random_streams(void **state)
{
    (void)state;
    static const char *const secrets[] = {
        "k3y-of-the-database", "p w/with?odd&bytes", "zzzzzzzzzzzz", TOKEN, E2B_KEY, JWT};
    static const char *const noise[] = {
        "ghs_",    "gh",   "eyJ",      "e2b_", "-----BEGIN ",  "-----", " ", "\n",
        "k3y-of-", "zzzz", "p w/with", "word", "\xe2\x82\xac", "sk-",   ".", "AKIA"};
    for (size_t i = 0; i < COUNT(secrets); i++)
        redact_add(str_of(secrets[i]));
    for (uint64_t round = 1; round <= 3000; round++) {
        seed = round * UINT64_C(0x9e3779b97f4a7c15);
        char row[32];
        snprintf(row, sizeof(row), "round %llu", (unsigned long long)round);
        AUTO(buf_done) struct buf text = {0};
        for (size_t parts = pick(12) + 1; parts > 0; parts--) {
            if (pick(3) == 0)
                buf_printf(&text, " %s ", secrets[pick(COUNT(secrets))]);
            else
                buf_puts(&text, noise[pick(COUNT(noise))]);
        }
        AUTO(buf_done) struct buf whole = {0};
        AUTO(buf_done) struct buf out = {0};
        AUTO(redact_stream_done) struct redact_stream stream = {0};
        redact(&whole, buf_str(&text));
        for (size_t at = 0; at < text.len;) {
            size_t n = pick(9) + 1;
            redact_feed(&stream, str_sub(buf_str(&text), at, at + n), &out);
            at += n;
        }
        redact_finish(&stream, &out);
        ROW_TEXT(row, buf_cstr(&out), buf_cstr(&whole));
        for (size_t i = 0; i < COUNT(secrets); i++)
            ROW_TRUE(row, str_find(buf_str(&out), str_of(secrets[i]), 0) == out.len);
    }
    for (size_t i = 0; i < COUNT(secrets); i++)
        redact_remove(str_of(secrets[i]));
}

/* Secrets of random bytes in each form, cut at each place. */
static void seeded_secrets(void **state)
{
    (void)state;
    for (uint64_t round = 1; round <= 60; round++) {
        seed = round * UINT64_C(0x9e3779b97f4a7c15);
        char secret[64];
        size_t n = 8 + pick(40);
        for (size_t i = 0; i < n; i++)
            secret[i] = (char)('!' + pick(94));
        struct str value = {secret, n};
        redact_add(value);
        struct buf forms[5] = {{0}};
        buf_add_str(&forms[0], value);
        enc_base64(&forms[1], secret, n);
        enc_base64url(&forms[2], secret, n);
        enc_hex(&forms[3], secret, n);
        enc_percent(&forms[4], value, false);
        for (size_t i = 0; i < COUNT(forms); i++) {
            AUTO(buf_done) struct buf text = {0};
            buf_printf(&text, "<%s>", buf_cstr(&forms[i]));
            check_cuts(buf_cstr(&text), buf_str(&text), "<***>");
            buf_done(&forms[i]);
        }
        redact_remove(value);
    }
}

static void *add_and_remove(void *arg)
{
    char value[32];
    for (int i = 0; i < 300; i++) {
        snprintf(value, sizeof(value), "%s-%d-secret", (const char *)arg, i);
        redact_add(str_of(value));
        if (!redact_finds(str_of(value)))
            return arg;
        redact_remove(str_of(value));
    }
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    static char names[4][8] = {"one", "two", "three", "four"};
    pthread_t ids[COUNT(names)];
    for (size_t i = 0; i < COUNT(names); i++)
        assert_int_equal(pthread_create(&ids[i], NULL, add_and_remove, names[i]), 0);
    for (size_t i = 0; i < COUNT(names); i++) {
        void *failed = NULL;
        pthread_join(ids[i], &failed);
        ROW_TRUE(names[i], failed == NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_shapes),
        cmocka_unit_test(masks_shapes_in_streams),
        cmocka_unit_test(masks_exact_values),
        cmocka_unit_test(masks_base64_around),
        cmocka_unit_test(masks_broken_base64),
        cmocka_unit_test(counts),
        cmocka_unit_test(longest_wins),
        cmocka_unit_test(bounded),
        cmocka_unit_test(random_streams),
        cmocka_unit_test(seeded_secrets),
        cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
