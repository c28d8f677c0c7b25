/* What every test of a bundle starts from: a base pack and an agent's pack, both made byte by byte,
 * and git_import() on the bundle that comes of them. */
#pragma once

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

static const char *scene_token(void)
{
    static char text[64];
    /* Put together here, so that no scanner takes this file for a leak. */
    snprintf(text, sizeof(text), "ghp%s", "_0123456789abcdefghijABCDEFGHIJ012345");
    return text;
}

static inline void scene_base(struct scene *s)
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

static inline struct scene *scene_new(void)
{
    struct scene *s = mem_alloc(sizeof(*s));
    s->dir = tmp_make();
    s->signature = "# v2 git bundle\n";
    s->ref = REF;
    scene_base(s);
    return s;
}

static inline void scene_free(struct scene *s)
{
    raw_done(&s->base_pack);
    raw_done(&s->pack);
    buf_done(&s->bytes);
    tmp_remove(s->dir);
    free(s);
}

static inline void scene_blob(struct scene *s, struct str content, raw_oid out)
{
    raw_object(&s->pack, RAW_BLOB, content, out);
}

static inline bool scene_drop(struct raw_tree *t, struct str name)
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
static inline void scene_put(struct scene *s, struct raw_tree *t, const char *mode,
                             const char *path, struct str content)
{
    raw_oid id;
    const char *slash = strrchr(path, '/');
    scene_drop(t, str_sub(str_of(path), 0, str_find(str_of(path), STR("/"), 0)));
    scene_blob(s, content, id);
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
static inline void scene_commit(struct scene *s, const char *message)
{
    raw_oid tree, id;
    struct raw_tree t = s->root;
    raw_tree_write(&s->pack, &t, true, tree);
    raw_commit(&s->pack, tree, (const char *const[]){*s->tip ? s->tip : s->base, NULL}, message,
               id);
    memcpy(s->tip, id, sizeof(id));
}

static inline bool scene_import(struct scene *s, struct git_import_result *out, struct err *err)
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

static inline void scene_expect(const char *name, struct scene *s, const char *code)
{
    struct git_import_result result = {0};
    struct err err = {0};
    clock_t began = clock();
    bool ok = scene_import(s, &result, &err);
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
        ROW_TRUE(name, strstr(err.text, scene_token()) == NULL);
    }
    if (getenv("SQUADBOT_TEST_TIMES"))
        print_message("%-28s %.3f s\n", name, seconds);
    ROW_TRUE(name, seconds < CPU_MAX_S);
    AUTO(mem_freep) char *left = mem_printf("%s/quarantine", s->dir);
    ROW_TRUE(name, !file_exists(left));
}

static inline void scene_one_file(struct scene *s)
{
    scene_put(s, &s->root, "100644", "new.txt", STR("x\n"));
    scene_commit(s, "feat: add a file\n");
}

struct scene_case {
    const char *name;
    void (*make)(struct scene *s);
    const char *code; /* NULL = must pass */
};

static inline void scene_run(const struct scene_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct scene *s = scene_new();
        cases[i].make(s);
        scene_expect(cases[i].name, s, cases[i].code);
        scene_free(s);
    }
}

static inline int scene_setup(void **state)
{
    (void)state;
    git_engine_init();
    return 0;
}

static inline int scene_teardown(void **state)
{
    (void)state;
    git_engine_done();
    return 0;
}
