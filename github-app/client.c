/* Making and freeing the client. What it does lives in: token.c (tokens), limit.c (rate limits),
 * rest.c (one call), app.c, repos.c, issues.c and pulls.c (the endpoints). */
#include "github-app/client.h"

#include "bot/base/mem.h"
#include "github-app/limit.h"
#include "github-app/state.h"
#include "github-app/token.h"

static char *without_slash(const char *url)
{
    struct str s = str_of(url);
    while (s.n > 0 && s.p[s.n - 1] == '/')
        s.n--;
    return str_dup(s);
}

/* The host of a URL, without user and port. */
static char *host_of(const char *url)
{
    struct str s = str_of(url);
    size_t from = str_find(s, STR("://"), 0);
    from = from == s.n ? 0 : from + 3;
    s = str_sub(s, from, from + strcspn(s.p + from, "/?#"));
    size_t at = str_find(s, STR("@"), 0);
    s = at < s.n ? str_sub(s, at + 1, s.n) : s;
    if (!str_starts(s, STR("["))) /* an IPv6 address keeps its colons */
        s = str_sub(s, 0, str_find(s, STR(":"), 0));
    return str_dup(s);
}

struct github *github_new(struct http *http, const struct github_config *config)
{
    struct github *g = mem_alloc(sizeof(*g));
    g->http = http;
    g->api_url = without_slash(config->api_url);
    g->host = host_of(config->web_url);
    g->app_id = mem_strdup(config->app_id ? config->app_id : "");
    g->signer = config->signer;
    if (!config->signer && config->token)
        secret_set(&g->personal, secret_str(config->token));
    g->wait = call_wait;
    pthread_mutex_init(&g->mutex, NULL);
    return g;
}

void github_free(struct github *g)
{
    if (!g)
        return;
    limit_free_all(g);
    token_free_all(g);
    secret_done(&g->jwt);
    secret_done(&g->personal);
    pthread_mutex_destroy(&g->mutex);
    free(g->self_slug);
    free(g->self_login);
    free(g->app_id);
    free(g->host);
    free(g->api_url);
    free(g);
}
