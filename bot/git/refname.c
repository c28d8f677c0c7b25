/* The rules of git-check-ref-format(1) for what follows refs/heads/, and some of our own: valid
 * UTF-8 (names travel in JSON), no leading dash (they travel in command lines), a length that
 * leaves room for the prefix. Repository names by GitHub's rules (security.md, T11). */
#include "bot/git/refname.h"

#define BRANCH_MAX_BYTES 244
#define OWNER_MAX_BYTES  39
#define NAME_MAX_BYTES   100

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool branch_char_ok(char c)
{
    unsigned char u = (unsigned char)c;
    return u > 0x20 && u != 0x7f && !strchr("~^:?*[\\", c);
}

static bool component_ok(struct str c)
{
    return c.n > 0 && c.p[0] != '.' && !str_ends(c, STR(".lock"));
}

bool refname_branch_ok(struct str branch)
{
    if (branch.n == 0 || branch.n > BRANCH_MAX_BYTES || branch.p[0] == '-' ||
        str_ends(branch, STR(".")) || str_eq(branch, STR("@")) || str_eq(branch, STR("HEAD")) ||
        str_find(branch, STR(".."), 0) < branch.n || str_find(branch, STR("@{"), 0) < branch.n ||
        !str_is_utf8(branch))
        return false;
    for (size_t i = 0; i < branch.n; i++)
        if (!branch_char_ok(branch.p[i]))
            return false;
    struct str rest = branch, component;
    while (str_split(&rest, '/', &component))
        if (!component_ok(component))
            return false;
    return true;
}

bool refname_task_branch_ok(struct str branch)
{
    struct str prefix = STR("task-");
    return str_starts(branch, prefix) && branch.n > prefix.n && refname_branch_ok(branch);
}

bool refname_repository_ok(struct str full_name)
{
    struct str name = full_name, owner;
    if (!str_split(&name, '/', &owner) || !name.p || owner.n == 0 || owner.n > OWNER_MAX_BYTES ||
        name.n == 0 || name.n > NAME_MAX_BYTES || str_eq(name, STR(".")) || str_eq(name, STR("..")))
        return false;
    for (size_t i = 0; i < owner.n; i++)
        if (!is_alnum(owner.p[i]) && owner.p[i] != '-')
            return false;
    for (size_t i = 0; i < name.n; i++)
        if (!is_alnum(name.p[i]) && (name.p[i] == '\0' || !strchr("._-", name.p[i])))
            return false;
    return true;
}

bool refname_oid_ok(struct str hex)
{
    if (hex.n != GIT_OID_HEX)
        return false;
    for (size_t i = 0; i < hex.n; i++)
        if (!is_digit(hex.p[i]) && !(hex.p[i] >= 'a' && hex.p[i] <= 'f'))
            return false;
    return true;
}

bool refname_oid_line(struct str line, struct str *oid, struct str *rest)
{
    if (line.n < GIT_OID_HEX + 2 || line.p[GIT_OID_HEX] != ' ' ||
        !refname_oid_ok(str_sub(line, 0, GIT_OID_HEX)))
        return false;
    *oid = str_sub(line, 0, GIT_OID_HEX);
    *rest = str_sub(line, GIT_OID_HEX + 1, line.n);
    return true;
}
