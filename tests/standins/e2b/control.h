/* The control plane: one call, and what the files of it share. */
#pragma once

#include "tests/standins/e2b/world.h"

struct api {
    struct world *w;
    struct http_exchange *x;
    json_t *body; /* borrowed; NULL = none */
    uint64_t entry;
    struct box *b; /* of the path, for routes that have one */
    const char *part;
};

/* {"code":…,"message":…} */
void api_error(struct http_exchange *x, int status, const char *fmt, ...) PRINTF(3, 4);
void api_done(struct http_exchange *x); /* 204 */
/* Answers a limit or failure of box_create and box_resume. */
void api_reject(struct api *a, enum box_result result, const struct err *err);
json_t *api_box(struct world *w, const struct box *b, bool listed); /* locked; §2.3 or §2.4 */
json_t *api_created(const struct box *b);                           /* §2.2 */

/* create.c */
void create_v1(struct api *a);
void create_v2(struct api *a);
/* False: answered with 400. */
bool network_ok(struct http_exchange *x, const json_t *network);

/* list.c */
void list_v1(struct api *a);
void list_v2(struct api *a);

/* report.c */
void report_metrics(struct api *a);
void report_metrics_many(struct api *a);
void report_logs(struct api *a);
void report_templates(struct api *a);
void report_alias(struct api *a);
