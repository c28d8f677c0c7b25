/* Repositories, labels, refs and branches as GitHub shows them. */
#include "tests/standins/github/objects.h"

#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"

static const struct {
    const char *key;
    const char *tail;
} repo_urls[] = {
    {"url",               ""                                        },
    {"archive_url",       "/{archive_format}{/ref}"                 },
    {"assignees_url",     "/assignees{/user}"                       },
    {"blobs_url",         "/git/blobs{/sha}"                        },
    {"branches_url",      "/branches{/branch}"                      },
    {"collaborators_url", "/collaborators{/collaborator}"           },
    {"comments_url",      "/comments{/number}"                      },
    {"commits_url",       "/commits{/sha}"                          },
    {"compare_url",       "/compare/{base}...{head}"                },
    {"contents_url",      "/contents/{+path}"                       },
    {"contributors_url",  "/contributors"                           },
    {"deployments_url",   "/deployments"                            },
    {"downloads_url",     "/downloads"                              },
    {"events_url",        "/events"                                 },
    {"forks_url",         "/forks"                                  },
    {"git_commits_url",   "/git/commits{/sha}"                      },
    {"git_refs_url",      "/git/refs{/sha}"                         },
    {"git_tags_url",      "/git/tags{/sha}"                         },
    {"hooks_url",         "/hooks"                                  },
    {"issue_comment_url", "/issues/comments{/number}"               },
    {"issue_events_url",  "/issues/events{/number}"                 },
    {"issues_url",        "/issues{/number}"                        },
    {"keys_url",          "/keys{/key_id}"                          },
    {"labels_url",        "/labels{/name}"                          },
    {"languages_url",     "/languages"                              },
    {"merges_url",        "/merges"                                 },
    {"milestones_url",    "/milestones{/number}"                    },
    {"notifications_url", "/notifications{?since,all,participating}"},
    {"pulls_url",         "/pulls{/number}"                         },
    {"releases_url",      "/releases{/id}"                          },
    {"stargazers_url",    "/stargazers"                             },
    {"statuses_url",      "/statuses/{sha}"                         },
    {"subscribers_url",   "/subscribers"                            },
    {"subscription_url",  "/subscription"                           },
    {"tags_url",          "/tags"                                   },
    {"teams_url",         "/teams"                                  },
    {"trees_url",         "/git/trees{/sha}"                        },
};

static const char *const zero_counts[] = {
    "forks_count", "forks", "stargazers_count",  "watchers_count",
    "watchers",    "size",  "subscribers_count", "network_count",
};

json_t *obj_repo_ref(const struct repo *r)
{
    json_t *o = json_pack("{s:I, s:s, s:s, s:b}", "id", (json_int_t)r->id, "name", r->name,
                          "full_name", r->full, "private", r->is_private);
    jset(o, "node_id", jnode("R", r->id));
    return o;
}

static json_t *permissions_of(const char *role)
{
    int rank = role_rank(role);
    return json_pack("{s:b, s:b, s:b, s:b, s:b}", "admin", rank >= 5, "maintain", rank >= 4, "push",
                     rank >= 3, "triage", rank >= 2, "pull", rank >= 1);
}

json_t *obj_repo(const struct repo *r, const char *role)
{
    int64_t open = 0;
    for (size_t i = 0; i < r->issues.n; i++)
        open += !((struct issue *)r->issues.at[i])->closed;
    json_t *o = json_copy(r->settings); /* description, homepage, flags, topics */
    AUTO(json_decrefp) json_t *ref = obj_repo_ref(r);
    json_object_update(o, ref);
    jset(o, "owner", obj_user(r->owner));
    jsetf(o, "html_url", "%s/%s", S.base, r->full);
    jsetf(o, "git_url", "git://%s/%s.git", strstr(S.base, "//") + 2, r->full);
    jsetf(o, "ssh_url", "git@%s:%s.git", strstr(S.base, "//") + 2, r->full);
    jsetf(o, "clone_url", "%s/%s.git", S.base, r->full);
    jsetf(o, "svn_url", "%s/%s", S.base, r->full);
    for (size_t i = 0; i < COUNT(repo_urls); i++)
        jsetf(o, repo_urls[i].key, "%s/repos/%s%s", S.api, r->full, repo_urls[i].tail);
    for (size_t i = 0; i < COUNT(zero_counts); i++)
        jset(o, zero_counts[i], json_integer(0));
    jset(o, "open_issues", json_integer(open));
    jset(o, "open_issues_count", json_integer(open));
    jset(o, "mirror_url", json_null());
    jset(o, "language", json_null());
    jset(o, "license", json_null());
    jset(o, "fork", json_boolean(r->parent));
    jset(o, "archived", json_boolean(r->archived));
    jset(o, "disabled", json_false());
    jset(o, "has_pages", json_false());
    jset(o, "has_downloads", json_true());
    jset(o, "allow_forking", json_true());
    jset(o, "default_branch", jtext(r->default_branch));
    jset(o, "visibility", json_string(r->is_private ? "private" : "public"));
    jset(o, "created_at", jtime(r->created));
    jset(o, "updated_at", jtime(r->updated));
    jset(o, "pushed_at", jtime(r->pushed));
    if (role)
        jset(o, "permissions", permissions_of(role));
    if (role && r->parent) {
        jset(o, "parent", obj_repo(r->parent, NULL));
        jset(o, "source", obj_repo(r->parent, NULL));
    }
    return o;
}

json_t *obj_label(const struct repo *r, const struct label *l)
{
    AUTO(buf_done) struct buf name = {0};
    enc_percent(&name, str_of(l->name), false);
    json_t *o = json_pack("{s:I, s:s, s:s, s:b}", "id", (json_int_t)l->id, "name", l->name, "color",
                          l->color, "default", 0);
    jset(o, "node_id", jnode("LA", l->id));
    jset(o, "description", jtext(l->description));
    jsetf(o, "url", "%s/repos/%s/labels/%s", S.api, r->full, buf_cstr(&name));
    return o;
}

json_t *obj_ref(const struct repo *r, const char *ref, const char *sha)
{
    char type[16] = "commit";
    int64_t size = 0;
    if (strncmp(ref, "refs/tags/", 10) == 0 && !git_type(r->dir, sha, type, &size))
        memcpy(type, "commit", sizeof("commit"));
    json_t *o = json_pack("{s:s, s:{s:s, s:s}}", "ref", ref, "object", "sha", sha, "type", type);
    jset(o, "node_id", jnode("REF", r->id));
    jsetf(o, "url", "%s/repos/%s/git/%s", S.api, r->full, ref);
    jsetf(json_object_get(o, "object"), "url", "%s/repos/%s/git/%ss/%s", S.api, r->full, type, sha);
    return o;
}

json_t *obj_branch(const struct repo *r, const char *name, const char *sha, bool full)
{
    bool guarded = branch_protected(r, name);
    AUTO(buf_done) struct buf encoded = {0};
    enc_percent(&encoded, str_of(name), false);
    json_t *o = json_pack("{s:s, s:b}", "name", name, "protected", guarded);
    json_t *commit = full ? git_commit_read(r->dir, sha) : NULL;
    if (commit) {
        jset(o, "commit", obj_commit(r, commit, false));
    } else {
        jset(o, "commit", json_pack("{s:s}", "sha", sha));
        jsetf(json_object_get(o, "commit"), "url", "%s/repos/%s/commits/%s", S.api, r->full, sha);
    }
    jset(o, "protection",
         json_pack("{s:b, s:{s:s, s:[], s:[]}}", "enabled", guarded, "required_status_checks",
                   "enforcement_level", guarded ? "non_admins" : "off", "contexts", "checks"));
    jsetf(o, "protection_url", "%s/repos/%s/branches/%s/protection", S.api, r->full,
          buf_cstr(&encoded));
    if (full) {
        jset(o, "_links", json_object());
        jsetf(json_object_get(o, "_links"), "self", "%s/repos/%s/branches/%s", S.api, r->full,
              buf_cstr(&encoded));
        jsetf(json_object_get(o, "_links"), "html", "%s/%s/tree/%s", S.base, r->full, name);
    }
    return o;
}
