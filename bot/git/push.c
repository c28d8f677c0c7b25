/* Push of one ref by protocol version 0 of receive-pack (there is no newer one). The ref is moved
 * by compare-and-swap: the command carries the old id, and the server refuses when the ref is
 * elsewhere; the advertisement is compared first only to save the upload. What the server says to
 * people is kept for people; what it means is read from one table, because neither git nor GitHub
 * give codes. */
#include "bot/git/wire.h"

#include "bot/base/version.h"
#include "bot/git/clean.h"
#include "bot/git/refname.h"
#include "bot/git/wire_http.h"

#include <stdio.h>

#define ADVERT_MAX_BYTES ((size_t)128 * 1024 * 1024) /* refs are looked at one by one, not kept */
#define REPORT_MAX_BYTES ((size_t)8 * 1024 * 1024)
#define WORDS_MAX_BYTES  ((size_t)16 * 1024)
#define MESSAGE_MAX      4000

static const char *const names[] = {
    [GIT_PUSHED] = "pushed",
    [GIT_PUSH_STALE] = "stale",
    [GIT_PUSH_PROTECTED] = "protected",
    [GIT_PUSH_RULE] = "rule",
    [GIT_PUSH_WORKFLOW] = "workflow",
    [GIT_PUSH_LARGE] = "large",
    [GIT_PUSH_REFUSED] = "refused",
};

const char *git_push_result_name(enum git_push_result r)
{
    return names[r];
}

/* The first row with a text that occurs decides. What hooks print is free text, so that STALE rests
 * on the reason in the report alone, which only the server itself writes. */
static const struct {
    const char *text;
    bool reason_only;
    enum git_push_result result;
} refusals[] = {
    {"without `workflow",         false, GIT_PUSH_WORKFLOW },
    {"create or update workflow", false, GIT_PUSH_WORKFLOW },
    {"GH001",                     false, GIT_PUSH_LARGE    },
    {"Large files detected",      false, GIT_PUSH_LARGE    },
    {"GH006",                     false, GIT_PUSH_PROTECTED},
    {"protected branch hook",     false, GIT_PUSH_PROTECTED},
    {"GH013",                     false, GIT_PUSH_RULE     },
    {"GH009",                     false, GIT_PUSH_RULE     },
    {"rule violations",           false, GIT_PUSH_RULE     },
    {"push protection",           false, GIT_PUSH_RULE     },
    {"failed to update ref",      true,  GIT_PUSH_STALE    },
    {"failed to lock",            true,  GIT_PUSH_STALE    },
    {"cannot lock ref",           true,  GIT_PUSH_STALE    },
    {"fetch first",               true,  GIT_PUSH_STALE    },
    {"non-fast-forward",          true,  GIT_PUSH_STALE    },
    {"stale info",                true,  GIT_PUSH_STALE    },
    {"incorrect old value",       true,  GIT_PUSH_STALE    },
    {"reference already exists",  true,  GIT_PUSH_STALE    },
    {"remote ref updated since",  true,  GIT_PUSH_STALE    },
};

static enum git_push_result classify(struct str words, struct str reason)
{
    for (size_t i = 0; i < COUNT(refusals); i++) {
        struct str text = str_of(refusals[i].text);
        if (str_find(reason, text, 0) < reason.n ||
            (!refusals[i].reason_only && str_find(words, text, 0) < words.n))
            return refusals[i].result;
    }
    return GIT_PUSH_REFUSED;
}

/* ------------------------------------------------------------------------------- advertisement */

struct advert {
    const char *ref;
    int marks; /* flush packets so far: one behind the service line, one at the end */
    bool any;
    char oid[GIT_OID_HEX + 1]; /* where the ref is; null id = not there */
    bool report, report_v2, side_band, quiet, other_format;
};

static void take_capabilities(struct advert *a, struct str list)
{
    struct {
        struct str name;
        bool *seen;
    } known[] = {
        {STR("report-status"),    &a->report   },
        {STR("report-status-v2"), &a->report_v2},
        {STR("side-band-64k"),    &a->side_band},
        {STR("quiet"),            &a->quiet    },
    };
    struct str field;
    while (str_split(&list, ' ', &field)) {
        for (size_t i = 0; i < COUNT(known); i++)
            if (str_eq(field, known[i].name))
                *known[i].seen = true;
        if (str_starts(field, STR("object-format=")) && !str_eq(field, STR("object-format=sha1")))
            a->other_format = true;
    }
}

static bool on_advert(void *arg, enum pkt_kind kind, struct str payload, struct err *err)
{
    struct advert *a = arg;
    struct str line = pkt_text(payload), oid, rest;
    if (kind == PKT_FLUSH && a->marks < 2) {
        a->marks++;
        return true;
    }
    if (!wire_no_error(line, err))
        return false;
    if (kind == PKT_DATA && a->marks == 0 && str_eq(line, STR("# service=git-receive-pack")))
        return true;
    if (kind == PKT_DATA && a->marks == 1 && str_starts(line, STR("shallow ")))
        return true;
    if (kind != PKT_DATA || a->marks != 1 || !refname_oid_line(line, &oid, &rest))
        return err_set(err, ERR_UPSTREAM, "unexpected line in the advertisement");
    size_t nul = str_find(rest, STR("\0"), 0);
    if (!a->any)
        take_capabilities(a, str_sub(rest, nul + 1, rest.n));
    a->any = true;
    if (str_eq(str_sub(rest, 0, nul), str_of(a->ref)) && !str_copy(a->oid, sizeof(a->oid), oid))
        return err_set(err, ERR_BUG, "id of %zu digits", oid.n);
    return true;
}

static bool advert_read(const struct git_remote *r, struct advert *a, const struct call *call,
                        struct err *err)
{
    struct wire_request q = {
        .service = "git-receive-pack",
        .advertisement = true,
        .response_max = ADVERT_MAX_BYTES,
        .on_packet = on_advert,
        .arg = a,
    };
    if (!wire_do(r, &q, call, err))
        return false;
    if (a->marks != 2 || !a->any)
        return err_set(err, ERR_UPSTREAM, "the advertisement was cut");
    if (a->other_format)
        return err_set(err, ERR_INPUT, "the repository does not use SHA-1 ids");
    if (!a->report && !a->report_v2)
        return err_set(err, ERR_UPSTREAM, "the server does not report results");
    return true;
}

/* -------------------------------------------------------------------------------------- report */

struct report {
    const char *ref;
    bool side_band;
    bool ended;
    bool answered; /* ok or ng for our ref */
    bool unpacked;
    struct pkt_reader inner;
    struct buf words;  /* what the server says to people */
    struct buf reason; /* of a refusal; empty = accepted */
};

static bool on_report(void *arg, enum pkt_kind kind, struct str payload, struct err *err)
{
    struct report *p = arg;
    struct str line = pkt_text(payload), word, ref;
    (void)err;
    if (kind != PKT_DATA || !str_split(&line, ' ', &word))
        return true;
    if (str_eq(word, STR("unpack"))) {
        p->unpacked = str_eq(line, STR("ok"));
        if (!p->unpacked)
            buf_printf(&p->reason, "unpack: " STR_FMT " ", STR_ARG(line));
        return true;
    }
    bool refused = str_eq(word, STR("ng"));
    if ((!refused && !str_eq(word, STR("ok"))) || !str_split(&line, ' ', &ref) ||
        !str_eq(ref, str_of(p->ref)))
        return true;
    p->answered = true;
    if (refused)
        buf_add_str(&p->reason, line.n > 0 ? line : STR("refused"));
    return true;
}

static bool on_band(void *arg, enum pkt_kind kind, struct str payload, struct err *err)
{
    struct report *p = arg;
    if (!wire_no_error(pkt_text(payload), err))
        return false;
    if (!p->side_band) {
        p->ended = p->ended || kind == PKT_FLUSH;
        return on_report(p, kind, payload, err);
    }
    if (kind == PKT_FLUSH) {
        p->ended = true;
        return true;
    }
    if (kind != PKT_DATA || payload.n == 0)
        return err_set(err, ERR_UPSTREAM, "unexpected packet in the report");
    struct str data = str_sub(payload, 1, payload.n);
    if (payload.p[0] == 1)
        return pkt_feed(&p->inner, data, on_report, p, err);
    buf_add_str(&p->words, data); /* 2: words, 3: the last words of a server that gives up */
    return true;
}

static void message_make(const struct report *p, struct buf *message)
{
    AUTO(buf_done) struct buf text = {0};
    buf_add_str(&text, buf_str(&p->words));
    if (p->reason.len > 0)
        buf_printf(&text, "%s(%s)", text.len ? " " : "", buf_cstr(&p->reason));
    AUTO(buf_done) struct buf clean = {0};
    clean_line(buf_str(&text), &clean);
    buf_add_str(message, str_sub(buf_str(&clean), 0, str_utf8_floor(buf_str(&clean), MESSAGE_MAX)));
}

static bool report_judge(const struct report *p, enum git_push_result *result, struct buf *message,
                         struct err *err)
{
    AUTO(buf_done) struct buf words = {0};
    message_make(p, &words);
    if (!p->ended || (!p->answered && p->reason.len == 0))
        return err_set(err, ERR_UPSTREAM, "no report came%s" STR_FMT, words.len ? ": " : "",
                       STR_ARG(str_sub(buf_str(&words), 0, 200)));
    *result = p->reason.len == 0 && p->unpacked ? GIT_PUSHED
                                                : classify(buf_str(&p->words), buf_str(&p->reason));
    buf_add_str(message, buf_str(&words));
    return true;
}

static bool send_pack(const struct git_remote *r, const struct advert *a, const char *command,
                      int pack_fd, const struct call *call, struct report *p, struct err *err)
{
    AUTO(buf_done) struct buf line = {0};
    AUTO(buf_done) struct buf body = {0};
    buf_puts(&line, command);
    buf_putc(&line, '\0');
    buf_printf(&line, " %s%s%s " WIRE_AGENT_FORMAT,
               a->report ? "report-status" : "report-status-v2",
               a->side_band ? " side-band-64k" : "", a->quiet ? " quiet" : "", version());
    pkt_put(&body, buf_str(&line));
    pkt_mark(&body, PKT_FLUSH);
    struct wire_request q = {
        .service = "git-receive-pack",
        .body = buf_str(&body),
        .pack_fd = pack_fd,
        .response_max = REPORT_MAX_BYTES,
        .on_packet = on_band,
        .arg = p,
    };
    return wire_do(r, &q, call, err);
}

bool git_push(const struct git_remote *r, const char *ref, const char *old_oid, const char *new_oid,
              int pack_fd, const struct call *call, enum git_push_result *result,
              struct buf *message, struct err *err)
{
    const char *old = old_oid ? old_oid : WIRE_NULL_OID;
    struct str branch = str_of(ref);
    struct str prefix = STR("refs/heads/");
    if (!str_starts(branch, prefix) || !refname_branch_ok(str_sub(branch, prefix.n, branch.n)) ||
        !refname_oid_ok(str_of(old)) || !refname_oid_ok(str_of(new_oid)) || pack_fd <= 0)
        return err_set(err, ERR_BUG, "push: not a branch, not an id, or no pack");
    struct advert a = {.ref = ref, .oid = WIRE_NULL_OID};
    if (!advert_read(r, &a, call, err))
        return err_wrap(err, "push");
    if (strcmp(a.oid, new_oid) == 0) {
        *result = GIT_PUSHED;
        return true;
    }
    if (strcmp(a.oid, old) != 0) {
        *result = GIT_PUSH_STALE;
        buf_printf(message, "%s is at %s", ref, strcmp(a.oid, WIRE_NULL_OID) ? a.oid : "no commit");
        return true;
    }
    char command[512];
    snprintf(command, sizeof(command), "%s %s %s", old, new_oid, ref);
    struct report p = {.ref = ref, .side_band = a.side_band, .words = {.max = WORDS_MAX_BYTES}};
    bool ok =
        send_pack(r, &a, command, pack_fd, call, &p, err) && report_judge(&p, result, message, err);
    pkt_reader_done(&p.inner);
    buf_done(&p.words);
    buf_done(&p.reason);
    return ok || err_wrap(err, "push");
}
