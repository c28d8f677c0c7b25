/* What h2o 2.2 does not do for its connections:
 * - a client that stops reading would be kept for ever: TCP_USER_TIMEOUT (set on the listener) ends
 *   one that acknowledges nothing, the tick one that reads too slowly to ever finish;
 * - bodies are buffered whole before anybody sees them: the tick adds up what all connections hold
 *   and beyond INPUT_MAX_BYTES drops those that hold much;
 * - it closes at once after a refusal. While the client still sends, that makes a reset which can
 *   overtake the answer: a duplicate of the descriptor keeps the connection open, reads and throws
 *   away for a while.
 *
 * Limits: a slow reader is noticed after STALL_TICKS seconds; up to LINGER_MAX connections a loop
 * linger, the rest is closed as h2o does it. */
#include "bot/web/guest.h"

#include "bot/base/clock.h"
#include "bot/base/mem.h"
#include "bot/web/gate.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define INPUT_MAX_BYTES   ((size_t)192 * 1024 * 1024) /* of all loops */
#define INPUT_SMALL_BYTES ((size_t)256 * 1024)        /* connections below are not worth dropping */
#define STALL_TICKS       15
#define STALL_BYTES       (16 * 1024) /* so much has to be acknowledged meanwhile */
#define STATE_ESTABLISHED 1           /* TCP_ESTABLISHED, which <linux/tcp.h> does not have */
#define LINGER_MAX        64
#define LINGER_BYTES_MAX  ((size_t)64 * 1024 * 1024)

struct guest {
    h2o_linklist_t link;
    struct loop *loop;
    h2o_socket_t *sock;
    struct gate_key key;
    int linger_fd;
    int blocked_ticks; /* a write waits for the client since so many */
    uint64_t acked;    /* bytes acknowledged when that began */
};

static struct guest *guest_of(h2o_linklist_t *node)
{
    return H2O_STRUCT_FROM_MEMBER(struct guest, link, node);
}

static h2o_socket_t *socket_of(h2o_req_t *req)
{
    return req->conn->callbacks->get_socket(req->conn);
}

/* --------------------------------------------------------------------------------------- linger */

struct lingerer {
    h2o_timeout_entry_t timeout;
    h2o_socket_t *sock;
    struct loop *loop;
    size_t bytes;
};

static void linger_end(struct lingerer *l)
{
    h2o_timeout_unlink(&l->timeout);
    h2o_socket_close(l->sock);
    l->loop->lingering--;
    free(l);
}

static void linger_on_read(h2o_socket_t *sock, const char *err)
{
    struct lingerer *l = sock->data;
    l->bytes += sock->input->size;
    h2o_buffer_consume(&sock->input, sock->input->size);
    if (err || l->bytes > LINGER_BYTES_MAX || l->loop->leaving)
        linger_end(l);
}

static void linger_on_timeout(h2o_timeout_entry_t *entry)
{
    linger_end(H2O_STRUCT_FROM_MEMBER(struct lingerer, timeout, entry));
}

static void linger_start(struct loop *loop, int fd)
{
    struct lingerer *l = mem_alloc(sizeof(*l));
    l->loop = loop;
    l->timeout.cb = linger_on_timeout;
    l->sock = h2o_evloop_socket_create(loop->ctx.loop, fd, 0);
    l->sock->data = l;
    shutdown(fd, SHUT_WR);
    h2o_timeout_link(loop->ctx.loop, &loop->linger, &l->timeout);
    h2o_socket_read_start(l->sock, linger_on_read);
}

void guest_linger(h2o_req_t *req)
{
    struct loop *loop = web_loop_of(req);
    struct guest *g = socket_of(req)->on_close.data;
    if (g->linger_fd >= 0 || loop->lingering >= LINGER_MAX || loop->leaving)
        return;
    g->linger_fd = fcntl(h2o_socket_get_fd(socket_of(req)), F_DUPFD_CLOEXEC, 0);
    if (g->linger_fd >= 0)
        loop->lingering++;
}

/* ----------------------------------------------------------------------------------- life of one
 */

/* h2o has closed its descriptor; the socket must not be touched any more. */
static void on_close(void *arg)
{
    struct guest *g = arg;
    struct loop *loop = g->loop;
    gate_leave(loop->web->gate, &g->key);
    h2o_linklist_unlink(&g->link);
    if (g->linger_fd >= 0 && loop->leaving) {
        close(g->linger_fd);
        loop->lingering--;
    } else if (g->linger_fd >= 0) {
        linger_start(loop, g->linger_fd);
    }
    free(g);
}

void guest_accept(struct loop *loop, h2o_socket_t *sock)
{
    struct sockaddr_storage peer = {0};
    h2o_socket_getpeername(sock, (struct sockaddr *)&peer);
    struct gate_key key = gate_key_of((const struct sockaddr *)&peer);
    if (!gate_enter(loop->web->gate, &key)) {
        h2o_socket_close(sock);
        return;
    }
    struct guest *g = mem_alloc(sizeof(*g));
    *g = (struct guest){.loop = loop, .sock = sock, .key = key, .linger_fd = -1};
    h2o_linklist_insert(&loop->guests, &g->link);
    sock->on_close.cb = on_close;
    sock->on_close.data = g;
    if (!h2o_timeout_is_linked(&loop->tick_entry))
        h2o_timeout_link(loop->ctx.loop, &loop->tick, &loop->tick_entry);
    h2o_accept(&loop->accept, sock);
}

/* Not h2o_socket_close(): h2o owns the connection and learns from the socket that it is over. */
static void drop(struct guest *g)
{
    shutdown(h2o_socket_get_fd(g->sock), SHUT_RDWR);
}

void guest_drop(h2o_req_t *req)
{
    drop(socket_of(req)->on_close.data);
}

/* More requests, or the end: h2o takes a look once this one is answered. */
static void on_early_read(h2o_socket_t *sock, const char *err)
{
    (void)err;
    h2o_socket_read_stop(sock);
}

/* h2o has stopped reading, but takes the socket out of its epoll set only at the end of the turn,
 * and puts it in again behind the answer. It has copied everything of the request that lies in the
 * input buffer (which may move now), except the body. */
void guest_keep_polling(h2o_req_t *req)
{
    h2o_socket_read_start(socket_of(req), on_early_read);
}

bool guest_is_loopback(h2o_req_t *req)
{
    const struct guest *g = socket_of(req)->on_close.data;
    return g->key.exempt;
}

/* -------------------------------------------------------------------------------------- the tick
 */

static bool tcp_info(const struct guest *g, struct tcp_info *out)
{
    socklen_t n = sizeof(*out);
    *out = (struct tcp_info){0};
    return getsockopt(h2o_socket_get_fd(g->sock), IPPROTO_TCP, TCP_INFO, out, &n) == 0;
}

bool guest_has_left(h2o_req_t *req)
{
    struct tcp_info info;
    return tcp_info(socket_of(req)->on_close.data, &info) && info.tcpi_state != STATE_ESTABLISHED;
}

static uint64_t acked_bytes(const struct guest *g)
{
    struct tcp_info info;
    return tcp_info(g, &info) ? info.tcpi_bytes_acked : 0;
}

/* Writes complete within one turn of the loop unless the client's window is full. */
static void watch_writing(struct guest *g)
{
    if (!h2o_socket_is_writing(g->sock)) {
        g->blocked_ticks = 0;
        return;
    }
    if (g->blocked_ticks++ == 0) {
        g->acked = acked_bytes(g);
    } else if (g->blocked_ticks > STALL_TICKS) {
        if (acked_bytes(g) - g->acked < STALL_BYTES)
            drop(g);
        g->blocked_ticks = 0;
    }
}

/* The oldest first: who sends slowest. What waits for an answer is left alone. */
static void shed_input(struct loop *loop, size_t excess)
{
    for (h2o_linklist_t *n = loop->guests.next; n != &loop->guests && excess > 0; n = n->next) {
        struct guest *g = guest_of(n);
        size_t bytes = g->sock->input->capacity;
        if (bytes < INPUT_SMALL_BYTES || !h2o_socket_is_reading(g->sock) ||
            g->sock->_cb.read == on_early_read)
            continue;
        excess -= bytes < excess ? bytes : excess;
        drop(g);
    }
}

void guest_watch(struct loop *loop)
{
    size_t held = 0;
    for (h2o_linklist_t *n = loop->guests.next; n != &loop->guests; n = n->next) {
        struct guest *g = guest_of(n);
        watch_writing(g);
        held += g->sock->input->capacity;
    }
    /* Unsigned sums wrap around, so a loop that holds less than before subtracts. */
    size_t change = held - loop->held_bytes;
    size_t total = atomic_fetch_add(&loop->web->held_bytes, change) + change;
    loop->held_bytes = held;
    if (total > INPUT_MAX_BYTES)
        shed_input(loop, total - INPUT_MAX_BYTES);
}

bool guest_any_busy(const struct loop *loop)
{
    for (h2o_linklist_t *n = loop->guests.next; n != &loop->guests; n = n->next) {
        const struct guest *g = guest_of(n);
        if (g->sock->input->size > 0 || h2o_socket_is_writing(g->sock))
            return true;
    }
    return false;
}

void guest_drop_all(struct loop *loop)
{
    for (h2o_linklist_t *n = loop->guests.next; n != &loop->guests; n = n->next)
        drop(guest_of(n));
}
