/* The functions that the route table names. on_loop ones must not block; the others run on a worker
 * with the call's arena and the store, and fill in the answer (see api.h). */
#pragma once

#include "bot/web/api.h"
#include "bot/web/route.h"

void hook_github(h2o_req_t *req, const struct route *route, struct str id);

void probe_health(h2o_req_t *req, const struct route *route, struct str id);
void probe_ready(h2o_req_t *req, const struct route *route, struct str id);
void probe_metrics(h2o_req_t *req, const struct route *route, struct str id);

bool tasks_list(struct api_call *call, struct err *err);
bool tasks_get(struct api_call *call, struct err *err);
bool tasks_cancel(struct api_call *call, struct err *err);
bool tasks_retry(struct api_call *call, struct err *err);
bool tasks_patch(struct api_call *call, struct err *err);

void stream_events(h2o_req_t *req, const struct route *route, struct str id);
void stream_log(h2o_req_t *req, const struct route *route, struct str id);
