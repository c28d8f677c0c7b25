/* POST /sandboxes and POST /v2/sandboxes: everything a create may be refused for, then the create.
 */
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/e2b/control.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>

#define V1_TIMEOUT_S     15
#define V2_TIMEOUT_S     300
#define RULE_HOSTS_MAX   10
#define RULE_HEADERS_MAX 20
#define RULE_NAME_BYTES  64
#define RULE_VALUE_BYTES 2048
#define RULE_HOST_BYTES  128
#define WORKLOAD_TOKENS  5

static bool refuse(struct http_exchange *x, const char *fmt, ...) PRINTF(2, 3);
static bool refuse(struct http_exchange *x, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    api_error(x, 400, "validation error: %s", text);
    return false;
}

/* ---- network ---- */

static bool is_address(const char *text)
{
    unsigned char raw[16];
    int64_t bits;
    struct str whole = str_of(text);
    size_t slash = str_find(whole, STR("/"), 0);
    AUTO(mem_freep) char *host = str_dup(str_sub(whole, 0, slash));
    bool v4 = inet_pton(AF_INET, host, raw) == 1;
    if (!v4 && inet_pton(AF_INET6, host, raw) != 1)
        return false;
    return slash == whole.n ||
           str_to_i64(str_sub(whole, slash + 1, whole.n), 0, v4 ? 32 : 128, &bits);
}

static bool is_host(const char *text)
{
    struct str s = str_of(text);
    if (str_starts(s, STR("*.")))
        s = str_sub(s, 2, s.n);
    for (size_t i = 0; i < s.n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", s.p[i]))
            return false;
    return s.n > 0 || strcmp(text, "*") == 0;
}

static bool rule_ok(struct http_exchange *x, const char *host, const json_t *list)
{
    const char *name;
    json_t *value;
    if (strlen(host) > RULE_HOST_BYTES || !is_host(host))
        return refuse(x, "rules: host '%.40s' is not valid", host);
    if (json_array_size(list) > 1)
        return refuse(x, "rules: at most one transform per host");
    json_t *headers = json_at(json_array_get(list, 0), "transform.headers");
    if (json_object_size(headers) > RULE_HEADERS_MAX)
        return refuse(x, "rules: at most %d headers", RULE_HEADERS_MAX);
    json_object_foreach(
        headers, name,
        value) if (strlen(name) > RULE_NAME_BYTES || !json_is_string(value) ||
                   json_string_length(value) >
                       RULE_VALUE_BYTES) return refuse(x, "rules: header '%.40s' is not valid",
                                                       name);
    return true;
}

static bool lists_ok(struct http_exchange *x, const json_t *network)
{
    json_t *allow = json_object_get(network, "allowOut");
    json_t *deny = json_object_get(network, "denyOut");
    size_t i;
    json_t *value;
    bool all_denied = false;
    bool has_host = false;
    json_array_foreach(deny, i, value)
    {
        const char *text = json_string_value(value);
        if (!text || !is_address(text))
            return refuse(x, "denyOut takes only IP addresses and CIDR blocks");
        all_denied = all_denied || strcmp(text, "0.0.0.0/0") == 0;
    }
    json_array_foreach(allow, i, value)
    {
        const char *text = json_string_value(value);
        if (!text || (!is_address(text) && !is_host(text)))
            return refuse(x, "allowOut: entry %zu is not valid", i);
        has_host = has_host || !is_address(text);
    }
    if (has_host && !all_denied)
        return refuse(x, "host names in allowOut need 0.0.0.0/0 in denyOut");
    return true;
}

bool network_ok(struct http_exchange *x, const json_t *network)
{
    json_t *rules = json_object_get(network, "rules");
    const char *host;
    json_t *list;
    if (network && !json_is_object(network))
        return refuse(x, "network is not an object");
    if (!lists_ok(x, network))
        return false;
    if (json_object_size(rules) > RULE_HOSTS_MAX)
        return refuse(x, "rules: at most %d hosts", RULE_HOSTS_MAX);
    json_object_foreach(rules, host, list) if (!rule_ok(x, host, list)) return false;
    return true;
}

/* ---- the rest of the body ---- */

static bool texts_ok(struct api *a, const char *field)
{
    json_t *object = json_object_get(a->body, field);
    const char *name;
    json_t *value;
    if (!object || json_is_null(object))
        return true;
    if (!json_is_object(object))
        return refuse(a->x, "%s is not an object", field);
    json_object_foreach(object, name, value) if (!json_is_string(value)) return refuse(
        a->x, "%s.%.40s is not a string", field, name);
    return true;
}

static bool timeout_ok(struct api *a, int64_t fallback, int64_t *out)
{
    json_t *given = json_object_get(a->body, "timeout");
    if (given && !json_is_integer(given))
        return refuse(a->x, "timeout is not an integer");
    *out = given ? json_integer_value(given) : fallback;
    if (*out <= 0) {
        api_error(a->x, 400, "Timeout must be greater than 0");
        return false;
    }
    if (*out > a->w->plan_max_s) {
        api_error(a->x, 400, "Timeout cannot be greater than %lld hours",
                  (long long)(a->w->plan_max_s / 3600));
        return false;
    }
    return true;
}

static bool pause_ok(struct api *a)
{
    bool auto_pause = json_bool(a->body, "autoPause", false);
    bool auto_resume = json_bool(a->body, "autoResume.enabled", false);
    if (json_bool(a->body, "autoPauseMemory", true))
        return true;
    if (!auto_pause)
        return refuse(a->x, "autoPauseMemory needs autoPause");
    if (auto_resume)
        return refuse(a->x, "autoPauseMemory cannot be used with autoResume");
    return true;
}

/* name, id, or name:default. NULL: answered. */
static struct template *find_template(struct api *a)
{
    struct str asked = json_str(a->body, "templateID");
    if (asked.n == 0) {
        refuse(a->x, "templateID is required");
        return NULL;
    }
    size_t colon = str_find(asked, STR(":"), 0);
    struct str name = str_sub(asked, 0, colon);
    struct str tag = str_sub(asked, colon + 1, asked.n);
    for (size_t i = 0; i < a->w->ntemplates; i++) {
        struct template *t = &a->w->templates[i];
        if (!str_eq(name, str_of(t->name)) && !str_eq(name, str_of(t->id)))
            continue;
        if (tag.n == 0 || str_eq(tag, STR("default")))
            return t;
        api_error(a->x, 404, "tag '" STR_FMT "' does not exist for template '" STR_FMT "'",
                  STR_ARG(tag), STR_ARG(name));
        return NULL;
    }
    api_error(a->x, 404, "template '" STR_FMT "' not found", STR_ARG(asked));
    return NULL;
}

/* A copy of an object field, or an empty one. */
static json_t *object_of(const json_t *body, const char *field)
{
    json_t *value = json_object_get(body, field);
    return json_is_object(value) ? json_deep_copy(value) : json_object();
}

static void create(struct api *a, bool v2)
{
    struct box_spec spec = {0};
    json_t *network = json_at(a->body, "network");
    if (!json_is_object(a->body)) {
        refuse(a->x, "request body is not an object");
        return;
    }
    if (!timeout_ok(a, v2 ? V2_TIMEOUT_S : V1_TIMEOUT_S, &spec.timeout_s) ||
        !texts_ok(a, "metadata") || !texts_ok(a, "envVars") || !pause_ok(a) ||
        !network_ok(a->x, network))
        return;
    if (json_object_size(json_at(a->body, "iam.tokens")) > WORKLOAD_TOKENS) {
        refuse(a->x, "at most %d workload tokens", WORKLOAD_TOKENS);
        return;
    }
    spec.tpl = find_template(a);
    if (!spec.tpl)
        return;
    spec.metadata = object_of(a->body, "metadata");
    spec.env_vars = object_of(a->body, "envVars");
    spec.network = network ? json_deep_copy(network) : NULL;
    spec.volume_mounts = json_deep_copy(json_at(a->body, "volumeMounts"));
    spec.secure = v2 || json_bool(a->body, "secure", false);
    spec.internet = json_bool(a->body, "allow_internet_access", true);
    spec.auto_pause = json_bool(a->body, "autoPause", false);
    spec.auto_pause_memory = json_bool(a->body, "autoPauseMemory", true);
    spec.auto_resume = json_bool(a->body, "autoResume.enabled", false);
    spec.public_traffic = json_bool(a->body, "network.allowPublicTraffic", true);
    struct box *b = NULL;
    struct err err = {0};
    enum box_result result = box_create(a->w, &spec, &b, &err);
    if (result != BOX_OK) {
        api_reject(a, result, &err);
        return;
    }
    faults_note(a->w->faults, a->entry, "sandbox", json_string(b->id));
    http_answer_json(a->x, 201, api_created(b));
}

void create_v1(struct api *a)
{
    create(a, false);
}

void create_v2(struct api *a)
{
    create(a, true);
}
