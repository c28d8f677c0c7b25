/* Errors are plain text plus a kind. Everything that depends on the kind (retry? show it to the
 * user? which HTTP status?) is a column of the table below and nowhere else. A text is one line of
 * valid UTF-8, so that it can go into a log line, a comment or the database as it is; what does not
 * fit is cut at the end, because the front names the place. */
#include "bot/base/err.h"

#include "bot/base/str.h"

#include <stdarg.h>
#include <stdio.h>

static const struct err_policy policies[ERR_KINDS] = {
    [ERR_NONE] = {"none",      false, true,  200},
    [ERR_INPUT] = {"input",     false, true,  400},
    [ERR_DENIED] = {"denied",    false, true,  403},
    [ERR_GONE] = {"gone",      false, true,  404},
    [ERR_CONFLICT] = {"conflict",  false, true,  409},
    [ERR_LIMIT] = {"limit",     true,  true,  429},
    [ERR_TIMEOUT] = {"timeout",   true,  true,  504},
    [ERR_CANCELLED] = {"cancelled", false, true,  409},
    [ERR_UPSTREAM] = {"upstream",  true,  true,  502},
    [ERR_AUTH] = {"auth",      false, true,  502},
    [ERR_BUDGET] = {"budget",    false, true,  402},
    [ERR_POLICY] = {"policy",    false, true,  422},
    [ERR_AGENT] = {"agent",     false, true,  502},
    [ERR_SANDBOX] = {"sandbox",   true,  true,  502},
    [ERR_BUG] = {"bug",       false, false, 500},
};

const struct err_policy *err_policy(enum err_kind kind)
{
    if ((unsigned)kind >= ERR_KINDS)
        kind = ERR_BUG;
    return &policies[kind];
}

/* Makes text one line of valid UTF-8, cut at a character's border. */
static void tidy(char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)text[i];
        size_t step = str_utf8_char((struct str){text + i, n - i});
        if (step == 0 && n - i < 4 && n == ERR_TEXT_MAX - 1) {
            text[i] = '\0'; /* the character that the end of the array cut through */
            return;
        }
        if (step == 0)
            text[i] = '?';
        else if (c < 0x20 || c == 0x7f)
            text[i] = ' ';
        i += step ? step : 1;
    }
}

bool err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
{
    if (!err)
        return false;
    /* Formatted aside first: an argument may be err's own text. */
    char text[ERR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    tidy(text);
    err->kind = kind;
    err->retry_after_s = 0;
    memcpy(err->text, text, sizeof(text));
    return false;
}

bool err_wrap(struct err *err, const char *fmt, ...)
{
    if (!err)
        return false;
    char text[ERR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof(text)) {
        size_t used = (size_t)n;
        snprintf(text + used, sizeof(text) - used, used && err->text[0] ? ": %s" : "%s", err->text);
    }
    tidy(text);
    memcpy(err->text, text, sizeof(text));
    return false;
}

void err_clear(struct err *err)
{
    if (err)
        *err = (struct err){0};
}
