/* Counters, gauges and histograms for Prometheus. Each is one row of metric.def, declared before
 * use. Labels are bounded: at most METRIC_SERIES_MAX series a metric, the rest goes to "other".
 * Thread-safe and cheap (one mutex a metric, no allocation after the first use of a series). */
#pragma once

#include "bot/base/buf.h"

#include <stdint.h>

#define METRIC_SERIES_MAX 256

#define METRIC(id, name, type, labels, help) id,
enum metric {
#include "bot/base/metric.def"
    METRICS
};
#undef METRIC

/* Label values in the order of the declaration; NULL for a metric without labels, or the second. */
void metric_add(enum metric m, const char *label1, const char *label2, double n);
void metric_set(enum metric m, const char *label1, const char *label2, double value);
void metric_observe(enum metric m, const char *label1, double value);
/* Prometheus text format 0.0.4. */
void metrics_write(struct buf *out);
