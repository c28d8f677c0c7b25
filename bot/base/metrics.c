/* Metrics in memory, written as Prometheus text. A metric without labels is one series; one with
 * labels has a series for every combination that was used, plus those of the table `seeds`, so that
 * every promised metric is in the output before anything happened (an alert on a missing series
 * cannot fire). Label values come from our own code, but some are made of what others send, so the
 * number of series is bounded and the rest is counted as "other". */
#include "bot/base/metrics.h"

#include "bot/base/err.h"
#include "bot/base/mem.h"
#include "bot/base/str.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>

#define LABEL_MAX_BYTES 96
#define LABELS_MAX      2

enum type { COUNTER, GAUGE, HISTOGRAM };

static const char *const type_names[] = {"counter", "gauge", "histogram"};

/* Upper bounds in seconds, 1 ms to 1 h. */
static const double bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,  1,   2.5,
                                5,     10,     30,    60,   120,   300,  600, 900,  1800, 3600};

struct series {
    char *label[LABELS_MAX];
    double value;      /* a histogram's sum */
    uint64_t *buckets; /* of a histogram: not cumulative, the last is +Inf */
};

struct metric_row {
    const char *name;
    enum type type;
    const char *labels; /* "" or comma-separated names */
    const char *help;
    pthread_mutex_t mutex;
    struct series series[METRIC_SERIES_MAX];
    size_t count;
};

#define METRIC(id, name, type, labels, help)                                                       \
    [id] = {"squadbot_" name, type, labels, help, PTHREAD_MUTEX_INITIALIZER, {{{0}, 0, 0}}, 0},
static struct metric_row rows[METRICS] = {
#include "bot/base/metric.def"
};
#undef METRIC

/* Series that exist from the start; words separated by '|'. errors_total is seeded from err.h. */
static const struct {
    enum metric metric;
    const char *first;
    const char *second; /* NULL = the metric has one label */
} seeds[] = {
    {M_WEBHOOK_DELIVERIES, "issues|issue_comment|pull_request|pull_request_review|ping",
     "accepted|duplicate|ignored"                                                                                },
    {M_TASKS,              "queued|running|waiting|succeeded|no_changes|failed|cancelled|needs_human", NULL      },
    {M_OUTCOMES,           "succeeded|no_changes|failed|cancelled|needs_human",                        NULL      },
    {M_STEP_SECONDS,       "provision|clone|agent|commit|push|pull|teardown",                          NULL      },
    {M_SANDBOXES,          "CREATED|RUNNING|PAUSED|TERMINATED|ERROR",                                  NULL      },
    {M_GIT_OPERATIONS,     "clone|pull|branch|commit|push|pr",                                         "ok|error"},
    {M_GIT_SECONDS,        "clone|pull|branch|commit|push|pr",                                         NULL      },
    {M_GITHUB_REQUESTS,    "other",                                                                    "200"     },
    {M_E2B_REQUESTS,       "create",                                                                   "200"     },
    {M_COST,               "sandbox|model",                                                            NULL      },
    {M_TOKENS,             "input|output",                                                             NULL      },
    {M_HTTP_REQUESTS,      "/healthz",                                                                 "200"     },
};

static bool word(const char **words, char *out, size_t size)
{
    if (!*words)
        return false;
    size_t n = strcspn(*words, "|");
    bool fits = str_copy(out, size, (struct str){*words, n});
    assert(fits);
    *words = (*words)[n] ? *words + n + 1 : NULL;
    return true;
}

static struct series *series_of(struct metric_row *row, const char *first, const char *second);

static void seed_all(void)
{
    for (size_t i = 0; i < COUNT(seeds); i++) {
        char first[LABEL_MAX_BYTES];
        for (const char *a = seeds[i].first; word(&a, first, sizeof(first));) {
            char second[LABEL_MAX_BYTES];
            if (!seeds[i].second)
                series_of(&rows[seeds[i].metric], first, NULL);
            for (const char *b = seeds[i].second; word(&b, second, sizeof(second));)
                series_of(&rows[seeds[i].metric], first, second);
        }
    }
    for (int kind = ERR_NONE + 1; kind < ERR_KINDS; kind++)
        series_of(&rows[M_ERRORS], err_policy((enum err_kind)kind)->name, NULL);
    for (size_t m = 0; m < METRICS; m++)
        if (rows[m].labels[0] == '\0')
            series_of(&rows[m], NULL, NULL);
}

static bool same_label(const char *have, const char *want)
{
    size_t n = have ? strlen(have) : 0;
    return want ? n == str_utf8_floor(str_of(want), LABEL_MAX_BYTES) &&
                      (n == 0 || memcmp(have, want, n) == 0)
                : n == 0;
}

static char *label_copy(const char *label)
{
    struct str s = str_of(label);
    return str_dup(str_sub(s, 0, str_utf8_floor(s, LABEL_MAX_BYTES)));
}

static struct series *find(struct metric_row *row, const char *first, const char *second)
{
    for (size_t i = 0; i < row->count; i++) {
        struct series *s = &row->series[i];
        if (same_label(s->label[0], first) && same_label(s->label[1], second))
            return s;
    }
    return NULL;
}

static struct series *series_of(struct metric_row *row, const char *first, const char *second)
{
    struct series *s = find(row, first, second);
    if (s)
        return s;
    /* The last place is kept for what no longer fits. */
    if (row->count >= METRIC_SERIES_MAX - 1) {
        first = first ? "other" : NULL;
        second = second ? "other" : NULL;
        s = find(row, first, second);
        if (s)
            return s;
    }
    s = &row->series[row->count++];
    s->label[0] = label_copy(first);
    s->label[1] = label_copy(second);
    if (row->type == HISTOGRAM)
        s->buckets = mem_array(COUNT(bounds) + 1, sizeof(*s->buckets));
    return s;
}

static struct metric_row *row_of(enum metric m)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, seed_all);
    assert((size_t)m < METRICS);
    return &rows[m];
}

void metric_add(enum metric m, const char *label1, const char *label2, double n)
{
    struct metric_row *row = row_of(m);
    assert(row->type != HISTOGRAM);
    pthread_mutex_lock(&row->mutex);
    series_of(row, label1, label2)->value += n;
    pthread_mutex_unlock(&row->mutex);
}

void metric_set(enum metric m, const char *label1, const char *label2, double value)
{
    struct metric_row *row = row_of(m);
    assert(row->type == GAUGE);
    pthread_mutex_lock(&row->mutex);
    series_of(row, label1, label2)->value = value;
    pthread_mutex_unlock(&row->mutex);
}

void metric_observe(enum metric m, const char *label1, double value)
{
    struct metric_row *row = row_of(m);
    assert(row->type == HISTOGRAM);
    size_t bucket = 0;
    while (bucket < COUNT(bounds) && !(value <= bounds[bucket]))
        bucket++;
    pthread_mutex_lock(&row->mutex);
    struct series *s = series_of(row, label1, NULL);
    s->buckets[bucket]++;
    s->value += value;
    pthread_mutex_unlock(&row->mutex);
}

static void write_label(struct buf *out, struct str name, const char *value)
{
    buf_add_str(out, name);
    buf_puts(out, "=\"");
    for (; *value; value++) {
        if (*value == '\n')
            buf_puts(out, "\\n");
        else if (*value == '"' || *value == '\\')
            buf_printf(out, "\\%c", *value);
        else
            buf_putc(out, *value);
    }
    buf_putc(out, '"');
}

/* {a="x",b="y",le="…"}, or nothing when there is nothing in it. */
static void write_labels(struct buf *out, const struct metric_row *row, const struct series *s,
                         const char *le)
{
    struct str names = str_of(row->labels);
    struct str name;
    bool any = false;
    for (size_t i = 0; names.n > 0 && i < LABELS_MAX && str_split(&names, ',', &name); i++) {
        buf_putc(out, any ? ',' : '{');
        write_label(out, name, s->label[i]);
        any = true;
    }
    if (le) {
        buf_putc(out, any ? ',' : '{');
        write_label(out, STR("le"), le);
        any = true;
    }
    if (any)
        buf_putc(out, '}');
}

static void write_value(struct buf *out, double value)
{
    if (isnan(value))
        buf_puts(out, " NaN\n");
    else if (isinf(value))
        buf_puts(out, value > 0 ? " +Inf\n" : " -Inf\n");
    else if (value > -1e15 && value < 1e15 && (double)(int64_t)value == value)
        buf_printf(out, " %.0f\n", value);
    else
        buf_printf(out, " %.17g\n", value);
}

static void write_histogram(struct buf *out, const struct metric_row *row, const struct series *s)
{
    uint64_t total = 0;
    for (size_t i = 0; i <= COUNT(bounds); i++) {
        char le[32] = "+Inf";
        if (i < COUNT(bounds))
            snprintf(le, sizeof(le), "%g", bounds[i]);
        total += s->buckets[i];
        buf_printf(out, "%s_bucket", row->name);
        write_labels(out, row, s, le);
        buf_printf(out, " %llu\n", (unsigned long long)total);
    }
    buf_printf(out, "%s_sum", row->name);
    write_labels(out, row, s, NULL);
    write_value(out, s->value);
    buf_printf(out, "%s_count", row->name);
    write_labels(out, row, s, NULL);
    buf_printf(out, " %llu\n", (unsigned long long)total);
}

void metrics_write(struct buf *out)
{
    for (size_t m = 0; m < METRICS; m++) {
        struct metric_row *row = row_of((enum metric)m);
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
                   type_names[row->type]);
        pthread_mutex_lock(&row->mutex);
        for (size_t i = 0; i < row->count; i++) {
            if (row->type == HISTOGRAM) {
                write_histogram(out, row, &row->series[i]);
            } else {
                buf_puts(out, row->name);
                write_labels(out, row, &row->series[i], NULL);
                write_value(out, row->series[i].value);
            }
        }
        pthread_mutex_unlock(&row->mutex);
    }
}
