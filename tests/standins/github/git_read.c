/* Turning git's textual output into rows: commits and differences. */
#include "tests/standins/github/git.h"

#include "bot/base/clock.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"

#include <stdlib.h>

/* "Name <mail> 1700000000 +0100" */
static json_t *person_read(struct str s)
{
    size_t open = str_find(s, STR(" <"), 0);
    size_t close = str_find(s, STR("> "), open);
    struct str when = str_sub(s, close + 2, s.n);
    struct str seconds = {NULL, 0};
    int64_t t = 0;
    char date[TIME_TEXT];
    if (!str_split(&when, ' ', &seconds) || !str_to_i64(seconds, 0, INT64_MAX / 1000, &t))
        t = 0;
    time_format(t * 1000, date);
    /* GitHub's dates have no fraction. */
    return json_pack("{s:o,s:o,s:o}", "name", json_text(str_sub(s, 0, open)), "email",
                     json_text(str_sub(s, open + 2, close)), "date", json_sprintf("%.19sZ", date));
}

static json_t *commit_parse(const char *sha, struct str text)
{
    size_t blank = str_find(text, STR("\n\n"), 0);
    struct str head = str_sub(text, 0, blank);
    json_t *c = json_pack("{s:s,s:[],s:n}", "sha", sha, "parents", "signature");
    AUTO(buf_done) struct buf signature = {0};
    bool signing = false;
    struct str line;
    while (str_line(&head, &line)) {
        if (signing && line.n > 0 && line.p[0] == ' ') {
            buf_add_str(&signature, str_sub(line, 1, line.n));
            buf_putc(&signature, '\n');
            continue;
        }
        signing = false;
        struct str value = line;
        struct str key;
        if (!str_split(&value, ' ', &key))
            continue;
        if (str_eq(key, STR("tree"))) {
            json_object_set_new(c, "tree", json_text(value));
        } else if (str_eq(key, STR("parent"))) {
            json_array_append_new(json_object_get(c, "parents"), json_text(value));
        } else if (str_eq(key, STR("author"))) {
            json_object_set_new(c, "author", person_read(value));
        } else if (str_eq(key, STR("committer"))) {
            json_object_set_new(c, "committer", person_read(value));
        } else if (str_eq(key, STR("gpgsig"))) {
            signing = true;
            buf_add_str(&signature, value);
            buf_putc(&signature, '\n');
        }
    }
    if (signature.len > 0)
        json_object_set_new(c, "signature", json_text(buf_str(&signature)));
    struct str message = str_sub(text, blank + 2, text.n);
    while (message.n > 0 && message.p[message.n - 1] == '\n')
        message.n--;
    json_object_set_new(c, "message", json_text(message));
    return c;
}

json_t *git_commit_read(const char *dir, const char *sha)
{
    AUTO(buf_done) struct buf b = {0};
    if (!git_run(dir, &b, "cat-file", "commit", sha, NULL))
        return NULL;
    return commit_parse(sha, buf_str(&b));
}

json_t *git_commit_list(const char *dir, const char *range, const char *path, int64_t skip,
                        int64_t limit)
{
    AUTO(buf_done) struct buf ids = {0};
    AUTO(buf_done) struct buf objects = {0};
    AUTO(mem_freep) char *max = mem_printf("--max-count=%lld", (long long)limit);
    AUTO(mem_freep) char *from = mem_printf("--skip=%lld", (long long)skip);
    json_t *list = json_array();
    if (!git_run(dir, &ids, "rev-list", max, from, range, "--", path, NULL) || ids.len == 0)
        return list;
    static const char *const args[] = {"cat-file", "--batch", NULL};
    if (git_feed(dir, buf_str(&ids), NULL, &objects, args) != 0)
        return list;
    /* "SHA commit SIZE\n", SIZE bytes, "\n" for each. */
    struct str rest = buf_str(&objects);
    struct str line;
    while (rest.n > 0 && str_line(&rest, &line) && line.n > SHA_TEXT) {
        struct str size_text = str_sub(line, str_find(line, STR(" "), SHA_TEXT) + 1, line.n);
        int64_t size = 0;
        char sha[SHA_TEXT];
        if (!str_to_i64(size_text, 0, INT32_MAX, &size) ||
            !str_copy(sha, sizeof(sha), str_sub(line, 0, SHA_TEXT - 1)))
            break;
        json_array_append_new(list, commit_parse(sha, str_sub(rest, 0, (size_t)size)));
        rest = str_sub(rest, (size_t)size + 1, rest.n);
    }
    return list;
}

static const struct {
    char letter;
    const char *word;
} statuses[] = {
    {'A', "added"   },
    {'D', "removed" },
    {'M', "modified"},
    {'R', "renamed" },
    {'C', "copied"  },
    {'T', "changed" },
};

static const char *status_word(char letter)
{
    for (size_t i = 0; i < COUNT(statuses); i++)
        if (statuses[i].letter == letter)
            return statuses[i].word;
    return "modified";
}

/* ":100644 100644 OLD NEW M\0path\0[path\0]" rows, then "ADD\tDEL\tpath\0" rows; a rename has an
 * empty path and then both names. */
static json_t *raw_read(struct str s)
{
    json_t *rows = json_array();
    struct str field;
    size_t i = 0;
    while (s.n > 0 && str_split(&s, '\0', &field) && field.n > 0) {
        struct str a = {NULL, 0};
        if (field.p[0] == ':') {
            char letter = field.p[str_find(field, STR(" "), 15 + 2 * SHA_TEXT - 1) + 1];
            json_t *row = json_object();
            /* ":mode mode OLD NEW": the new id starts after two modes and one id */
            struct str new_sha = str_sub(field, 15 + SHA_TEXT, 15 + 2 * SHA_TEXT - 1);
            struct str old_sha = str_sub(field, 15, 15 + SHA_TEXT - 1);
            (void)str_split(&s, '\0', &a);
            json_object_set_new(row, "sha", json_text(letter == 'D' ? old_sha : new_sha));
            json_object_set_new(row, "status", json_string(status_word(letter)));
            if (letter == 'R' || letter == 'C') {
                json_object_set_new(row, "previous_filename", json_text(a));
                (void)str_split(&s, '\0', &a);
            }
            json_object_set_new(row, "filename", json_text(a));
            json_array_append_new(rows, row);
            continue;
        }
        json_t *row = json_array_get(rows, i++);
        struct str added;
        struct str removed = {NULL, 0};
        int64_t plus = 0;
        int64_t minus = 0;
        if (!row || !str_split(&field, '\t', &added) || !str_split(&field, '\t', &removed))
            break;
        bool binary =
            !str_to_i64(added, 0, INT32_MAX, &plus) || !str_to_i64(removed, 0, INT32_MAX, &minus);
        json_object_set_new(row, "additions", json_integer(plus));
        json_object_set_new(row, "deletions", json_integer(minus));
        json_object_set_new(row, "binary", json_boolean(binary));
        if (field.n == 0) {
            (void)str_split(&s, '\0', &a);
            (void)str_split(&s, '\0', &a);
        }
    }
    return rows;
}

/* The text of each file's difference from its first hunk on, put into the rows in order. */
static void patches_read(struct str s, json_t *rows)
{
    size_t i = 0;
    size_t at = 0;
    while (at < s.n && i < json_array_size(rows)) {
        size_t next = str_find(s, STR("\ndiff --git "), at);
        struct str file = str_sub(s, at, next);
        size_t hunk = str_find(file, STR("\n@@ "), 0);
        json_t *row = json_array_get(rows, i++);
        if (hunk < file.n && !json_is_true(json_object_get(row, "binary")))
            json_object_set_new(row, "patch", json_text(str_sub(file, hunk + 1, file.n)));
        at = next < s.n ? next + 1 : s.n;
    }
}

json_t *git_diff(const char *dir, const char *a, const char *b)
{
    AUTO(buf_done) struct buf raw = {0};
    AUTO(buf_done) struct buf patch = {0};
    if (!git_run(dir, &raw, "diff-tree", "-r", "-M", "-z", "--raw", "--numstat", "--abbrev=40", a,
                 b, NULL) ||
        !git_run(dir, &patch, "diff-tree", "-r", "-M", "-p", a, b, NULL))
        return json_array();
    json_t *rows = raw_read(buf_str(&raw));
    patches_read(str_trim(buf_str(&patch)), rows);
    return rows;
}
