/* Repositories, branches and who may do what in them. */
#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "github-app/names.h"
#include "github-app/rest.h"
#include "github-app/state.h"
#include "github-app/token.h"

#include <stdio.h>
#include <strings.h>

#define OID_DIGITS 40

bool github_permission(struct github *g, const struct github_repo *repo, const char *login,
                       const struct call *call, enum github_role *out, struct err *err)
{
    static const struct {
        const char *name;
        enum github_role role;
    } roles[] = {
        {"admin",    GITHUB_ROLE_ADMIN},
        {"maintain", GITHUB_ROLE_WRITE},
        {"write",    GITHUB_ROLE_WRITE},
        {"triage",   GITHUB_ROLE_READ },
        {"read",     GITHUB_ROLE_READ },
        {"none",     GITHUB_ROLE_NONE },
    };
    AUTO(buf_done) struct buf path = {0};
    AUTO(rest_answer_done) struct rest_answer a = {0};
    if (!name_login_ok(str_of(login)))
        return err_set(err, ERR_INPUT, "not a GitHub login");
    if (!name_repo_path(repo, &path, err))
        return false;
    buf_puts(&path, "/collaborators/");
    enc_percent(&path, str_of(login), false);
    buf_puts(&path, "/permission");
    struct rest q = {.method = "GET",
                     .path = buf_cstr(&path),
                     .label = "GET /repos/*/collaborators/*/permission",
                     .repo = repo,
                     .need = GITHUB_READ};
    if (!rest_call(g, &q, call, &a, err)) {
        if (a.status != 404)
            return false;
        *out = GITHUB_ROLE_NONE;
        return true;
    }
    struct str name = json_str(a.json, "permission");
    for (size_t i = 0; i < COUNT(roles); i++)
        if (str_eq(name, str_of(roles[i].name))) {
            *out = roles[i].role;
            return true;
        }
    return rest_bad_answer("permission that we know", err);
}

static bool repo_read(const json_t *j, struct arena *arena, struct github_repo_info *out,
                      struct err *err)
{
    struct str name = json_str(j, "full_name"), branch = json_str(j, "default_branch");
    int64_t id = json_int(j, "id", 0);
    if (id <= 0 || !name_repo_ok(name) || !name_branch_ok(branch))
        return rest_bad_answer("id, full_name and default_branch", err);
    *out = (struct github_repo_info){
        .id = id,
        .full_name = arena_str(arena, name),
        .default_branch = arena_str(arena, branch),
        .archived = json_bool(j, "archived", false) || json_bool(j, "disabled", false),
        .is_private = json_bool(j, "private", true),
        .delete_branch_on_merge = json_bool(j, "delete_branch_on_merge", false),
        .clone_url = arena_str(arena, json_str(j, "clone_url"))};
    return true;
}

bool github_repo_get(struct github *g, const struct github_repo *repo, const struct call *call,
                     struct arena *arena, struct github_repo_info *out, struct err *err)
{
    AUTO(buf_done) struct buf path = {0};
    AUTO(rest_answer_done) struct rest_answer a = {0};
    if (!name_repo_path(repo, &path, err))
        return false;
    struct rest q = {.method = "GET",
                     .path = buf_cstr(&path),
                     .label = "GET /repos/*",
                     .repo = repo,
                     .need = GITHUB_READ};
    return rest_call(g, &q, call, &a, err) && repo_read(a.json, arena, out, err);
}

/* A renamed repository answers by a redirect that tells its id, which then stands for the name. */
static bool find_installation(struct github *g, struct github_repo *repo, const struct call *call,
                              struct err *err)
{
    AUTO(buf_done) struct buf path = {0};
    AUTO(rest_answer_done) struct rest_answer a = {0};
    if (!name_repo_path(repo, &path, err))
        return false;
    buf_puts(&path, "/installation");
    struct rest q = {.method = "GET",
                     .path = buf_cstr(&path),
                     .label = "GET /repos/*/installation",
                     .auth = REST_JWT};
    if (!rest_call(g, &q, call, &a, err))
        return a.status == 404 ? err_wrap(err, "the App is not installed on %s", repo->full_name)
                               : false;
    repo->installation_id = json_int(a.json, "id", 0);
    repo->id = a.moved_id;
    return repo->installation_id > 0 || rest_bad_answer("installation id", err);
}

bool github_repo_find(struct github *g, const char *full_name, const struct call *call,
                      struct arena *arena, struct github_repo *repo, struct github_repo_info *out,
                      struct err *err)
{
    struct github_repo found = {.full_name = full_name};
    struct github_repo_info info;
    if (!github_is_personal(g) && !find_installation(g, &found, call, err))
        return false;
    if (!github_repo_get(g, &found, call, arena, &info, err))
        return false;
    *repo = (struct github_repo){
        .installation_id = found.installation_id, .id = info.id, .full_name = info.full_name};
    *out = info;
    return true;
}

static bool is_oid(struct str s)
{
    unsigned char bytes[OID_DIGITS / 2];
    return enc_unhex(s, bytes, sizeof(bytes));
}

bool github_ref_get(struct github *g, const struct github_repo *repo, const char *branch,
                    const struct call *call, char oid[41], bool *found, struct err *err)
{
    AUTO(buf_done) struct buf path = {0};
    AUTO(buf_done) struct buf ref = {0};
    AUTO(rest_answer_done) struct rest_answer a = {0};
    if (!name_repo_path(repo, &path, err))
        return false;
    buf_puts(&path, "/git/ref/heads/");
    if (!name_branch_path(branch, true, &path, err))
        return false;
    struct rest q = {.method = "GET",
                     .path = buf_cstr(&path),
                     .label = "GET /repos/*/git/ref/heads/*",
                     .repo = repo,
                     .need = GITHUB_READ};
    if (!rest_call(g, &q, call, &a, err)) {
        if (a.status != 404 && a.status != 409) /* 409: the repository is empty */
            return false;
        *found = false;
        return true;
    }
    buf_printf(&ref, "refs/heads/%s", branch);
    struct str sha = json_str(a.json, "object.sha");
    bool exact = str_eq(json_str(a.json, "ref"), buf_str(&ref));
    if (exact && !is_oid(sha))
        return rest_bad_answer("commit id", err);
    *found = exact;
    if (exact)
        snprintf(oid, OID_DIGITS + 1, STR_FMT, STR_ARG(sha));
    return true;
}

static bool delete_ref(struct github *g, const struct github_repo *repo, const char *branch,
                       const struct call *call, int *status, struct err *err)
{
    AUTO(buf_done) struct buf path = {0};
    AUTO(rest_answer_done) struct rest_answer a = {0};
    if (!name_repo_path(repo, &path, err))
        return false;
    buf_puts(&path, "/git/refs/heads/");
    if (!name_branch_path(branch, true, &path, err))
        return false;
    struct rest q = {.method = "DELETE",
                     .path = buf_cstr(&path),
                     .label = "DELETE /repos/*/git/refs/heads/*",
                     .repo = repo,
                     .need = GITHUB_PUSH,
                     .repeatable = true};
    bool ok = rest_call(g, &q, call, &a, err);
    *status = a.status;
    /* A token that may push should not outlive its one use; if this fails it ends in an hour. */
    bool ended = token_end(g, repo, GITHUB_PUSH, call, NULL);
    (void)ended;
    return ok;
}

bool github_branch_delete(struct github *g, const struct github_repo *repo, const char *branch,
                          const struct call *call, struct err *err)
{
    char oid[OID_DIGITS + 1];
    bool found = true;
    int status = 0;
    struct err ignored;
    if (delete_ref(g, repo, branch, call, &status, err))
        return true;
    if (status == 404)
        return true;
    /* 422 means gone as well as protected: look. */
    return status == 422 && github_ref_get(g, repo, branch, call, oid, &found, &ignored) && !found;
}

/* Rulesets do not show in the branch's flag. Servers without them answer 404. */
static bool rule_forbids(struct github *g, const struct github_repo *repo, const char *branch,
                         const struct call *call, bool *out, struct err *err)
{
    AUTO(buf_done) struct buf path = {0};
    AUTO(rest_answer_done) struct rest_answer a = {0};
    if (!name_repo_path(repo, &path, err))
        return false;
    buf_puts(&path, "/rules/branches/");
    if (!name_branch_path(branch, false, &path, err))
        return false;
    buf_puts(&path, "?per_page=100");
    struct rest q = {.method = "GET",
                     .path = buf_cstr(&path),
                     .label = "GET /repos/*/rules/branches/*",
                     .repo = repo,
                     .need = GITHUB_READ};
    *out = false;
    if (!rest_call(g, &q, call, &a, err))
        return a.status == 404;
    for (size_t i = 0; i < json_array_size(a.json); i++) {
        struct str type = json_str(json_array_get(a.json, i), "type");
        if (str_eq(type, STR("deletion")) || str_eq(type, STR("update")))
            *out = true;
    }
    return true;
}

bool github_branch_protected(struct github *g, const struct github_repo *repo, const char *branch,
                             const struct call *call, bool *out, struct err *err)
{
    AUTO(buf_done) struct buf path = {0};
    AUTO(rest_answer_done) struct rest_answer a = {0};
    bool by_rule = false;
    if (!name_repo_path(repo, &path, err))
        return false;
    buf_puts(&path, "/branches/");
    if (!name_branch_path(branch, false, &path, err))
        return false;
    struct rest q = {.method = "GET",
                     .path = buf_cstr(&path),
                     .label = "GET /repos/*/branches/*",
                     .repo = repo,
                     .need = GITHUB_READ};
    if (!rest_call(g, &q, call, &a, err))
        return false;
    const json_t *flag = json_at(a.json, "protected");
    if (!json_is_boolean(flag))
        return rest_bad_answer("\"protected\"", err);
    if (!json_is_true(flag) && !rule_forbids(g, repo, branch, call, &by_rule, err))
        return false;
    *out = json_is_true(flag) || by_rule;
    return true;
}
