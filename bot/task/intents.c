/* The stored form of intents. One table names each field once, so that writing and reading cannot
 * drift apart; absent fields stay absent. */
#include "bot/task/intents.h"

#include "bot/base/json.h"

#include <assert.h>
#include <stddef.h>

static const char *const kind_names[INTENT_KINDS] = {
    [INTENT_START] = "start",
    [INTENT_STOP] = "stop",
    [INTENT_STATUS] = "status",
    [INTENT_HELP] = "help",
    [INTENT_STEER] = "steer",
    [INTENT_PULL_CLOSED] = "pull_closed",
    [INTENT_INSTALLATION] = "installation",
};

enum field_type { TEXT, INT, INT64, BOOL };

static const struct field {
    const char *name;
    enum field_type type;
    size_t offset;
} fields[] = {
#define FIELD(type, name)                                                                          \
    {                                                                                              \
#name, type, offsetof(struct intent, name)                                                 \
    }
    FIELD(BOOL, requires_write),   FIELD(TEXT, source),         FIELD(TEXT, task_id),
    FIELD(INT64, installation_id), FIELD(INT64, repository_id), FIELD(TEXT, repository),
    FIELD(TEXT, sender),           FIELD(INT64, sender_id),     FIELD(INT, issue),
    FIELD(BOOL, on_pull_request),  FIELD(INT64, comment),       FIELD(TEXT, title),
    FIELD(TEXT, description),      FIELD(TEXT, agent),          FIELD(TEXT, text),
    FIELD(TEXT, reason),           FIELD(INT, pull_request),    FIELD(BOOL, merged),
    FIELD(TEXT, branch),           FIELD(TEXT, head_sha),       FIELD(TEXT, merged_by),
    FIELD(TEXT, account),          FIELD(INT64, account_id),    FIELD(TEXT, account_type),
    FIELD(TEXT, action),           FIELD(TEXT, permissions),    FIELD(TEXT, events),
#undef FIELD
};

const char *intent_kind_name(enum intent_kind kind)
{
    return kind_names[kind];
}

struct intent *intents_add(struct intents *in, enum intent_kind kind)
{
    assert(in->n < INTENTS_MAX);
    struct intent *i = &in->rows[in->n++];
    *i = (struct intent){.kind = kind};
    return i;
}

static json_t *field_json(const struct field *f, const void *at)
{
    switch (f->type) {
    case TEXT: {
        const char *text = *(const char *const *)at;
        return text ? json_text(str_of(text)) : NULL;
    }
    case INT:
        return *(const int *)at ? json_integer(*(const int *)at) : NULL;
    case INT64:
        return *(const int64_t *)at ? json_integer(*(const int64_t *)at) : NULL;
    case BOOL:
        return *(const bool *)at ? json_true() : NULL;
    }
    return NULL;
}

void intent_write(const struct intent *i, struct buf *out)
{
    AUTO(json_decrefp) json_t *root = json_object();
    json_object_set_new(root, "kind", json_string(kind_names[i->kind]));
    for (size_t n = 0; n < COUNT(fields); n++) {
        json_t *value = field_json(&fields[n], (const char *)i + fields[n].offset);
        if (value)
            json_object_set_new(root, fields[n].name, value);
    }
    json_write(out, root);
}

static void field_read(const struct field *f, const json_t *root, struct arena *arena, void *at)
{
    switch (f->type) {
    case TEXT:
        if (json_cstr(root, f->name))
            *(const char **)at = arena_str(arena, json_str(root, f->name));
        break;
    case INT: {
        int64_t value = json_int(root, f->name, 0);
        *(int *)at = value > 0 && value <= INT32_MAX ? (int)value : 0;
        break;
    }
    case INT64:
        *(int64_t *)at = json_int(root, f->name, 0);
        break;
    case BOOL:
        *(bool *)at = json_bool(root, f->name, false);
        break;
    }
}

bool intent_read(const char *json, struct arena *arena, struct intent *out, struct err *err)
{
    AUTO(json_decrefp) json_t *root = NULL;
    if (!json_parse(str_of(json), &root, err))
        return err_wrap(err, "intent");
    struct str name = json_str(root, "kind");
    for (int kind = 0; kind < INTENT_KINDS; kind++) {
        if (!str_eq(name, str_of(kind_names[kind])))
            continue;
        *out = (struct intent){.kind = (enum intent_kind)kind};
        for (size_t n = 0; n < COUNT(fields); n++)
            field_read(&fields[n], root, arena, (char *)out + fields[n].offset);
        return true;
    }
    return err_set(err, ERR_BUG, "intent of unknown kind \"" STR_FMT "\"", STR_ARG(name));
}
