/* /files of the daemon; see files.h. Uploads are written as they arrive, downloads are read as they
 * are sent. Not modelled: multiple ranges (answered whole), entity tags, gzip of answers. */
#include "tests/standins/e2b/files.h"

#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/io.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/e2b/fs.h"
#include "tests/standins/e2b/multipart.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#define PIECE_BYTES ((size_t)256 * 1024)
#define JSON_MAX    ((size_t)1024 * 1024)

void envd_error(struct http_exchange *x, int status, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    json_t *body = json_object();
    json_object_set_new(body, "code", json_integer(status));
    json_object_set_new(body, "message", json_text(str_of(text)));
    http_answer_json(x, status, body);
}

struct transfer {
    struct world *w;
    struct box *b;
    struct http_exchange *x;
    struct arena *arena;
    struct box_user user;
    struct buf path; /* as in the query */
    bool has_path;
};

/* ---- who may ---- */

static bool signature_is(struct transfer *t, const char *op, struct str username,
                         struct str expiration, struct str given)
{
    AUTO(buf_done) struct buf plain = {0};
    AUTO(buf_done) struct buf want = {0};
    unsigned char digest[SHA256_BYTES];
    buf_printf(&plain, STR_FMT ":%s:" STR_FMT ":%s", STR_ARG(buf_str(&t->path)), op,
               STR_ARG(username), t->b->token);
    if (expiration.n)
        buf_printf(&plain, ":" STR_FMT, STR_ARG(expiration));
    sha256(plain.data, plain.len, digest);
    buf_puts(&want, "v1_");
    enc_base64(&want, digest, sizeof digest);
    while (want.len && want.data[want.len - 1] == '=')
        want.len--;
    return str_eq(buf_str(&want), given);
}

/* False: answered. */
static bool signature_ok(struct transfer *t, const char *op, struct str username)
{
    AUTO(buf_done) struct buf given = {0};
    AUTO(buf_done) struct buf expiration = {0};
    int64_t until = INT64_MAX;
    if (!http_query(t->x, "signature", 0, &given)) {
        envd_error(t->x, 401, "missing signature query parameter");
        return false;
    }
    bool limited = http_query(t->x, "signature_expiration", 0, &expiration);
    if ((limited && !str_to_i64(buf_str(&expiration), 0, INT64_MAX, &until)) ||
        !signature_is(t, op, username, buf_str(&expiration), buf_str(&given))) {
        envd_error(t->x, 401, "invalid signature");
        return false;
    }
    if (until < clock_wall_s()) {
        envd_error(t->x, 401, "signature is already expired");
        return false;
    }
    return true;
}

/* The user by query, then by Basic, then the default. False: answered. */
static bool find_user(struct transfer *t, struct str username)
{
    AUTO(buf_done) struct buf plain = {0};
    struct str header = http_header(t->x, "authorization");
    if (username.n == 0 && str_starts(header, STR("Basic ")) &&
        enc_unbase64(str_trim(str_sub(header, 6, header.n)), &plain))
        username = str_sub(buf_str(&plain), 0, str_find(buf_str(&plain), STR(":"), 0));
    if (username.n == 0 || str_eq(username, STR("user"))) {
        t->user = (struct box_user){"user", "/home/user"};
    } else if (str_eq(username, STR("root"))) {
        t->user = (struct box_user){"root", "/root"};
    } else {
        envd_error(t->x, 401, "error looking up user '" STR_FMT "': unknown user",
                   STR_ARG(username));
        return false;
    }
    return true;
}

static bool may(struct transfer *t, const char *op, bool token_ok)
{
    AUTO(buf_done) struct buf username = {0};
    bool named UNUSED = http_query(t->x, "username", 0, &username); /* absent = empty */
    t->has_path = http_query(t->x, "path", 0, &t->path) && t->path.len;
    return (token_ok || signature_ok(t, op, buf_str(&username))) &&
           find_user(t, buf_str(&username));
}

/* ---- download ---- */

struct span {
    int64_t from;
    int64_t n;
    bool partial;
    bool beyond; /* 416 */
};

/* One range of bytes; anything else is as if absent. */
static struct span read_range(struct str header, int64_t size)
{
    struct span whole = {.n = size};
    int64_t from = 0;
    int64_t to = size - 1;
    if (!str_starts(header, STR("bytes=")) || size == 0)
        return whole;
    struct str rest = str_sub(header, 6, header.n);
    struct str first = {0};
    if (str_find(rest, STR(","), 0) < rest.n || !str_split(&rest, '-', &first))
        return whole;
    if (first.n == 0) { /* the last so many */
        if (!str_to_i64(rest, 1, INT64_MAX, &to))
            return whole;
        from = to < size ? size - to : 0;
        to = size - 1;
    } else if (!str_to_i64(first, 0, INT64_MAX, &from) ||
               (rest.n && !str_to_i64(rest, from, INT64_MAX, &to))) {
        return whole;
    }
    if (from >= size)
        return (struct span){.beyond = true};
    if (to > size - 1)
        to = size - 1;
    return (struct span){.from = from, .n = to - from + 1, .partial = true};
}

static void send_span(struct http_exchange *x, int fd, struct span s)
{
    AUTO(mem_freep) char *piece = mem_alloc(PIECE_BYTES);
    while (s.n > 0) {
        size_t want = s.n < (int64_t)PIECE_BYTES ? (size_t)s.n : PIECE_BYTES;
        ssize_t n = pread(fd, piece, want, s.from);
        if (n <= 0 || !http_write(x, (struct str){piece, (size_t)n}))
            break;
        s.from += n;
        s.n -= n;
    }
    http_end(x);
}

static void set_last_modified(struct http_exchange *x, time_t at)
{
    struct tm tm;
    char text[64];
    if (gmtime_r(&at, &tm) && strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm))
        http_set(x, "Last-Modified", text);
}

static void download(struct transfer *t)
{
    struct http_exchange *x = t->x;
    const char *path = fs_absolute(t->arena, &t->user, buf_str(&t->path));
    AUTO(fd_close) int fd = fs_open(t->b, path, O_RDONLY | O_NONBLOCK, 0);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            envd_error(x, 404, "path '%s' does not exist", path);
        else
            envd_error(x, 500, "error opening '%s': %s", path, strerror(errno));
        return;
    }
    if (!S_ISREG(st.st_mode)) {
        envd_error(x, 400, "path '%s' is %s", path,
                   S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
        return;
    }
    int64_t since;
    set_last_modified(x, st.st_mtim.tv_sec);
    if (time_parse_http(http_header(x, "if-modified-since"), &since) &&
        st.st_mtim.tv_sec <= since / 1000) {
        http_answer(x, 304, NULL, (struct str){0});
        return;
    }
    http_set(x, "Accept-Ranges", "bytes");
    http_setf(x, "Content-Disposition", "inline; filename=\"%s\"", fs_name(path));
    struct span s = read_range(http_header(x, "range"), st.st_size);
    if (s.beyond) {
        http_setf(x, "Content-Range", "bytes */%lld", (long long)st.st_size);
        http_answer_text(x, 416, "invalid range: failed to overlap\n");
        return;
    }
    if (s.partial)
        http_setf(x, "Content-Range", "bytes %lld-%lld/%lld", (long long)s.from,
                  (long long)(s.from + s.n - 1), (long long)st.st_size);
    http_start(x, s.partial ? 206 : 200, "application/octet-stream", s.n);
    send_span(x, fd, s);
}

/* ---- upload ---- */

/* Where the bytes of a file come from: 0 = end, -1 = broken. */
typedef ssize_t (*source)(void *arg, void *to, size_t n);

static ssize_t from_body(void *arg, void *to, size_t n)
{
    struct http_exchange *x = arg;
    return http_body_read(x, to, n);
}

static ssize_t from_part(void *arg, void *to, size_t n)
{
    struct multipart *m = arg;
    return multipart_read(m, to, n);
}

struct unzip {
    struct http_exchange *x;
    z_stream z;
    unsigned char in[65536];
    bool finished;
};

static ssize_t from_gzip(void *arg, void *to, size_t n)
{
    struct unzip *u = arg;
    u->z.next_out = to;
    u->z.avail_out = (uInt)(n < UINT32_MAX ? n : UINT32_MAX);
    uInt room = u->z.avail_out;
    while (!u->finished && u->z.avail_out == room) {
        if (u->z.avail_in == 0) {
            ssize_t got = http_body_read(u->x, u->in, sizeof u->in);
            if (got <= 0)
                return -1;
            u->z.next_in = u->in;
            u->z.avail_in = (uInt)got;
        }
        int rc = inflate(&u->z, Z_NO_FLUSH);
        u->finished = rc == Z_STREAM_END;
        if (rc != Z_OK && rc != Z_STREAM_END)
            return -1;
    }
    return (ssize_t)(room - u->z.avail_out);
}

/* Status 0 = fine; else errno told as a status. */
static int write_status(int error)
{
    return error == ENOSPC || error == EDQUOT ? 507 : error == EISDIR ? 400 : 500;
}

static void store_metadata(const struct http_exchange *x, int fd)
{
    struct str name;
    struct str value;
    for (size_t i = 0; http_header_at(x, i, &name, &value); i++) {
        if (!str_eq_nocase(str_sub(name, 0, 11), STR("X-Metadata-")) || name.n == 11)
            continue;
        AUTO(mem_freep)
        char *key = mem_printf("user.e2b." STR_FMT, (int)(name.n - 11), name.p + 11);
        for (char *c = key; *c; c++)
            if (*c >= 'A' && *c <= 'Z')
                *c = (char)(*c - 'A' + 'a');
        if (fsetxattr(fd, key, value.p, value.n, 0) != 0)
            fprintf(stderr, "metadata %s: %s\n", key, strerror(errno));
    }
}

/* Writes one file and adds it to `written`. False: answered, or the client left. */
static bool store(struct transfer *t, const char *path, source read_some, void *arg,
                  json_t *written)
{
    AUTO(fd_close) int fd = -1;
    if (fs_make_parents(t->b, path))
        fd = fs_open(t->b, path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, 0666);
    if (fd < 0) {
        envd_error(t->x, write_status(errno), "error opening file '%s': %s", path, strerror(errno));
        return false;
    }
    AUTO(mem_freep) char *piece = mem_alloc(PIECE_BYTES);
    for (;;) {
        struct err err;
        ssize_t n = read_some(arg, piece, PIECE_BYTES);
        if (n == 0)
            break;
        if (n < 0) {
            envd_error(t->x, 400, "error reading the upload of '%s'", path);
            return false;
        }
        if (!fd_write_all(fd, (struct str){piece, (size_t)n}, &err)) {
            envd_error(t->x, write_status(errno), "error writing file '%s': %s", path, err.text);
            return false;
        }
    }
    store_metadata(t->x, fd);
    json_t *row = json_object();
    json_object_set_new(row, "path", json_text(str_of(path)));
    json_object_set_new(row, "name", json_text(str_of(fs_name(path))));
    json_object_set_new(row, "type", json_string("file"));
    json_array_append_new(written, row);
    return true;
}

static bool upload_raw(struct transfer *t, json_t *written)
{
    if (!t->has_path) {
        envd_error(t->x, 400, "path is required");
        return false;
    }
    const char *path = fs_absolute(t->arena, &t->user, buf_str(&t->path));
    if (!str_eq_nocase(http_header(t->x, "content-encoding"), STR("gzip")))
        return store(t, path, from_body, t->x, written);
    struct unzip *u = mem_alloc(sizeof *u);
    u->x = t->x;
    bool ok = inflateInit2(&u->z, 15 + 16) == Z_OK && store(t, path, from_gzip, u, written);
    inflateEnd(&u->z);
    free(u);
    return ok;
}

static bool upload_parts(struct transfer *t, struct str content_type, json_t *written)
{
    struct multipart m;
    AUTO(buf_done) struct buf name = {0};
    AUTO(buf_done) struct buf filename = {0};
    if (!multipart_init(&m, t->x, content_type)) {
        envd_error(t->x, 400, "error parsing multipart form: no boundary");
        return false;
    }
    bool ok = true;
    while (ok && multipart_next(&m, &name, &filename)) {
        if (!str_eq(buf_str(&name), STR("file"))) {
            char scratch[4096];
            while (multipart_read(&m, scratch, sizeof scratch) > 0) {
            }
            continue;
        }
        struct str path = t->has_path ? buf_str(&t->path) : buf_str(&filename);
        ok = path.n > 0 && !(t->has_path && json_array_size(written) > 0);
        if (ok)
            ok = store(t, fs_absolute(t->arena, &t->user, path), from_part, &m, written);
        else
            envd_error(t->x, 400, "you can upload only one file when path is given");
    }
    if (ok && m.bad) {
        envd_error(t->x, 400, "error parsing multipart form");
        ok = false;
    }
    multipart_done(&m);
    return ok;
}

static void upload(struct transfer *t)
{
    struct str type = http_header(t->x, "content-type");
    AUTO(json_decrefp) json_t *written = json_array();
    bool parts = str_starts(type, STR("multipart/form-data"));
    if (!(parts ? upload_parts(t, type, written) : upload_raw(t, written)))
        return;
    AUTO(buf_done) struct buf text = {0};
    json_write(&text, written);
    http_answer(t->x, 200, "text/plain; charset=utf-8", buf_str(&text));
}

/* ---- compose ---- */

static bool append_file(const struct transfer *t, int to, const char *path)
{
    struct err err;
    AUTO(mem_freep) char *piece = mem_alloc(PIECE_BYTES);
    AUTO(fd_close) int from = fs_open(t->b, path, O_RDONLY | O_NONBLOCK, 0);
    ssize_t n = -1;
    while (from >= 0 && (n = read(from, piece, PIECE_BYTES)) > 0)
        if (!fd_write_all(to, (struct str){piece, (size_t)n}, &err))
            return false;
    return n == 0;
}

static void compose(struct transfer *t)
{
    AUTO(json_decrefp) json_t *body = NULL;
    if (!http_body_json(t->x, JSON_MAX, &body) || !body) {
        envd_error(t->x, 400, "invalid request body");
        return;
    }
    json_t *sources = json_object_get(body, "source_paths");
    struct str destination = json_str(body, "destination");
    if (json_array_size(sources) == 0 || destination.n == 0) {
        envd_error(t->x, 400, "source_paths and destination are required");
        return;
    }
    const char *path = fs_absolute(t->arena, &t->user, destination);
    AUTO(fd_close) int fd = -1;
    if (fs_make_parents(t->b, path))
        fd = fs_open(t->b, path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, 0666);
    for (size_t i = 0; i < json_array_size(sources); i++) {
        const char *from =
            fs_absolute(t->arena, &t->user, str_of(json_string_value(json_array_get(sources, i))));
        if (fd < 0 || !append_file(t, fd, from)) {
            int status = errno == ENOENT ? 404 : write_status(errno);
            envd_error(t->x, status, "error composing '%s': %s", from, strerror(errno));
            return;
        }
    }
    for (size_t i = 0; i < json_array_size(sources); i++) {
        const char *from =
            fs_absolute(t->arena, &t->user, str_of(json_string_value(json_array_get(sources, i))));
        if (!fs_remove(t->b, from))
            fprintf(stderr, "compose: %s stays: %s\n", from, strerror(errno));
    }
    json_t *row = json_object();
    json_object_set_new(row, "path", json_text(str_of(path)));
    json_object_set_new(row, "name", json_text(str_of(fs_name(path))));
    json_object_set_new(row, "type", json_string("file"));
    http_answer_json(t->x, 200, row);
}

void files_serve(struct world *w, struct box *b, struct http_exchange *x, bool token_ok)
{
    struct transfer t = {.w = w, .b = b, .x = x, .arena = arena_new()};
    bool get = str_eq(http_method(x), STR("GET")) || str_eq(http_method(x), STR("HEAD"));
    bool post = str_eq(http_method(x), STR("POST"));
    bool is_compose = str_eq(http_path(x), STR("/files/compose"));
    if ((!get && !post) || (is_compose && !post)) {
        http_set(x, "Allow", is_compose ? "POST" : "GET, POST");
        http_answer(x, 405, NULL, (struct str){0});
    } else if (may(&t, get ? "read" : "write", token_ok)) {
        if (is_compose)
            compose(&t);
        else if (get)
            download(&t);
        else
            upload(&t);
    }
    buf_done(&t.path);
    arena_free(t.arena);
}
