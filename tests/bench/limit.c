/* The yardstick of the `ingest` bench: what h2o and the signature check alone can do. Same library,
 * same settings and the same answer as squadbot's, but nothing is stored. Prints its port.
 *
 *   bench-limit SECRET [LOOPS] */
#include "bot/base/enc.h"
#include "bot/base/mem.h"
#include "bot/base/secret.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <h2o.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static h2o_globalconf_t config;
static struct str secret;
static int listener;

struct thread {
    h2o_context_t ctx;
    h2o_accept_ctx_t accept;
};

static struct str header(const h2o_req_t *req, const char *name)
{
    ssize_t i = h2o_find_header_by_str(&req->headers, name, strlen(name), -1);
    if (i < 0)
        return (struct str){0};
    return (struct str){req->headers.entries[i].value.base, req->headers.entries[i].value.len};
}

static bool signed_right(const h2o_req_t *req)
{
    struct str value = header(req, "x-hub-signature-256");
    unsigned char sent[SHA256_BYTES], made[SHA256_BYTES];
    if (!str_starts(value, STR("sha256=")) ||
        !enc_unhex(str_sub(value, 7, value.n), sent, sizeof(sent)))
        return false;
    hmac_sha256(secret, (struct str){req->entity.base, req->entity.len}, made);
    return bytes_eq_consttime(sent, made, sizeof(made));
}

static int on_req(h2o_handler_t *self, h2o_req_t *req)
{
    (void)self;
    bool ok = signed_right(req);
    struct str guid = header(req, "x-github-delivery");
    char body[256];
    int n = snprintf(body, sizeof(body), "{\"delivery\":\"" STR_FMT "\",\"result\":\"accepted\"}",
                     STR_ARG(guid));
    req->res.status = ok ? 202 : 401;
    req->res.reason = ok ? "Accepted" : "Unauthorized";
    req->res.content_length = (size_t)n;
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
                   H2O_STRLIT("application/json"));
    h2o_send_inline(req, body, (size_t)n);
    return 0;
}

static void on_accept(h2o_socket_t *sock, const char *err)
{
    struct thread *t = sock->data;
    for (int i = 0; !err && i < 16; i++) {
        h2o_socket_t *client = h2o_evloop_socket_accept(sock);
        if (!client)
            return;
        h2o_accept(&t->accept, client);
    }
}

static void *run(void *arg)
{
    struct thread *t = arg;
    h2o_socket_buffer_prototype._initial_buf.capacity = (size_t)32 * 1024;
    h2o_context_init(&t->ctx, h2o_evloop_create(), &config);
    t->accept = (h2o_accept_ctx_t){.ctx = &t->ctx, .hosts = config.hosts};
    h2o_socket_t *sock =
        h2o_evloop_socket_create(t->ctx.loop, dup(listener), H2O_SOCKET_FLAG_DONT_READ);
    sock->data = t;
    h2o_socket_read_start(sock, on_accept);
    for (;;)
        h2o_evloop_run(t->ctx.loop, INT32_MAX);
    return NULL;
}

static bool open_listener(int *port)
{
    int on = 1;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(sa);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    bool ok = bind(listener, (const struct sockaddr *)&sa, n) == 0 && listen(listener, 1024) == 0 &&
              getsockname(listener, (struct sockaddr *)&sa, &n) == 0;
    *port = ntohs(sa.sin_port);
    return ok;
}

int main(int argc, char **argv)
{
    int64_t loops = sysconf(_SC_NPROCESSORS_ONLN);
    int port;
    if (argc < 2 || (argc > 2 && !str_to_i64(str_of(argv[2]), 1, 64, &loops)) ||
        !open_listener(&port)) {
        fprintf(stderr, "usage: bench-limit SECRET [LOOPS]\n");
        return 2;
    }
    secret = str_of(argv[1]);
    signal(SIGPIPE, SIG_IGN);
    h2o_socket_buffer_mmap_settings.threshold = SIZE_MAX;
    h2o_config_init(&config);
    config.server_name = (h2o_iovec_t){NULL, 0};
    config.max_request_entity_size = (size_t)25 * 1024 * 1024;
    config.http1.upgrade_to_http2 = 0;
    h2o_hostconf_t *host =
        h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = on_req;
    struct thread *threads = mem_array((size_t)loops, sizeof(*threads));
    for (int64_t i = 0; i < loops; i++) {
        pthread_t id;
        if (pthread_create(&id, NULL, run, &threads[i]) != 0)
            return 1;
    }
    printf("port=%d\n", port);
    fflush(stdout);
    for (;;)
        pause();
}
