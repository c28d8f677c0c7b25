/* Files of a sandbox, over plain HTTP. Uploads replace the file and may be repeated whole;
 * downloads go by ranges, so that a cut transfer goes on where it stopped and a log can be
 * followed. Daemons before 0.5.7 take uploads only as a multipart form: known by the version, else
 * learned by trying.
 *
 * Limits: a form for a file that comes from a descriptor is put together in an unlinked temporary
 * file, so an old daemon costs disk space of the file's size. */
#include "bot/sandbox/envd.h"

#include "bot/base/enc.h"
#include "bot/base/io.h"
#include "bot/base/mem.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define COPY_BYTES      65536
#define TRANSFER_IDLE_S 60

static char *files_path(const char *path)
{
    AUTO(buf_done) struct buf b = {0};
    buf_puts(&b, "/files?path=");
    enc_percent(&b, str_of(path), false);
    return buf_take(&b);
}

/* ------------------------------------------------------------------------------------ upload */

enum upload_form { FORM_UNKNOWN, FORM_RAW, FORM_MULTIPART };

/* By "MAJOR.MINOR.PATCH"; the raw form came with 0.5.7. */
static enum upload_form form_of(const char *version)
{
    static const int64_t first[] = {0, 5, 7};
    struct str rest = str_of(version), part;
    for (size_t i = 0; i < COUNT(first); i++) {
        int64_t n = 0;
        if (!str_split(&rest, '.', &part) || !str_to_i64(part, 0, 1000000, &n))
            return FORM_UNKNOWN;
        if (n != first[i])
            return n > first[i] ? FORM_RAW : FORM_MULTIPART;
    }
    return FORM_RAW;
}

struct upload {
    const char *path;
    struct str data; /* unless fd > 0 */
    int fd;
    int64_t size;
};

static bool send_raw(struct envd *e, const struct upload *u, int tolerated1, int tolerated2,
                     const struct call *call, struct http_response *r, struct err *err)
{
    struct envd_request q = {.operation = "upload",
                             .method = "POST",
                             .path = u->path,
                             .headers = {"Content-Type: application/octet-stream"},
                             .body = u->data,
                             .body_fd = u->fd,
                             .body_fd_size = u->size,
                             .low_speed_s = TRANSFER_IDLE_S};
    return envd_do(e, &q, tolerated1, tolerated2, call, r, err);
}

static bool copy_fd(int from, int64_t size, int to, struct err *err)
{
    AUTO(mem_freep) char *block = mem_alloc(COPY_BYTES);
    for (int64_t at = 0; at < size;) {
        ssize_t n = pread(from, block, COPY_BYTES, at);
        if (n <= 0)
            return err_set(err, ERR_BUG, "read the file to upload: %s", n ? "I/O error" : "short");
        if (!fd_write_all(to, (struct str){block, (size_t)n}, err))
            return false;
        at += n;
    }
    return true;
}

/* The same bytes as one part of a form; the path in the query names the file. */
static bool send_form(struct envd *e, const struct upload *u, const struct call *call,
                      struct http_response *r, struct err *err)
{
    char boundary[33], type[80];
    AUTO(buf_done) struct buf form = {.max = u->data.n + 1024};
    AUTO(fd_close) int fd = -1;
    random_hex(boundary, 32);
    snprintf(type, sizeof(type), "Content-Type: multipart/form-data; boundary=%s", boundary);
    buf_printf(&form,
               "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n"
               "Content-Type: application/octet-stream\r\n\r\n",
               boundary);
    struct envd_request q = {.operation = "upload",
                             .method = "POST",
                             .path = u->path,
                             .headers = {type},
                             .low_speed_s = TRANSFER_IDLE_S};
    if (u->fd <= 0) {
        buf_add_str(&form, u->data);
        buf_printf(&form, "\r\n--%s--\r\n", boundary);
        q.body = buf_str(&form);
        return envd_do(e, &q, 0, 0, call, r, err);
    }
    const char *folder = getenv("TMPDIR");
    fd = open(folder && *folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, ERR_BUG, "temporary file: %m");
    if (!fd_write_all(fd, buf_str(&form), err) || !copy_fd(u->fd, u->size, fd, err))
        return false;
    buf_clear(&form);
    buf_printf(&form, "\r\n--%s--\r\n", boundary);
    if (!fd_write_all(fd, buf_str(&form), err))
        return false;
    q.body_fd = fd;
    q.body_fd_size = (int64_t)lseek(fd, 0, SEEK_CUR);
    return envd_do(e, &q, 0, 0, call, r, err);
}

static bool upload(struct sandbox_client *c, const struct sandbox *s, const char *path,
                   struct str data, int fd, int64_t size, const struct call *call, struct err *err)
{
    struct err local = {0};
    if (!err)
        err = &local;
    AUTO(mem_freep) char *query = files_path(path);
    AUTO(envd_done) struct envd e = {.c = c, .s = s};
    AUTO(http_response_done) struct http_response r = {0};
    struct upload u = {query, data, fd, size};
    enum upload_form form = form_of(s->envd_version);
    bool guess = form == FORM_UNKNOWN;
    bool ok = form == FORM_MULTIPART || send_raw(&e, &u, guess ? 400 : 0, 415, call, &r, err);
    if (ok && (form == FORM_MULTIPART || r.status == 400 || r.status == 415))
        ok = send_form(&e, &u, call, &r, err);
    return ok || err_wrap(err, "%s", path);
}

bool sandbox_put(struct sandbox_client *c, const struct sandbox *s, const char *path,
                 struct str data, const struct call *call, struct err *err)
{
    return upload(c, s, path, data, 0, 0, call, err);
}

bool sandbox_put_fd(struct sandbox_client *c, const struct sandbox *s, const char *path, int fd,
                    int64_t size, const struct call *call, struct err *err)
{
    return upload(c, s, path, (struct str){0}, fd, size, call, err);
}

/* ---------------------------------------------------------------------------------- download */

/* Goes through several answers when transfers are cut. */
struct download {
    struct http_response r; /* of the exchange under way; the sink looks at its head */
    int64_t offset;         /* of the next byte that we want */
    int64_t end;            /* first byte that we do not want */
    int64_t position;       /* in the file, of the next byte that comes; -1 = head not looked at */
    bool enough;
    struct buf *out; /* or: */
    int fd;
};

/* Where the body of this answer begins in the file. */
static bool begin(struct download *d, struct err *err)
{
    if (d->r.status != 206) { /* a server that does not do ranges sends all of it */
        d->position = 0;
        return true;
    }
    struct str range = http_header(&d->r, "Content-Range");
    int64_t at = -1;
    if (str_starts(range, STR("bytes "))) {
        size_t dash = str_find(range, STR("-"), 6);
        if (!str_to_i64(str_sub(range, 6, dash), 0, INT64_MAX, &at))
            at = -1;
    }
    if (at != d->offset)
        return err_set(err, ERR_UPSTREAM, "download: another range came than was asked for");
    d->position = at;
    return true;
}

static bool on_piece(void *arg, struct str piece, struct err *err)
{
    struct download *d = arg;
    if (d->position < 0 && !begin(d, err))
        return false;
    int64_t skip = d->offset - d->position;
    d->position += (int64_t)piece.n;
    if (skip >= (int64_t)piece.n)
        return true;
    piece = str_sub(piece, (size_t)skip, piece.n);
    if ((int64_t)piece.n >= d->end - d->offset) {
        d->enough = (int64_t)piece.n > d->end - d->offset; /* more came than we want: stop */
        piece.n = (size_t)(d->end - d->offset);
    }
    if (d->out)
        buf_add_str(d->out, piece);
    else if (!fd_write_all(d->fd, piece, err))
        return false;
    d->offset += (int64_t)piece.n;
    if (d->enough)
        return err_set(err, ERR_LIMIT, "download: longer than asked for");
    return true;
}

/* From d->offset to the end of the file or d->end. */
static bool fetch(struct envd *e, const char *query, struct download *d, const struct call *call,
                  bool *found, struct err *err)
{
    for (;;) {
        char range[80];
        /* Not for a whole file: a range of an empty one cannot be satisfied. */
        bool whole = d->offset == 0 && d->end == INT64_MAX;
        int n = snprintf(range, sizeof(range), "Range: bytes=%" PRId64 "-", d->offset);
        if (d->end != INT64_MAX)
            snprintf(range + n, sizeof(range) - (size_t)n, "%" PRId64, d->end - 1);
        struct envd_request q = {.operation = "download",
                                 .method = "GET",
                                 .path = query,
                                 .headers = {whole ? NULL : range},
                                 .sink = on_piece,
                                 .sink_arg = d,
                                 .low_speed_s = TRANSFER_IDLE_S};
        int64_t before = d->offset;
        d->position = -1;
        bool answered = envd_once(e, &q, call, &d->r, err);
        *found = !(answered && d->r.status == 404);
        if (d->enough || (answered && (d->r.status == 404 || d->r.status == 416 ||
                                       (d->r.status >= 200 && d->r.status <= 299))))
            return true;
        if (d->offset > before)
            e->failures = 0; /* it moves on: only the deadline ends it */
        if (!envd_recover(e, &q, answered, &d->r, call, err))
            return false;
    }
}

bool sandbox_read(struct sandbox_client *c, const struct sandbox *s, const char *path,
                  int64_t offset, size_t max, const struct call *call, struct buf *out, bool *found,
                  struct err *err)
{
    struct err local = {0};
    if (!err)
        err = &local;
    size_t room = (out->max ? out->max : BUF_MAX_DEFAULT) - out->len;
    size_t before = out->len;
    bool there = false;
    if (max > room)
        max = room;
    if (max == 0)
        return err_set(err, ERR_BUG, "download: no room for a single byte");
    AUTO(mem_freep) char *query = files_path(path);
    AUTO(envd_done) struct envd e = {.c = c, .s = s};
    struct download d = {.offset = offset, .end = offset + (int64_t)max, .out = out};
    bool ok = fetch(&e, query, &d, call, &there, err);
    http_response_done(&d.r);
    if (ok) {
        *found = there;
        return true;
    }
    if (out->data) {
        out->len = before;
        out->data[before] = '\0';
    }
    return err_wrap(err, "%s", path);
}

bool sandbox_read_fd(struct sandbox_client *c, const struct sandbox *s, const char *path, int fd,
                     int64_t max, const struct call *call, bool *found, struct err *err)
{
    struct err local = {0};
    if (!err)
        err = &local;
    AUTO(mem_freep) char *query = files_path(path);
    AUTO(envd_done) struct envd e = {.c = c, .s = s};
    struct download d = {.offset = 0, .end = INT64_MAX, .fd = fd};
    bool there = false;
    d.end = max < INT64_MAX ? max + 1 : max; /* one more tells "too long" from "just fits" */
    bool ok = fetch(&e, query, &d, call, &there, err);
    http_response_done(&d.r);
    if (!ok)
        return err_wrap(err, "%s", path);
    if (d.offset > max)
        return err_set(err, ERR_LIMIT, "%s: longer than %" PRId64 " bytes", path, max);
    *found = there;
    return true;
}
