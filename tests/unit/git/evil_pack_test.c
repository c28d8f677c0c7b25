/* Bundles and packs that break one rule each, damage of every kind, and what a full disk does. */
#include "tests/unit/git/scene.h"

#include <signal.h>
#include <sys/resource.h>

static void other_prerequisite(struct scene *s)
{
    scene_one_file(s);
    s->prerequisite = "1234567890123456789012345678901234567890";
}

static void two_prerequisites(struct scene *s)
{
    scene_one_file(s);
    snprintf(s->extra_head, sizeof(s->extra_head), "-%s\n", s->tip);
}

static void two_refs(struct scene *s)
{
    scene_one_file(s);
    snprintf(s->extra_head, sizeof(s->extra_head), "%s refs/heads/main\n", s->base);
}

static void other_ref(struct scene *s)
{
    scene_one_file(s);
    s->ref = "refs/heads/main";
}

static void tag_ref(struct scene *s)
{
    scene_one_file(s);
    s->ref = "refs/tags/v1";
}

static void version_3(struct scene *s)
{
    scene_one_file(s);
    s->signature = "# v3 git bundle\n@object-format=sha1\n";
}

static void no_bundle(struct scene *s)
{
    scene_one_file(s);
    s->signature = "#!/bin/sh\n";
}

static void tip_is_base(struct scene *s)
{
    scene_one_file(s);
    memcpy(s->tip, s->base, sizeof(s->tip));
}

static void tag_object(struct scene *s)
{
    AUTO(buf_done) struct buf text = {0};
    raw_oid id;
    scene_one_file(s);
    buf_printf(&text, "object %s\ntype commit\ntag v1\ntagger a <a> 1 +0000\n\nx\n", s->tip);
    raw_object(&s->pack, RAW_TAG, buf_str(&text), id);
}

static void bytes_of(struct scene *s)
{
    scene_one_file(s);
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
    scene_one_file(s);
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
    scene_one_file(s);
    s->pack.objects.data[8] ^= 0x55;
}

static void huge_count(struct scene *s)
{
    scene_one_file(s);
    raw_pack_claim(&s->pack, UINT32_MAX, &s->bytes);
}

static void more_claimed(struct scene *s)
{
    scene_one_file(s);
    raw_pack_claim(&s->pack, s->pack.n + 1, &s->bytes);
}

static void many_objects(struct scene *s)
{
    raw_oid id;
    char text[16];
    scene_one_file(s);
    for (int i = 0; i < 20001; i++) {
        snprintf(text, sizeof(text), "%d", i);
        scene_blob(s, str_of(text), id);
    }
}

static void two_gib(struct scene *s)
{
    scene_one_file(s);
    raw_claim(&s->pack, RAW_BLOB, (uint64_t)2 << 30, STR("x"));
}

static void absurd_size(struct scene *s)
{
    scene_one_file(s);
    raw_claim(&s->pack, RAW_BLOB, UINT64_MAX, STR("x"));
}

static void larger_than_said(struct scene *s)
{
    scene_one_file(s);
    raw_claim(&s->pack, RAW_BLOB, 10, STR("more than ten bytes"));
}

static void smaller_than_said(struct scene *s)
{
    scene_one_file(s);
    raw_claim(&s->pack, RAW_BLOB, 1000, STR("less"));
}

/* Zeroes that deflate to next to nothing. */
static void bomb(struct scene *s, int n, size_t size)
{
    AUTO(mem_freep) char *zeroes = mem_alloc(size);
    scene_one_file(s);
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
    scene_one_file(s);
    raw_delta(&s->pack, s->readme, 8, (uint64_t)3 << 30);
}

static void delta_bombs(struct scene *s)
{
    scene_one_file(s);
    for (int i = 0; i < 10; i++)
        raw_delta(&s->pack, s->readme, 8, (uint64_t)64 << 20);
}

static void delta_false(struct scene *s)
{
    scene_one_file(s);
    raw_delta(&s->pack, s->readme, 8, 100);
}

static void delta_no_base(struct scene *s)
{
    scene_one_file(s);
    raw_delta(&s->pack, "1234567890123456789012345678901234567890", 8, 8);
}

static void delta_before_pack(struct scene *s)
{
    scene_one_file(s);
    raw_head(&s->pack, RAW_OFS, 2);
    buf_puts(&s->pack.objects, "\x7f");
    raw_deflate(&s->pack, STR("\x08\x08"));
}

static void delta_chain(struct scene *s)
{
    scene_one_file(s);
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

static const struct scene_case cases[] = {
    {"other prerequisite",    other_prerequisite, "bundle.prerequisite"},
    {"two prerequisites",     two_prerequisites,  "bundle.prerequisite"},
    {"two refs",              two_refs,           "bundle.refs"        },
    {"other ref",             other_ref,          "bundle.ref"         },
    {"tag as ref",            tag_ref,            "bundle.ref"         },
    {"bundle version 3",      version_3,          "bundle.header"      },
    {"no bundle",             no_bundle,          "bundle.header"      },
    {"tip is base",           tip_is_base,        "bundle.empty"       },
    {"tag object",            tag_object,         "pack.tag"           },
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
};

static void test_cases(void **state)
{
    (void)state;
    scene_run(cases, COUNT(cases));
}

/* Every truncation and many damages of an honest bundle: refused, and nothing worse. */
static void test_damage(void **state)
{
    (void)state;
    struct scene *s = scene_new();
    struct git_import_result result;
    struct err err;
    scene_one_file(s);
    raw_pack(&s->pack, &s->bytes);
    struct buf whole = {0};
    buf_add_str(&whole, buf_str(&s->bytes));
    for (size_t n = 0; n < whole.len; n++) {
        buf_clear(&s->bytes);
        buf_add(&s->bytes, n ? whole.data : "x", n ? n : 1);
        assert_false(scene_import(s, &result, &err));
    }
    uint64_t random = 12345;
    for (int i = 0; i < 300; i++) {
        buf_clear(&s->bytes);
        buf_add_str(&s->bytes, buf_str(&whole));
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        s->bytes.data[random % whole.len] ^= (char)(1u << (random >> 32) % 8);
        assert_false(scene_import(s, &result, &err));
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
    scene_one_file(s);
    scene_expect("before", s, NULL);
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

/* A disk without room, as far as a limit on the size of files can stand for it: nothing is said
 * against the work, and nothing is left behind. */
static void test_no_room(void **state)
{
    (void)state;
    struct scene *s = scene_new();
    struct git_import_result result;
    struct err err = {0};
    struct rlimit before, small;
    char noise[8192];
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (char)(i * i * 31 >> 3);
    scene_put(s, &s->root, "100644", "noise.bin", (struct str){noise, sizeof(noise)});
    scene_commit(s, "feat: x\n");
    scene_expect("with room", s, NULL);
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
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 1024;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    bool ok = git_import(&spec, NULL, &result, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_false(ok);
    assert_int_equal(err.kind, ERR_UPSTREAM);
    AUTO(mem_freep) char *left = mem_printf("%s/quarantine", s->dir);
    assert_false(file_exists(left));
    scene_expect("again", s, NULL);
    scene_free(s);
}

/* Another base pack in the place of the one that was indexed. */
static void test_other_base(void **state)
{
    (void)state;
    struct scene *s = scene_new();
    scene_one_file(s);
    scene_expect("first", s, NULL);
    raw_oid unused;
    raw_object(&s->base_pack, RAW_BLOB, STR("one object more\n"), unused);
    scene_expect("other base pack", s, NULL);
    scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),      cmocka_unit_test(test_damage),
        cmocka_unit_test(test_cancel),     cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_other_base),
    };
    return cmocka_run_group_tests(tests, scene_setup, scene_teardown);
}
