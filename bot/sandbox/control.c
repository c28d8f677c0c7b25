/* E2B's control plane: create, get, list, kill, life time, check. The hard part is create: E2B has
 * no idempotency key and may work for 70 s, so a lost answer can leave a running, billed sandbox
 * behind. Every create therefore carries a nonce as metadata, and after any outcome that may have
 * made a sandbox we look for that nonce: what is found is adopted, extra ones are killed.
 *
 * Limits: an attempt takes at most CREATE_MS; a list at most LIST_PAGES_MAX pages. A sandbox that
 * appears only after the last look is found by the next create with the same nonce (maybe_exists),
 * or by the janitor. */
#include "bot/sandbox/e2b.h"

#include "bot/base/enc.h"
#include "bot/base/log.h"
#include "bot/base/mem.h"
#include "bot/base/metrics.h"

#define CREATE_MS       90000
#define REPEATS         4 /* attempts of a call that may be repeated */
#define LIST_PAGES_MAX  100
#define LOOKS_AMBIGUOUS 3 /* for a sandbox whose creation was not answered */
#define RESUME_S        600 /* life of a resumed sandbox; its owner's next extension sets the real one */

#define ID_CHARACTERS   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
#define WORD_CHARACTERS ID_CHARACTERS "."

/* ---------------------------------------------------------------------------- get, kill, life */

/* "/sandboxes/ID" + suffix, or NULL when id is no id: it may come from our API's users. */
static char *id_path(const char *prefix, const char *id, const char *suffix, struct err *err)
{
    size_t n = strspn(id, ID_CHARACTERS);
    if (n == 0 || n >= SANDBOX_ID_MAX || id[n] != '\0') {
        err_set(err, ERR_INPUT, "not a sandbox id");
        return NULL;
    }
    return mem_printf("%s/sandboxes/%s%s", prefix, id, suffix);
}

bool sandbox_get(struct sandbox_client *c, const char *id, const struct call *call,
                 struct sandbox *out, struct err *err)
{
    AUTO(mem_freep) char *path = id_path("", id, "", err);
    if (!path)
        return false;
    AUTO(http_response_done) struct http_response r = {0};
    struct e2b_call q = {"get", "GET", path, .attempts = REPEATS};
    if (!e2b_do(c, &q, call, &r, err))
        return false;
    if (r.status != 200)
        return e2b_fail("get sandbox", &r, err);
    return e2b_parse_sandbox(buf_str(&r.body), out, err);
}

bool sandbox_kill(struct sandbox_client *c, const char *id, const struct call *call,
                  struct err *err)
{
    AUTO(mem_freep) char *path = id_path("", id, "", err);
    if (!path)
        return false;
    AUTO(http_response_done) struct http_response r = {0};
    struct e2b_call q = {"kill", "DELETE", path, .attempts = REPEATS};
    if (!e2b_do(c, &q, call, &r, err))
        return false;
    if (r.status == 404 || (r.status >= 200 && r.status <= 299))
        return true;
    return e2b_fail("kill sandbox", &r, err);
}

bool sandbox_set_timeout(struct sandbox_client *c, const char *id, int timeout_s,
                         const struct call *call, struct err *err)
{
    AUTO(mem_freep) char *path = id_path("", id, "/timeout", err);
    if (!path)
        return false;
    AUTO(buf_done) struct buf body = {0};
    AUTO(http_response_done) struct http_response r = {0};
    buf_printf(&body, "{\"timeout\":%d}", timeout_s);
    struct e2b_call q = {"timeout", "POST", path, buf_str(&body), .attempts = REPEATS};
    if (!e2b_do(c, &q, call, &r, err))
        return false;
    if (r.status < 200 || r.status > 299)
        return e2b_fail("set the sandbox's timeout", &r, err);
    return true;
}

bool e2b_resume(struct sandbox_client *c, const char *id, const struct call *call,
                struct sandbox *out, struct err *err)
{
    AUTO(mem_freep) char *path2 = id_path("/v2", id, "/connect", err);
    AUTO(mem_freep) char *path1 = id_path("", id, "/connect", err);
    if (!path2 || !path1)
        return false;
    AUTO(buf_done) struct buf body = {0};
    AUTO(http_response_done) struct http_response r = {0};
    buf_printf(&body, "{\"timeout\":%d}", RESUME_S);
    struct e2b_call v2 = {"connect", "POST", path2, buf_str(&body), CREATE_MS, REPEATS};
    struct e2b_call v1 = v2;
    v1.path = path1;
    if (!e2b_versioned(c, E2B_CONNECT, &v2, &v1, call, &r, err))
        return false;
    if (r.status < 200 || r.status > 299)
        return e2b_fail("resume the sandbox", &r, err);
    return e2b_parse_sandbox(buf_str(&r.body), out, err);
}

/* -------------------------------------------------------------------------------------- list */

static bool is_word(const char *s)
{
    return *s && s[strspn(s, WORD_CHARACTERS)] == '\0';
}

/* The server decodes more than once, which is safe only for plain words. */
static bool check_metadata(const struct sandbox_meta *metadata, int n, struct err *err)
{
    for (int i = 0; i < n; i++)
        if (!is_word(metadata[i].key) || !is_word(metadata[i].value))
            return err_set(err, ERR_BUG, "sandbox metadata '%s' is no plain word", metadata[i].key);
    return true;
}

static void add_filter(struct buf *path, char separator, const struct sandbox_meta *metadata, int n)
{
    AUTO(buf_done) struct buf pairs = {0};
    for (int i = 0; i < n; i++)
        buf_printf(&pairs, "%s%s=%s", i ? "&" : "", metadata[i].key, metadata[i].value);
    if (n > 0) {
        buf_printf(path, "%cmetadata=", separator);
        enc_percent(path, buf_str(&pairs), false);
    }
}

static bool add_page(const struct http_response *r, struct sandbox_listed **rows, int *n,
                     struct err *err)
{
    AUTO(json_decrefp) json_t *j = NULL;
    if (!json_parse(buf_str(&r->body), &j, err) || !json_is_array(j))
        return err_set(err, ERR_UPSTREAM, "list sandboxes: not a list");
    size_t count = json_array_size(j);
    *rows = mem_grow(*rows, (size_t)*n + count + 1, sizeof(**rows));
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_array_get(j, i);
        struct sandbox_listed row = {0};
        struct str id = json_str(one, "sandboxID");
        if (!e2b_is_clean(id, sizeof(row.id), "/?#:@%&.\\\"") ||
            !str_copy(row.id, sizeof(row.id), id))
            return err_set(err, ERR_UPSTREAM, "list sandboxes: senseless id");
        /* Overlong values are not ours: they stay "". */
        bool ours = str_copy(row.task, sizeof(row.task), json_str(one, "metadata.task"));
        ours = str_copy(row.nonce, sizeof(row.nonce), json_str(one, "metadata.nonce")) && ours;
        if (!ours)
            log_debug("sandbox with foreign metadata", "sandbox", row.id, NULL);
        if (!time_parse(json_str(one, "startedAt"), &row.started_ms))
            row.started_ms = 0;
        bool paused = str_eq(json_str(one, "state"), STR("paused"));
        row.state = paused ? SANDBOX_PAUSED : SANDBOX_RUNNING;
        (*rows)[(*n)++] = row;
    }
    return true;
}

/* One page; *next is "" after the last. */
static bool list_page(struct sandbox_client *c, const struct sandbox_meta *metadata, int metadata_n,
                      struct buf *next, const struct call *call, struct http_response *r,
                      struct err *err)
{
    AUTO(buf_done) struct buf path2 = {0};
    AUTO(buf_done) struct buf path1 = {0};
    buf_puts(&path2, "/v2/sandboxes?limit=100&state=running%2Cpaused");
    add_filter(&path2, '&', metadata, metadata_n);
    if (next->len > 0) {
        buf_puts(&path2, "&nextToken=");
        enc_percent(&path2, buf_str(next), false);
    }
    buf_puts(&path1, "/sandboxes");
    add_filter(&path1, '?', metadata, metadata_n);
    struct e2b_call v2 = {"list", "GET", buf_cstr(&path2), .attempts = REPEATS};
    struct e2b_call v1 = {"list", "GET", buf_cstr(&path1), .attempts = REPEATS};
    if (!e2b_versioned(c, E2B_LIST, &v2, &v1, call, r, err))
        return false;
    if (r->status != 200)
        return e2b_fail("list sandboxes", r, err);
    buf_clear(next);
    buf_add_str(next, http_header(r, "X-Next-Token"));
    return true;
}

bool sandbox_list(struct sandbox_client *c, const struct sandbox_meta *metadata, int metadata_n,
                  const struct call *call, struct sandbox_listed **out, int *n, struct err *err)
{
    if (!check_metadata(metadata, metadata_n, err))
        return false;
    AUTO(buf_done) struct buf next = {0};
    AUTO(mem_freep) struct sandbox_listed *rows = NULL;
    int count = 0;
    for (int page = 0; page == 0 || next.len > 0; page++) {
        AUTO(http_response_done) struct http_response r = {0};
        /* An incomplete list would make the janitor believe that something is gone. */
        if (page == LIST_PAGES_MAX)
            return err_set(err, ERR_UPSTREAM, "list sandboxes: more than %d pages", LIST_PAGES_MAX);
        if (!list_page(c, metadata, metadata_n, &next, call, &r, err) ||
            !add_page(&r, &rows, &count, err))
            return false;
    }
    *out = rows;
    *n = count;
    rows = NULL;
    return true;
}

/* ------------------------------------------------------------------------------------ create */

static void create_body(struct buf *out, const struct sandbox_spec *spec, bool v1)
{
    buf_puts(out, "{\"templateID\":\"");
    enc_json(out, str_of(spec->template_id));
    buf_printf(out, "\",\"timeout\":%d,\"metadata\":{", spec->timeout_s);
    const char *comma = "";
    for (int i = 0; i < spec->metadata_n; i++, comma = ",")
        buf_printf(out, "%s\"%s\":\"%s\"", comma, spec->metadata[i].key, spec->metadata[i].value);
    if (spec->nonce)
        buf_printf(out, "%s\"nonce\":\"%s\"", comma, spec->nonce);
    /* Nobody outside needs a port of ours; v1 gives no access token unless asked to be secure. */
    buf_puts(out, "},\"autoPause\":false,\"network\":{\"allowPublicTraffic\":false}");
    if (spec->no_internet)
        buf_puts(out, ",\"allow_internet_access\":false");
    buf_puts(out, v1 ? ",\"secure\":true}" : "}");
}

/* One create. *ambiguous: it failed, but a sandbox may exist. */
static bool create_once(struct sandbox_client *c, const struct sandbox_spec *spec,
                        const struct call *call, struct sandbox *out, bool *ambiguous,
                        struct err *err)
{
    AUTO(buf_done) struct buf body2 = {0};
    AUTO(buf_done) struct buf body1 = {0};
    AUTO(http_response_done) struct http_response r = {0};
    create_body(&body2, spec, false);
    create_body(&body1, spec, true);
    struct e2b_call v2 = {"create", "POST", "/v2/sandboxes", buf_str(&body2), CREATE_MS, 1};
    struct e2b_call v1 = {"create", "POST", "/sandboxes", buf_str(&body1), CREATE_MS, 1};
    *ambiguous = false;
    if (!e2b_versioned(c, E2B_CREATE, &v2, &v1, call, &r, err)) {
        *ambiguous = e2b_judge_transfer(err->kind).ambiguous;
        return false;
    }
    if (r.status >= 200 && r.status <= 299) {
        *ambiguous = true; /* made, but the answer may be cut */
        return e2b_parse_sandbox(buf_str(&r.body), out, err);
    }
    *ambiguous = e2b_judge(r.status, (struct str){0}).ambiguous;
    e2b_fail("create sandbox", &r, err);
    if (err->kind == ERR_GONE)
        err->kind = ERR_INPUT; /* what does not exist is the template that the settings name */
    return false;
}

/* Of the sandboxes with this nonce: the running one that is oldest, so that two of us who look at
 * the same time choose the same. */
static int choose(const struct sandbox_listed *rows, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++) {
        const struct sandbox_listed *a = &rows[i], *b = &rows[best];
        int order = strcmp(a->id, b->id);
        if (a->started_ms != b->started_ms)
            order = a->started_ms < b->started_ms ? -1 : 1;
        if (a->state != b->state)
            order = a->state == SANDBOX_RUNNING ? -1 : 1;
        if (order < 0)
            best = i;
    }
    return best;
}

/* Kills all with this nonce but `keep`. What cannot be killed now is left to the janitor. */
static void kill_others(struct sandbox_client *c, const struct sandbox_listed *rows, int n,
                        const char *keep, const struct call *call)
{
    for (int i = 0; i < n; i++) {
        struct err e = {0};
        if (strcmp(rows[i].id, keep) != 0 && !sandbox_kill(c, rows[i].id, call, &e))
            log_debug("extra sandbox not killed", "sandbox", rows[i].id, "error", e.text, NULL);
    }
}

/* Looks up to `looks` times, a little later each time. True: *found tells whether *out is set. */
static bool adopt(struct sandbox_client *c, const struct sandbox_spec *spec, int looks,
                  const struct call *call, struct sandbox *out, bool *found, struct err *err)
{
    const struct sandbox_meta by_nonce = {"nonce", spec->nonce};
    *found = false;
    for (int look = 1;; look++) {
        AUTO(mem_freep) struct sandbox_listed *rows = NULL;
        int n = 0;
        if (!sandbox_list(c, &by_nonce, 1, call, &rows, &n, err))
            return false;
        if (n > 0) {
            const char *keep = rows[choose(rows, n)].id;
            *found = sandbox_get(c, keep, call, out, err);
            if (*found)
                kill_others(c, rows, n, keep, call);
            /* Gone between the two calls is the same as never there. */
            return *found || err->kind == ERR_GONE;
        }
        if (look >= looks)
            return true;
        if (!call_wait(call, 1000 * look, err))
            return false;
    }
}

/* After a create whose outcome is not known. err holds the create's error and keeps it when the
 * sandbox cannot be found. */
static bool reconcile(struct sandbox_client *c, const struct sandbox_spec *spec,
                      const struct call *call, struct sandbox *out, struct err *err)
{
    struct err e = {0};
    bool found = false;
    /* A refused connection made nothing most likely, so a look or two cost little. */
    if (adopt(c, spec, LOOKS_AMBIGUOUS, call, out, &found, &e) && found)
        return true;
    if (e.kind == ERR_CANCELLED)
        *err = e;
    return false;
}

static bool create(struct sandbox_client *c, const struct sandbox_spec *spec, bool maybe_exists,
                   const struct call *call, struct sandbox *out, struct err *err)
{
    bool found = false, ambiguous = false;
    if (maybe_exists && (!adopt(c, spec, 1, call, out, &found, err) || found))
        return found;
    if (!create_once(c, spec, call, out, &ambiguous, err))
        return ambiguous && spec->nonce && reconcile(c, spec, call, out, err);
    if (!maybe_exists)
        return true;
    /* The earlier attempt may have come through late: then there are two now. */
    AUTO(mem_freep) struct sandbox_listed *rows = NULL;
    const struct sandbox_meta by_nonce = {"nonce", spec->nonce};
    int n = 0;
    struct err ignored = {0};
    if (sandbox_list(c, &by_nonce, 1, call, &rows, &n, &ignored))
        kill_others(c, rows, n, out->id, call);
    return true;
}

/* A create answer tells neither the billed size nor the end of life. Doing without is better than
 * losing the sandbox. */
static void add_size(struct sandbox_client *c, const struct call *call, struct sandbox *s)
{
    AUTO(sandbox_done) struct sandbox told = {0};
    struct err ignored = {0};
    if (!sandbox_get(c, s->id, call, &told, &ignored))
        return;
    s->cpu_count = told.cpu_count;
    s->memory_mb = told.memory_mb;
    s->end_ms = told.end_ms;
}

bool sandbox_create(struct sandbox_client *c, const struct sandbox_spec *spec, bool maybe_exists,
                    const struct call *call, struct sandbox *out, struct err *err)
{
    struct err local = {0};
    if (!err)
        err = &local;
    const struct sandbox_meta nonce = {"nonce", spec->nonce};
    if (!check_metadata(spec->metadata, spec->metadata_n, err) ||
        !check_metadata(&nonce, spec->nonce ? 1 : 0, err))
        return false;
    int64_t begin = clock_mono_ms();
    struct sandbox s = {0};
    if (!create(c, spec, maybe_exists && spec->nonce, call, &s, err))
        return false;
    if (s.cpu_count == 0)
        add_size(c, call, &s);
    metric_observe(M_SANDBOX_CREATE, NULL, (double)(clock_mono_ms() - begin) / 1000);
    *out = s;
    return true;
}

/* ------------------------------------------------------------------------------------- check */

static bool names_template(const json_t *row, struct str wanted)
{
    static const char *const lists[] = {"names", "aliases"};
    if (str_eq(json_str(row, "templateID"), wanted))
        return true;
    for (size_t l = 0; l < COUNT(lists); l++) {
        const json_t *names = json_at(row, lists[l]);
        for (size_t i = 0; i < json_array_size(names); i++) {
            const json_t *name = json_array_get(names, i);
            if (json_is_string(name) && str_eq(str_of(json_string_value(name)), wanted))
                return true;
        }
    }
    return false;
}

/* By id, which the look-up by name does not know. */
static bool find_template(struct sandbox_client *c, struct str wanted, const struct call *call,
                          bool *found, struct err *err)
{
    AUTO(buf_done) struct buf next = {0};
    *found = false;
    for (int page = 0; !*found && page < LIST_PAGES_MAX && (page == 0 || next.len > 0); page++) {
        AUTO(http_response_done) struct http_response r = {0};
        AUTO(json_decrefp) json_t *j = NULL;
        AUTO(buf_done) struct buf path = {0};
        buf_puts(&path, "/v2/templates?limit=100");
        if (next.len > 0) {
            buf_puts(&path, "&nextToken=");
            enc_percent(&path, buf_str(&next), false);
        }
        struct e2b_call v2 = {"templates", "GET", buf_cstr(&path), .attempts = REPEATS};
        struct e2b_call v1 = {"templates", "GET", "/templates", .attempts = REPEATS};
        if (!e2b_versioned(c, E2B_TEMPLATES, &v2, &v1, call, &r, err))
            return false;
        if (r.status == 404)
            return true; /* a server that keeps no list */
        if (r.status != 200)
            return e2b_fail("list templates", &r, err);
        if (!json_parse(buf_str(&r.body), &j, err))
            return err_wrap(err, "list templates");
        for (size_t i = 0; i < json_array_size(j) && !*found; i++)
            *found = names_template(json_array_get(j, i), wanted);
        buf_clear(&next);
        buf_add_str(&next, http_header(&r, "X-Next-Token"));
    }
    return true;
}

bool sandbox_check(struct sandbox_client *c, const char *template_id, const struct call *call,
                   struct err *err)
{
    struct str name = str_of(template_id);
    name.n = str_find(name, STR(":"), 0); /* without the tag */
    AUTO(buf_done) struct buf path = {0};
    AUTO(http_response_done) struct http_response r = {0};
    buf_puts(&path, "/templates/aliases/");
    enc_percent(&path, name, false);
    struct e2b_call q = {"template", "GET", buf_cstr(&path), .attempts = REPEATS};
    if (!e2b_do(c, &q, call, &r, err))
        return false;
    if (r.status == 200)
        return true;
    if (r.status != 404)
        return e2b_fail("look up the template", &r, err);
    bool found = false;
    if (!find_template(c, name, call, &found, err))
        return false;
    if (!found)
        return err_set(err, ERR_INPUT, "no template '%s'", template_id);
    return true;
}
