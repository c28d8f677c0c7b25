/* Fetch by protocol version 2: one round, because nothing is offered as "have". The pack goes to
 * the descriptor as it comes out of the side band, at most one packet (64 KiB) in memory at a time.
 * The pack is not looked into here except for its head; whoever indexes it checks it. */
#include "bot/git/wire.h"

#include "bot/base/io.h"
#include "bot/base/version.h"
#include "bot/git/clean.h"
#include "bot/git/refname.h"
#include "bot/git/wire_http.h"

#define SHALLOW_MAX_BYTES  ((size_t)4 * 1024 * 1024)
#define PROGRESS_MAX_BYTES 1024
#define PACK_HEAD_BYTES    12
#define PACK_MIN_BYTES     32 /* head and trailer */
#define WANTS_MAX          64
/* What framing, progress and the other sections may add to the pack. */
#define OVERHEAD_BYTES(max) ((max) / 64 + 16 * 1024 * 1024)

enum section { BETWEEN, SHALLOW_INFO, PACK, OTHER, ENDED };

struct fetch {
    enum section section;
    int fd;
    int64_t max_bytes;
    int64_t bytes;
    unsigned char head[PACK_HEAD_BYTES];
    struct buf shallow;
    struct buf line; /* of progress */
    git_progress_fn progress;
    void *progress_arg;
};

static const struct {
    const char *name;
    enum section section;
} sections[] = {
    {"shallow-info",    SHALLOW_INFO},
    {"packfile",        PACK        },
    {"acknowledgments", OTHER       },
    {"wanted-refs",     OTHER       },
};

static bool begin_section(struct fetch *f, struct str line, struct err *err)
{
    for (size_t i = 0; i < COUNT(sections); i++)
        if (str_eq(line, str_of(sections[i].name))) {
            f->section = sections[i].section;
            return true;
        }
    return wire_no_error(line, err) && err_set(err, ERR_UPSTREAM, "unknown section in the answer");
}

static bool take_shallow(struct fetch *f, struct str line, struct err *err)
{
    struct str prefix = STR("shallow ");
    struct str oid = str_sub(line, prefix.n, line.n);
    if (str_starts(line, STR("unshallow ")))
        return true;
    if (!str_starts(line, prefix) || !refname_oid_ok(oid))
        return err_set(err, ERR_UPSTREAM, "unexpected line in shallow-info");
    buf_add_str(&f->shallow, oid);
    buf_putc(&f->shallow, '\n');
    return !f->shallow.overflow || err_set(err, ERR_LIMIT, "too many shallow commits");
}

static bool take_pack(struct fetch *f, struct str data, struct err *err)
{
    if ((int64_t)data.n > f->max_bytes - f->bytes)
        return err_set(err, ERR_LIMIT, "the pack is larger than %lld bytes",
                       (long long)f->max_bytes);
    for (size_t i = 0; i < data.n && f->bytes + (int64_t)i < PACK_HEAD_BYTES; i++)
        f->head[f->bytes + (int64_t)i] = (unsigned char)data.p[i];
    f->bytes += (int64_t)data.n;
    return fd_write_all(f->fd, data, err);
}

static void flush_progress(struct fetch *f)
{
    AUTO(buf_done) struct buf line = {0};
    clean_line(buf_str(&f->line), &line);
    if (line.len > 0)
        f->progress(f->progress_arg, buf_str(&line));
    buf_clear(&f->line);
}

static void take_progress(struct fetch *f, struct str text)
{
    for (size_t i = 0; f->progress && i < text.n; i++) {
        if (text.p[i] == '\n' || text.p[i] == '\r')
            flush_progress(f);
        else if (f->line.len < PROGRESS_MAX_BYTES)
            buf_putc(&f->line, text.p[i]);
    }
}

static bool take_band(struct fetch *f, struct str payload, struct err *err)
{
    struct str data = str_sub(payload, 1, payload.n);
    char band = payload.n > 0 ? payload.p[0] : '\0';
    if (band == 1)
        return take_pack(f, data, err);
    if (band == 2) {
        take_progress(f, data);
        return true;
    }
    if (band != 3)
        return err_set(err, ERR_UPSTREAM, "unknown side band %d", band);
    AUTO(buf_done) struct buf words = {0};
    clean_line(str_sub(data, 0, 200), &words);
    return err_set(err, ERR_UPSTREAM, "the server gave up: %s", buf_cstr(&words));
}

static bool on_packet(void *arg, enum pkt_kind kind, struct str payload, struct err *err)
{
    struct fetch *f = arg;
    struct str line = pkt_text(payload);
    if (kind == PKT_DATA && f->section != ENDED) {
        switch (f->section) {
        case BETWEEN:
            return begin_section(f, line, err);
        case SHALLOW_INFO:
            return take_shallow(f, line, err);
        case PACK:
            return take_band(f, payload, err);
        case OTHER:
        case ENDED:
            return true;
        }
    }
    if (kind == PKT_DELIM && f->section != PACK && f->section != ENDED) {
        f->section = BETWEEN;
        return true;
    }
    if (kind == PKT_FLUSH && f->section == PACK) {
        f->section = ENDED;
        return true;
    }
    if (kind == PKT_END && f->section == ENDED)
        return true;
    return err_set(err, ERR_UPSTREAM, "unexpected packet in the answer");
}

static bool body_make(const char *const *oids, int n, int depth, bool progress, struct buf *body,
                      struct err *err)
{
    if (n < 1 || n > WANTS_MAX || depth < 0)
        return err_set(err, ERR_BUG, "fetch of %d objects with depth %d", n, depth);
    pkt_printf(body, "command=fetch\n");
    pkt_printf(body, WIRE_AGENT_FORMAT "\n", version());
    pkt_mark(body, PKT_DELIM);
    pkt_printf(body, "ofs-delta\n");
    if (!progress)
        pkt_printf(body, "no-progress\n");
    if (depth > 0)
        pkt_printf(body, "deepen %d\n", depth);
    for (int i = 0; i < n; i++) {
        if (!refname_oid_ok(str_of(oids[i])))
            return err_set(err, ERR_INPUT, "not an object id");
        pkt_printf(body, "want %s\n", oids[i]);
    }
    pkt_printf(body, "done\n");
    pkt_mark(body, PKT_FLUSH);
    return true;
}

static bool check_pack(const struct fetch *f, int *objects, struct err *err)
{
    const unsigned char *h = f->head;
    if (f->section != ENDED || f->bytes < PACK_MIN_BYTES)
        return err_set(err, ERR_UPSTREAM, "the pack was cut");
    if (memcmp(h, "PACK\0\0\0\2", 8) != 0 || h[8] > 0x7F)
        return err_set(err, ERR_UPSTREAM, "not a pack of version 2");
    *objects = h[8] << 24 | h[9] << 16 | h[10] << 8 | h[11];
    return true;
}

bool git_fetch_pack(const struct git_remote *r, const char *const *oids, int n, int depth, int fd,
                    int64_t max_bytes, const struct call *call, git_progress_fn progress,
                    void *progress_arg, struct git_fetched *out, struct err *err)
{
    AUTO(buf_done) struct buf body = {0};
    int objects;
    struct fetch f = {
        .fd = fd,
        .max_bytes = max_bytes,
        .shallow = {.max = SHALLOW_MAX_BYTES},
        .progress = progress,
        .progress_arg = progress_arg,
    };
    if (!body_make(oids, n, depth, progress != NULL, &body, err))
        return false;
    struct wire_request q = {
        .service = "git-upload-pack",
        .v2 = true,
        .body = buf_str(&body),
        .response_max = (size_t)(max_bytes + OVERHEAD_BYTES(max_bytes)),
        .on_packet = on_packet,
        .arg = &f,
    };
    bool ok = wire_do(r, &q, call, err) && check_pack(&f, &objects, err);
    if (ok && progress)
        flush_progress(&f);
    buf_done(&f.line);
    if (!ok) {
        buf_done(&f.shallow);
        return err_wrap(err, "fetch");
    }
    *out = (struct git_fetched){f.bytes, objects, f.shallow};
    return true;
}
