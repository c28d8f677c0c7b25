/* Settings. Every value comes from the environment, or else from the dotenv file, or else from the
 * default; secrets may come from a file named by NAME_FILE. Everything is checked at start, so that
 * the rest of the program never meets a wrong setting. Secrets are replaced, never changed in
 * place, and replaced ones are kept until the end, so that a reader in another thread never holds a
 * dead pointer during a rotation. */
#include "bot/base/settings.h"

#include "bot/base/dotenv.h"
#include "bot/base/enc.h"
#include "bot/base/io.h"
#include "bot/base/mem.h"
#include "bot/base/redact.h"
#include "bot/base/settings_check.h"

#include <stdatomic.h>

#define SECRET_FILE_MAX_BYTES ((size_t)128 * 1024)

extern char **environ;

struct held_secret {
    struct secret secret;
    struct secret password; /* of a URL, which also shows up alone */
    struct held_secret *older;
};

struct settings {
    struct dotenv file;
    struct setting_value values[SETTINGS];
    bool set[SETTINGS];
    bool wiped[SETTINGS];
    _Atomic(struct held_secret *) secrets[SETTINGS];
    struct secret *extra; /* values of SQUADBOT_AGENT_ENV, only for the redactor */
    size_t extra_count;
};

static const char *not_empty(const char *text)
{
    return text && text[0] ? text : NULL;
}

const char *settings_variable(const struct settings *s, const char *name)
{
    const char *value = not_empty(getenv(name));
    return value ? value : not_empty(dotenv_get(&s->file, name));
}

/* Reads NAME_FILE's file without the newline at its end. */
static bool read_secret_file(const char *name, const char *path, struct buf *out, struct err *err)
{
    if (!file_read(path, SECRET_FILE_MAX_BYTES, out, err))
        return err_wrap(err, "%s_FILE", name);
    if (out->len > 0 && out->data[out->len - 1] == '\n')
        out->data[--out->len] = '\0';
    if (out->len > 0 && out->data[out->len - 1] == '\r')
        out->data[--out->len] = '\0';
    if (memchr(buf_cstr(out), '\0', out->len))
        return err_set(err, ERR_INPUT, "%s_FILE: the file is not text", name);
    return true;
}

/* The raw text of a setting, appended to out; *found = false when nobody set it. */
static bool look_up(const struct settings *s, enum setting id, struct buf *out, bool *found,
                    struct err *err)
{
    const struct setting_row *row = &setting_rows[id];
    bool secret = row->type == SECRET;
    AUTO(mem_freep) char *file_name = mem_printf("%s_FILE", row->name);
    *found = false;
    for (int source = 0; source < 2; source++) {
        const char *value =
            not_empty(source == 0 ? getenv(row->name) : dotenv_get(&s->file, row->name));
        const char *path = NULL;
        if (secret)
            path = not_empty(source == 0 ? getenv(file_name) : dotenv_get(&s->file, file_name));
        if (value && path)
            return err_set(err, ERR_INPUT, "%s and %s are both set; accepted: one of them",
                           row->name, file_name);
        *found = value || path;
        if (value)
            buf_puts(out, value);
        if (path && !read_secret_file(row->name, path, out, err))
            return false;
        if (*found)
            break;
    }
    return true;
}

static void wipe_buf(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    buf_done(b);
}

static void free_secret_text(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

/* The password in scheme://user:password@host, decoded. */
static void find_password(struct held_secret *held)
{
    struct str url = secret_str(&held->secret);
    size_t scheme = str_find(url, STR("://"), 0);
    if (scheme == url.n)
        return;
    struct str rest = str_sub(url, scheme + 3, url.n);
    size_t end = 0;
    while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?')
        end++;
    rest = str_sub(rest, 0, end);
    size_t at = str_find(rest, STR("@"), 0);
    size_t colon = str_find(rest, STR(":"), 0);
    if (at == rest.n || colon >= at)
        return;
    AUTO(wipe_buf) struct buf plain = {0};
    if (enc_unpercent(str_sub(rest, colon + 1, at), &plain))
        secret_set(&held->password, buf_str(&plain));
}

static void swap_secret(struct settings *s, enum setting id, struct str value)
{
    struct held_secret *held = mem_alloc(sizeof(*held));
    secret_set(&held->secret, value);
    find_password(held);
    held->older = atomic_load(&s->secrets[id]);
    atomic_store(&s->secrets[id], held);
}

static bool load_one(struct settings *s, enum setting id, struct err *err)
{
    AUTO(wipe_buf) struct buf raw = {0};
    bool found;
    if (!look_up(s, id, &raw, &found, err))
        return false;
    struct str text = found ? buf_str(&raw) : setting_default(id);
    struct setting_value v;
    if (!setting_check(id, text, &v, err))
        return false;
    s->set[id] = found && text.n > 0;
    if (setting_rows[id].type == SECRET) {
        if (v.text[0])
            swap_secret(s, id, str_of(v.text));
        free_secret_text(v.text);
        v.text = NULL;
    }
    s->values[id] = v;
    return true;
}

/* Names of ours that are no settings: what the agent gets, and what tests use. */
static bool is_other_name(struct str name)
{
    static const char *const names[] = {"SQUADBOT_TASK_ID", "SQUADBOT_REPOSITORY",
                                        "SQUADBOT_BRANCH", "SQUADBOT_PROMPT_FILE"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (str_eq(name, str_of(names[i])))
            return true;
    return str_starts(name, STR("SQUADBOT_TEST_"));
}

static bool is_known(struct str name)
{
    struct str base = str_ends(name, STR("_FILE")) ? str_sub(name, 0, name.n - 5) : name;
    for (size_t i = 0; i < SETTINGS; i++) {
        struct str row = str_of(setting_rows[i].name);
        if (str_eq(row, name) || (setting_rows[i].type == SECRET && str_eq(row, base)))
            return true;
    }
    return is_other_name(name);
}

static bool check_name(struct str name, const char *value, struct err *err)
{
    if (!str_starts(name, STR("SQUADBOT_")) || !value[0] || is_known(name))
        return true;
    AUTO(mem_freep) char *text = str_dup(name);
    const char *nearest = setting_nearest(text);
    return err_set(err, ERR_INPUT, "%s is not a setting%s%s%s", text,
                   nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}

static bool check_names(const struct settings *s, struct err *err)
{
    for (char **e = environ; e && *e; e++) {
        struct str pair = str_of(*e);
        size_t equals = str_find(pair, STR("="), 0);
        if (equals < pair.n && !check_name(str_sub(pair, 0, equals), *e + equals + 1, err))
            return false;
    }
    for (size_t i = 0; i < s->file.count; i++)
        if (!check_name(str_of(s->file.pairs[i].name), s->file.pairs[i].value, err))
            return err_wrap(err, "dotenv file");
    return true;
}

static void replace(struct settings *s, enum setting id, char *text)
{
    free(s->values[id].text);
    s->values[id].text = text;
}

/* Defaults that depend on the surroundings or on other settings. */
static bool compute_defaults(struct settings *s, struct err *err)
{
    const char *state = not_empty(getenv("STATE_DIRECTORY"));
    const char *xdg = not_empty(getenv("XDG_STATE_HOME"));
    const char *home = not_empty(getenv("HOME"));
    if (!s->set[S_DATA_DIR]) {
        if (state)
            replace(s, S_DATA_DIR, str_dup((struct str){state, strcspn(state, ":")}));
        else if (xdg)
            replace(s, S_DATA_DIR, mem_printf("%s/squadbot", xdg));
        else if (home)
            replace(s, S_DATA_DIR, mem_printf("%s/.local/state/squadbot", home));
        else
            return err_set(err, ERR_INPUT,
                           "SQUADBOT_DATA_DIR is not set, and neither is HOME; "
                           "accepted: a folder");
    }
    const char *domain = settings_text(s, S_E2B_DOMAIN);
    if (!s->set[S_E2B_API_URL])
        replace(s, S_E2B_API_URL, mem_printf("https://api.%s", domain));
    if (!s->set[S_E2B_SANDBOX_URL])
        replace(s, S_E2B_SANDBOX_URL, mem_printf("https://sandbox.%s", domain));
    return true;
}

/* The keys that the agent gets must not appear in its log. */
static void mask_agent_keys(struct settings *s)
{
    struct str names = str_of(settings_text(s, S_AGENT_ENV));
    for (struct str name; str_split(&names, ',', &name);) {
        AUTO(mem_freep) char *text = str_dup(str_trim(name));
        const char *value = text[0] ? settings_variable(s, text) : NULL;
        if (!value)
            continue;
        s->extra = mem_grow(s->extra, s->extra_count + 1, sizeof(*s->extra));
        s->extra[s->extra_count] = (struct secret){NULL, 0};
        secret_set(&s->extra[s->extra_count++], str_of(value));
    }
}

bool settings_load(const char *env_file, struct settings **out, struct err *err)
{
    struct settings *s = mem_alloc(sizeof(*s));
    bool ok = !env_file || dotenv_read(env_file, &s->file, err) || err_wrap(err, "--env-file");
    ok = ok && check_names(s, err);
    for (size_t id = 0; ok && id < SETTINGS; id++)
        ok = load_one(s, (enum setting)id, err);
    ok = ok && compute_defaults(s, err);
    if (!ok) {
        settings_free(s);
        return false;
    }
    mask_agent_keys(s);
    *out = s;
    return true;
}

static void free_held(struct held_secret *held)
{
    while (held) {
        struct held_secret *older = held->older;
        secret_done(&held->secret);
        secret_done(&held->password);
        free(held);
        held = older;
    }
}

void settings_free(struct settings *s)
{
    if (!s)
        return;
    for (size_t id = 0; id < SETTINGS; id++) {
        free(s->values[id].text);
        free_held(atomic_load(&s->secrets[id]));
    }
    for (size_t i = 0; i < s->extra_count; i++)
        secret_done(&s->extra[i]);
    free(s->extra);
    dotenv_done(&s->file);
    free(s);
}

const char *settings_text(const struct settings *s, enum setting id)
{
    return s->values[id].text ? s->values[id].text : "";
}

int64_t settings_int(const struct settings *s, enum setting id)
{
    return s->values[id].i;
}

double settings_num(const struct settings *s, enum setting id)
{
    return s->values[id].num;
}

const struct secret *settings_secret(const struct settings *s, enum setting id)
{
    static const struct secret unset = {NULL, 0};
    const struct held_secret *held = atomic_load(&s->secrets[id]);
    return held ? &held->secret : &unset;
}

bool settings_is_set(const struct settings *s, enum setting id)
{
    return s->set[id];
}

/* All or nothing: the new values are collected before the first is swapped in. */
bool settings_reload_secrets(const char *env_file, struct settings *s, struct err *err)
{
    struct settings *fresh = mem_alloc(sizeof(*fresh));
    bool ok = !env_file || dotenv_read(env_file, &fresh->file, err) || err_wrap(err, "--env-file");
    for (size_t id = 0; ok && id < SETTINGS; id++)
        if (setting_rows[id].type == SECRET && !s->wiped[id])
            ok = load_one(fresh, (enum setting)id, err);
    for (size_t id = 0; ok && id < SETTINGS; id++) {
        const struct secret *now = settings_secret(fresh, (enum setting)id);
        const struct secret *before = settings_secret(s, (enum setting)id);
        if (!secret_is_set(now) || str_eq(secret_str(now), secret_str(before)))
            continue;
        swap_secret(s, (enum setting)id, secret_str(now));
        s->set[id] = true;
    }
    settings_free(fresh);
    return ok;
}

/* Zeroes the value of every NAME=… in the environment block itself, then forgets the variable. */
static void wipe_environment(const char *name)
{
    size_t n = strlen(name);
    for (char **e = environ; e && *e; e++)
        if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
            explicit_bzero(*e + n + 1, strlen(*e + n + 1));
    unsetenv(name);
}

void settings_wipe_secret(struct settings *s, enum setting id)
{
    free_held(atomic_exchange(&s->secrets[id], NULL));
    s->wiped[id] = true;
    wipe_environment(setting_rows[id].name);
    dotenv_wipe(&s->file, setting_rows[id].name);
}

/* A value as the dotenv reader takes it. */
static void print_value(struct buf *out, const char *value)
{
    if (!value[strcspn(value, " \t\r\n\"'\\#$")]) {
        buf_puts(out, value);
        return;
    }
    buf_putc(out, '"');
    for (; *value; value++) {
        if (*value == '\n')
            buf_puts(out, "\\n");
        else if (strchr("\"\\$", *value))
            buf_printf(out, "\\%c", *value);
        else
            buf_putc(out, *value);
    }
    buf_putc(out, '"');
}

void settings_print(const struct settings *s, struct buf *out)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        enum setting id = (enum setting)i;
        buf_printf(out, "%s=", setting_rows[i].name);
        if (setting_rows[i].type == SECRET)
            buf_puts(out, s->set[i] ? "***" : "");
        else
            print_value(out, settings_text(s, id));
        buf_putc(out, '\n');
    }
}

void settings_print_sample(struct buf *out)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        enum setting id = (enum setting)i;
        const struct setting_row *row = &setting_rows[i];
        buf_printf(out, "%s# %s: ", i ? "\n" : "", row->help);
        setting_accepted(id, out);
        if (row->type == SECRET)
            buf_printf(out, ". Secret; or %s_FILE=PATH", row->name);
        struct str fallback = setting_default(id);
        buf_printf(out, ".\n#%s=" STR_FMT "\n", row->name, STR_ARG(fallback));
    }
}
