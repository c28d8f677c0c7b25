/* Requests that wait for another thread: while they do, h2o neither reads from the client nor
 * notices that it left, but a connection may still be closed under them (by us, when we stop). A
 * cell in the request's pool tells the ticket when that happens. */
#include "bot/web/web.h"

static void forget(void *cell)
{
    struct ticket *t = *(struct ticket **)cell;
    if (t) {
        t->req = NULL;
        t->cell = NULL;
    }
}

void ticket_init(struct ticket *t, h2o_req_t *req, void (*open)(struct loop *, struct mail *))
{
    *t = (struct ticket){.mail = {.open = open}, .loop = web_loop_of(req), .req = req};
    t->cell = h2o_mem_alloc_shared(&req->pool, sizeof(*t->cell), forget);
    *t->cell = t;
}

h2o_req_t *ticket_take(struct ticket *t)
{
    h2o_req_t *req = t->req;
    if (t->cell)
        *t->cell = NULL;
    t->cell = NULL;
    t->req = NULL;
    return req;
}

void web_post(struct loop *loop, struct mail *mail)
{
    h2o_multithread_send_message(&loop->receiver, &mail->super);
}
