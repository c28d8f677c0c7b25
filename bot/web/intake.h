/* From a received delivery to a stored one: a bounded queue and a few writer threads that take all
 * that waits at once, store it in one transaction and only then have the requests answered. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/enc.h"
#include "bot/base/err.h"
#include "bot/base/str.h"
#include "bot/store/inbox.h"
#include "bot/web/web.h"

struct intake;

enum intake_result { INTAKE_ACCEPTED, INTAKE_DUPLICATE, INTAKE_FAILED };

/* One delivery on its way; the memory behind it holds its texts and body. */
struct intake_item {
    struct ticket ticket;
    struct intake_item *next;
    enum inbox_source source;
    struct str guid;
    struct str event;
    struct str body;
    unsigned char signature[SHA256_BYTES];
    int64_t began_us;
    enum intake_result result;
    void (*answer)(struct intake_item *item); /* on the loop, then the item is freed */
};

bool intake_start(struct web *w, struct intake **out, struct err *err) MUST_CHECK;
/* Stores what waits, then ends its threads; its loops may still have answers to give. NULL is fine.
 */
void intake_stop(struct intake *in);
void intake_free(struct intake *in); /* after the loops ended */

/* Copies the texts; on a loop. NULL = the buffer is full. */
struct intake_item *intake_item_new(struct intake *in, h2o_req_t *req, struct str guid,
                                    struct str event, struct str body) MUST_CHECK;
void intake_put(struct intake_item *item);
void intake_flush(struct loop *loop); /* at the end of a loop's turn: to the writers */
