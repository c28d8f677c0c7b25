/* Counts connections, in total and by address, so that one client cannot take all of them. Shared
 * by all loops; thread-safe. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

struct gate;

/* An address as it is counted: IPv4 as mapped IPv6, IPv6 cut to its /64. */
struct gate_key {
    unsigned char bytes[16];
    bool exempt; /* loopback: front proxies and local programs */
};

struct gate *gate_new(int total_max, int per_ip_max);
void gate_free(struct gate *g);
struct gate_key gate_key_of(const struct sockaddr *sa);
/* False: one too many, close it. */
bool gate_enter(struct gate *g, const struct gate_key *key);
void gate_leave(struct gate *g, const struct gate_key *key);
