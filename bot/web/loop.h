/* One event loop: accepts, serves, drains. */
#pragma once

#include "bot/web/web.h"

/* Runs on the loop's own thread until loop_leave(); arg is a struct loop with web and index set. */
void *loop_run(void *arg);
/* From any thread: messages to the loop. */
void loop_stop_accepting(struct loop *loop);
void loop_drain(struct loop *loop, int64_t grace_ms); /* counts itself as drained when it is */
void loop_leave(struct loop *loop);
