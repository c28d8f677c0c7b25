/* An open-addressing table of address → connections, guarded by one mutex (opening a connection is
 * rare next to what happens on it). It is never full: at most `total_max` addresses can be counted
 * at a time, and it has more than twice as many places. */
#include "bot/web/gate.h"

#include "bot/base/enc.h"
#include "bot/base/mem.h"

#include <assert.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

struct place {
    unsigned char bytes[16];
    int count; /* 0 = free */
};

struct gate {
    pthread_mutex_t mutex;
    int total, total_max, per_ip_max;
    uint64_t seed; /* so that nobody can choose addresses that collide */
    size_t mask;
    struct place *places;
};

struct gate *gate_new(int total_max, int per_ip_max)
{
    struct gate *g = mem_alloc(sizeof(*g));
    size_t places = 64;
    while (places < 2 * (size_t)total_max + 1)
        places *= 2;
    pthread_mutex_init(&g->mutex, NULL);
    g->total_max = total_max;
    g->per_ip_max = per_ip_max;
    g->mask = places - 1;
    g->places = mem_array(places, sizeof(*g->places));
    random_bytes(&g->seed, sizeof(g->seed));
    return g;
}

void gate_free(struct gate *g)
{
    if (!g)
        return;
    pthread_mutex_destroy(&g->mutex);
    free(g->places);
    free(g);
}

struct gate_key gate_key_of(const struct sockaddr *sa)
{
    struct gate_key key = {0};
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        key.bytes[10] = key.bytes[11] = 0xff;
        memcpy(key.bytes + 12, &in.sin_addr, 4);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        memcpy(key.bytes, &in6.sin6_addr, 16);
        key.exempt = IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
    }
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(key.bytes, mapped, sizeof(mapped)) == 0)
        key.exempt = key.bytes[12] == 127;
    else
        memset(key.bytes + 8, 0, 8);
    return key;
}

static size_t start_of(const struct gate *g, const unsigned char bytes[16])
{
    uint64_t parts[2];
    memcpy(parts, bytes, sizeof(parts));
    uint64_t h = (g->seed ^ parts[0]) * UINT64_C(0x9e3779b97f4a7c15);
    h = ((h ^ (h >> 29)) + parts[1]) * UINT64_C(0xbf58476d1ce4e5b9) ^ g->seed;
    return (size_t)(h ^ (h >> 32)) & g->mask;
}

static struct place *find(struct gate *g, const unsigned char bytes[16])
{
    size_t i = start_of(g, bytes);
    while (g->places[i].count > 0 && memcmp(g->places[i].bytes, bytes, 16) != 0)
        i = (i + 1) & g->mask;
    return &g->places[i];
}

/* Moves later entries of the run into the hole, so that searches still find them. */
static void close_hole(struct gate *g, size_t hole)
{
    for (size_t i = (hole + 1) & g->mask; g->places[i].count > 0; i = (i + 1) & g->mask) {
        size_t home = start_of(g, g->places[i].bytes);
        if (((i - home) & g->mask) >= ((i - hole) & g->mask)) {
            g->places[hole] = g->places[i];
            g->places[i].count = 0;
            hole = i;
        }
    }
}

bool gate_enter(struct gate *g, const struct gate_key *key)
{
    pthread_mutex_lock(&g->mutex);
    bool ok = g->total < g->total_max;
    if (ok && !key->exempt) {
        struct place *p = find(g, key->bytes);
        ok = p->count < g->per_ip_max;
        if (ok) {
            memcpy(p->bytes, key->bytes, 16);
            p->count++;
        }
    }
    if (ok)
        g->total++;
    pthread_mutex_unlock(&g->mutex);
    return ok;
}

void gate_leave(struct gate *g, const struct gate_key *key)
{
    pthread_mutex_lock(&g->mutex);
    g->total--;
    if (!key->exempt) {
        struct place *p = find(g, key->bytes);
        assert(p->count > 0);
        if (--p->count == 0)
            close_hole(g, (size_t)(p - g->places));
    }
    pthread_mutex_unlock(&g->mutex);
}
