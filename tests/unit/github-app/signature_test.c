/* Webhook signatures against tests/cases/signature.txt. */
#include "tests/unit/case_file.h"

#include "bot/base/secret.h"
#include "github-app/signature.h"

#include <stdlib.h>

#define SECRETS_MAX 4

/* The next column without the spaces around it; "~" becomes a space. */
static char *column(struct str *rest)
{
    size_t bar = str_find(*rest, STR(" | "), 0);
    struct str cut = str_sub(*rest, 0, bar);
    *rest = str_sub(*rest, bar < rest->n ? bar + 3 : bar, rest->n);
    char *copy = str_dup(cut);
    for (char *p = copy; *p; p++)
        *p = *p == '~' ? ' ' : *p;
    return copy;
}

static int read_secrets(struct str words, struct secret *out)
{
    struct str word;
    int n = 0;
    while (str_split(&words, ' ', &word)) {
        char *text = str_dup(word);
        for (char *p = text; *p; p++)
            *p = *p == '~' ? ' ' : *p;
        assert_true(n < SECRETS_MAX);
        if (strcmp(text, "-") != 0)
            secret_set(&out[n], str_of(text));
        n++;
        free(text);
    }
    return n;
}

static void one(struct str line)
{
    struct secret secrets[SECRETS_MAX] = {0};
    const struct secret *list[SECRETS_MAX];
    unsigned char digest[SHA256_BYTES] = {0}, zero[SHA256_BYTES] = {0};
    struct buf body = {0};
    struct str rest = line;
    char *want = column(&rest);
    size_t bar = str_find(rest, STR(" | "), 0);
    int n = read_secrets(str_sub(rest, 0, bar), secrets);
    rest = str_sub(rest, bar + 3, rest.n);
    char *header = column(&rest);
    case_unescape(rest, &body);
    for (int i = 0; i < n; i++)
        list[i] = &secrets[i];
    bool ok = signature_github_ok(str_of(header), buf_str(&body), list, n, digest);
    if (ok != (strcmp(want, "ok") == 0))
        fail_msg(STR_FMT, STR_ARG(line));
    if (!ok)
        assert_memory_equal(digest, zero, sizeof(digest)); /* untouched */
    else
        assert_int_equal(digest[0], 0x75);
    for (int i = 0; i < n; i++)
        secret_done(&secrets[i]);
    buf_done(&body);
    free(header);
    free(want);
}

static void cases(void **state)
{
    (void)state;
    case_file_each("signature.txt", 20, one);
}

static void no_secrets_no_match(void **state)
{
    unsigned char digest[SHA256_BYTES];
    (void)state;
    assert_false(signature_github_ok(
        STR("sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
        STR("Hello, World!"), NULL, 0, digest));
    assert_false(signature_github_ok((struct str){0}, (struct str){0}, NULL, 0, digest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cases),
                                       cmocka_unit_test(no_secrets_no_match)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
