/* "127.0.0.1:8080,[::1]:8080,:8080,localhost:0": host and port, an empty host or "*" is every
 * address. Options set on the listener are inherited by what it accepts: TCP_USER_TIMEOUT drops a
 * client that acknowledges nothing for some seconds, keep-alive probes find those that vanished. */
#include "bot/web/listen.h"

#include "bot/base/io.h"
#include "bot/base/str.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG         1024
#define USER_TIMEOUT_MS 8000
#define KEEP_IDLE_S     60
#define KEEP_INTERVAL_S 15
#define HOST_MAX_BYTES  256

static bool set_options(int fd, int family)
{
    const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET,   SO_REUSEADDR,     1              },
        {SOL_SOCKET,   SO_KEEPALIVE,     1              },
        {IPPROTO_TCP,  TCP_NODELAY,      1              },
        {IPPROTO_TCP,  TCP_KEEPIDLE,     KEEP_IDLE_S    },
        {IPPROTO_TCP,  TCP_KEEPINTVL,    KEEP_INTERVAL_S},
        {IPPROTO_TCP,  TCP_USER_TIMEOUT, USER_TIMEOUT_MS},
        {IPPROTO_IPV6, IPV6_V6ONLY,      1              }, /* only for IPv6: the last */
    };
    size_t n = COUNT(options) - (family == AF_INET6 ? 0 : 1);
    for (size_t i = 0; i < n; i++)
        if (setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                       sizeof(options[i].value)) != 0)
            return false;
    return true;
}

static bool open_one(const struct addrinfo *ai, struct str text, int *out, struct err *err)
{
    AUTO(fd_close)
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    if (fd < 0 || !set_options(fd, ai->ai_family) || bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 ||
        listen(fd, BACKLOG) != 0)
        return err_set(err, ERR_INPUT, "cannot listen on " STR_FMT ": %s", STR_ARG(text),
                       strerrordesc_np(errno));
    *out = fd;
    fd = -1;
    return true;
}

static int port_of(int fd)
{
    struct sockaddr_storage sa = {0};
    socklen_t n = sizeof(sa);
    if (getsockname(fd, (struct sockaddr *)&sa, &n) != 0)
        return 0;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    if (sa.ss_family == AF_INET) {
        memcpy(&in, &sa, sizeof(in));
        return ntohs(in.sin_port);
    }
    memcpy(&in6, &sa, sizeof(in6));
    return ntohs(in6.sin6_port);
}

/* Every address that the name stands for; some may be taken, one has to work. */
static bool open_name(const char *host, const char *service, struct str text, int *fds, int max,
                      int *n, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(host, service, &hints, &list);
    if (rc != 0)
        return err_set(err, ERR_INPUT, "cannot listen on " STR_FMT ": %s", STR_ARG(text),
                       gai_strerror(rc));
    int before = *n;
    for (const struct addrinfo *ai = list; ai && *n < max; ai = ai->ai_next)
        if (open_one(ai, text, &fds[*n], err))
            (*n)++;
    freeaddrinfo(list);
    return *n > before;
}

static bool open_address(struct str text, int *fds, int max, int *n, struct err *err)
{
    char host[HOST_MAX_BYTES], service[8];
    int64_t port;
    size_t colon = text.n;
    while (colon > 0 && text.p[colon - 1] != ':')
        colon--;
    struct str name = str_sub(text, 0, colon ? colon - 1 : 0);
    struct str number = str_sub(text, colon, text.n);
    if (name.n >= 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
        name = str_sub(name, 1, name.n - 1);
    else if (name.n && memchr(name.p, ':', name.n))
        name.n = HOST_MAX_BYTES; /* IPv6 without brackets: which colon is the port's? */
    if (colon == 0 || !str_to_i64(number, 0, 65535, &port) || name.n >= sizeof(host) ||
        !str_copy(host, sizeof(host), name) || !str_copy(service, sizeof(service), number))
        return err_set(err, ERR_INPUT, "listen address " STR_FMT ": want HOST:PORT or [IPV6]:PORT",
                       STR_ARG(text));
    bool any = host[0] == '\0' || strcmp(host, "*") == 0;
    return open_name(any ? NULL : host, service, text, fds, max, n, err);
}

bool listen_open(const char *addresses, int *fds, int max, int *n, int *port, struct err *err)
{
    struct str rest = str_of(addresses), text;
    int count = 0;
    bool ok = true;
    while (ok && str_split(&rest, ',', &text)) {
        text = str_trim(text);
        if (text.n > 0)
            ok = count < max ? open_address(text, fds, max, &count, err)
                             : err_set(err, ERR_INPUT, "more than %d listen addresses", max);
    }
    if (ok && count == 0)
        ok = err_set(err, ERR_INPUT, "no listen address");
    if (!ok) {
        while (count > 0)
            close(fds[--count]);
        return false;
    }
    *n = count;
    *port = port_of(fds[0]);
    return true;
}

/* ------------------------------------------------------------------------------------------- TLS
 */

/* HTTP/1.1 or nothing: h2o would serve HTTP/2 to whoever negotiates it. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                           const unsigned char *in, unsigned in_n, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    (void)ssl;
    (void)arg;
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_n, ours, sizeof(ours) - 1, in, in_n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool tls_error(const char *what, const char *file, struct err *err)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    err_set(err, ERR_INPUT, "%s %s: %s", what, file, reason ? reason : "not usable");
    ERR_clear_error();
    return false;
}

bool listen_tls(const char *cert_file, const char *key_file, SSL_CTX **out, struct err *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    bool ok;
    if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION))
        ok = tls_error("TLS", "context", err);
    else if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
        ok = tls_error("certificate", cert_file, err);
    else if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1 ||
             SSL_CTX_check_private_key(ctx) != 1)
        ok = tls_error("private key", key_file, err);
    else
        ok = true;
    if (!ok) {
        SSL_CTX_free(ctx);
        return false;
    }
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    *out = ctx;
    return true;
}
