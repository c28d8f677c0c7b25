/* One request of the smart protocol. Internal to the wire (wire.c, fetch.c, push.c). */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/call.h"
#include "bot/base/err.h"
#include "bot/git/pktline.h"
#include "bot/git/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_AGENT_FORMAT "agent=squadbot/%s" /* version() */
#define WIRE_NULL_OID     "0000000000000000000000000000000000000000"

struct wire_request {
    const char *service; /* "git-upload-pack" or "git-receive-pack" */
    bool advertisement;  /* GET info/refs; else POST */
    bool v2;
    struct str body;     /* of a POST: this, then what pack_fd holds */
    int pack_fd;         /* 0 = none */
    size_t response_max; /* bytes; 0 = the callee counts */
    pkt_fn on_packet;
    void *arg;
};
/* True when a whole answer came and every packet was taken. ERR_AUTH, ERR_DENIED, ERR_GONE,
 * ERR_LIMIT, ERR_UPSTREAM by its status; or on_packet's error. */
bool wire_do(const struct git_remote *r, const struct wire_request *q, const struct call *call,
             struct err *err) MUST_CHECK;

/* "ERR text": the server's refusal in place of an answer. Sets err and returns false if it is. */
bool wire_no_error(struct str line, struct err *err) MUST_CHECK;
