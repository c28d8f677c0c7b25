/* Bodies for load tests. */
#pragma once

#include "bot/base/buf.h"

static inline void payload_user(struct buf *out, const char *login, int id)
{
    static const char *const links[] = {
        "followers_url",     "following_url",     "gists_url",
        "starred_url",       "subscriptions_url", "events_url",
        "organizations_url", "repos_url",         "received_events_url"};
    buf_printf(out,
               "{\"login\":\"%s\",\"id\":%d,\"node_id\":\"MDQ6VXNlcjI%dQ==\",\"avatar_url\":"
               "\"https://avatars.githubusercontent.com/u/%d?v=4\",\"gravatar_id\":\"\",\"url\":"
               "\"https://api.github.com/users/%s\",\"html_url\":\"https://github.com/%s\"",
               login, id, id, id, login, login);
    for (size_t i = 0; i < COUNT(links); i++)
        buf_printf(out, ",\"%s\":\"https://api.github.com/users/%s/%.*s\"", links[i], login,
                   (int)strlen(links[i]) - 4, links[i]);
    buf_puts(out, ",\"type\":\"User\",\"user_view_type\":\"public\",\"site_admin\":false}");
}

static inline void payload_label(struct buf *out, int id, const char *name)
{
    buf_printf(out,
               "{\"id\":%d,\"node_id\":\"LA_kwDOJ%d\",\"url\":"
               "\"https://api.github.com/repos/acme/storefront/labels/%s\",\"name\":\"%s\","
               "\"color\":\"d73a4a\",\"default\":true,\"description\":\"Something that is wrong or "
               "should be improved\"}",
               id, id * 31, name, name);
}

static inline void payload_repository(struct buf *out)
{
    static const char *const links[] = {
        "forks",        "keys",          "collaborators", "teams",        "hooks",
        "issue_events", "events",        "assignees",     "branches",     "tags",
        "git_tags",     "git_refs",      "trees",         "statuses",     "languages",
        "stargazers",   "contributors",  "subscribers",   "subscription", "commits",
        "git_commits",  "comments",      "issue_comment", "contents",     "compare",
        "merges",       "archive",       "downloads",     "issues",       "pulls",
        "milestones",   "notifications", "labels",        "releases",     "deployments"};
    buf_puts(out, "{\"id\":671234567,\"node_id\":\"R_kgDOKAJ4hw\",\"name\":\"storefront\","
                  "\"full_name\":\"acme/storefront\",\"private\":true,\"owner\":");
    payload_user(out, "acme", 9812345);
    buf_puts(out, ",\"html_url\":\"https://github.com/acme/storefront\",\"description\":\"The shop "
                  "and its checkout\",\"fork\":false,\"url\":"
                  "\"https://api.github.com/repos/acme/storefront\"");
    for (size_t i = 0; i < COUNT(links); i++)
        buf_printf(out, ",\"%s_url\":\"https://api.github.com/repos/acme/storefront/%s{/%s_id}\"",
                   links[i], links[i], links[i]);
    buf_puts(out,
             ",\"created_at\":\"2024-02-11T09:12:44Z\",\"updated_at\":\"2026-11-19T21:03:10Z\","
             "\"pushed_at\":\"2026-11-20T07:45:31Z\",\"git_url\":"
             "\"git://github.com/acme/storefront.git\",\"size\":48213,\"stargazers_count\":7,"
             "\"watchers_count\":7,\"language\":\"TypeScript\",\"has_issues\":true,"
             "\"has_projects\":true,\"has_downloads\":true,\"has_wiki\":false,\"forks_count\":0,"
             "\"mirror_url\":null,\"archived\":false,\"disabled\":false,"
             "\"open_issues_count\":93,\"license\":null,\"allow_forking\":false,\"topics\":[],"
             "\"visibility\":\"private\",\"default_branch\":\"main\"}");
}

/* An `issues` event ("labeled") the size and shape of GitHub's: about 12 KB, mostly URLs. */
static inline void payload_issue(struct buf *out)
{
    buf_puts(out, "{\"action\":\"labeled\",\"issue\":{\"url\":"
                  "\"https://api.github.com/repos/acme/storefront/issues/1412\",\"html_url\":"
                  "\"https://github.com/acme/storefront/issues/1412\",\"id\":2301456789,\"number\":"
                  "1412,\"title\":\"Cart total is wrong after a coupon is removed\",\"user\":");
    payload_user(out, "octo-shopper", 4412233);
    buf_puts(out, ",\"labels\":[");
    payload_label(out, 71, "bug");
    buf_puts(out, ",");
    payload_label(out, 72, "squadbot");
    buf_puts(out, "],\"state\":\"open\",\"locked\":false,\"assignee\":");
    payload_user(out, "grace", 1288771);
    buf_puts(out, ",\"assignees\":[");
    payload_user(out, "grace", 1288771);
    buf_puts(out,
             "],\"milestone\":null,\"comments\":3,\"created_at\":\"2026-11-20T08:01:12Z\","
             "\"updated_at\":\"2026-11-20T08:15:40Z\",\"closed_at\":null,"
             "\"author_association\":\"CONTRIBUTOR\",\"active_lock_reason\":null,\"body\":\""
             "### What happened\\r\\n\\r\\nI added two items, applied **SPRING10**, removed the "
             "coupon again, and the total still had the discount.\\r\\n\\r\\n### Steps\\r\\n1. "
             "Add two items\\r\\n2. Apply the coupon\\r\\n3. Remove it\\r\\n4. Look at the "
             "total\\r\\n\\r\\n```ts\\nexpect(cart.total()).toBe(42)\\n```\\r\\n\\r\\nThe price "
             "is 40,50 \\u20ac instead of 45,00 \\u20ac. Happens in Firefox 132 and Chrome "
             "131.\",\"reactions\":{\"total_count\":0,\"+1\":0,\"-1\":0,\"laugh\":0,\"hooray\":0,"
             "\"confused\":0,\"heart\":0,\"rocket\":0,\"eyes\":0}},\"label\":");
    payload_label(out, 72, "squadbot");
    buf_puts(out, ",\"repository\":");
    payload_repository(out);
    buf_puts(out, ",\"organization\":");
    payload_user(out, "acme", 9812345);
    buf_puts(out, ",\"sender\":");
    payload_user(out, "grace", 1288771);
    buf_puts(out, ",\"installation\":{\"id\":48811223,\"node_id\":\"MDIzOkludGVncmF0aW9u\"}}");
}
