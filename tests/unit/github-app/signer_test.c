/* The signer: what it signs, what it refuses, how it is confined, and that the bot's memory holds
 * nothing of the key. The key is made by another process and the bytes to look for come masked, so
 * that the search does not find itself. */
#include "tests/unit/row.h"

#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "github-app/signer.h"

#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MASK   0x5a
#define NEEDLE 48

/* What the key maker tells; needles are masked. */
struct made {
    char pem[4096]; /* PKCS#1 or PKCS#8 */
    size_t pem_n;
    char print[64]; /* fingerprint */
    char public_pem[1024];
    unsigned char base64[NEEDLE];   /* from the middle of the PEM */
    unsigned char exponent[NEEDLE]; /* d as a big number, big-endian */
    unsigned char reversed[NEEDLE]; /* the same as OpenSSL keeps it in memory */
};

static void mask(unsigned char *out, const void *in)
{
    for (size_t i = 0; i < NEEDLE; i++)
        out[i] = ((const unsigned char *)in)[i] ^ MASK;
}

static void make_key(struct made *m, int bits, bool pkcs8)
{
    EVP_PKEY *key = EVP_RSA_gen((unsigned)bits);
    BIO *bio = BIO_new(BIO_s_mem()), *public = BIO_new(BIO_s_mem());
    unsigned char *der = NULL, digest[SHA256_BYTES], d[1024] = {0};
    char *text = NULL;
    BIGNUM *exponent = NULL;
    struct buf print = {0};
    if (pkcs8)
        PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    else
        PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL);
    m->pem_n = (size_t)BIO_get_mem_data(bio, &text);
    memcpy(m->pem, text, m->pem_n);
    mask(m->base64, text + m->pem_n / 2);
    PEM_write_bio_PUBKEY(public, key);
    long n = BIO_get_mem_data(public, &text);
    memcpy(m->public_pem, text, (size_t)n);
    sha256(der, (size_t)i2d_PUBKEY(key, &der), digest);
    enc_base64(&print, digest, sizeof(digest));
    snprintf(m->print, sizeof(m->print), "%s", buf_cstr(&print));
    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_D, &exponent);
    BN_bn2bin(exponent, d);
    mask(m->exponent, d + 64);
    BN_bn2lebinpad(exponent, d, BN_num_bytes(exponent));
    mask(m->reversed, d + 64);
}

static void read_all(int fd, void *out, size_t n)
{
    for (size_t got = 0; got < n;) {
        ssize_t r = read(fd, (char *)out + got, n - got);
        assert_true(r > 0);
        got += (size_t)r;
    }
}

/* In another process; the PEM goes straight into the secret's memory. */
static void other_process_makes_key(struct made *m, int bits, bool pkcs8, struct secret *pem)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct made *mine = mem_alloc(sizeof(*mine));
        make_key(mine, bits, pkcs8);
        ssize_t n = write(fds[1], mine, sizeof(*mine));
        _exit(n == (ssize_t)sizeof(*mine) ? 0 : 1);
    }
    close(fds[1]);
    read_all(fds[0], m, sizeof(*m));
    close(fds[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    secret_set(pem, (struct str){m->pem, m->pem_n});
    explicit_bzero(m->pem, sizeof(m->pem));
}

/* ------------------------------------------------------------------------------------- search */

static bool holds(const unsigned char *data, size_t n, const unsigned char *masked)
{
    for (size_t i = 0; i + NEEDLE <= n; i++) {
        size_t k = 0;
        while (k < NEEDLE && (data[i + k] ^ MASK) == masked[k])
            k++;
        if (k == NEEDLE)
            return true;
    }
    return false;
}

/* Anywhere in this process's writable memory. */
static bool memory_holds(const unsigned char *masked)
{
    static unsigned char window[1 << 20]; /* holds a copy of other memory: cleared after use */
    char line[512];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    assert_true(maps && mem >= 0);
    while (fgets(line, sizeof(line), maps)) {
        unsigned long from, to;
        char rights[8];
        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3 || rights[1] != 'w')
            continue;
        /* Overlapping, so that a needle on a border is seen. */
        for (unsigned long at = from; at < to; at += sizeof(window) - NEEDLE) {
            size_t want = to - at < sizeof(window) ? to - at : sizeof(window);
            ssize_t n = pread(mem, window, want, (off_t)at);
            if (n > 0 && holds(window, (size_t)n, masked))
                found = true;
            explicit_bzero(window, sizeof(window));
        }
    }
    fclose(maps);
    close(mem);
    return found;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* terabytes of shadow memory, and freed memory is kept in quarantine */
#else
#define SANITIZED 0
#endif

static void parent_forgets_the_key(void **state)
{
    static struct made m;
    struct secret pem = {0};
    struct signer *s;
    struct err err;
    (void)state;
    if (SANITIZED)
        skip();
    other_process_makes_key(&m, 2048, false, &pem);
    assert_true(memory_holds(m.base64)); /* the search works */
    if (!signer_start(&pem, "1", &s, &err))
        fail_msg("%s", err.text);
    secret_done(&pem);
    struct secret jwt = {0};
    assert_true(signer_jwt(s, 0, &jwt, &err));
    secret_done(&jwt);
    assert_false(memory_holds(m.base64));
    assert_false(memory_holds(m.exponent));
    assert_false(memory_holds(m.reversed));
    signer_stop(s);
}

/* -------------------------------------------------------------------------------------- tokens */

static void verify(const struct made *m, struct str jwt, int64_t now_s, const char *issuer)
{
    struct buf header = {0}, payload = {0}, signature = {0};
    struct str rest = jwt, part[3];
    AUTO(json_decrefp) json_t *claims = NULL;
    struct err err;
    for (int i = 0; i < 3; i++)
        assert_true(str_split(&rest, '.', &part[i]));
    assert_true(enc_unbase64(part[0], &header) && enc_unbase64(part[1], &payload) &&
                enc_unbase64(part[2], &signature));
    assert_string_equal(buf_cstr(&header), "{\"alg\":\"RS256\",\"typ\":\"JWT\"}");
    assert_true(json_parse(buf_str(&payload), &claims, &err));
    assert_int_equal(json_object_size(claims), 3);
    assert_in_range(json_int(claims, "iat", 0), now_s - 60, now_s - 55);
    assert_in_range(json_int(claims, "exp", 0), now_s + 540, now_s + 545);
    assert_string_equal(json_cstr(claims, "iss"), issuer);

    BIO *bio = BIO_new_mem_buf(m->public_pem, -1);
    EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestVerify(ctx, (unsigned char *)signature.data, signature.len,
                                      (const unsigned char *)jwt.p, part[0].n + 1 + part[1].n),
                     1);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    BIO_free(bio);
    buf_done(&header);
    buf_done(&payload);
    buf_done(&signature);
}

static void signs_what_github_wants(void **state)
{
    static const struct {
        const char *name;
        int bits;
        bool pkcs8;
        const char *issuer;
    } rows[] = {
        {"PKCS#1",    2048, false, "123456"         },
        {"PKCS#8",    2048, true,  "Iv23liAbCdEf"   },
        {"3072 bits", 3072, false, "with \"quotes\""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        static struct made m;
        struct secret pem = {0}, jwt = {0};
        struct signer *s;
        struct err err;
        other_process_makes_key(&m, rows[i].bits, rows[i].pkcs8, &pem);
        ROW_TRUE(rows[i].name, signer_start(&pem, rows[i].issuer, &s, &err));
        ROW_TEXT(rows[i].name, signer_fingerprint(s), m.print);
        for (int64_t skew = -100; skew <= 100; skew += 100) {
            ROW_TRUE(rows[i].name, signer_jwt(s, skew, &jwt, &err));
            verify(&m, secret_str(&jwt), clock_wall_s() + skew, rows[i].issuer);
        }
        assert_false(signer_jwt(s, 86401, &jwt, &err));
        assert_int_equal(err.kind, ERR_INPUT);
        /* More than the 32 signatures after which OpenSSL renews its blinding. */
        for (int n = 0; n < 100; n++)
            ROW_TRUE(rows[i].name, signer_jwt(s, 0, &jwt, &err));
        secret_done(&jwt);
        secret_done(&pem);
        signer_stop(s);
    }
}

static void bad_keys_are_refused(void **state)
{
    static const char *const texts[] = {
        "", "x", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"};
    static struct made m;
    struct secret pem = {0};
    struct signer *s = NULL;
    struct err err;
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        secret_set(&pem, str_of(texts[i]));
        assert_false(signer_start(&pem, "1", &s, &err));
        assert_int_equal(err.kind, ERR_INPUT);
    }
    other_process_makes_key(&m, 1024, false, &pem);
    assert_false(signer_start(&pem, "1", &s, &err));
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.text, "1024"));
    other_process_makes_key(&m, 2048, false, &pem);
    assert_false(signer_start(&pem, "", &s, &err));
    assert_null(s);
    secret_done(&pem);
}

/* ----------------------------------------------------------------------------------- the child */

static struct signer *started(void)
{
    static struct made m;
    struct secret pem = {0};
    struct signer *s = NULL;
    struct err err;
    other_process_makes_key(&m, 2048, false, &pem);
    if (!signer_start(&pem, "1", &s, &err))
        fail_msg("%s", err.text);
    secret_done(&pem);
    return s;
}

static void dead_signer_is_an_auth_error(void **state)
{
    struct signer *s = started();
    struct secret jwt = {0};
    struct err err;
    (void)state;
    assert_true(signer_jwt(s, 0, &jwt, &err));
    kill(signer_pid(s), SIGKILL);
    for (int i = 0; i < 2; i++) {
        assert_false(signer_jwt(s, 0, &jwt, &err));
        assert_int_equal(err.kind, ERR_AUTH);
    }
    secret_done(&jwt);
    signer_stop(s);
}

static void signals_to_the_group_do_not_end_it(void **state)
{
    struct signer *s = started();
    struct secret jwt = {0};
    struct err err;
    (void)state;
    kill(signer_pid(s), SIGTERM);
    kill(signer_pid(s), SIGINT);
    assert_true(signer_jwt(s, 0, &jwt, &err));
    secret_done(&jwt);
    signer_stop(s);
}

/* A field of /proc/PID/status as a number. */
static long status_of(pid_t pid, const char *field)
{
    char path[64], line[256];
    long value = -1;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f))
        if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':')
            assert_int_equal(sscanf(line + strlen(field), ":%ld", &value), 1);
    fclose(f);
    return value;
}

static void child_is_confined_and_small(void **state)
{
    struct signer *s = started();
    (void)state;
    assert_int_equal(status_of(signer_pid(s), "NoNewPrivs"), 1);
    if (!SANITIZED) {
        long rss_kb = status_of(signer_pid(s), "VmRSS");
        assert_int_equal(status_of(signer_pid(s), "Seccomp"), 2);
        print_message("signer VmRSS %ld kB, of it anonymous %ld kB\n", rss_kb,
                      status_of(signer_pid(s), "RssAnon"));
        assert_true(rss_kb < 16 * 1024);
    }
    signer_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parent_forgets_the_key),
        cmocka_unit_test(signs_what_github_wants),
        cmocka_unit_test(bad_keys_are_refused),
        cmocka_unit_test(dead_signer_is_an_auth_error),
        cmocka_unit_test(signals_to_the_group_do_not_end_it),
        cmocka_unit_test(child_is_confined_and_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
