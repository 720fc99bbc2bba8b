// pair_internal: between the files that make up the pair.
#pragma once

#include "pair.h"

#include <sluice/dns/policy.h>

#define PAIR_GROUP_A  1ull
#define PAIR_GROUP_B  2ull
#define PAIR_POP_PORT 4500

extern struct pair_conf pair_conf; // in force, its defaults filled in

// pair_policies.c: what a policy grants, see pair_policy(), and of resource `narrowed` the first TCP range
// alone; the list of a connector that has one.
extern const struct sl_name_key pair_name_key;
struct sl_policy *
pair_policy_build(uint32_t without, uint32_t widened, uint32_t narrowed, uint32_t generation);
struct sl_policy *pair_allow_build(void);

// pair_session.c: where one end's lanes are and lead to; all keypairs are given back.
void pair_set_lanes(
	struct sl_sessions *sessions, const char *local, const char *remote, unsigned is_connector
);
void pair_free_keys(void);

extern unsigned pair_punted[16]; // packets for the PoP's session thread, by enum sl_punt

// Take what left by the outer ports: DNS queries are answered, the rest waits to be taken. Returns
// how many frames there were.
unsigned pair_play_hosts(void);
void pair_reset_hosts(void);
void pair_drain(void);
