/* Bundles that break one rule each, made byte by byte, and what git_import() says of them; and the
 * same bundles without the fault, which must pass. */
#include "bot/git/import.h"

#include "tests/unit/git/git_run.h"
#include "tests/unit/git/rawpack.h"

#include <time.h>

#define REF       "refs/heads/task-12"
#define CPU_MAX_S 10.0 /* sanitizers included; without them the slowest takes far less than one */

/* What every case starts from: a base pack, and an agent's pack that is being filled. */
struct scene {
    char *dir;
    raw_oid base, base_tree, readme, workflow_blob, link_blob;
    struct raw base_pack;
    struct raw pack;
    struct raw_tree root; /* the base's entries, to be changed */
    raw_oid tip;
    /* the bundle's head */
    const char *signature;
    const char *ref;
    const char *prerequisite; /* NULL = base */
    char extra_head[256];
    struct buf bytes; /* the pack; made from `pack` when empty */
};

static const char *token(void)
{
    static char text[64];
    /* Put together here, so that no scanner takes this file for a leak. */
    snprintf(text, sizeof(text), "ghp%s", "_0123456789abcdefghijABCDEFGHIJ012345");
    return text;
}

static void scene_base(struct scene *s)
{
    raw_oid dir, github, workflows, blob;
    struct raw_tree t = {0};
    raw_object(&s->base_pack, RAW_BLOB, STR("# hello\n"), s->readme);
    raw_object(&s->base_pack, RAW_BLOB, STR("on: push\n"), s->workflow_blob);
    raw_object(&s->base_pack, RAW_BLOB, STR("src/a.c"), s->link_blob);
    raw_object(&s->base_pack, RAW_BLOB, STR("int a;\n"), blob);
    raw_entry_add(&t, "100644", STR("a.c"), blob);
    raw_tree_write(&s->base_pack, &t, true, dir);
    t = (struct raw_tree){0};
    raw_entry_add(&t, "100644", STR("ci.yml"), s->workflow_blob);
    raw_tree_write(&s->base_pack, &t, true, workflows);
    t = (struct raw_tree){0};
    raw_entry_add(&t, "40000", STR("workflows"), workflows);
    raw_tree_write(&s->base_pack, &t, true, github);
    raw_object(&s->base_pack, RAW_BLOB, STR("[submodule \"x\"]\n"), blob);
    raw_entry_add(&s->root, "100644", STR("README.md"), s->readme);
    raw_entry_add(&s->root, "40000", STR("src"), dir);
    raw_entry_add(&s->root, "40000", STR(".github"), github);
    raw_entry_add(&s->root, "100644", STR(".gitmodules"), blob);
    raw_entry_add(&s->root, "100664", STR("legacy.txt"), s->readme);
    raw_tree_write(&s->base_pack, &s->root, true, s->base_tree);
    raw_commit(&s->base_pack, s->base_tree, (const char *const[]){NULL}, "start", s->base);
}

static struct scene *scene_new(void)
{
    struct scene *s = mem_alloc(sizeof(*s));
    s->dir = tmp_make();
    s->signature = "# v2 git bundle\n";
    s->ref = REF;
    scene_base(s);
    return s;
}

static void scene_free(struct scene *s)
{
    raw_done(&s->base_pack);
    raw_done(&s->pack);
    buf_done(&s->bytes);
    tmp_remove(s->dir);
    free(s);
}

static void blob(struct scene *s, struct str content, raw_oid out)
{
    raw_object(&s->pack, RAW_BLOB, content, out);
}

static bool drop(struct raw_tree *t, struct str name)
{
    for (size_t i = 0; i < t->n; i++)
        if (str_eq(t->entries[i].name, name)) {
            t->entries[i] = t->entries[--t->n];
            return true;
        }
    return false;
}

/* Puts a file at a path into `t`, making its folders anew, in place of what has its first
 * name. */
static void put(struct scene *s, struct raw_tree *t, const char *mode, const char *path,
                struct str content)
{
    raw_oid id;
    const char *slash = strrchr(path, '/');
    drop(t, str_sub(str_of(path), 0, str_find(str_of(path), STR("/"), 0)));
    blob(s, content, id);
    if (!slash) {
        raw_entry_add(t, mode, str_of(path), id);
        return;
    }
    struct raw_tree folder = {0};
    raw_entry_add(&folder, mode, str_of(slash + 1), id);
    raw_tree_write(&s->pack, &folder, true, id);
    struct str rest = {path, (size_t)(slash - path)};
    for (;;) {
        size_t at = rest.n;
        while (at > 0 && rest.p[at - 1] != '/')
            at--;
        if (at == 0)
            break;
        folder = (struct raw_tree){0};
        raw_entry_add(&folder, "40000", str_sub(rest, at, rest.n), id);
        raw_tree_write(&s->pack, &folder, true, id);
        rest = str_sub(rest, 0, at - 1);
    }
    raw_entry_add(t, "40000", rest, id);
}

/* A commit of the root upon the tip, or the base. */
static void commit(struct scene *s, const char *message)
{
    raw_oid tree, id;
    struct raw_tree t = s->root;
    raw_tree_write(&s->pack, &t, true, tree);
    raw_commit(&s->pack, tree, (const char *const[]){*s->tip ? s->tip : s->base, NULL}, message,
               id);
    memcpy(s->tip, id, sizeof(id));
}

static bool import(struct scene *s, struct git_import_result *out, struct err *err)
{
    struct buf base = {0}, bundle = {.max = (size_t)256 * 1024 * 1024};
    AUTO(mem_freep) char *base_path = mem_printf("%s/base.pack", s->dir);
    AUTO(mem_freep) char *bundle_path = mem_printf("%s/out.bundle", s->dir);
    raw_pack(&s->base_pack, &base);
    if (s->bytes.len == 0)
        raw_pack(&s->pack, &s->bytes);
    buf_printf(&bundle, "%s-%s start\n%s%s %s\n\n", s->signature,
               s->prerequisite ? s->prerequisite : s->base, s->extra_head, s->tip, s->ref);
    buf_add_str(&bundle, buf_str(&s->bytes));
    write_file(base_path, buf_str(&base));
    write_file(bundle_path, buf_str(&bundle));
    buf_done(&base);
    buf_done(&bundle);
    struct git_import_spec spec = {
        .dir = s->dir,
        .bundle_path = bundle_path,
        .base_oid = s->base,
        .ref = REF,
        .author = {"squadbot[bot]", "1+squadbot[bot]@users.noreply.example.com"},
        .time_s = 1700000000,
        .title = "feat: do the task",
        .trailers = "Refs: #12",
    };
    struct call call = call_in(60000, NULL);
    return git_import(&spec, &call, out, err);
}

static void expect(const char *name, struct scene *s, const char *code)
{
    struct git_import_result result = {0};
    struct err err = {0};
    clock_t began = clock();
    bool ok = import(s, &result, &err);
    double seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
    if (code == NULL) {
        if (!ok)
            fail_msg("row \"%s\": refused: %s", name, err.text);
        git_import_result_done(&result);
    } else {
        if (ok)
            fail_msg("row \"%s\": let pass", name);
        if (!str_starts(str_of(err.text), str_of(code)) ||
            strncmp(err.text + strlen(code), ": ", 2))
            fail_msg("row \"%s\": not %s, but %s", name, code, err.text);
        ROW_TRUE(name, err.kind == ERR_POLICY || err.kind == ERR_INPUT);
        ROW_TRUE(name, strstr(err.text, token()) == NULL);
    }
    if (getenv("SQUADBOT_TEST_TIMES"))
        print_message("%-28s %.3f s\n", name, seconds);
    ROW_TRUE(name, seconds < CPU_MAX_S);
    AUTO(mem_freep) char *left = mem_printf("%s/quarantine", s->dir);
    ROW_TRUE(name, !file_exists(left));
}

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
        put(s, &s->root, files[i].mode, files[i].path, str_of(files[i].content));
        commit(s, "feat: add a file\n");
        expect(files[i].name, s, files[i].code);
        scene_free(s);
    }
}

/* ----------------------------------------------------------------------------------- all the rest
 */

static void one_file(struct scene *s)
{
    put(s, &s->root, "100644", "new.txt", STR("x\n"));
    commit(s, "feat: add a file\n");
}

static void duplicate(struct scene *s)
{
    raw_entry_add(&s->root, "100644", STR("README.md"), s->readme);
    commit(s, "feat: x\n");
}

static void duplicate_folder(struct scene *s)
{
    raw_entry_add(&s->root, "100644", STR("src"), s->readme);
    put(s, &s->root, "100644", "src.txt", STR("x"));
    commit(s, "feat: x\n");
}

static void unsorted(struct scene *s)
{
    raw_oid tree;
    struct raw_tree t = {0};
    raw_entry_add(&t, "100644", STR("b"), s->readme);
    raw_entry_add(&t, "100644", STR("a"), s->readme);
    raw_tree_write(&s->pack, &t, false, tree);
    raw_entry_add(&s->root, "40000", STR("folder"), tree);
    commit(s, "feat: x\n");
}

static void cut_tree(struct scene *s)
{
    raw_oid id;
    raw_object(&s->pack, RAW_TREE, STR("100644 a\0short"), id);
    raw_entry_add(&s->root, "40000", STR("folder"), id);
    commit(s, "feat: x\n");
}

static void gitlink(struct scene *s)
{
    raw_entry_add(&s->root, "160000", STR("sub"), s->base);
    commit(s, "feat: x\n");
}

static void root_commit(struct scene *s)
{
    raw_oid tree;
    put(s, &s->root, "100644", "new.txt", STR("x\n"));
    raw_tree_write(&s->pack, &s->root, true, tree);
    raw_commit(&s->pack, tree, (const char *const[]){NULL}, "feat: x\n", s->tip);
}

static void merge(struct scene *s)
{
    raw_oid tree, first;
    one_file(s);
    memcpy(first, s->tip, sizeof(first));
    put(s, &s->root, "100644", "second.txt", STR("y\n"));
    raw_tree_write(&s->pack, &s->root, true, tree);
    raw_commit(&s->pack, tree, (const char *const[]){s->base, first, NULL}, "merge\n", s->tip);
}

/* The chain ends at another commit that the repository has. */
static void other_start(struct scene *s)
{
    raw_oid tree;
    static raw_oid old;
    raw_commit(&s->base_pack, s->base_tree, (const char *const[]){NULL}, "older", old);
    put(s, &s->root, "100644", "new.txt", STR("x\n"));
    raw_tree_write(&s->pack, &s->root, true, tree);
    raw_commit(&s->pack, tree, (const char *const[]){old, NULL}, "feat: x\n", s->tip);
}

static void unknown_parent(struct scene *s)
{
    memset(s->tip, 'a', GIT_OID_HEX);
    one_file(s);
}

static void bad_author(struct scene *s)
{
    AUTO(buf_done) struct buf text = {0};
    one_file(s);
    buf_printf(&text, "tree %s\nparent %s\nmaintainer x\n\nfeat: x\n", s->base_tree, s->base);
    raw_object(&s->pack, RAW_COMMIT, buf_str(&text), s->tip);
}

static void no_message(struct scene *s)
{
    AUTO(buf_done) struct buf text = {0};
    one_file(s);
    buf_printf(&text, "tree %s\nparent %s\nauthor a <a> 1 +0000\n", s->base_tree, s->base);
    raw_object(&s->pack, RAW_COMMIT, buf_str(&text), s->tip);
}

static void other_prerequisite(struct scene *s)
{
    one_file(s);
    s->prerequisite = "1234567890123456789012345678901234567890";
}

static void two_prerequisites(struct scene *s)
{
    one_file(s);
    snprintf(s->extra_head, sizeof(s->extra_head), "-%s\n", s->tip);
}

static void two_refs(struct scene *s)
{
    one_file(s);
    snprintf(s->extra_head, sizeof(s->extra_head), "%s refs/heads/main\n", s->base);
}

static void other_ref(struct scene *s)
{
    one_file(s);
    s->ref = "refs/heads/main";
}

static void tag_ref(struct scene *s)
{
    one_file(s);
    s->ref = "refs/tags/v1";
}

static void version_3(struct scene *s)
{
    one_file(s);
    s->signature = "# v3 git bundle\n@object-format=sha1\n";
}

static void no_bundle(struct scene *s)
{
    one_file(s);
    s->signature = "#!/bin/sh\n";
}

static void tip_is_base(struct scene *s)
{
    one_file(s);
    memcpy(s->tip, s->base, sizeof(s->tip));
}

static void no_change(struct scene *s)
{
    put(s, &s->root, "100644", "new.txt", STR("x\n"));
    commit(s, "feat: add\n");
    drop(&s->root, STR("new.txt"));
    commit(s, "revert: add\n");
}

static void many_commits(struct scene *s, int n)
{
    char text[32];
    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof(text), "%d\n", i);
        put(s, &s->root, "100644", "new.txt", str_of(text));
        commit(s, "feat: count\n");
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

static void tag_object(struct scene *s)
{
    AUTO(buf_done) struct buf text = {0};
    raw_oid id;
    one_file(s);
    buf_printf(&text, "object %s\ntype commit\ntag v1\ntagger a <a> 1 +0000\n\nx\n", s->tip);
    raw_object(&s->pack, RAW_TAG, buf_str(&text), id);
}

static void tip_is_tree(struct scene *s)
{
    one_file(s);
    put(s, &s->root, "100644", "b.txt", STR("y\n"));
    raw_tree_write(&s->pack, &s->root, true, s->tip);
}

static void tree_is_blob(struct scene *s)
{
    raw_oid id;
    blob(s, STR("x"), id);
    raw_entry_add(&s->root, "40000", STR("folder"), id);
    commit(s, "feat: x\n");
}

static void blob_is_tree(struct scene *s)
{
    raw_oid tree;
    struct raw_tree t = {0};
    raw_entry_add(&t, "100644", STR("a"), s->readme);
    raw_tree_write(&s->pack, &t, true, tree);
    raw_entry_add(&s->root, "100644", STR("file"), tree);
    commit(s, "feat: x\n");
}

static void missing_blob(struct scene *s)
{
    raw_entry_add(&s->root, "100644", STR("file"), "1234567890123456789012345678901234567890");
    commit(s, "feat: x\n");
}

static void missing_tree(struct scene *s)
{
    raw_entry_add(&s->root, "40000", STR("folder"), "1234567890123456789012345678901234567890");
    commit(s, "feat: x\n");
}

static void bytes_of(struct scene *s)
{
    one_file(s);
    raw_pack(&s->pack, &s->bytes);
}

static void truncated(struct scene *s)
{
    bytes_of(s);
    s->bytes.len -= 30;
}

static void no_pack(struct scene *s)
{
    bytes_of(s);
    s->bytes.len = 3;
}

static void trailing(struct scene *s)
{
    bytes_of(s);
    buf_puts(&s->bytes, "more");
}

static void trailing_inside(struct scene *s)
{
    one_file(s);
    buf_puts(&s->pack.objects, "more");
}

static void checksum(struct scene *s)
{
    bytes_of(s);
    s->bytes.data[s->bytes.len - 1] ^= 1;
}

static void pack_version(struct scene *s)
{
    bytes_of(s);
    s->bytes.data[7] = 9;
}

static void corrupt(struct scene *s)
{
    one_file(s);
    s->pack.objects.data[8] ^= 0x55;
}

static void huge_count(struct scene *s)
{
    one_file(s);
    raw_pack_claim(&s->pack, UINT32_MAX, &s->bytes);
}

static void more_claimed(struct scene *s)
{
    one_file(s);
    raw_pack_claim(&s->pack, s->pack.n + 1, &s->bytes);
}

static void many_objects(struct scene *s)
{
    raw_oid id;
    char text[16];
    one_file(s);
    for (int i = 0; i < 20001; i++) {
        snprintf(text, sizeof(text), "%d", i);
        blob(s, str_of(text), id);
    }
}

static void two_gib(struct scene *s)
{
    one_file(s);
    raw_claim(&s->pack, RAW_BLOB, (uint64_t)2 << 30, STR("x"));
}

static void absurd_size(struct scene *s)
{
    one_file(s);
    raw_claim(&s->pack, RAW_BLOB, UINT64_MAX, STR("x"));
}

static void larger_than_said(struct scene *s)
{
    one_file(s);
    raw_claim(&s->pack, RAW_BLOB, 10, STR("more than ten bytes"));
}

static void smaller_than_said(struct scene *s)
{
    one_file(s);
    raw_claim(&s->pack, RAW_BLOB, 1000, STR("less"));
}

/* Zeroes that deflate to next to nothing. */
static void bomb(struct scene *s, int n, size_t size)
{
    AUTO(mem_freep) char *zeroes = mem_alloc(size);
    one_file(s);
    for (int i = 0; i < n; i++)
        raw_claim(&s->pack, RAW_BLOB, size, (struct str){zeroes, size});
}

static void bomb_many(struct scene *s)
{
    bomb(s, 5, (size_t)64 << 20);
}

static void bomb_one(struct scene *s)
{
    bomb(s, 1, ((size_t)100 << 20) + 1);
}

static void delta_bomb(struct scene *s)
{
    one_file(s);
    raw_delta(&s->pack, s->readme, 8, (uint64_t)3 << 30);
}

static void delta_bombs(struct scene *s)
{
    one_file(s);
    for (int i = 0; i < 10; i++)
        raw_delta(&s->pack, s->readme, 8, (uint64_t)64 << 20);
}

static void delta_false(struct scene *s)
{
    one_file(s);
    raw_delta(&s->pack, s->readme, 8, 100);
}

static void delta_no_base(struct scene *s)
{
    one_file(s);
    raw_delta(&s->pack, "1234567890123456789012345678901234567890", 8, 8);
}

static void delta_before_pack(struct scene *s)
{
    one_file(s);
    raw_head(&s->pack, RAW_OFS, 2);
    buf_puts(&s->pack.objects, "\x7f");
    raw_deflate(&s->pack, STR("\x08\x08"));
}

static void delta_chain(struct scene *s)
{
    one_file(s);
    size_t before = s->pack.objects.len;
    raw_object(&s->pack, RAW_BLOB, STR("12345678"), (raw_oid){0});
    for (int i = 0; i < 5000; i++) {
        size_t at = s->pack.objects.len;
        assert_true(at - before < 128);
        raw_head(&s->pack, RAW_OFS, 4);
        buf_putc(&s->pack.objects, (char)(at - before));
        /* copies its base whole */
        raw_deflate(&s->pack, STR("\x08\x08\x90\x08"));
        before = at;
    }
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
    put(s, &t, "100644", buf_cstr(&path), STR("x"));
    raw_oid tree;
    raw_tree_write(&s->pack, &t, true, tree);
    raw_commit(&s->pack, tree, (const char *const[]){s->base, NULL}, "feat: x\n", s->tip);
}

static void deep_path(struct scene *s)
{
    raw_oid id;
    blob(s, STR("x"), id);
    for (int i = 0; i < 70; i++) {
        struct raw_tree t = {0};
        raw_entry_add(&t, i == 0 ? "100644" : "40000", STR("d"), id);
        raw_tree_write(&s->pack, &t, true, id);
    }
    raw_entry_add(&s->root, "40000", STR("d"), id);
    commit(s, "feat: x\n");
}

/* Thirty folders, each twice in the next: a billion paths. */
static void tree_bomb(struct scene *s)
{
    raw_oid id;
    blob(s, STR("x"), id);
    for (int i = 0; i < 30; i++) {
        struct raw_tree t = {0};
        raw_entry_add(&t, i == 0 ? "100644" : "40000", STR("a"), id);
        raw_entry_add(&t, i == 0 ? "100644" : "40000", STR("b"), id);
        raw_tree_write(&s->pack, &t, true, id);
    }
    raw_entry_add(&s->root, "40000", STR("d"), id);
    commit(s, "feat: x\n");
}

static void gitmodules_changed(struct scene *s)
{
    put(s, &s->root, "100644", ".gitmodules", STR("[submodule \"evil\"]\n"));
    commit(s, "feat: x\n");
}

static void gitmodules_removed(struct scene *s)
{
    drop(&s->root, STR(".gitmodules"));
    commit(s, "feat: x\n");
}

static void workflows_removed(struct scene *s)
{
    drop(&s->root, STR(".github"));
    commit(s, "feat: x\n");
}

/* In one commit and out in the next. */
static void workflow_between(struct scene *s)
{
    struct raw_tree before = s->root;
    put(s, &s->root, "100644", ".github/workflows/x.yml", STR("x"));
    commit(s, "feat: x\n");
    s->root = before;
    put(s, &s->root, "100644", "new.txt", STR("x\n"));
    commit(s, "feat: y\n");
}

static void secret_file(struct scene *s)
{
    AUTO(buf_done) struct buf text = {0};
    buf_printf(&text, "token = \"%s\"\n", token());
    put(s, &s->root, "100644", "config.py", buf_str(&text));
    commit(s, "feat: x\n");
}

static void secret_between(struct scene *s)
{
    secret_file(s);
    put(s, &s->root, "100644", "config.py", STR("token = None\n"));
    commit(s, "fix: y\n");
}

static void secret_name(struct scene *s)
{
    static char name[100];
    snprintf(name, sizeof(name), "%s.txt", token());
    put(s, &s->root, "100644", name, STR("x"));
    commit(s, "feat: x\n");
}

static void secret_message(struct scene *s)
{
    AUTO(buf_done) struct buf text = {0};
    put(s, &s->root, "100644", "new.txt", STR("x\n"));
    buf_printf(&text, "feat: x\n\nwith %s\n", token());
    commit(s, buf_cstr(&text));
}

static void secret_far_in(struct scene *s)
{
    AUTO(buf_done) struct buf text = {0};
    for (int i = 0; i < 300000; i++)
        buf_printf(&text, "line %d\n", i);
    buf_printf(&text, "x=%s\n", token());
    put(s, &s->root, "100644", "big.txt", buf_str(&text));
    commit(s, "feat: x\n");
}

/* A line that the repository has already may stay when its file is edited. */
static void secret_was_there(struct scene *s)
{
    AUTO(buf_done) struct buf text = {0};
    raw_oid id, tree;
    buf_printf(&text, "example: %s\n", token());
    raw_object(&s->base_pack, RAW_BLOB, buf_str(&text), id);
    raw_entry_add(&s->root, "100644", STR("doc.md"), id);
    raw_tree_write(&s->base_pack, &s->root, true, tree);
    raw_commit(&s->base_pack, tree, (const char *const[]){NULL}, "start", s->base);
    buf_puts(&text, "more\n");
    put(s, &s->root, "100644", "doc.md", buf_str(&text));
    commit(s, "docs: say more\n");
}

static void garbage_beside(struct scene *s)
{
    raw_oid id;
    one_file(s);
    blob(s, STR("nobody refers to this"), id);
}

static void legacy_mode(struct scene *s)
{
    raw_oid id;
    blob(s, STR("changed\n"), id);
    drop(&s->root, STR("legacy.txt"));
    raw_entry_add(&s->root, "100664", STR("legacy.txt"), id);
    commit(s, "fix: change a file\n");
}

static void removal(struct scene *s)
{
    drop(&s->root, STR("README.md"));
    drop(&s->root, STR("src"));
    commit(s, "refactor: remove files\n");
}

static const struct {
    const char *name;
    void (*make)(struct scene *s);
    const char *code;
} cases[] = {
    {"one file",              one_file,           NULL                 },
    {"fifty commits",         fifty_commits,      NULL                 },
    {"garbage beside",        garbage_beside,     NULL                 },
    {"legacy mode stays",     legacy_mode,        NULL                 },
    {"removal",               removal,            NULL                 },
    {"secret was there",      secret_was_there,   NULL                 },
    {"duplicate name",        duplicate,          "tree.duplicate"     },
    {"file and folder",       duplicate_folder,   "tree.duplicate"     },
    {"unsorted",              unsorted,           "tree.unsorted"      },
    {"cut tree",              cut_tree,           "tree.malformed"     },
    {"gitlink",               gitlink,            "tree.gitlink"       },
    {"root commit",           root_commit,        "commit.root"        },
    {"merge",                 merge,              "commit.merge"       },
    {"other start",           other_start,        "commit.base"        },
    {"unknown parent",        unknown_parent,     "object.missing"     },
    {"bad author",            bad_author,         "commit.malformed"   },
    {"no message",            no_message,         "commit.malformed"   },
    {"51 commits",            fifty_one_commits,  "commit.count"       },
    {"other prerequisite",    other_prerequisite, "bundle.prerequisite"},
    {"two prerequisites",     two_prerequisites,  "bundle.prerequisite"},
    {"two refs",              two_refs,           "bundle.refs"        },
    {"other ref",             other_ref,          "bundle.ref"         },
    {"tag as ref",            tag_ref,            "bundle.ref"         },
    {"bundle version 3",      version_3,          "bundle.header"      },
    {"no bundle",             no_bundle,          "bundle.header"      },
    {"tip is base",           tip_is_base,        "bundle.empty"       },
    {"no change",             no_change,          "bundle.empty"       },
    {"tag object",            tag_object,         "pack.tag"           },
    {"tip is a tree",         tip_is_tree,        "object.type"        },
    {"tree is a blob",        tree_is_blob,       "object.type"        },
    {"blob is a tree",        blob_is_tree,       "object.type"        },
    {"missing blob",          missing_blob,       "object.missing"     },
    {"missing tree",          missing_tree,       "object.missing"     },
    {"truncated",             truncated,          "pack.truncated"     },
    {"no pack",               no_pack,            "pack.truncated"     },
    {"trailing",              trailing,           "pack.trailing"      },
    {"trailing inside",       trailing_inside,    "pack.trailing"      },
    {"checksum",              checksum,           "pack.checksum"      },
    {"pack version",          pack_version,       "pack.header"        },
    {"corrupt",               corrupt,            "pack.inflate"       },
    {"huge count",            huge_count,         "pack.objects"       },
    {"more claimed",          more_claimed,       "pack.truncated"     },
    {"many objects",          many_objects,       "pack.objects"       },
    {"2 GiB claimed",         two_gib,            "pack.object"        },
    {"absurd size",           absurd_size,        "pack.object"        },
    {"larger than said",      larger_than_said,   "pack.inflate"       },
    {"smaller than said",     smaller_than_said,  "pack.inflate"       },
    {"bomb of one",           bomb_one,           "pack.object"        },
    {"bomb of many",          bomb_many,          "pack.total"         },
    {"delta bomb",            delta_bomb,         "pack.object"        },
    {"delta bombs",           delta_bombs,        "pack.total"         },
    {"delta that lies",       delta_false,        "pack.corrupt"       },
    {"delta without base",    delta_no_base,      "pack.corrupt"       },
    {"delta before the pack", delta_before_pack,  "pack.delta"         },
    {"delta chain",           delta_chain,        "pack.delta"         },
    {"long path",             long_path,          "path.long"          },
    {"deep path",             deep_path,          "path.deep"          },
    {"tree bomb",             tree_bomb,          "limit.paths"        },
    {".gitmodules changed",   gitmodules_changed, "path.gitmodules"    },
    {".gitmodules removed",   gitmodules_removed, "path.gitmodules"    },
    {"workflows removed",     workflows_removed,  "path.protected"     },
    {"workflow in between",   workflow_between,   "path.protected"     },
    {"secret in a file",      secret_file,        "secret.found"       },
    {"secret in between",     secret_between,     "secret.found"       },
    {"secret in a name",      secret_name,        "secret.found"       },
    {"secret in a message",   secret_message,     "secret.found"       },
    {"secret far in",         secret_far_in,      "secret.found"       },
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct scene *s = scene_new();
        cases[i].make(s);
        expect(cases[i].name, s, cases[i].code);
        scene_free(s);
    }
}

/* Every truncation and many damages of an honest bundle: refused, and nothing worse. */
static void test_damage(void **state)
{
    (void)state;
    struct scene *s = scene_new();
    struct git_import_result result;
    struct err err;
    one_file(s);
    raw_pack(&s->pack, &s->bytes);
    struct buf whole = {0};
    buf_add_str(&whole, buf_str(&s->bytes));
    for (size_t n = 0; n < whole.len; n++) {
        buf_clear(&s->bytes);
        buf_add(&s->bytes, n ? whole.data : "x", n ? n : 1);
        assert_false(import(s, &result, &err));
    }
    uint64_t random = 12345;
    for (int i = 0; i < 300; i++) {
        buf_clear(&s->bytes);
        buf_add_str(&s->bytes, buf_str(&whole));
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        s->bytes.data[random % whole.len] ^= (char)(1u << (random >> 32) % 8);
        assert_false(import(s, &result, &err));
    }
    buf_done(&whole);
    scene_free(s);
}

static void test_cancel(void **state)
{
    (void)state;
    struct scene *s = scene_new();
    struct git_import_result result;
    struct err err = {0};
    one_file(s);
    expect("before", s, NULL);
    struct cancel *cancel = cancel_new();
    struct call call = {0, cancel};
    AUTO(mem_freep) char *bundle = mem_printf("%s/out.bundle", s->dir);
    struct git_import_spec spec = {
        .dir = s->dir,
        .bundle_path = bundle,
        .base_oid = s->base,
        .ref = REF,
        .author = {"a", "b"},
        .title = "",
        .trailers = ""
    };
    cancel_fire(cancel);
    assert_false(git_import(&spec, &call, &result, &err));
    assert_int_equal(err.kind, ERR_CANCELLED);
    cancel_unref(cancel);
    scene_free(s);
}

static int setup(void **state)
{
    (void)state;
    git_engine_init();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    git_engine_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_cancel),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
