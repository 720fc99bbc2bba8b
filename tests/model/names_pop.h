// names_pop: the PoP of names.c: the name table, the lease store and the answer policy as the session
// thread and a worker use them.
#pragma once

#include "names_world.h"

#include <sluice/ctrl/store.h>
#include <sluice/dns/addresses.h>
#include <sluice/dns/answer.h>

#define NS      1000000000ull
#define WAITING 64u
#define DRAIN_S 30u
#define SWEEP_S 15u // DRAIN_S / 2

struct pop {
	struct sl_store *store;
	struct sl_addresses *table;
	struct sl_policy *policies[2];
	bool is_compiled;
	struct {
		uint32_t name_id, name, client;
	} waiting[WAITING];
	unsigned nb_waiting;
};
extern struct pop pop;
extern struct sl_name_key name_key;
extern char store_dir[64];

struct sl_policy *policy(void);
void build_policy(unsigned which, uint32_t generation);
// Start on what the store holds.
void be_born(void);
// A query of `client`; `message` becomes the answer.
struct sl_answer ask(uint32_t client, const char *name, uint16_t type, uint8_t message[2048]);
