/* libgit2's parsers accept too much (security.md, fact 3), so the bytes of commits and trees are
 * taken apart here, strictly by what git writes. */
#include "bot/git/objects.h"

#include "bot/git/engine.h"

#define MODE_DIGITS_MAX 7

bool object_check(git_odb *odb, const git_oid *oid, git_object_t type, size_t *size,
                  struct err *err)
{
    git_object_t is;
    int rc = git_odb_read_header(size, &is, odb, oid);
    char hex[GIT_OID_HEX + 1];
    git_oid_tostr(hex, sizeof(hex), oid);
    if (rc == GIT_ENOTFOUND)
        return err_set(err, ERR_POLICY, "object.missing: %s %s is not there",
                       git_object_type2string(type), hex);
    if (rc != 0)
        return engine_err(err, ERR_INPUT, "object.read");
    if (is != type)
        return err_set(err, ERR_POLICY, "object.type: %s is a %s, not a %s", hex,
                       git_object_type2string(is), git_object_type2string(type));
    return true;
}

bool object_read(git_odb *odb, const git_oid *oid, git_object_t type, size_t max,
                 git_odb_object **out, struct err *err)
{
    size_t size;
    if (!object_check(odb, oid, type, &size, err))
        return false;
    if (size > max)
        return err_set(err, ERR_POLICY, "object.size: a %s of %zu bytes",
                       git_object_type2string(type), size);
    if (git_odb_read(out, odb, oid) != 0)
        return engine_err(err, ERR_INPUT, "object.read");
    return true;
}

/* "NAME VALUE" as the next line of *rest, VALUE being an id. */
static bool id_line(struct str *rest, struct str name, git_oid *out)
{
    struct str line = *rest;
    size_t end = name.n + 1 + GIT_OID_HEX;
    if (line.n <= end || !str_starts(line, name) || line.p[name.n] != ' ' || line.p[end] != '\n' ||
        !refname_oid_ok(str_sub(line, name.n + 1, end)) ||
        git_oid_fromstrn(out, line.p + name.n + 1, GIT_OID_HEX) != 0)
        return false;
    *rest = str_sub(line, end + 1, line.n);
    return true;
}

bool commit_parse(struct str raw, struct commit_parts *out, struct err *err)
{
    struct commit_parts c = {0};
    git_oid parent;
    struct str line;
    if (!id_line(&raw, STR("tree"), &c.tree))
        return err_set(err, ERR_POLICY, "commit.malformed: no tree");
    for (; id_line(&raw, STR("parent"), &parent); c.parents++)
        if (c.parents == 0)
            c.parent = parent;
    if (!str_starts(raw, STR("author ")))
        return err_set(err, ERR_POLICY, "commit.malformed: no author");
    while (str_split(&raw, '\n', &line) && raw.p)
        if (line.n == 0) {
            c.message = raw;
            *out = c;
            return true;
        }
    return err_set(err, ERR_POLICY, "commit.malformed: no message");
}

static enum tree_step bad(struct err *err, const char *text)
{
    err_set(err, ERR_POLICY, "%s", text);
    return TREE_BAD;
}

enum tree_step tree_next(struct str *rest, struct tree_entry *out, struct err *err)
{
    if (rest->n == 0)
        return TREE_END;
    uint32_t mode = 0;
    size_t i = 0;
    for (; i < rest->n && i <= MODE_DIGITS_MAX && rest->p[i] >= '0' && rest->p[i] <= '7'; i++)
        mode = mode * 8 + (uint32_t)(rest->p[i] - '0');
    if (i == 0 || i > MODE_DIGITS_MAX || i == rest->n || rest->p[i] != ' ')
        return bad(err, "tree.mode: malformed mode");
    size_t name = i + 1;
    size_t nul = str_find(*rest, STR("\0"), name);
    if (nul == rest->n || rest->n - nul - 1 < GIT_OID_RAWSZ)
        return bad(err, "tree.malformed: the last entry is cut");
    unsigned char raw[GIT_OID_RAWSZ];
    memcpy(raw, rest->p + nul + 1, sizeof(raw));
    out->mode = mode;
    out->padded = rest->p[0] == '0';
    out->name = str_sub(*rest, name, nul);
    git_oid_fromraw(&out->oid, raw);
    *rest = str_sub(*rest, nul + 1 + GIT_OID_RAWSZ, rest->n);
    return TREE_ENTRY;
}

bool tree_is_folder(const struct tree_entry *e)
{
    return e->mode == MODE_TREE;
}

int tree_compare(const struct tree_entry *a, const struct tree_entry *b)
{
    size_t n = a->name.n < b->name.n ? a->name.n : b->name.n;
    int c = n ? memcmp(a->name.p, b->name.p, n) : 0;
    if (c != 0)
        return c;
    unsigned x = n < a->name.n ? (unsigned char)a->name.p[n] : tree_is_folder(a) ? '/' : 0;
    unsigned y = n < b->name.n ? (unsigned char)b->name.p[n] : tree_is_folder(b) ? '/' : 0;
    return x < y ? -1 : x > y;
}
