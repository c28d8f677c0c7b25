/* Every request enters here: the stand-in's own addresses, the sandbox proxy in front of the data
 * plane (by header or by host), or the control plane. Faults and the ledger see all but the first.
 */
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/e2b/control.h"

#include <arpa/inet.h>

#define CONTROL_BODY_MAX ((size_t)4 * 1024 * 1024)
#define AUTO_RESUME_S    300

/* Where a data-plane request goes. */
struct target {
    struct str id;
    int64_t port;
};

static void proxy_error(struct http_exchange *x, int status, const struct target *t,
                        const char *message, bool with_port)
{
    json_t *body = json_object();
    json_object_set_new(body, "sandboxId", json_text(t->id));
    json_object_set_new(body, "message", json_string(message));
    if (with_port)
        json_object_set_new(body, "port", json_integer(t->port));
    json_object_set_new(body, "code", json_integer(status));
    http_answer_json(x, status, body);
}

/* Without port and brackets. */
static struct str host_of(const struct http_exchange *x)
{
    struct str host = http_header(x, "host");
    if (str_starts(host, STR("[")))
        return str_sub(host, 1, str_find(host, STR("]"), 0));
    return str_sub(host, 0, str_find(host, STR(":"), 0));
}

/* The hosts at which routing headers count: sandbox.<domain>, localhost, an address. */
static bool is_shared_host(struct str host)
{
    unsigned char raw[16];
    AUTO(mem_freep) char *text = str_dup(host);
    return str_starts(host, STR("sandbox.")) || str_eq(host, STR("localhost")) ||
           inet_pton(AF_INET, text, raw) == 1 || inet_pton(AF_INET6, text, raw) == 1;
}

enum plane { PLANE_CONTROL, PLANE_DATA, PLANE_REFUSED };

static enum plane plane_of(const struct http_exchange *x, struct target *t)
{
    struct str host = host_of(x);
    struct str id = http_header(x, "e2b-sandbox-id");
    struct str port = http_header(x, "e2b-sandbox-port");
    if (is_shared_host(host)) {
        if (id.n == 0 && port.n == 0)
            return PLANE_CONTROL;
        if (id.n == 0 || port.n == 0 || !str_to_i64(port, 1, 65535, &t->port))
            return PLANE_REFUSED;
        t->id = str_sub(id, 0, str_find(id, STR("-"), 0));
        return PLANE_DATA;
    }
    size_t dash = str_find(host, STR("-"), 0);
    size_t dot = str_find(host, STR("."), 0);
    if (dash > dot || dot == host.n || !str_to_i64(str_sub(host, 0, dash), 1, 65535, &t->port))
        return PLANE_CONTROL;
    t->id = str_sub(host, dash + 1, dot);
    t->id = str_sub(t->id, 0, str_find(t->id, STR("-"), 0));
    return PLANE_DATA;
}

static bool is_reserved(struct str path)
{
    static const char *const paths[] = {"/init", "/freeze", "/unfreeze", "/snapshot"};
    for (size_t i = 0; i < COUNT(paths); i++)
        if (str_eq(path, str_of(paths[i])))
            return true;
    return false;
}

static void refuse_reserved(struct http_exchange *x)
{
    json_t *body = json_object();
    json_object_set_new(
        body, "message",
        json_string("This endpoint is reserved and cannot be reached from outside"));
    json_object_set_new(body, "path", json_text(http_path(x)));
    json_object_set_new(body, "code", json_integer(404));
    http_answer_json(x, 404, body);
}

/* A paused sandbox may wake by traffic. False: answered. */
static bool auto_resume(struct world *w, struct box *b, struct http_exchange *x,
                        const struct target *t)
{
    struct err err;
    enum box_result result = box_resume(w, b, AUTO_RESUME_S, false, &err);
    if (result == BOX_OK || b->state == BOX_RUNNING)
        return true;
    if (result == BOX_LIMIT)
        proxy_error(x, 429, t, "The team has reached its limit of concurrent sandboxes", false);
    else
        proxy_error(x, 409, t, "The sandbox is changing its state", false);
    return false;
}

static void serve_box(struct world *w, struct box *b, struct http_exchange *x,
                      const struct target *t, uint64_t entry)
{
    if (t->port != ENVD_PORT && b->traffic_token[0] &&
        !str_eq(http_header(x, "e2b-traffic-access-token"), str_of(b->traffic_token))) {
        proxy_error(x, 403, t, "The traffic access token is missing or wrong", false);
        return;
    }
    if (t->port != ENVD_PORT) {
        proxy_error(x, 502, t, "The sandbox is running but port is not open", true);
        return;
    }
    if (is_reserved(http_path(x))) {
        refuse_reserved(x);
        return;
    }
    if (!box_enter(w, b, x)) {
        proxy_error(x, 502, t, "The sandbox was not found", false);
        return;
    }
    envd_serve(w, b, x, entry);
    box_leave(w, b, x);
}

static void serve_data(struct world *w, struct http_exchange *x, const struct target *t,
                       uint64_t entry)
{
    faults_note(w->faults, entry, "sandbox", json_text(t->id));
    world_lock(w);
    struct box *b = box_find(w, t->id);
    enum box_state state = b ? b->state : BOX_DEAD;
    world_unlock(w);
    if (b && state == BOX_PAUSED && b->spec.auto_resume) {
        if (!auto_resume(w, b, x, t))
            return;
        state = BOX_RUNNING;
    }
    if (state == BOX_RUNNING)
        serve_box(w, b, x, t, entry);
    else if (state == BOX_PAUSING || state == BOX_RESUMING)
        proxy_error(x, 409, t, "The sandbox is changing its state", false);
    else
        proxy_error(x, 502, t, "The sandbox was not found", false);
}

static void serve_control(struct world *w, struct http_exchange *x)
{
    AUTO(json_decrefp) json_t *body = NULL;
    uint64_t entry;
    bool read = http_body_json(x, CONTROL_BODY_MAX, &body);
    if (http_status(x))
        return; /* too long */
    if (!faults_begin(w->faults, x, NULL, body, &entry)) {
        if (read)
            control_serve(w, x, body, entry);
        else
            api_error(x, 400, "validation error: request body is not JSON");
    }
    faults_finish(w->faults, entry, x);
}

void route(struct http_exchange *x, void *world)
{
    struct world *w = world;
    struct target t = {0};
    uint64_t entry;
    if (standin_serve(w, x))
        return;
    enum plane plane = plane_of(x, &t);
    if (plane == PLANE_CONTROL) {
        serve_control(w, x);
        return;
    }
    if (!faults_begin(w->faults, x, "DATA", NULL, &entry)) {
        if (plane == PLANE_REFUSED)
            api_error(x, 400, "missing header");
        else
            serve_data(w, x, &t, entry);
    }
    faults_finish(w->faults, entry, x);
}
