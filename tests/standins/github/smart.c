/* One request of git's smart protocol: authentication and permission as GitHub does them, then `git
 * http-backend` as a child. Requests and fetch answers are passed through piece by piece; only the
 * short answer to a push is held back, because the refusals in it get GitHub's words, and because
 * pull requests must have moved before the client hears of its success. */
#include "tests/standins/github/smart.h"

#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/io.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/github/api.h"
#include "tests/standins/github/events.h"
#include "tests/standins/github/push.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define PIECE_BYTES 65536
#define ENV_MAX     32

enum service { INFO_REFS, UPLOAD_PACK, RECEIVE_PACK };

static const struct {
    const char *tail;
    const char *method;
} services[] = {
    [INFO_REFS] = {"/info/refs",        "GET" },
    [UPLOAD_PACK] = {"/git-upload-pack",  "POST"},
    [RECEIVE_PACK] = {"/git-receive-pack", "POST"},
};

struct asked {
    enum service service;
    bool writes;
    char *owner;
    char *name;
};

static void asked_done(struct asked *a)
{
    free(a->owner);
    free(a->name);
}

static bool parse(const struct http_exchange *x, struct asked *a)
{
    struct str path = http_path(x);
    for (size_t i = 0; i < COUNT(services); i++) {
        struct str tail = str_of(services[i].tail);
        if (!str_ends(path, tail))
            continue;
        struct str rest = str_sub(path, 1, path.n - tail.n);
        struct str owner;
        if (!str_split(&rest, '/', &owner) || owner.n == 0 || !rest.p || rest.n == 0 ||
            str_find(rest, STR("/"), 0) < rest.n)
            return false;
        if (str_ends(rest, STR(".git")))
            rest.n -= 4;
        a->service = (enum service)i;
        a->owner = str_dup(owner);
        a->name = str_dup(rest);
        a->writes = i == RECEIVE_PACK ||
                    (i == INFO_REFS && str_eq(http_query_raw(x), STR("service=git-receive-pack")));
        return true;
    }
    return false;
}

bool smart_is(const struct http_exchange *x)
{
    struct asked a = {0};
    bool yes = parse(x, &a);
    asked_done(&a);
    return yes;
}

/* Only Basic counts here, with the token as password (or as user name without one). */
static bool who_is(struct http_exchange *x, struct actor *out)
{
    struct str rest = http_header(x, "Authorization");
    struct str scheme;
    AUTO(buf_done) struct buf plain = {0};
    *out = (struct actor){ACTOR_NONE, NULL, NULL, NULL};
    if (rest.n == 0)
        return true;
    if (!str_split(&rest, ' ', &scheme) || !str_eq_nocase(scheme, STR("Basic")) ||
        !enc_unbase64(str_trim(rest), &plain))
        return false;
    struct str all = buf_str(&plain);
    size_t colon = str_find(all, STR(":"), 0);
    struct str word = str_sub(all, colon + 1, all.n);
    if (word.n == 0)
        word = str_sub(all, 0, colon);
    return auth_token(word, out) && out->kind != ACTOR_NONE;
}

static void refuse(struct http_exchange *x, int status, const char *text)
{
    if (status == 401)
        http_set(x, "WWW-Authenticate", "Basic realm=\"GitHub\"");
    http_answer_text(x, status, "%s", text);
}

/* May this go on? Answers when not. Lock held; the answers here are short. */
static struct repo *admit(struct http_exchange *x, const struct asked *a, struct actor *who)
{
    bool moved = false;
    if (!who_is(x, who)) {
        refuse(x, 401,
               "Invalid username or token. Password authentication is not supported for "
               "Git operations.\n");
        return NULL;
    }
    struct repo *r = repo_find(a->owner, a->name, &moved);
    if (who->kind == ACTOR_NONE && (!r || r->is_private || a->writes)) {
        refuse(x, 401, "Repository not found.\n");
        return NULL;
    }
    if (!r || !actor_sees(who, r)) {
        refuse(x, 404, "Repository not found.\n");
        return NULL;
    }
    if (who->inst && who->inst->suspended) {
        refuse(x, 403, "This installation has been suspended\n");
        return NULL;
    }
    const char *perm = a->writes ? "contents=write" : "contents=read";
    if (!actor_may(who, r, perm, a->writes ? "write" : "read")) {
        AUTO(mem_freep)
        char *text = mem_printf("Permission to %s.git denied to %s.\n", r->full,
                                who->user ? who->user->login : "nobody");
        refuse(x, 403, text);
        return NULL;
    }
    if (a->writes && r->archived) {
        refuse(x, 403, "This repository was archived so it is read-only.\n");
        return NULL;
    }
    if (moved) {
        http_setf(x, "Location", "%s/%s.git%s?" STR_FMT, S.base, r->full, services[a->service].tail,
                  STR_ARG(http_query_raw(x)));
        http_answer_text(x, 301, "Moved Permanently\n");
        return NULL;
    }
    return r;
}

/* ---- the child ---- */

struct env {
    char *row[ENV_MAX];
    size_t n;
};

static void env_add(struct env *e, const char *name, struct str value)
{
    if (value.n > 0 && e->n < ENV_MAX - 1)
        e->row[e->n++] = mem_printf("%s=" STR_FMT, name, STR_ARG(value));
}

static void env_done(struct env *e)
{
    for (size_t i = 0; i < e->n; i++)
        free(e->row[i]);
}

static bool backend_start(struct http_exchange *x, const struct asked *a, const struct repo *r,
                          const struct actor *who, const struct push *push, struct child *c)
{
    struct env e = {.n = 0};
    AUTO(mem_freep) char *root = mem_printf("%s/repos", S.data);
    AUTO(mem_freep)
    char *path = mem_printf("/%lld.git%s", (long long)r->id, services[a->service].tail);
    char length[24];
    int n = snprintf(length, sizeof(length), "%lld", (long long)http_body_length(x));
    env_add(&e, "PATH", STR("/usr/local/bin:/usr/bin:/bin"));
    env_add(&e, "HOME", STR("/nonexistent"));
    env_add(&e, "LC_ALL", STR("C.UTF-8"));
    env_add(&e, "GIT_CONFIG_NOSYSTEM", STR("1"));
    env_add(&e, "GIT_CONFIG_GLOBAL", STR("/dev/null"));
    env_add(&e, "GIT_CONFIG_COUNT", STR("1"));
    env_add(&e, "GIT_CONFIG_KEY_0", STR("safe.directory"));
    env_add(&e, "GIT_CONFIG_VALUE_0", STR("*"));
    env_add(&e, "GIT_PROJECT_ROOT", str_of(root));
    env_add(&e, "GIT_HTTP_EXPORT_ALL", STR("1"));
    env_add(&e, "PATH_INFO", str_of(path));
    env_add(&e, "REQUEST_METHOD", http_method(x));
    env_add(&e, "QUERY_STRING", http_query_raw(x));
    env_add(&e, "CONTENT_TYPE", http_header(x, "Content-Type"));
    env_add(&e, "HTTP_CONTENT_ENCODING", http_header(x, "Content-Encoding"));
    env_add(&e, "GIT_PROTOCOL", http_header(x, "Git-Protocol"));
    env_add(&e, "REMOTE_USER", str_of(who->user ? who->user->login : ""));
    if (http_body_length(x) > 0)
        env_add(&e, "CONTENT_LENGTH", (struct str){length, (size_t)n});
    if (push) {
        env_add(&e, "STANDIN_PUSH", str_of(push->dir));
        env_add(&e, "STANDIN_WORKFLOWS", push->workflows ? STR("1") : STR("0"));
    }
    e.row[e.n] = NULL;
    const char *const argv[] = {"git", "http-backend", NULL};
    /* The rows are ours and are not written to. */
    bool ok = child_start(argv, (const char *const *)(uintptr_t)e.row, true, c);
    env_done(&e);
    return ok;
}

/* Whatever the child has to say now, without waiting. False at its end. */
static bool drain(struct child *c, struct buf *out)
{
    char bytes[PIECE_BYTES];
    ssize_t n = read(c->out, bytes, sizeof(bytes));
    if (n > 0)
        buf_add(out, bytes, (size_t)n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static bool feed(struct child *c, const char *bytes, size_t n, struct buf *out)
{
    bool talking = true;
    while (n > 0) {
        struct pollfd fds[2] = {
            {c->in,                 POLLOUT, 0},
            {talking ? c->out : -1, POLLIN,  0}
        };
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents)
            talking = drain(c, out);
        if (fds[0].revents) {
            ssize_t done = write(c->in, bytes, n);
            if (done < 0 && errno != EAGAIN && errno != EINTR)
                return false;
            if (done > 0) {
                bytes += done;
                n -= (size_t)done;
            }
        }
    }
    return true;
}

/* The request's body into the child. False when the client left half-way. */
static bool body_pump(struct http_exchange *x, struct child *c, struct buf *out)
{
    char bytes[PIECE_BYTES];
    bool wanted = true;
    int64_t left = http_body_length(x); /* negative = chunked */
    (void)fcntl(c->in, F_SETFL, O_NONBLOCK);
    (void)fcntl(c->out, F_SETFL, O_NONBLOCK);
    for (;;) {
        ssize_t n = http_body_read(x, bytes, sizeof(bytes));
        if (n < 0)
            return false;
        if (n == 0)
            break;
        left -= n;
        if (wanted)
            wanted = feed(c, bytes, (size_t)n, out);
    }
    if (left > 0) /* git http-backend would wait for the rest for ever, at full speed */
        return false;
    fd_close(&c->in);
    (void)fcntl(c->out, F_SETFL, 0);
    return true;
}

struct head {
    int status;
    char type[128];
    size_t end; /* where the body starts */
};

/* "Status: 404 Not Found", "Content-Type: …", an empty line. */
static bool head_read(struct http_exchange *x, struct str all, struct head *h)
{
    size_t end = str_find(all, STR("\r\n\r\n"), 0);
    if (end >= all.n)
        return false;
    struct str rest = str_sub(all, 0, end);
    struct str line;
    *h = (struct head){.status = 200, .end = end + 4};
    while (str_line(&rest, &line)) {
        struct str value = line;
        struct str name;
        int64_t status = 0;
        if (!str_split(&value, ':', &name))
            continue;
        value = str_trim(value);
        if (str_eq_nocase(name, STR("Status"))) {
            if (str_to_i64(str_sub(value, 0, 3), 100, 599, &status))
                h->status = (int)status;
        } else if (str_eq_nocase(name, STR("Content-Type"))) {
            if (!str_copy(h->type, sizeof(h->type), value))
                h->type[0] = '\0';
        } else {
            AUTO(mem_freep) char *key = str_dup(name);
            AUTO(mem_freep) char *text = str_dup(value);
            http_set(x, key, text);
        }
    }
    return true;
}

static void stream_out(struct http_exchange *x, struct child *c, struct buf *out)
{
    struct head h = {0};
    while (!head_read(x, buf_str(out), &h))
        if (!drain(c, out)) {
            http_answer_text(x, 500, "git http-backend gave no answer\n");
            return;
        }
    http_start(x, h.status, h.type, -1);
    buf_drop_front(out, h.end);
    do {
        if (out->len > 0 && !http_write(x, buf_str(out))) {
            (void)kill(-c->pid, SIGKILL);
            return;
        }
        buf_clear(out);
    } while (drain(c, out));
    http_end(x);
}

static void push_out(struct http_exchange *x, struct child *c, struct buf *out, struct push *push,
                     struct repo *r, const struct actor *who)
{
    struct head h = {0};
    AUTO(buf_done) struct buf body = {0};
    while (drain(c, out))
        continue;
    if (!head_read(x, buf_str(out), &h)) {
        http_answer_text(x, 500, "git http-backend gave no answer\n");
        return;
    }
    push_report(push, str_sub(buf_str(out), h.end, out->len), &body);
    state_lock();
    push_effects(push, r, who->user);
    state_unlock();
    http_answer(x, h.status, h.type, buf_str(&body));
}

void smart_serve(struct http_exchange *x, struct faults *f, uint64_t entry)
{
    struct asked a = {0};
    struct actor who;
    struct child c;
    struct push push = {0};
    struct buf out = {0};
    if (!parse(x, &a))
        return;
    state_lock();
    struct repo *r = admit(x, &a, &who);
    bool receiving = r && a.service == RECEIVE_PACK;
    bool ready = r && (!receiving || push_open(&push, r, &who));
    faults_note(f, entry, "login", who.user ? json_string(who.user->login) : json_null());
    if (who.inst)
        faults_note(f, entry, "installation", json_integer(who.inst->id));
    state_unlock();
    if (r && (!ready || !backend_start(x, &a, r, &who, receiving ? &push : NULL, &c))) {
        http_answer_text(x, 500, "cannot start git\n");
    } else if (r) {
        if (!body_pump(x, &c, &out))
            (void)kill(-c.pid, SIGKILL);
        else if (receiving)
            push_out(x, &c, &out, &push, r, &who);
        else
            stream_out(x, &c, &out);
        (void)child_end(&c);
    }
    push_close(&push);
    buf_done(&out);
    asked_done(&a);
}
