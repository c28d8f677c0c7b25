/* Names in URLs. Owners may hold '_' because managed users of enterprises are called NAME_COMPANY;
 * apart from that the patterns are those of GitHub's sign-up form. Branches follow the rules of
 * git-check-ref-format(1), and a leading '-' is refused too. */
#include "github-app/names.h"

#include "bot/base/enc.h"

#define LOGIN_MAX  39
#define REPO_MAX   100
#define BRANCH_MAX 243

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool only(struct str s, const char *extra)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && (s.p[i] == '\0' || !strchr(extra, s.p[i])))
            return false;
    return true;
}

static bool owner_ok(struct str s)
{
    return s.n > 0 && s.n <= LOGIN_MAX && is_alnum(s.p[0]) && only(s, "-_");
}

bool name_login_ok(struct str login)
{
    if (str_ends(login, STR("[bot]")))
        login = str_sub(login, 0, login.n - STR("[bot]").n);
    return owner_ok(login);
}

bool name_repo_ok(struct str full_name)
{
    size_t slash = str_find(full_name, STR("/"), 0);
    struct str name = str_sub(full_name, slash + 1, full_name.n);
    return slash < full_name.n && owner_ok(str_sub(full_name, 0, slash)) && name.n > 0 &&
           name.n <= REPO_MAX && only(name, "._-") && !str_eq(name, STR(".")) &&
           !str_eq(name, STR(".."));
}

static bool part_ok(struct str part)
{
    return part.n > 0 && part.p[0] != '.' && !str_ends(part, STR(".lock"));
}

bool name_branch_ok(struct str branch)
{
    if (branch.n == 0 || branch.n > BRANCH_MAX || branch.p[0] == '-' || str_eq(branch, STR("@")) ||
        str_ends(branch, STR(".")) || str_find(branch, STR(".."), 0) < branch.n ||
        str_find(branch, STR("@{"), 0) < branch.n)
        return false;
    for (size_t i = 0; i < branch.n; i++)
        if ((unsigned char)branch.p[i] <= ' ' || branch.p[i] == 0x7f ||
            strchr("~^:?*[\\", branch.p[i]))
            return false;
    struct str rest = branch, part;
    while (str_split(&rest, '/', &part))
        if (!part_ok(part))
            return false;
    return true;
}

struct str name_owner(const struct github_repo *repo)
{
    struct str name = str_of(repo->full_name);
    return str_sub(name, 0, str_find(name, STR("/"), 0));
}

bool name_repo_path(const struct github_repo *repo, struct buf *path, struct err *err)
{
    if (!name_repo_ok(str_of(repo->full_name)))
        return err_set(err, ERR_INPUT, "not a repository name (owner/name)");
    buf_printf(path, "/repos/%s", repo->full_name);
    return true;
}

bool name_branch_path(const char *branch, bool keep_slash, struct buf *path, struct err *err)
{
    if (!name_branch_ok(str_of(branch)))
        return err_set(err, ERR_INPUT, "not a branch name");
    enc_percent(path, str_of(branch), keep_slash);
    return true;
}
