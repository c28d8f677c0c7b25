/* Answers without a known end: a task's events as they happen, its log. Loop's thread. */
#pragma once

#include "bot/web/web.h"

#define STREAM_BEAT_MS 15000

/* Every second: ends the streams whose client has left. */
void stream_watch(struct loop *loop);
/* We are going down: event streams end (their clients resume elsewhere by Last-Event-ID). */
void stream_end_all(struct loop *loop);
