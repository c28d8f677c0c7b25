/* A stream first reads what there is, page by page, the next only when the last was written: a slow
 * client of a long history costs one page. Then the log ends, and an event stream goes live: it
 * gets the pages of its task's topic (hub.h), which all watchers share. It takes a page that starts
 * where it stands; anything else means that pages passed while it was reading, and it reads again.
 * So nothing is lost or doubled, whatever the timing.
 *
 * h2o: one write is under way at a time, and what it writes must live until it is done. Everything
 * pending goes into one write. The request's pool tells us when the request is gone.
 *
 * Limits: a live client that lags more than PENDING_MAX_BYTES behind is dropped and may resume. */
#include "bot/web/stream.h"

#include "bot/base/log.h"
#include "bot/base/mem.h"
#include "bot/base/metrics.h"
#include "bot/web/crew.h"
#include "bot/web/guest.h"
#include "bot/web/handlers.h"
#include "bot/web/hub.h"
#include "bot/web/reply.h"

#define PENDING_MAX_BYTES ((size_t)1024 * 1024)
#define PENDING_MAX       256 /* pages */
#define WRITE_MAX         64  /* pages a write */

static const struct str preamble = {"retry: 2000\n\n", 13};
static const struct str beat_text = {": beat\n\n", 8};

struct stream {
    h2o_generator_t generator;
    h2o_linklist_t link; /* of the loop */
    struct watcher watcher;
    struct loop *loop;
    const struct route *route;
    h2o_req_t *req; /* NULL = the client left */
    enum page_form form;
    bool resumed; /* the client gave Last-Event-ID */
    bool started, writing, ended;
    bool reading; /* a worker has it */
    bool live;    /* takes the topic's pages as they come */
    bool missed;  /* pages passed while it was reading */
    bool more;    /* read on once everything is written */
    bool final;   /* nothing comes behind what is pending */
    int64_t cursor;
    struct page *pending[PENDING_MAX];
    int npending;
    int nwriting; /* the first ones, which h2o is writing */
    size_t pending_bytes;
    h2o_timeout_entry_t beat;
    struct job job;
    struct mail mail;
    struct page *page; /* what the worker read */
    struct err err;    /* or why not */
    char id[ROUTE_ID_MAX + 1];
};

static atomic_int open_streams;

static void count_streams(int by)
{
    metric_set(M_SSE, NULL, NULL, atomic_fetch_add(&open_streams, by) + by);
}

static void free_stream(struct stream *s)
{
    for (int i = 0; i < s->npending; i++)
        page_unref(s->pending[i]);
    page_unref(s->page);
    free(s);
}

/* The request's pool is cleared: answered, or the client is gone. */
static void on_gone(void *cell)
{
    struct stream *s = *(struct stream **)cell;
    s->req = NULL;
    h2o_timeout_unlink(&s->beat);
    h2o_linklist_unlink(&s->link);
    hub_leave(s->loop, &s->watcher);
    if (s->form == PAGE_SSE)
        count_streams(-1);
    if (!s->reading)
        free_stream(s);
}

/* ---------------------------------------------------------------------------------------- reading
 */

static void run_read(struct job *job)
{
    struct stream *s = H2O_STRUCT_FROM_MEMBER(struct stream, job, job);
    struct store *store = s->loop->web->config.store;
    /* Asked for at the start: does the task exist, and is there anything to wait for? */
    if (!page_load(store, s->id, s->cursor, s->form, !s->started, &s->page, &s->err))
        s->page = NULL;
    web_post(s->loop, &s->mail);
}

static void fail(struct stream *s, const struct err *err)
{
    if (!s->started) {
        reply_failure(s->req, s->route->path, err);
        return;
    }
    /* The client has to see that this is not the end. */
    log_err(LOG_WARN, s->route->path, err);
    guest_drop(s->req);
}

static void start_reading(struct stream *s)
{
    s->reading = crew_add(s->loop->web->crew, &s->job, true);
    if (!s->reading)
        fail(s, &(struct err){.kind = ERR_UPSTREAM, .text = "the server is stopping"});
}

/* ---------------------------------------------------------------------------------------- writing
 */

static void write_bufs(struct stream *s, h2o_iovec_t *bufs, size_t n, bool last)
{
    s->writing = true;
    s->ended = last;
    if (last)
        h2o_timeout_unlink(&s->beat);
    h2o_send(s->req, bufs, n, last ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS);
}

/* Sends what is pending, or reads on, or ends. */
static void advance(struct stream *s)
{
    if (!s->req || !s->started || s->writing || s->ended)
        return;
    h2o_iovec_t bufs[WRITE_MAX];
    int n = s->npending < WRITE_MAX ? s->npending : WRITE_MAX;
    for (int i = 0; i < n; i++)
        bufs[i] = h2o_iovec_init(s->pending[i]->text.data, s->pending[i]->text.len);
    bool last = s->final && n == s->npending;
    if (n > 0 || last) {
        s->nwriting = n;
        write_bufs(s, bufs, (size_t)n, last);
    } else if (s->more && !s->reading) {
        s->more = false;
        start_reading(s);
    }
}

static void on_proceed(h2o_generator_t *generator, h2o_req_t *req)
{
    struct stream *s = H2O_STRUCT_FROM_MEMBER(struct stream, generator, generator);
    (void)req;
    s->writing = false;
    for (int i = 0; i < s->nwriting; i++) {
        s->pending_bytes -= s->pending[i]->text.len;
        page_unref(s->pending[i]);
    }
    s->npending -= s->nwriting;
    memmove(s->pending, s->pending + s->nwriting, (size_t)s->npending * sizeof(s->pending[0]));
    s->nwriting = 0;
    advance(s);
}

static void add_page(struct stream *s, struct page *page)
{
    s->cursor = page->last;
    s->final |= page->final;
    if (page->text.len == 0)
        return;
    if (s->npending == PENDING_MAX ||
        (s->npending > 0 && s->pending_bytes + page->text.len > PENDING_MAX_BYTES)) {
        guest_drop(s->req);
        s->live = false;
        return;
    }
    s->pending[s->npending++] = page_ref(page);
    s->pending_bytes += page->text.len;
}

static void write_beat(struct stream *s)
{
    h2o_iovec_t text = h2o_iovec_init(beat_text.p, beat_text.n);
    if (!s->writing && !s->ended)
        write_bufs(s, &text, 1, false);
}

static void on_beat(h2o_timeout_entry_t *entry)
{
    struct stream *s = H2O_STRUCT_FROM_MEMBER(struct stream, beat, entry);
    h2o_timeout_link(s->loop->ctx.loop, &s->loop->beat, &s->beat);
    hub_poke(&s->watcher);
    write_beat(s);
}

static void start(struct stream *s)
{
    h2o_req_t *req = s->req;
    s->started = true;
    s->generator.proceed = on_proceed;
    reply_head(req, s->route->path, 200,
               s->form == PAGE_SSE ? "text/event-stream" : "text/plain; charset=utf-8");
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CACHE_CONTROL, NULL,
                   H2O_STRLIT("no-cache"));
    if (req->version < 0x101)
        req->http1_is_persistent = 0; /* its end is the end of the connection */
    h2o_start_response(req, &s->generator);
    if (s->form != PAGE_SSE)
        return;
    h2o_timeout_link(s->loop->ctx.loop, &s->loop->beat, &s->beat);
    h2o_iovec_t text = h2o_iovec_init(preamble.p, preamble.n);
    write_bufs(s, &text, 1, false);
}

/* ------------------------------------------------------------------------------------- what comes
 */

/* A page of the topic. */
static void take(struct watcher *watcher, struct page *page)
{
    struct stream *s = H2O_STRUCT_FROM_MEMBER(struct stream, watcher, watcher);
    if (!s->live) {
        s->missed = true;
    } else if (page->after == s->cursor && !s->final) {
        add_page(s, page);
        advance(s);
    } else if ((page->last > s->cursor || page->final) && !s->final) {
        s->live = false;
        s->more = true;
        advance(s);
    }
}

/* The first page of a finished task: once it was seen there is nothing to come back for. */
static bool is_over(const struct stream *s)
{
    return s->form == PAGE_SSE && s->page->finished &&
           (!s->resumed || (s->page->final && s->page->rows == 0));
}

static void go_on(struct stream *s)
{
    if (s->page->full || s->missed) {
        s->more = true;
    } else if (s->form == PAGE_LOG) {
        s->final = true;
    } else if (!s->final) {
        s->live = true;
        hub_begin(&s->watcher, s->cursor);
    }
    s->missed = false;
}

static void open_read(struct loop *loop, struct mail *mail)
{
    (void)loop;
    struct stream *s = H2O_STRUCT_FROM_MEMBER(struct stream, mail, mail);
    s->reading = false;
    if (!s->req) {
        free_stream(s);
        return;
    }
    if (!s->page) {
        fail(s, &s->err);
        return;
    }
    if (!s->started && is_over(s)) {
        reply_send(s->req, s->route->path, &(struct reply){.status = 204});
        return;
    }
    if (!s->started)
        start(s);
    add_page(s, s->page);
    go_on(s);
    page_unref(s->page);
    s->page = NULL;
    advance(s);
}

/* ------------------------------------------------------------------------------------------ entry
 */

/* The header of a client that resumes. */
static bool read_cursor(h2o_req_t *req, int64_t *cursor, bool *resumed)
{
    ssize_t at = h2o_find_header_by_str(&req->headers, H2O_STRLIT("last-event-id"), -1);
    *resumed = at >= 0;
    return at < 0 ||
           str_to_i64(str_trim(web_str(req->headers.entries[at].value)), 0, INT64_MAX, cursor);
}

static void open_stream(h2o_req_t *req, const struct route *route, struct str id,
                        enum page_form form)
{
    struct loop *loop = web_loop_of(req);
    int64_t cursor = 0;
    bool resumed = false;
    if (form == PAGE_SSE && !read_cursor(req, &cursor, &resumed)) {
        reply_error(req, route->path, 400, ERR_INPUT, "Last-Event-ID: want a whole number");
        return;
    }
    struct stream *s = mem_alloc(sizeof(*s));
    s->loop = loop;
    s->route = route;
    s->req = req;
    s->form = form;
    s->cursor = cursor;
    s->resumed = resumed;
    s->job.run = run_read;
    s->mail.open = open_read;
    s->beat.cb = on_beat;
    s->watcher.take = take;
    bool fits = str_copy(s->id, sizeof(s->id), id);
    if (!fits)
        s->id[0] = '\0';
    h2o_linklist_insert(&loop->streams, &s->link);
    struct stream **cell = h2o_mem_alloc_shared(&req->pool, sizeof(*cell), on_gone);
    *cell = s;
    if (form == PAGE_SSE) {
        count_streams(1);
        hub_join(loop->web->hub, loop, s->id, &s->watcher);
    }
    start_reading(s);
}

void stream_events(h2o_req_t *req, const struct route *route, struct str id)
{
    open_stream(req, route, id, PAGE_SSE);
}

void stream_log(h2o_req_t *req, const struct route *route, struct str id)
{
    open_stream(req, route, id, PAGE_LOG);
}

/* A write that fails is what makes h2o close. */
void stream_watch(struct loop *loop)
{
    for (h2o_linklist_t *n = loop->streams.next; n != &loop->streams; n = n->next) {
        struct stream *s = H2O_STRUCT_FROM_MEMBER(struct stream, link, n);
        if (s->form != PAGE_SSE || !s->started || s->writing || s->ended || !guest_has_left(s->req))
            continue;
        guest_drop(s->req);
        write_beat(s);
    }
}

/* A log is left to finish: cut short, it would look complete. */
void stream_end_all(struct loop *loop)
{
    for (h2o_linklist_t *n = loop->streams.next, *next; n != &loop->streams; n = next) {
        next = n->next; /* a stream without chunks is gone as soon as it ended */
        struct stream *s = H2O_STRUCT_FROM_MEMBER(struct stream, link, n);
        if (s->form != PAGE_SSE)
            continue;
        s->final = true;
        advance(s);
    }
}
