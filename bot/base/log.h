/* Log lines to standard error: logfmt or JSON, one line a fact, redacted. Thread-safe. Fields of
 * the unit of work (task, delivery, repository) are set per thread by whoever owns it. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };
enum log_format { LOG_LOGFMT, LOG_JSON };

void log_init(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);
/* "debug" … "error", "off"; false for another word. */
bool log_level_parse(const char *word, enum log_level *out) MUST_CHECK;

/* log_info("task started", "task", id, "repository", name, NULL): pairs of strings, NULL ends
 * them; a NULL value leaves its pair out. */
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
void log_line(enum log_level level, const char *message, ... /* key, value, …, NULL */)
    __attribute__((sentinel));
/* A failure with its kind and chain. */
void log_err(enum log_level level, const char *message, const struct err *err);

/* A field added to every line of this thread until it is set to NULL. key is not copied (a
 * literal); value is. At most LOG_FIELDS_MAX keys. */
#define LOG_FIELDS_MAX 6
void log_field(const char *key, const char *value);
