/* Requests of the smart protocol over bot/net, and ls-refs. Version 2 is asked for without looking
 * at the advertisement first, which saves a round trip: every server that can limit a fetch's depth
 * by it has both commands (GitHub, GitHub Enterprise Server, git since 2.18). The token travels as
 * Basic password in a header that bot/net keeps out of its logs. Answers that are not git's, such
 * as a proxy's HTML page with status 200, are refused by their content type. */
#include "bot/git/wire.h"

#include "bot/base/enc.h"
#include "bot/base/mem.h"
#include "bot/base/version.h"
#include "bot/git/clean.h"
#include "bot/git/refname.h"
#include "bot/git/wire_http.h"

#include <stdio.h>
#include <sys/stat.h>

#define REFS_MAX         20000
#define REFS_ANSWER_MAX  ((size_t)32 * 1024 * 1024)
#define SERVER_WORDS_MAX 200
#define LINE_MAX_BYTES   512
#define LOW_SPEED_S      60

static const struct {
    int status; /* 0 = any other */
    enum err_kind kind;
    const char *text;
} statuses[] = {
    {401, ERR_AUTH,     "the credentials were refused"     },
    {403, ERR_DENIED,   "access denied"                    },
    {404, ERR_GONE,     "repository not found"             },
    {410, ERR_GONE,     "repository gone"                  },
    {429, ERR_LIMIT,    "too many requests"                },
    {301, ERR_GONE,     "moved; redirects are not followed"},
    {302, ERR_UPSTREAM, "redirects are not followed"       },
    {307, ERR_UPSTREAM, "redirects are not followed"       },
    {308, ERR_GONE,     "moved; redirects are not followed"},
    {0,   ERR_UPSTREAM, "unexpected answer"                },
};

/* One answer on its way through the packet reader. */
struct answer {
    const struct wire_request *q;
    const struct http_response *response;
    struct pkt_reader reader;
    bool begun;
};

static bool check_status(const struct http_response *r, struct err *err)
{
    if (r->status == 200)
        return true;
    size_t i = 0;
    while (statuses[i].status != 0 && statuses[i].status != r->status)
        i++;
    AUTO(buf_done) struct buf words = {0};
    struct str body = buf_str(&r->body);
    clean_line(str_sub(body, 0, str_utf8_floor(body, SERVER_WORDS_MAX)), &words);
    int64_t wait_ms = http_retry_after_ms(r);
    bool limit = statuses[i].kind == ERR_LIMIT || (r->status == 403 && wait_ms > 0);
    err_set(err, limit ? ERR_LIMIT : statuses[i].kind, "HTTP %d: %s%s%s", r->status,
            statuses[i].text, words.len ? ": " : "", buf_cstr(&words));
    if (limit && err)
        err->retry_after_s = (int)((wait_ms + 999) / 1000);
    return false;
}

static bool check_type(const struct answer *a, struct err *err)
{
    char want[80];
    snprintf(want, sizeof(want), "application/x-%s-%s", a->q->service,
             a->q->advertisement ? "advertisement" : "result");
    struct str got = http_header(a->response, "Content-Type");
    got = str_trim(str_sub(got, 0, str_find(got, STR(";"), 0)));
    if (str_eq_nocase(got, str_of(want)))
        return true;
    return err_set(err, ERR_UPSTREAM, "the answer is not git's (Content-Type \"" STR_FMT "\")",
                   STR_ARG(str_sub(got, 0, 80)));
}

static bool on_piece(void *arg, struct str piece, struct err *err)
{
    struct answer *a = arg;
    if (!a->begun && !check_type(a, err))
        return false;
    a->begun = true;
    return pkt_feed(&a->reader, piece, a->q->on_packet, a->q->arg, err);
}

/* x-access-token:TOKEN as Basic wants it. */
static void basic_auth(const struct secret *token, struct secret *out)
{
    struct buf plain = {0};
    struct buf coded = {0};
    /* Whole room first: a buffer that moves would leave a copy of the secret behind. */
    size_t n = token->n + 32;
    if (buf_reserve(&plain, n) && buf_reserve(&coded, n * 2)) {
        buf_puts(&plain, "x-access-token:");
        buf_add_str(&plain, secret_str(token));
        enc_base64(&coded, plain.data, plain.len);
        secret_set(out, buf_str(&coded));
    }
    if (plain.data)
        explicit_bzero(plain.data, plain.cap);
    if (coded.data)
        explicit_bzero(coded.data, coded.cap);
    buf_done(&plain);
    buf_done(&coded);
}

static bool set_body(const struct wire_request *q, struct http_request *http, struct err *err)
{
    if (q->pack_fd <= 0) {
        http->body = q->body;
        return true;
    }
    struct stat st;
    if (fstat(q->pack_fd, &st) != 0)
        return err_set(err, ERR_BUG, "the pack cannot be read: %m");
    http->body_prefix = q->body;
    http->body_fd = q->pack_fd;
    http->body_fd_size = st.st_size;
    return true;
}

bool wire_do(const struct git_remote *r, const struct wire_request *q, const struct call *call,
             struct err *err)
{
    AUTO(mem_freep)
    char *url =
        mem_printf(q->advertisement ? "%s/info/refs?service=%s" : "%s/%s", r->url, q->service);
    char type[80], accept[80];
    snprintf(type, sizeof(type), "Content-Type: application/x-%s-request", q->service);
    snprintf(accept, sizeof(accept), "Accept: application/x-%s-%s", q->service,
             q->advertisement ? "advertisement" : "result");
    AUTO(secret_done) struct secret auth = {0};
    if (r->token && secret_is_set(r->token))
        basic_auth(r->token, &auth);
    struct http_response response = {0};
    struct answer a = {.q = q, .response = &response};
    struct http_request http = {
        .method = q->advertisement ? "GET" : "POST",
        .url = url,
        .headers = {accept, q->v2 ? "Git-Protocol: version=2" : NULL,
                    q->advertisement ? NULL : type},
        .auth = secret_is_set(&auth) ? &auth : NULL,
        .auth_scheme = "Basic",
        .response_max = q->response_max,
        .sink = on_piece,
        .sink_arg = &a,
        .low_speed_s = LOW_SPEED_S,
    };
    bool ok = set_body(q, &http, err) && http_do(r->http, &http, call, &response, err) &&
              check_status(&response, err);
    if (ok && (!a.begun || !pkt_reader_idle(&a.reader)))
        ok = err_set(err, ERR_UPSTREAM, "the answer was cut");
    pkt_reader_done(&a.reader);
    http_response_done(&response);
    return ok;
}

bool wire_no_error(struct str line, struct err *err)
{
    if (!str_starts(line, STR("ERR ")))
        return true;
    AUTO(buf_done) struct buf words = {0};
    clean_line(str_sub(line, 4, 4 + SERVER_WORDS_MAX), &words);
    bool gone = str_find(line, STR("not our ref"), 0) < line.n;
    return err_set(err, gone ? ERR_GONE : ERR_UPSTREAM, "the server says: %s", buf_cstr(&words));
}

/* ------------------------------------------------------------------------------------- ls-refs */

struct ref_list {
    struct git_ref *refs;
    size_t n, room;
    bool done;
};

static bool add_ref(struct ref_list *list, struct str oid, struct str rest, struct err *err)
{
    struct git_ref ref = {0};
    struct str field;
    bool name = str_split(&rest, ' ', &field) && str_copy(ref.name, sizeof(ref.name), field);
    while (str_split(&rest, ' ', &field))
        if (str_starts(field, STR("symref-target:")) &&
            !str_copy(ref.symref, sizeof(ref.symref), str_sub(field, 14, field.n)))
            name = false;
    if (!name || !str_copy(ref.oid, sizeof(ref.oid), oid))
        return true; /* a name that is too long to be one of ours */
    if (list->n == REFS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d refs", REFS_MAX);
    if (list->n == list->room) {
        list->room = list->room ? list->room * 2 : 16;
        list->refs = mem_grow(list->refs, list->room, sizeof(*list->refs));
    }
    list->refs[list->n++] = ref;
    return true;
}

static bool on_ref(void *arg, enum pkt_kind kind, struct str payload, struct err *err)
{
    struct ref_list *list = arg;
    struct str line = pkt_text(payload), oid, rest;
    if (kind == PKT_FLUSH && !list->done) {
        list->done = true;
        return true;
    }
    if (kind == PKT_END && list->done)
        return true;
    if (!wire_no_error(line, err))
        return false;
    if (kind != PKT_DATA || list->done || !refname_oid_line(line, &oid, &rest))
        return err_set(err, ERR_UPSTREAM, "unexpected line in the list of refs");
    return add_ref(list, oid, rest, err);
}

bool git_ls_refs(const struct git_remote *r, const char *const *prefixes, const struct call *call,
                 struct git_ref **out, int *n, struct err *err)
{
    AUTO(buf_done) struct buf body = {0};
    pkt_printf(&body, "command=ls-refs\n");
    pkt_printf(&body, WIRE_AGENT_FORMAT "\n", version());
    pkt_mark(&body, PKT_DELIM);
    pkt_printf(&body, "symrefs\n");
    for (; prefixes && *prefixes; prefixes++) {
        if (strlen(*prefixes) > LINE_MAX_BYTES)
            return err_set(err, ERR_INPUT, "ref prefix is longer than %d bytes", LINE_MAX_BYTES);
        pkt_printf(&body, "ref-prefix %s\n", *prefixes);
    }
    pkt_mark(&body, PKT_FLUSH);
    struct ref_list list = {0};
    struct wire_request q = {
        .service = "git-upload-pack",
        .v2 = true,
        .body = buf_str(&body),
        .response_max = REFS_ANSWER_MAX,
        .on_packet = on_ref,
        .arg = &list,
    };
    bool ok = wire_do(r, &q, call, err);
    if (ok && !list.done)
        ok = err_set(err, ERR_UPSTREAM, "the list of refs was cut");
    if (!ok) {
        free(list.refs);
        return err_wrap(err, "ls-refs");
    }
    *out = list.refs;
    *n = (int)list.n;
    return true;
}
