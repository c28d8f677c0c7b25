/* The task as the outside sees it (contract: Task JSON). Pure. */
#pragma once

#include "bot/base/buf.h"
#include "bot/store/tasks.h"

void task_json(struct buf *out, const struct task *t);
