/* Commits, trees and files that break one rule each, and some that must pass. */
#include "tests/unit/git/scene.h"

/* ------------------------------------------------------------------------ one more file in a tree
 */

static const struct {
    const char *name;
    const char *mode;
    const char *path;
    const char *content;
    const char *code; /* NULL = fine */
} files[] = {
    {"plain",                "100644",  "new.txt",                                "x\n",           NULL              },
    {"executable",           "100755",  "run.sh",                                 "x\n",           NULL              },
    {"in folders",           "100644",  "a/b/c/d.txt",                            "x\n",           NULL              },
    {"unicode",              "100644",  "d\xc3\xa9j\xc3\xa0 vu \xe2\x9c\x93.txt", "x\n",           NULL              },
    {"dots",                 "100644",  "...",                                    "x\n",           NULL              },
    {"like git",             "100644",  ".gitignore",                             "x\n",           NULL              },
    {"github folder",        "100644",  ".github2/workflows/x.yml",               "x\n",           NULL              },
    {"link inside",          "120000",  "a/b/link",                               "../../src/a.c", NULL              },
    {"link beside",          "120000",  "link",                                   "src",           NULL              },
    {"dotgit",               "100644",  ".git",                                   "x",             "tree.dotgit"     },
    {"dotgit capital",       "100644",  ".GiT",                                   "x",             "tree.dotgit"     },
    {"dotgit folder",        "100644",  ".git/config",                            "x",             "tree.dotgit"     },
    {"dotgit deep",          "100644",  "a/.git/hooks/post-checkout",             "x",             "tree.dotgit"     },
    {"hfs",                  "100644",  ".g\xe2\x80\x8cit",                       "x",             "tree.hfs"        },
    {"hfs folder",           "100644",  "\xef\xbb\xbf.git/config",                "x",             "tree.hfs"        },
    {"ntfs short",           "100644",  "GIT~1",                                  "x",             "tree.ntfs"       },
    {"ntfs space",           "100644",  ".git ",                                  "x",             "tree.ntfs"       },
    {"ntfs dots",            "100644",  ".git. .",                                "x",             "tree.ntfs"       },
    {"ntfs stream",          "100644",  ".git::$INDEX_ALLOCATION",                "x",             "tree.ntfs"       },
    {"dot",                  "40000",   ".",                                      "",              "tree.dotdot"     },
    {"dotdot",               "100644",  "..",                                     "x",             "tree.dotdot"     },
    {"dotdot folder",        "100644",  "../x",                                   "x",             "tree.dotdot"     },
    {"backslash",            "100644",  "a\\b",                                   "x",             "tree.backslash"  },
    {"control",              "100644",  "a\nb",                                   "x",             "tree.control"    },
    {"escape",               "100644",  "a\x1b[31mb",                             "x",             "tree.control"    },
    {"bidi",                 "100644",
     "a\xe2\x80\xae"
     "b",                                                                         "x",             "tree.bidi"       },
    {"not utf-8",            "100644",  "a\xff\xfe",                              "x",             "tree.utf8"       },
    {"group write",          "100664",  "x",                                      "x",             "tree.mode"       },
    {"all write",            "100777",  "x",                                      "x",             "tree.mode"       },
    {"setuid",               "107777",  "x",                                      "x",             "tree.mode"       },
    {"socket",               "140000",  "x",                                      "x",             "tree.mode"       },
    {"padded",               "0100644", "x",                                      "x",             "tree.mode"       },
    {"link absolute",        "120000",  "x",                                      "/etc/passwd",   "symlink.absolute"},
    {"link drive",           "120000",  "x",                                      "C:/windows",    "symlink.absolute"},
    {"link out",             "120000",  "x",                                      "../x",          "symlink.outside" },
    {"link out deep",        "120000",  "a/b/x",                                  "../../../x",    "symlink.outside" },
    {"link up late",         "120000",  "a/x",                                    "b/../../x",     "symlink.target"  },
    {"link into git",        "120000",  "x",                                      ".git/config",   "symlink.target"  },
    {"link nowhere",         "120000",  "x",                                      "",              "symlink.target"  },
    {"workflow",             "100644",  ".github/workflows/new.yml",              "x",             "path.protected"  },
    {"workflow in capitals", "100644",  ".GitHub/Workflows/new.yml",              "x",             "path.protected"  },
    {"action",               "100644",  ".github/actions/a/action.yml",           "x",             "path.protected"  },
    {"owners",               "100644",  "CODEOWNERS",                             "x",             "path.protected"  },
    {"owners in docs",       "100644",  "docs/CODEOWNERS",                        "x",             "path.protected"  },
    {"hooks",                "100644",  ".githooks/pre-commit",                   "x",             "path.protected"  },
    {"husky",                "100755",  ".husky/pre-commit",                      "x",             "path.protected"  },
    {"claude settings",      "100644",  "sub/.claude/settings.json",              "x",             "path.protected"  },
    {"mcp",                  "100644",  ".mcp.json",                              "x",             "path.protected"  },
    {"claude",               "100644",  "CLAUDE.md",                              "x",             "path.protected"  },
    {"agents",               "100644",  "sub/AGENTS.md",                          "x",             "path.protected"  },
    {"vscode",               "100644",  ".vscode/tasks.json",                     "x",             "path.protected"  },
    {"devcontainer",         "100644",  ".devcontainer/devcontainer.json",        "x",             "path.protected"  },
    {"gitmodules deep",      "100644",  "sub/.gitmodules",                        "x",             "path.gitmodules" },
    {"gitmodules short",     "100644",  "sub/GITMOD~1",                           "x",             "path.gitmodules" },
};

static void test_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(files); i++) {
        struct scene *s = scene_new();
        scene_put(s, &s->root, files[i].mode, files[i].path, str_of(files[i].content));
        scene_commit(s, "feat: add a file\n");
        scene_expect(files[i].name, s, files[i].code);
        scene_free(s);
    }
}

/* ----------------------------------------------------------------------------------- all the rest
 */

static void duplicate(struct scene *s)
{
    raw_entry_add(&s->root, "100644", STR("README.md"), s->readme);
    scene_commit(s, "feat: x\n");
}

static void duplicate_folder(struct scene *s)
{
    raw_entry_add(&s->root, "100644", STR("src"), s->readme);
    scene_put(s, &s->root, "100644", "src.txt", STR("x"));
    scene_commit(s, "feat: x\n");
}

static void unsorted(struct scene *s)
{
    raw_oid tree;
    struct raw_tree t = {0};
    raw_entry_add(&t, "100644", STR("b"), s->readme);
    raw_entry_add(&t, "100644", STR("a"), s->readme);
    raw_tree_write(&s->pack, &t, false, tree);
    raw_entry_add(&s->root, "40000", STR("folder"), tree);
    scene_commit(s, "feat: x\n");
}

static void cut_tree(struct scene *s)
{
    raw_oid id;
    raw_object(&s->pack, RAW_TREE, STR("100644 a\0short"), id);
    raw_entry_add(&s->root, "40000", STR("folder"), id);
    scene_commit(s, "feat: x\n");
}

static void gitlink(struct scene *s)
{
    raw_entry_add(&s->root, "160000", STR("sub"), s->base);
    scene_commit(s, "feat: x\n");
}

static void root_commit(struct scene *s)
{
    raw_oid tree;
    scene_put(s, &s->root, "100644", "new.txt", STR("x\n"));
    raw_tree_write(&s->pack, &s->root, true, tree);
    raw_commit(&s->pack, tree, (const char *const[]){NULL}, "feat: x\n", s->tip);
}

static void merge(struct scene *s)
{
    raw_oid tree, first;
    scene_one_file(s);
    memcpy(first, s->tip, sizeof(first));
    scene_put(s, &s->root, "100644", "second.txt", STR("y\n"));
    raw_tree_write(&s->pack, &s->root, true, tree);
    raw_commit(&s->pack, tree, (const char *const[]){s->base, first, NULL}, "merge\n", s->tip);
}

/* The chain ends at another commit that the repository has. */
static void other_start(struct scene *s)
{
    raw_oid tree;
    static raw_oid old;
    raw_commit(&s->base_pack, s->base_tree, (const char *const[]){NULL}, "older", old);
    scene_put(s, &s->root, "100644", "new.txt", STR("x\n"));
    raw_tree_write(&s->pack, &s->root, true, tree);
    raw_commit(&s->pack, tree, (const char *const[]){old, NULL}, "feat: x\n", s->tip);
}

static void unknown_parent(struct scene *s)
{
    memset(s->tip, 'a', GIT_OID_HEX);
    scene_one_file(s);
}

static void bad_author(struct scene *s)
{
    AUTO(buf_done) struct buf text = {0};
    scene_one_file(s);
    buf_printf(&text, "tree %s\nparent %s\nmaintainer x\n\nfeat: x\n", s->base_tree, s->base);
    raw_object(&s->pack, RAW_COMMIT, buf_str(&text), s->tip);
}

static void no_message(struct scene *s)
{
    AUTO(buf_done) struct buf text = {0};
    scene_one_file(s);
    buf_printf(&text, "tree %s\nparent %s\nauthor a <a> 1 +0000\n", s->base_tree, s->base);
    raw_object(&s->pack, RAW_COMMIT, buf_str(&text), s->tip);
}

static void no_change(struct scene *s)
{
    scene_put(s, &s->root, "100644", "new.txt", STR("x\n"));
    scene_commit(s, "feat: add\n");
    scene_drop(&s->root, STR("new.txt"));
    scene_commit(s, "revert: add\n");
}

static void many_commits(struct scene *s, int n)
{
    char text[32];
    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof(text), "%d\n", i);
        scene_put(s, &s->root, "100644", "new.txt", str_of(text));
        scene_commit(s, "feat: count\n");
    }
}

static void fifty_commits(struct scene *s)
{
    many_commits(s, 50);
}

static void fifty_one_commits(struct scene *s)
{
    many_commits(s, 51);
}

static void tip_is_tree(struct scene *s)
{
    scene_one_file(s);
    scene_put(s, &s->root, "100644", "b.txt", STR("y\n"));
    raw_tree_write(&s->pack, &s->root, true, s->tip);
}

static void tree_is_blob(struct scene *s)
{
    raw_oid id;
    scene_blob(s, STR("x"), id);
    raw_entry_add(&s->root, "40000", STR("folder"), id);
    scene_commit(s, "feat: x\n");
}

static void blob_is_tree(struct scene *s)
{
    raw_oid tree;
    struct raw_tree t = {0};
    raw_entry_add(&t, "100644", STR("a"), s->readme);
    raw_tree_write(&s->pack, &t, true, tree);
    raw_entry_add(&s->root, "100644", STR("file"), tree);
    scene_commit(s, "feat: x\n");
}

static void missing_blob(struct scene *s)
{
    raw_entry_add(&s->root, "100644", STR("file"), "1234567890123456789012345678901234567890");
    scene_commit(s, "feat: x\n");
}

static void missing_tree(struct scene *s)
{
    raw_entry_add(&s->root, "40000", STR("folder"), "1234567890123456789012345678901234567890");
    scene_commit(s, "feat: x\n");
}

static void long_path(struct scene *s)
{
    char name[200];
    AUTO(buf_done) struct buf path = {0};
    memset(name, 'n', sizeof(name));
    for (int i = 0; i < 6; i++) {
        buf_add(&path, name, sizeof(name));
        buf_putc(&path, i < 5 ? '/' : 'n');
    }
    struct raw_tree t = s->root;
    scene_put(s, &t, "100644", buf_cstr(&path), STR("x"));
    raw_oid tree;
    raw_tree_write(&s->pack, &t, true, tree);
    raw_commit(&s->pack, tree, (const char *const[]){s->base, NULL}, "feat: x\n", s->tip);
}

static void deep_path(struct scene *s)
{
    raw_oid id;
    scene_blob(s, STR("x"), id);
    for (int i = 0; i < 70; i++) {
        struct raw_tree t = {0};
        raw_entry_add(&t, i == 0 ? "100644" : "40000", STR("d"), id);
        raw_tree_write(&s->pack, &t, true, id);
    }
    raw_entry_add(&s->root, "40000", STR("d"), id);
    scene_commit(s, "feat: x\n");
}

/* Thirty folders, each twice in the next: a billion paths. */
static void tree_bomb(struct scene *s)
{
    raw_oid id;
    scene_blob(s, STR("x"), id);
    for (int i = 0; i < 30; i++) {
        struct raw_tree t = {0};
        raw_entry_add(&t, i == 0 ? "100644" : "40000", STR("a"), id);
        raw_entry_add(&t, i == 0 ? "100644" : "40000", STR("b"), id);
        raw_tree_write(&s->pack, &t, true, id);
    }
    raw_entry_add(&s->root, "40000", STR("d"), id);
    scene_commit(s, "feat: x\n");
}

static void gitmodules_changed(struct scene *s)
{
    scene_put(s, &s->root, "100644", ".gitmodules", STR("[submodule \"evil\"]\n"));
    scene_commit(s, "feat: x\n");
}

static void gitmodules_removed(struct scene *s)
{
    scene_drop(&s->root, STR(".gitmodules"));
    scene_commit(s, "feat: x\n");
}

static void workflows_removed(struct scene *s)
{
    scene_drop(&s->root, STR(".github"));
    scene_commit(s, "feat: x\n");
}

/* In one commit and out in the next. */
static void workflow_between(struct scene *s)
{
    struct raw_tree before = s->root;
    scene_put(s, &s->root, "100644", ".github/workflows/x.yml", STR("x"));
    scene_commit(s, "feat: x\n");
    s->root = before;
    scene_put(s, &s->root, "100644", "new.txt", STR("x\n"));
    scene_commit(s, "feat: y\n");
}

static void secret_file(struct scene *s)
{
    AUTO(buf_done) struct buf text = {0};
    buf_printf(&text, "token = \"%s\"\n", scene_token());
    scene_put(s, &s->root, "100644", "config.py", buf_str(&text));
    scene_commit(s, "feat: x\n");
}

static void secret_between(struct scene *s)
{
    secret_file(s);
    scene_put(s, &s->root, "100644", "config.py", STR("token = None\n"));
    scene_commit(s, "fix: y\n");
}

static void secret_name(struct scene *s)
{
    static char name[100];
    snprintf(name, sizeof(name), "%s.txt", scene_token());
    scene_put(s, &s->root, "100644", name, STR("x"));
    scene_commit(s, "feat: x\n");
}

static void secret_message(struct scene *s)
{
    AUTO(buf_done) struct buf text = {0};
    scene_put(s, &s->root, "100644", "new.txt", STR("x\n"));
    buf_printf(&text, "feat: x\n\nwith %s\n", scene_token());
    scene_commit(s, buf_cstr(&text));
}

static void secret_far_in(struct scene *s)
{
    AUTO(buf_done) struct buf text = {0};
    for (int i = 0; i < 300000; i++)
        buf_printf(&text, "line %d\n", i);
    buf_printf(&text, "x=%s\n", scene_token());
    scene_put(s, &s->root, "100644", "big.txt", buf_str(&text));
    scene_commit(s, "feat: x\n");
}

/* A line that the repository has already may stay when its file is edited. */
static void secret_was_there(struct scene *s)
{
    AUTO(buf_done) struct buf text = {0};
    raw_oid id, tree;
    buf_printf(&text, "example: %s\n", scene_token());
    raw_object(&s->base_pack, RAW_BLOB, buf_str(&text), id);
    raw_entry_add(&s->root, "100644", STR("doc.md"), id);
    raw_tree_write(&s->base_pack, &s->root, true, tree);
    raw_commit(&s->base_pack, tree, (const char *const[]){NULL}, "start", s->base);
    buf_puts(&text, "more\n");
    scene_put(s, &s->root, "100644", "doc.md", buf_str(&text));
    scene_commit(s, "docs: say more\n");
}

static void garbage_beside(struct scene *s)
{
    raw_oid id;
    scene_one_file(s);
    scene_blob(s, STR("nobody refers to this"), id);
}

static void legacy_mode(struct scene *s)
{
    raw_oid id;
    scene_blob(s, STR("changed\n"), id);
    scene_drop(&s->root, STR("legacy.txt"));
    raw_entry_add(&s->root, "100664", STR("legacy.txt"), id);
    scene_commit(s, "fix: change a file\n");
}

static void removal(struct scene *s)
{
    scene_drop(&s->root, STR("README.md"));
    scene_drop(&s->root, STR("src"));
    scene_commit(s, "refactor: remove files\n");
}

static const struct scene_case cases[] = {
    {"one file",            scene_one_file,     NULL              },
    {"fifty commits",       fifty_commits,      NULL              },
    {"garbage beside",      garbage_beside,     NULL              },
    {"legacy mode stays",   legacy_mode,        NULL              },
    {"removal",             removal,            NULL              },
    {"secret was there",    secret_was_there,   NULL              },
    {"duplicate name",      duplicate,          "tree.duplicate"  },
    {"file and folder",     duplicate_folder,   "tree.duplicate"  },
    {"unsorted",            unsorted,           "tree.unsorted"   },
    {"cut tree",            cut_tree,           "tree.malformed"  },
    {"gitlink",             gitlink,            "tree.gitlink"    },
    {"root commit",         root_commit,        "commit.root"     },
    {"merge",               merge,              "commit.merge"    },
    {"other start",         other_start,        "commit.base"     },
    {"unknown parent",      unknown_parent,     "object.missing"  },
    {"bad author",          bad_author,         "commit.malformed"},
    {"no message",          no_message,         "commit.malformed"},
    {"51 commits",          fifty_one_commits,  "commit.count"    },
    {"no change",           no_change,          "bundle.empty"    },
    {"tip is a tree",       tip_is_tree,        "object.type"     },
    {"tree is a blob",      tree_is_blob,       "object.type"     },
    {"blob is a tree",      blob_is_tree,       "object.type"     },
    {"missing blob",        missing_blob,       "object.missing"  },
    {"missing tree",        missing_tree,       "object.missing"  },
    {"long path",           long_path,          "path.long"       },
    {"deep path",           deep_path,          "path.deep"       },
    {"tree bomb",           tree_bomb,          "limit.paths"     },
    {".gitmodules changed", gitmodules_changed, "path.gitmodules" },
    {".gitmodules removed", gitmodules_removed, "path.gitmodules" },
    {"workflows removed",   workflows_removed,  "path.protected"  },
    {"workflow in between", workflow_between,   "path.protected"  },
    {"secret in a file",    secret_file,        "secret.found"    },
    {"secret in between",   secret_between,     "secret.found"    },
    {"secret in a name",    secret_name,        "secret.found"    },
    {"secret in a message", secret_message,     "secret.found"    },
    {"secret far in",       secret_far_in,      "secret.found"    },
};

static void test_cases(void **state)
{
    (void)state;
    scene_run(cases, COUNT(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_cases),
    };
    return cmocka_run_group_tests(tests, scene_setup, scene_teardown);
}
