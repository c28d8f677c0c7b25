/* A smart HTTP server for tests: `git http-backend` behind plain sockets, a process for each
 * request. Repositories are under one folder; the first component of the path chooses a fault. */
#pragma once

#include "tests/unit/git/git_run.h"

#include "bot/base/enc.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKEND_TOKEN "test-token-0123456789"

struct backend {
    pid_t pid;
    char url[64]; /* http://127.0.0.1:PORT */
};

/* /NAME/repo.git/…: this in place of an answer, or of its end. */
static const struct {
    const char *name;
    const char *answer;
} backend_faults[] = {
    {"denied",
     "HTTP/1.1 403 Forbidden\r\nContent-Length: 35\r\n\r\nPermission to o/r.git denied to bot"        },
    {"slow-down",  "HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"             },
    {"limited",    "HTTP/1.1 403 Forbidden\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n"           },
    {"broken",     "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops"                               },
    {"moved",      "HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n"},
    {"away",       "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"  },
    {"html",       "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"    },
    {"noise",      "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-result\r\n"
              "Content-Length: 8\r\n\r\nzzzz0000"                                        },
    {"empty",      "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-result\r\n"
              "Content-Length: 0\r\n\r\n"                                                },
    {"half",       "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-result\r\n"
             "Content-Length: 23\r\n\r\n000dpackfile\n000a\x01PACK0"                      },
    {"big-packet", "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-result\r\n"
                   "Content-Length: 4\r\n\r\nffff"                                  },
    {"err",        "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-result\r\n"
            "Content-Length: 20\r\n\r\n0014ERR no such luck"                               },
    {"hang",       ""                                                                                 },
    {"cut",        ""                                                                                 },
};

struct backend_request {
    char head[32768];
    size_t n, head_n; /* bytes so far; of the head */
    char method[16], path[1024], query[256];
};

static inline struct str backend_header(const struct backend_request *r, const char *name)
{
    struct str rest = {r->head, r->head_n}, line;
    while (str_line(&rest, &line)) {
        size_t colon = str_find(line, STR(":"), 0);
        if (str_eq_nocase(str_sub(line, 0, colon), str_of(name)))
            return str_trim(str_sub(line, colon + 1, line.n));
    }
    return (struct str){0};
}

static inline void backend_must(bool ok)
{
    if (!ok)
        _exit(3);
}

static inline void backend_send(int fd, const char *data, size_t n)
{
    struct err err;
    if (!fd_write_all(fd, (struct str){data, n}, &err))
        _exit(0); /* the client left */
}

static inline void backend_read_head(int fd, struct backend_request *r)
{
    while (!r->head_n) {
        ssize_t n = read(fd, r->head + r->n, sizeof(r->head) - 1 - r->n);
        backend_must(n > 0);
        r->n += (size_t)n;
        const char *end = memmem(r->head, r->n, "\r\n\r\n", 4);
        r->head_n = end ? (size_t)(end - r->head) + 4 : 0;
    }
    backend_must(sscanf(r->head, "%15s %1023[^ ?]", r->method, r->path) == 2);
    struct str line = {r->head, strcspn(r->head, "\r")};
    size_t mark = str_find(line, STR("?"), 0);
    struct str query = str_sub(line, mark + 1, str_find(line, STR(" "), mark));
    backend_must(str_copy(r->query, sizeof(r->query), query));
}

/* The body, as a file for the child's standard input. */
static inline int backend_spool(int fd, const struct backend_request *r, long long length)
{
    static char piece[65536];
    FILE *file = tmpfile();
    backend_must(file != NULL);
    int out = fileno(file);
    size_t have = r->n - r->head_n;
    backend_send(out, r->head + r->head_n, have);
    for (long long left = length - (long long)have; left > 0;) {
        ssize_t n = read(fd, piece, left < 65536 ? (size_t)left : sizeof(piece));
        backend_must(n > 0);
        backend_send(out, piece, (size_t)n);
        left -= n;
    }
    backend_must(lseek(out, 0, SEEK_SET) == 0);
    return out;
}

static inline void backend_cgi(const struct backend_request *r, const char *root, const char *path,
                               int in, int out)
{
    static char env[9][1400];
    char *list[COUNT(env) + 1] = {0};
    struct str type = backend_header(r, "Content-Type"),
               protocol = backend_header(r, "Git-Protocol");
    struct str length = backend_header(r, "Content-Length");
    snprintf(env[0], sizeof(env[0]), "GIT_PROJECT_ROOT=%s", root);
    snprintf(env[1], sizeof(env[1]), "GIT_HTTP_EXPORT_ALL=1");
    snprintf(env[2], sizeof(env[2]), "PATH_INFO=%s", path);
    snprintf(env[3], sizeof(env[3]), "QUERY_STRING=%s", r->query);
    snprintf(env[4], sizeof(env[4]), "REQUEST_METHOD=%s", r->method);
    snprintf(env[5], sizeof(env[5]), "CONTENT_TYPE=" STR_FMT, STR_ARG(type));
    snprintf(env[6], sizeof(env[6]), "CONTENT_LENGTH=" STR_FMT, STR_ARG(length));
    snprintf(env[7], sizeof(env[7]), "REMOTE_USER=bot");
    snprintf(env[8], sizeof(env[8]), "GIT_PROTOCOL=" STR_FMT, STR_ARG(protocol));
    for (size_t i = 0; i < COUNT(env); i++)
        list[i] = env[i];
    backend_must(dup2(in, 0) == 0 && dup2(out, 1) == 1 &&
                 dup2(open("/dev/null", O_WRONLY), 2) == 2);
    char *argv[] = {(char[]){"git"}, (char[]){"http-backend"}, NULL};
    execvpe("git", argv, list);
    _exit(127);
}

/* Passes on what the child says; `cut` ends after so many bytes of it (0 = never). */
static inline void backend_relay(int fd, int from, size_t cut)
{
    static char piece[65536];
    struct buf head = {0};
    const char *end;
    ssize_t n;
    while (!(end = head.len ? memmem(head.data, head.len, "\r\n\r\n", 4) : NULL)) {
        n = read(from, piece, sizeof(piece));
        backend_must(n > 0);
        buf_add(&head, piece, (size_t)n);
    }
    bool status = str_starts(buf_str(&head), STR("Status: "));
    struct buf out = {0};
    buf_printf(&out, "HTTP/1.1 %s\r\nConnection: close\r\n", status ? "" : "200 OK");
    if (status) {
        buf_clear(&out);
        buf_puts(&out, "HTTP/1.1 ");
        buf_drop_front(&head, STR("Status: ").n);
        buf_add(&out, head.data, head.len);
    } else {
        buf_add(&out, head.data, head.len);
    }
    backend_send(fd, out.data, out.len);
    size_t sent = out.len;
    while ((n = read(from, piece, sizeof(piece))) > 0 && (!cut || sent < cut)) {
        backend_send(fd, piece, (size_t)n);
        sent += (size_t)n;
    }
}

static inline void backend_serve(int fd, const char *root)
{
    static struct backend_request r;
    backend_read_head(fd, &r);
    struct buf want = {0};
    buf_puts(&want, "Basic ");
    enc_base64(&want, "x-access-token:" BACKEND_TOKEN, strlen("x-access-token:" BACKEND_TOKEN));
    int64_t length = 0;
    struct str text = backend_header(&r, "Content-Length");
    backend_must(text.n == 0 || str_to_i64(text, 0, INT32_MAX, &length));
    int in = backend_spool(fd, &r, length);
    const char *path = r.path;
    size_t cut = 0;
    for (size_t i = 0; i < COUNT(backend_faults); i++) {
        size_t n = strlen(backend_faults[i].name);
        if (strncmp(r.path + 1, backend_faults[i].name, n) != 0 || r.path[n + 1] != '/')
            continue;
        if (strcmp(backend_faults[i].name, "hang") == 0) {
            char byte;
            while (read(fd, &byte, 1) > 0)
                ;
            _exit(0);
        }
        if (strcmp(backend_faults[i].name, "cut") != 0) {
            backend_send(fd, backend_faults[i].answer, strlen(backend_faults[i].answer));
            _exit(0);
        }
        cut = 400;
        path = r.path + n + 1;
    }
    if (!str_eq(backend_header(&r, "Authorization"), buf_str(&want))) {
        static const char refusal[] = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
        backend_send(fd, refusal, sizeof(refusal) - 1);
        _exit(0);
    }
    int pipe_fds[2];
    backend_must(pipe(pipe_fds) == 0);
    pid_t child = fork();
    if (child == 0)
        backend_cgi(&r, root, path, in, pipe_fds[1]);
    close(pipe_fds[1]);
    backend_relay(fd, pipe_fds[0], cut);
    _exit(0);
}

static inline void backend_start(struct backend *b, const char *root)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, n), 0);
    assert_int_equal(listen(fd, 128), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    snprintf(b->url, sizeof(b->url), "http://127.0.0.1:%d", ntohs(at.sin_port));
    b->pid = fork();
    assert_true(b->pid >= 0);
    if (b->pid > 0) {
        setpgid(b->pid, b->pid);
        close(fd);
        return;
    }
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGCHLD, SIG_IGN); /* no zombies */
    for (;;) {
        int client = accept(fd, NULL, NULL);
        if (client >= 0 && fork() == 0) {
            signal(SIGCHLD, SIG_DFL);
            signal(SIGPIPE, SIG_IGN);
            backend_serve(client, root);
        }
        close(client);
    }
}

static inline void backend_stop(struct backend *b)
{
    kill(-b->pid, SIGKILL);
    waitpid(b->pid, NULL, 0);
}
