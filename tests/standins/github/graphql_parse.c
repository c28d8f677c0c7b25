/* The query language, as far as clients use it: operations with variables and defaults, fields with
 * aliases and arguments, fragments, inline fragments, @include and @skip. The result is JSON. */
#include "tests/standins/github/graphql.h"

#include "bot/base/json.h"
#include "bot/base/mem.h"

#include <ctype.h>

#define DEPTH_MAX 40

struct parser {
    const char *p;
    const char *end;
    const json_t *given;
    json_t *variables; /* with defaults */
    json_t *fragments; /* name -> {on, sel} */
    json_t *operations;
    int depth;
    bool bad;
};

static void blank(struct parser *s)
{
    while (s->p < s->end) {
        if (*s->p == '#') {
            while (s->p < s->end && *s->p != '\n')
                s->p++;
        } else if (isspace((unsigned char)*s->p) || *s->p == ',') {
            s->p++;
        } else {
            return;
        }
    }
}

static char peek(struct parser *s)
{
    blank(s);
    return s->p < s->end ? *s->p : '\0';
}

static bool eat(struct parser *s, const char *word)
{
    size_t n = strlen(word);
    blank(s);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
        return false;
    s->p += n;
    return true;
}

static void need(struct parser *s, const char *word)
{
    if (!eat(s, word))
        s->bad = true;
}

static char *name_read(struct parser *s)
{
    blank(s);
    const char *start = s->p;
    while (s->p < s->end && (isalnum((unsigned char)*s->p) || *s->p == '_'))
        s->p++;
    if (s->p == start)
        s->bad = true;
    return str_dup((struct str){start, (size_t)(s->p - start)});
}

static json_t *string_read(struct parser *s)
{
    if (eat(s, "\"\"\"")) {
        const char *start = s->p;
        while (s->p + 3 <= s->end && memcmp(s->p, "\"\"\"", 3) != 0)
            s->p++;
        json_t *text = json_stringn(start, (size_t)(s->p - start));
        need(s, "\"\"\"");
        return text;
    }
    const char *start = s->p++;
    while (s->p < s->end && *s->p != '"')
        s->p += *s->p == '\\' ? 2 : 1;
    if (s->p >= s->end) {
        s->bad = true;
        return json_null();
    }
    s->p++;
    json_t *out = json_loadb(start, (size_t)(s->p - start), JSON_DECODE_ANY, NULL);
    return out ? out : json_null();
}

static json_t *value_read(struct parser *s);

static json_t *number_read(struct parser *s)
{
    const char *start = s->p++;
    while (s->p < s->end && (isdigit((unsigned char)*s->p) || strchr(".eE+-", *s->p)))
        s->p++;
    json_t *n = json_loadb(start, (size_t)(s->p - start), JSON_DECODE_ANY, NULL);
    s->bad = s->bad || !n;
    return n ? n : json_null();
}

static json_t *group_read(struct parser *s, char open)
{
    json_t *out = open == '[' ? json_array() : json_object();
    const char close = open == '[' ? ']' : '}';
    s->p++;
    while (!s->bad && peek(s) != close) {
        if (peek(s) == '\0') {
            s->bad = true;
        } else if (open == '[') {
            json_array_append_new(out, value_read(s));
        } else {
            AUTO(mem_freep) char *key = name_read(s);
            need(s, ":");
            json_object_set_new(out, key, value_read(s));
        }
    }
    s->p += !s->bad;
    return out;
}

static json_t *value_read(struct parser *s)
{
    char c = peek(s);
    if (++s->depth > DEPTH_MAX)
        s->bad = true;
    json_t *out;
    if (s->bad) {
        out = json_null();
    } else if (c == '$') {
        s->p++;
        AUTO(mem_freep) char *name = name_read(s);
        json_t *v = json_object_get(s->variables, name);
        out = v ? json_incref(v) : json_null();
    } else if (c == '"') {
        out = string_read(s);
    } else if (c == '[' || c == '{') {
        out = group_read(s, c);
    } else if (c == '-' || isdigit((unsigned char)c)) {
        out = number_read(s);
    } else {
        AUTO(mem_freep) char *word = name_read(s);
        out = strcmp(word, "true") == 0    ? json_true()
              : strcmp(word, "false") == 0 ? json_false()
              : strcmp(word, "null") == 0  ? json_null()
                                           : json_string(word);
    }
    s->depth--;
    return out;
}

static json_t *arguments_read(struct parser *s)
{
    json_t *args = json_object();
    if (!eat(s, "("))
        return args;
    while (!s->bad && !eat(s, ")")) {
        AUTO(mem_freep) char *name = name_read(s);
        need(s, ":");
        json_object_set_new(args, name, value_read(s));
    }
    return args;
}

/* @include(if: …) and @skip(if: …); others are read over. */
static bool directives_read(struct parser *s)
{
    bool kept = true;
    while (!s->bad && eat(s, "@")) {
        AUTO(mem_freep) char *name = name_read(s);
        AUTO(json_decrefp) json_t *args = arguments_read(s);
        bool yes = json_is_true(json_object_get(args, "if"));
        if (strcmp(name, "include") == 0)
            kept = kept && yes;
        else if (strcmp(name, "skip") == 0)
            kept = kept && !yes;
    }
    return kept;
}

static json_t *selections_read(struct parser *s);

static void spread_read(struct parser *s, json_t *out)
{
    json_t *row = json_object();
    if (peek(s) == '{' || peek(s) == '@') {
        bool kept = directives_read(s);
        json_object_set_new(row, "sel", selections_read(s));
        json_object_set_new(row, "kept", json_boolean(kept));
    } else {
        AUTO(mem_freep) char *name = name_read(s);
        if (strcmp(name, "on") == 0) {
            AUTO(mem_freep) char *type = name_read(s);
            bool kept = directives_read(s);
            json_object_set_new(row, "on", json_string(type));
            json_object_set_new(row, "sel", selections_read(s));
            json_object_set_new(row, "kept", json_boolean(kept));
        } else {
            json_object_set_new(row, "kept", json_boolean(directives_read(s)));
            json_object_set_new(row, "fragment", json_string(name));
        }
    }
    if (json_is_true(json_object_get(row, "kept")))
        json_array_append(out, row);
    json_decref(row);
}

static json_t *selections_read(struct parser *s)
{
    json_t *out = json_array();
    need(s, "{");
    if (++s->depth > DEPTH_MAX)
        s->bad = true;
    while (!s->bad && !eat(s, "}")) {
        if (eat(s, "...")) {
            spread_read(s, out);
            continue;
        }
        AUTO(mem_freep) char *first = name_read(s);
        AUTO(mem_freep) char *second = eat(s, ":") ? name_read(s) : NULL;
        json_t *row = json_pack("{s:s, s:s, s:o}", "alias", first, "name", second ? second : first,
                                "args", arguments_read(s));
        bool kept = directives_read(s);
        if (peek(s) == '{')
            json_object_set_new(row, "sel", selections_read(s));
        if (kept)
            json_array_append(out, row);
        json_decref(row);
    }
    s->depth--;
    return out;
}

/* "($id: ID!, $first: Int = 30)" */
static void variables_read(struct parser *s)
{
    if (!eat(s, "("))
        return;
    while (!s->bad && !eat(s, ")")) {
        need(s, "$");
        AUTO(mem_freep) char *name = name_read(s);
        need(s, ":");
        while (eat(s, "["))
            continue;
        free(name_read(s));
        while (eat(s, "]") || eat(s, "!"))
            continue;
        if (eat(s, "=")) {
            json_t *fallback = value_read(s);
            if (!json_object_get(s->variables, name))
                json_object_set(s->variables, name, fallback);
            json_decref(fallback);
        }
        (void)directives_read(s);
    }
}

static void definition_read(struct parser *s)
{
    if (peek(s) == '{') {
        json_array_append_new(s->operations, json_pack("{s:s, s:s, s:o}", "kind", "query", "name",
                                                       "", "sel", selections_read(s)));
        return;
    }
    AUTO(mem_freep) char *kind = name_read(s);
    AUTO(mem_freep) char *name = peek(s) == '{' || peek(s) == '(' ? mem_strdup("") : name_read(s);
    if (strcmp(kind, "fragment") == 0) {
        need(s, "on");
        AUTO(mem_freep) char *type = name_read(s);
        (void)directives_read(s);
        json_object_set_new(s->fragments, name,
                            json_pack("{s:s, s:o}", "on", type, "sel", selections_read(s)));
        return;
    }
    variables_read(s);
    (void)directives_read(s);
    json_array_append_new(s->operations, json_pack("{s:s, s:s, s:o}", "kind", kind, "name", name,
                                                   "sel", selections_read(s)));
}

/* Puts the fragments' own {on, sel} where they are named. */
static void fragments_place(struct parser *s, json_t *sel, int depth)
{
    size_t i;
    json_t *row;
    if (depth > DEPTH_MAX) {
        s->bad = true;
        return;
    }
    json_array_foreach(sel, i, row)
    {
        const char *name = json_cstr(row, "fragment");
        if (name) {
            json_t *fragment = json_object_get(s->fragments, name);
            if (!fragment) {
                s->bad = true;
                return;
            }
            json_t *copy = json_deep_copy(fragment);
            json_array_set_new(sel, i, copy);
            row = copy;
        }
        fragments_place(s, json_object_get(row, "sel"), depth + 1);
    }
}

bool graphql_parse(struct str text, const json_t *variables, const char *operation, json_t **out,
                   struct err *err)
{
    struct parser s = {.p = text.p,
                       .end = text.p + text.n,
                       .variables = json_object(),
                       .fragments = json_object(),
                       .operations = json_array()};
    json_t *found = NULL;
    size_t i;
    json_t *row;
    if (json_is_object(variables))
        json_object_update(s.variables, (json_t *)(uintptr_t)variables); /* only read */
    while (!s.bad && peek(&s) != '\0')
        definition_read(&s);
    json_array_foreach(s.operations, i, row)
    {
        if (!operation || str_eq(json_str(row, "name"), str_of(operation)))
            found = row;
    }
    if (found)
        fragments_place(&s, json_object_get(found, "sel"), 0);
    bool ok = found && !s.bad;
    if (ok)
        *out = json_incref(found);
    json_decref(s.variables);
    json_decref(s.fragments);
    json_decref(s.operations);
    return ok || err_set(err, ERR_INPUT, "Parse error near position %zu", (size_t)(s.p - text.p));
}
