/* Log lines. Each is built in memory and leaves with one write(), so that lines of different
 * threads never mix and no lock is needed. Values are redacted one by one, before they are quoted,
 * because quoting could hide a secret from the redactor. A line has a ceiling; a field that does
 * not fit is left out. If standard error is broken, logging stops mattering: errors are ignored. */
#include "bot/base/log.h"

#include "bot/base/buf.h"
#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/redact.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#define LINE_MAX_BYTES  ((size_t)64 * 1024)
#define VALUE_MAX_BYTES ((size_t)16 * 1024)
#define FIELD_MAX_BYTES 128

struct field {
    const char *key; /* NULL = free */
    char value[FIELD_MAX_BYTES];
};

static _Thread_local struct field fields[LOG_FIELDS_MAX];
static _Atomic(enum log_level) current_level = LOG_INFO;
static _Atomic(enum log_format) current_format = LOG_LOGFMT;

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn",
    [LOG_ERROR] = "error", [LOG_OFF] = "off",
};

void log_init(enum log_level level, enum log_format format)
{
    atomic_store(&current_level, level);
    atomic_store(&current_format, format);
}

bool log_enabled(enum log_level level)
{
    return level != LOG_OFF && level >= atomic_load_explicit(&current_level, memory_order_relaxed);
}

bool log_level_parse(const char *word, enum log_level *out)
{
    for (size_t i = 0; i < COUNT(level_names); i++) {
        if (str_eq(str_of(word), str_of(level_names[i]))) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static bool needs_quotes(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
            return true;
    }
    return s.n == 0;
}

static void add_pair(struct buf *line, enum log_format format, const char *key, const char *value)
{
    struct str text = str_of(value);
    text.n = str_utf8_floor(text, VALUE_MAX_BYTES);
    AUTO(buf_done) struct buf clean = {0};
    redact(&clean, text);
    AUTO(buf_done) struct buf pair = {0};
    if (format == LOG_JSON) {
        buf_puts(&pair, line->len > 1 ? ",\"" : "\"");
        enc_json(&pair, str_of(key));
        buf_puts(&pair, "\":\"");
        enc_json(&pair, buf_str(&clean));
        buf_putc(&pair, '"');
    } else {
        bool quote = needs_quotes(buf_str(&clean));
        buf_puts(&pair, line->len > 0 ? " " : "");
        buf_puts(&pair, key);
        buf_puts(&pair, quote ? "=\"" : "=");
        enc_json(&pair, buf_str(&clean));
        buf_puts(&pair, quote ? "\"" : "");
    }
    buf_add_str(line, buf_str(&pair));
}

static void begin(struct buf *line, enum log_format format, enum log_level level,
                  const char *message)
{
    char now[TIME_TEXT];
    time_format(clock_wall_ms(), now);
    if (format == LOG_JSON)
        buf_putc(line, '{');
    add_pair(line, format, "ts", now);
    add_pair(line, format, "level", level_names[level]);
    add_pair(line, format, "msg", message);
}

static void finish(struct buf *line, enum log_format format)
{
    for (size_t i = 0; i < LOG_FIELDS_MAX; i++)
        if (fields[i].key)
            add_pair(line, format, fields[i].key, fields[i].value);
    line->max = 0; /* the last bytes always fit */
    buf_puts(line, format == LOG_JSON ? "}\n" : "\n");
    int saved = errno;
    ssize_t n;
    do {
        n = write(STDERR_FILENO, line->data, line->len);
    } while (n < 0 && errno == EINTR);
    errno = saved;
}

void log_line(enum log_level level, const char *message, ...)
{
    if (!log_enabled(level))
        return;
    enum log_format format = atomic_load_explicit(&current_format, memory_order_relaxed);
    AUTO(buf_done) struct buf line = {.max = LINE_MAX_BYTES};
    begin(&line, format, level, message);
    va_list args;
    va_start(args, message);
    for (const char *key; (key = va_arg(args, const char *)) != NULL;) {
        const char *value = va_arg(args, const char *);
        if (value)
            add_pair(&line, format, key, value);
    }
    va_end(args);
    finish(&line, format);
}

void log_err(enum log_level level, const char *message, const struct err *err)
{
    log_line(level, message, "kind", err_policy(err->kind)->name, "error", err->text, NULL);
}

void log_field(const char *key, const char *value)
{
    struct field *slot = NULL;
    for (size_t i = 0; i < LOG_FIELDS_MAX; i++) {
        struct field *f = &fields[i];
        if (f->key && strcmp(f->key, key) == 0) {
            slot = f;
            break;
        }
        if (!f->key && !slot)
            slot = f;
    }
    if (!slot)
        return;
    slot->key = value ? key : NULL;
    if (!value)
        return;
    size_t n = str_utf8_floor(str_of(value), sizeof(slot->value) - 1);
    memcpy(slot->value, value, n);
    slot->value[n] = '\0';
}
