/* A loop's thread makes all its h2o objects itself (h2o corrupts memory otherwise) and shares
 * nothing but the global configuration.
 *
 * Leaving: first the listeners close; then streams end and requests under way are answered (their
 * connections close behind the answer); then what is left is shut down. If something still holds on
 * (a request waiting for the database), its memory is left alone: the process ends anyway. */
#include "bot/web/loop.h"

#include "bot/base/clock.h"
#include "bot/base/log.h"
#include "bot/base/mem.h"
#include "bot/web/guest.h"
#include "bot/web/intake.h"
#include "bot/web/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define INPUT_BYTES    ((size_t)32 * 1024)
#define ACCEPTS_A_TURN 16
#define TICK_MS        1000
#define LINGER_MS      3000
#define DRAIN_LOOK_MS  5
#define LEAVE_MAX_MS   500
#define WAIT_MAX_MS    60000

static void on_accept(h2o_socket_t *listener, const char *err)
{
    struct loop *loop = listener->data;
    if (err)
        return;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        h2o_socket_t *sock = h2o_evloop_socket_accept(listener);
        if (!sock)
            return;
        guest_accept(loop, sock);
    }
}

static void on_tick(h2o_timeout_entry_t *entry)
{
    struct loop *loop = H2O_STRUCT_FROM_MEMBER(struct loop, tick_entry, entry);
    guest_watch(loop);
    stream_watch(loop);
    if (!h2o_linklist_is_empty(&loop->guests))
        h2o_timeout_link(loop->ctx.loop, &loop->tick, &loop->tick_entry);
}

static void count_drained(struct loop *loop)
{
    struct web *w = loop->web;
    loop->drain_until_ms = 0;
    pthread_mutex_lock(&w->mutex);
    w->drained++;
    pthread_cond_broadcast(&w->cond);
    pthread_mutex_unlock(&w->mutex);
}

static void on_drain_look(h2o_timeout_entry_t *entry)
{
    struct loop *loop = H2O_STRUCT_FROM_MEMBER(struct loop, drain_entry, entry);
    if (guest_any_busy(loop) && clock_mono_ms() < loop->drain_until_ms)
        h2o_timeout_link(loop->ctx.loop, &loop->drain, &loop->drain_entry);
    else
        count_drained(loop);
}

static void on_mail(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    struct loop *loop = H2O_STRUCT_FROM_MEMBER(struct loop, receiver, receiver);
    while (!h2o_linklist_is_empty(messages)) {
        struct mail *mail = H2O_STRUCT_FROM_MEMBER(struct mail, super.link, messages->next);
        h2o_linklist_unlink(&mail->super.link);
        mail->open(loop, mail);
    }
}

static void open_listener(struct loop *loop, int i)
{
    int fd = fcntl(loop->web->listeners[i], F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        log_error("cannot duplicate a listener", "reason", strerrordesc_np(errno), NULL);
        return;
    }
    loop->listeners[i] = h2o_evloop_socket_create(loop->ctx.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    loop->listeners[i]->data = loop;
    h2o_socket_read_start(loop->listeners[i], on_accept);
}

static void close_listeners(struct loop *loop)
{
    for (size_t i = 0; i < COUNT(loop->listeners); i++) {
        if (!loop->listeners[i])
            continue;
        h2o_socket_read_stop(loop->listeners[i]);
        h2o_socket_close(loop->listeners[i]);
        loop->listeners[i] = NULL;
    }
}

static void setup(struct loop *loop)
{
    struct web *w = loop->web;
    /* h2o's 8 KiB would make every delivery a growing buffer, a copy and a second read. Connections
     * without data hold none. */
    h2o_socket_buffer_prototype._initial_buf.capacity = INPUT_BYTES;
    h2o_context_init(&loop->ctx, h2o_evloop_create(), &w->h2o);
    h2o_loop_t *l = loop->ctx.loop;
    loop->accept = (h2o_accept_ctx_t){.ctx = &loop->ctx, .hosts = w->h2o.hosts, .ssl_ctx = w->tls};
    h2o_multithread_register_receiver(loop->ctx.queue, &loop->receiver, on_mail);
    h2o_linklist_init_anchor(&loop->guests);
    h2o_linklist_init_anchor(&loop->streams);
    loop->intake_last = &loop->intake_first;
    h2o_timeout_init(l, &loop->tick, TICK_MS);
    h2o_timeout_init(l, &loop->beat, STREAM_BEAT_MS);
    h2o_timeout_init(l, &loop->linger, LINGER_MS);
    h2o_timeout_init(l, &loop->drain, DRAIN_LOOK_MS);
    loop->tick_entry.cb = on_tick;
    loop->drain_entry.cb = on_drain_look;
    for (int i = 0; i < w->nlisteners; i++)
        open_listener(loop, i);
    pthread_mutex_lock(&w->mutex);
    w->running++;
    pthread_cond_broadcast(&w->cond);
    pthread_mutex_unlock(&w->mutex);
}

static bool is_empty(const struct loop *loop)
{
    return loop->guests.next == &loop->guests && loop->lingering == 0;
}

/* h2o keeps freed memory in lists of the thread, 16 pieces each, and has no call to let go of it.
 * To allocate takes from such a list. (Matters only to leak checkers: after this the process ends.)
 */
static void free_recycled(void)
{
    h2o_mem_recycle_t *buffers = &h2o_socket_buffer_prototype.allocator;
    while (buffers->cnt > 0)
        free(h2o_mem_alloc_recycle(buffers, 0));
    for (int i = 0; i < 16; i++) {
        h2o_mem_pool_t pool;
        h2o_mem_init_pool(&pool);
        h2o_mem_alloc_pool(&pool, 1);
        free(pool.chunks);
    }
}

static void teardown(struct loop *loop)
{
    h2o_timeout_unlink(&loop->tick_entry);
    h2o_timeout_unlink(&loop->drain_entry);
    h2o_timeout_t *timeouts[] = {&loop->tick, &loop->beat, &loop->linger, &loop->drain};
    for (size_t i = 0; i < COUNT(timeouts); i++)
        h2o_timeout_dispose(loop->ctx.loop, timeouts[i]);
    h2o_multithread_unregister_receiver(loop->ctx.queue, &loop->receiver);
    h2o_evloop_t *l = loop->ctx.loop;
    h2o_multithread_queue_t *queue = loop->ctx.queue; /* destroyed with the context, not freed */
    h2o_context_dispose(&loop->ctx);
    free(queue);
    h2o_evloop_destroy(l);
    free_recycled();
}

/* An interrupted wait is no failure; a failing one must not spin unseen. */
static void turn(struct loop *loop, int32_t max_ms)
{
    if (h2o_evloop_run(loop->ctx.loop, max_ms) != 0 && errno != EINTR)
        log_error("event loop", "reason", strerrordesc_np(errno), NULL);
    intake_flush(loop);
}

void *loop_run(void *arg)
{
    struct loop *loop = arg;
    setup(loop);
    while (!loop->leaving)
        turn(loop, WAIT_MAX_MS);
    int64_t until = clock_mono_ms() + LEAVE_MAX_MS;
    while (!is_empty(loop) && clock_mono_ms() < until)
        turn(loop, 10);
    turn(loop, 0); /* frees what was closed last */
    if (is_empty(loop))
        teardown(loop);
    return NULL;
}

/* -------------------------------------------------------------------------------------- messages
 */

struct order {
    struct mail mail;
    int64_t until_ms;
};

static void send_order(struct loop *loop, void (*open)(struct loop *, struct mail *), int64_t until)
{
    struct order *o = mem_alloc(sizeof(*o));
    *o = (struct order){.mail = {.open = open}, .until_ms = until};
    web_post(loop, &o->mail);
}

static void open_stop_accepting(struct loop *loop, struct mail *mail)
{
    free(mail);
    close_listeners(loop);
}

static void open_drain(struct loop *loop, struct mail *mail)
{
    loop->drain_until_ms = ((struct order *)mail)->until_ms;
    free(mail);
    close_listeners(loop);
    /* Not h2o_context_request_shutdown(): it also starts a timer for HTTP/2, which never ends. */
    loop->ctx.shutdown_requested = 1;
    stream_end_all(loop);
    h2o_timeout_link(loop->ctx.loop, &loop->drain, &loop->drain_entry);
}

static void open_leave(struct loop *loop, struct mail *mail)
{
    free(mail);
    loop->leaving = true;
    guest_drop_all(loop);
}

void loop_stop_accepting(struct loop *loop)
{
    send_order(loop, open_stop_accepting, 0);
}

void loop_drain(struct loop *loop, int64_t grace_ms)
{
    send_order(loop, open_drain, clock_mono_ms() + grace_ms);
}

void loop_leave(struct loop *loop)
{
    send_order(loop, open_leave, 0);
}
