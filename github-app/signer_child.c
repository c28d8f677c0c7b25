/* The signer's process. It reads the key, closes every descriptor but its socket, signs once so
 * that OpenSSL has everything it will ever load, installs the system-call filter and then serves
 * requests that hold nothing but a number and a clock skew: there is no way to have it sign
 * something else.
 *
 * It ignores SIGTERM and SIGINT, which service managers and terminals send to the whole group: the
 * bot still needs tokens while it drains. It ends when the bot does, by end of file or by the
 * parent-death signal. Sanitizers make system calls of their own, so their builds run without the
 * filter. */
#include "github-app/signer_child.h"

#include "bot/base/buf.h"
#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEY_BITS_MIN 2048
#define KEY_BITS_MAX 8192
#define BACK_S       60  /* iat may not lie in GitHub's future */
#define AHEAD_S      540 /* GitHub allows 600 */
#define SKEW_MAX_S   86400

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

/* ------------------------------------------------------------------------------------- filter */

#ifndef SANITIZED
#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#define ALLOW     BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define KILL      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
#define LOAD(off) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(off))
/* Goes on when equal, else skips n. */
#define IF_EQ(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), 0, n)
#define NR              offsetof(struct seccomp_data, nr)
/* Little-endian: the low half comes first, and a descriptor and protection bits fit in it. */
#define ARG(i)     (offsetof(struct seccomp_data, args) + 8 * (i))
#define PASS(name) IF_EQ(SYS_##name, 1), ALLOW
/* Only on our socket. */
#define PASS_ON(name, fd) IF_EQ(SYS_##name, 4), LOAD(ARG(0)), IF_EQ(fd, 1), ALLOW, KILL
/* Never executable memory. */
#define PASS_NOEXEC(name)                                                                          \
    IF_EQ(SYS_##name, 4), LOAD(ARG(2)), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0),     \
        ALLOW, KILL

static bool confine(int fd)
{
#ifdef ARCH
    struct sock_filter code[] = {
        LOAD(offsetof(struct seccomp_data, arch)),
        IF_EQ(ARCH, 1),
        BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
        KILL,
        LOAD(NR),
        PASS_ON(read, fd),
        PASS_ON(write, fd),
        PASS_ON(recvfrom, fd),
        PASS_ON(sendto, fd),
        PASS_NOEXEC(mmap),
        PASS_NOEXEC(mprotect),
        PASS(munmap),
        PASS(mremap),
        PASS(madvise),
        PASS(brk),
        PASS(futex),
        PASS(getrandom),
        PASS(getpid),
        PASS(clock_gettime),
        PASS(gettimeofday),
#ifdef SYS_time
        PASS(time),
#endif
        PASS(rt_sigreturn),
        PASS(restart_syscall),
        PASS(exit),
        PASS(exit_group),
        KILL,
    };
    struct sock_fprog program = {.len = (unsigned short)COUNT(code), .filter = code};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
#else
    (void)fd;
    return false;
#endif
}
#else
static bool confine(int fd)
{
    (void)fd;
    return true;
}
#endif

bool signer_child_is_confined(void)
{
#ifdef SANITIZED
    return false;
#else
    return true;
#endif
}

/* Before the key is touched. What fails here makes the process unfit to hold it. */
static bool harden(int fd, pid_t parent)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2};
    const struct rlimit none = {0, 0};
    for (size_t i = 0; i < COUNT(ignored); i++)
        signal(ignored[i], SIG_IGN);
    bool ok = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
    ok = ok && prctl(PR_SET_DUMPABLE, 0) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    ok = ok && setrlimit(RLIMIT_CORE, &none) == 0;
    ok = ok && (fd == 0 || close_range(0, (unsigned)fd - 1, 0) == 0);
    ok = ok && close_range((unsigned)fd + 1, UINT_MAX, 0) == 0;
    prctl(PR_SET_NAME, "squadbot-signer");
    return ok;
}

/* ---------------------------------------------------------------------------------------- key */

/* An encrypted key would make OpenSSL ask on the terminal. */
static int no_password(char *out, int size, int for_writing, void *arg)
{
    (void)out, (void)size, (void)for_writing, (void)arg;
    return -1;
}

static EVP_PKEY *read_key(const struct secret *pem, struct err *err)
{
    BIO *bio = pem->n <= INT_MAX ? BIO_new_mem_buf(pem->p, (int)pem->n) : NULL; /* no copy */
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    OPENSSL_cleanse(pem->p, pem->n); /* this process's own copy */
    if (!key) {
        err_set(err, ERR_INPUT,
                "the private key is not readable (PEM, PKCS#1 or PKCS#8, no password)");
        return NULL;
    }
    int bits = EVP_PKEY_get_bits(key);
    if (EVP_PKEY_is_a(key, "RSA") && bits >= KEY_BITS_MIN && bits <= KEY_BITS_MAX)
        return key;
    err_set(err, ERR_INPUT, "the private key is %s of %d bits, not RSA of %d to %d",
            EVP_PKEY_is_a(key, "RSA") ? "RSA" : "of another kind", bits, KEY_BITS_MIN,
            KEY_BITS_MAX);
    EVP_PKEY_free(key);
    return NULL;
}

static void fingerprint(EVP_PKEY *key, struct buf *out)
{
    unsigned char *der = NULL, digest[SHA256_BYTES];
    int n = i2d_PUBKEY(key, &der);
    if (n <= 0)
        return;
    sha256(der, (size_t)n, digest); /* positive, see above */
    enc_base64(out, digest, sizeof(digest));
    OPENSSL_free(der);
}

/* header "." payload "." signature */
static bool sign(EVP_PKEY *key, const char *issuer, int64_t now_s, struct buf *out)
{
    static const struct str header = {"{\"alg\":\"RS256\",\"typ\":\"JWT\"}", 27};
    unsigned char signature[KEY_BITS_MAX / 8];
    size_t n = sizeof(signature);
    struct buf payload = {0};
    buf_printf(&payload, "{\"iat\":%lld,\"exp\":%lld,\"iss\":\"", (long long)(now_s - BACK_S),
               (long long)(now_s + AHEAD_S));
    enc_json(&payload, str_of(issuer));
    buf_puts(&payload, "\"}");
    enc_base64url(out, header.p, header.n);
    buf_putc(out, '.');
    enc_base64url(out, payload.data, payload.len);
    buf_done(&payload);

    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestSign(ctx, signature, &n, (const unsigned char *)out->data, out->len) == 1;
    EVP_MD_CTX_free(ctx);
    buf_putc(out, '.');
    if (ok)
        enc_base64url(out, signature, n);
    return ok && out->len <= SIGNER_TEXT_MAX;
}

/* -------------------------------------------------------------------------------------- serve */

static bool say(int fd, uint64_t number, bool ok, struct str text)
{
    struct signer_answer a = {.number = number, .ok = ok, .n = (uint32_t)text.n};
    if (text.n > SIGNER_TEXT_MAX)
        return false;
    memcpy(a.text, text.p, text.n);
    size_t size = SIGNER_HEAD_BYTES + text.n;
    bool sent = send(fd, &a, size, MSG_NOSIGNAL) == (ssize_t)size;
    explicit_bzero(&a, sizeof(a));
    return sent;
}

static bool serve(int fd, EVP_PKEY *key, const char *issuer)
{
    struct signer_request q;
    ssize_t n = recv(fd, &q, sizeof(q), 0);
    if (n < 0 && errno == EINTR)
        return true;
    if (n != (ssize_t)sizeof(q))
        return false; /* the bot has ended, or is not itself any more */
    if (q.skew_s > SKEW_MAX_S || q.skew_s < -SKEW_MAX_S)
        return say(fd, q.number, false, STR("GitHub's clock and ours differ by more than a day"));
    struct buf jwt = {0};
    bool ok = sign(key, issuer, clock_wall_s() + q.skew_s, &jwt);
    bool said = say(fd, q.number, ok, ok ? buf_str(&jwt) : STR("OpenSSL cannot sign"));
    explicit_bzero(jwt.data, jwt.len);
    buf_done(&jwt);
    return said;
}

/* Reads the key and signs once. NULL: err says why. */
static EVP_PKEY *prepare(const struct secret *pem, const char *issuer, struct buf *print,
                         struct err *err)
{
    struct buf jwt = {0};
    /* No configuration file: it could name providers, and those would be loaded. */
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    EVP_PKEY *key = read_key(pem, err);
    if (!key)
        return NULL;
    fingerprint(key, print);
    if (!sign(key, issuer, clock_wall_s(), &jwt)) {
        err_set(err, ERR_INPUT, "the private key does not sign");
        EVP_PKEY_free(key);
        key = NULL;
    }
    buf_done(&jwt);
    return key;
}

void signer_child_run(int fd, pid_t parent, const struct secret *pem, const char *issuer)
{
    struct err err;
    struct buf print = {0};
    if (!harden(fd, parent))
        _exit(1);
    EVP_PKEY *key = prepare(pem, issuer, &print, &err);
    if (key && !confine(fd)) {
        key = NULL;
        err_set(&err, ERR_BUG, "the signer's system-call filter cannot be installed");
    }
    if (!key) {
        if (!say(fd, 0, false, str_of(err.text)))
            _exit(1);
        _exit(0);
    }
    bool ok = say(fd, 0, true, buf_str(&print));
    while (ok)
        ok = serve(fd, key, issuer);
    _exit(0);
}
