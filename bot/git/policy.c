/* Names are compared as the most forgiving file systems would: without the characters that HFS+
 * ignores, without case, without what NTFS cuts off at the end. A link's target may climb only at
 * its beginning, because "a/.." leaves the tree where a is itself a link. */
#include "bot/git/policy.h"

#include "bot/base/attr.h"
#include "bot/git/clean.h"

#include <fnmatch.h>
#include <git2/sys/path.h>
#include <stdint.h>

#define FOLDED_MAX     256
#define LINK_MAX_BYTES 1024
#define PARTS_MAX      66 /* of a path: more are refused before */

/* Patterns for whole folded components; below a match everything is protected. */
static const struct {
    const char *pattern;
    bool anywhere; /* else only at the top */
} protected_paths[] = {
    {".github/workflows",  false},
    {".github/actions",    false},
    {"codeowners",         false},
    {"docs/codeowners",    false},
    {".github/codeowners", false},
    {".git*hooks",         true },
    {".husky",             true },
    {".claude",            true },
    {".mcp.json",          true },
    {"claude.md",          true },
    {"agents.md",          true },
    {".vscode",            true },
    {".devcontainer",      true },
};

/* The name as it may arrive on other file systems, terminated; cut when it is long. */
static void fold(struct str name, char out[FOLDED_MAX])
{
    size_t n = 0;
    uint32_t c;
    while (clean_next(&name, &c) && c != ':' && n + 4 < FOLDED_MAX) {
        if (clean_is_invisible(c))
            continue;
        n += clean_encode(c >= 'A' && c <= 'Z' ? c + 32 : c, out + n);
    }
    while (n > 0 && (out[n - 1] == '.' || out[n - 1] == ' '))
        n--;
    out[n] = '\0';
}

static const char *characters_fault(struct str name)
{
    uint32_t c;
    if (!str_is_utf8(name))
        return "tree.utf8: a name is not UTF-8";
    while (clean_next(&name, &c)) {
        if (c == '/')
            return "tree.slash: a name with a slash";
        if (c == '\\')
            return "tree.backslash: a name with a backslash";
        if (c < 0x20 || (c >= 0x7F && c <= 0x9F))
            return "tree.control: a name with a control character";
        if (clean_is_bidi(c) || c == 0x2028 || c == 0x2029)
            return "tree.bidi: a name that changes the direction of text";
    }
    return NULL;
}

const char *policy_name_fault(struct str name)
{
    char folded[FOLDED_MAX];
    if (name.n == 0)
        return "tree.empty: an empty name";
    if (str_eq(name, STR(".")) || str_eq(name, STR("..")))
        return "tree.dotdot: a name that is . or ..";
    if (str_eq_nocase(name, STR(".git")))
        return "tree.dotgit: a name that is .git";
    fold(name, folded);
    if (strcmp(folded, ".git") == 0 || strcmp(folded, "git~1") == 0) {
        struct str rest = name;
        uint32_t c;
        while (clean_next(&rest, &c))
            if (clean_is_invisible(c))
                return "tree.hfs: a name that HFS+ takes for .git";
        return "tree.ntfs: a name that NTFS takes for .git";
    }
    return characters_fault(name);
}

static size_t split_folded(struct str path, char parts[PARTS_MAX][FOLDED_MAX])
{
    size_t n = 0;
    struct str part;
    while (n < PARTS_MAX && str_split(&path, '/', &part))
        fold(part, parts[n++]);
    return n;
}

static bool matches(struct str pattern, char parts[PARTS_MAX][FOLDED_MAX], size_t from, size_t n)
{
    char want[FOLDED_MAX];
    struct str part;
    if (parts[from][0] != pattern.p[0]) /* no pattern begins with a wild card */
        return false;
    for (size_t i = from; str_split(&pattern, '/', &part); i++)
        if (i == n || !str_copy(want, sizeof(want), part) || fnmatch(want, parts[i], 0) != 0)
            return false;
    return true;
}

static bool is_gitmodules(struct str path)
{
    struct str name, last = {0};
    while (str_split(&path, '/', &name))
        last = name;
    char folded[FOLDED_MAX];
    fold(last, folded);
    return strcmp(folded, ".gitmodules") == 0 ||
           git_path_is_gitfile(last.p, last.n, GIT_PATH_GITFILE_GITMODULES, GIT_PATH_FS_GENERIC) >
               0;
}

const char *policy_path_fault(struct str path)
{
    char parts[PARTS_MAX][FOLDED_MAX];
    if (is_gitmodules(path))
        return "path.gitmodules: .gitmodules may not be changed";
    size_t n = split_folded(path, parts);
    for (size_t i = 0; i < COUNT(protected_paths); i++)
        for (size_t from = 0; from < n && (from == 0 || protected_paths[i].anywhere); from++)
            if (matches(str_of(protected_paths[i].pattern), parts, from, n))
                return "path.protected: a protected path";
    return NULL;
}

const char *policy_link_fault(struct str target, int folders)
{
    struct str part;
    bool climbing = true;
    if (target.n == 0 || target.n > LINK_MAX_BYTES)
        return "symlink.target: an empty or endless target";
    if (target.p[0] == '/' || (target.n > 1 && target.p[1] == ':'))
        return "symlink.absolute: an absolute target";
    if (target.p[target.n - 1] == '/')
        target.n--;
    while (str_split(&target, '/', &part)) {
        if (str_eq(part, STR("..")) && climbing) {
            if (--folders < 0)
                return "symlink.outside: a target outside of the repository";
            continue;
        }
        if (str_eq(part, STR(".")))
            continue;
        climbing = false;
        if (policy_name_fault(part))
            return "symlink.target: a target with a forbidden name";
    }
    return NULL;
}
