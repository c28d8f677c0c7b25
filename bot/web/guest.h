/* Connections of a loop: counted at the door, watched once a second (a client that does not read,
 * too much unfinished input), closed without losing the answer. Only on the loop's thread. */
#pragma once

#include "bot/web/web.h"

/* Takes an accepted socket: serves it, or closes it when there are too many. */
void guest_accept(struct loop *loop, h2o_socket_t *sock);
/* The answer under way is the last: keep the connection half open for a moment behind it, so that
 * a client that still sends gets to read it. */
void guest_linger(h2o_req_t *req);
/* Ends the connection without further ado. */
void guest_drop(h2o_req_t *req);
bool guest_is_loopback(h2o_req_t *req);
/* For a request that waits for another thread: leaves the socket registered for reading, which
 * saves two system calls. What comes meanwhile stays in its buffer. */
void guest_keep_polling(h2o_req_t *req);
/* The client closed its side. h2o does not look while an answer is under way. */
bool guest_has_left(h2o_req_t *req);
void guest_watch(struct loop *loop); /* the tick */
/* Is a request being read or answered on any connection? */
bool guest_any_busy(const struct loop *loop);
void guest_drop_all(struct loop *loop);
