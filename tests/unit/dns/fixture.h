// fixture: small policies, tables and messages for the tests of dns/.
#pragma once

#include "sl_test.h"

#include <netinet/in.h>
#include <sluice/dns/addresses.h>
#include <sluice/dns/answer.h>
#include <sluice/dns/message.h>
#include <sluice/dns/policy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL    0x64600000u // 100.96.0.0
#define GROUP_A 1ull
#define GROUP_B 2ull
#define ALL_PORTS                                                                                  \
	{                                                                                          \
		{                                                                                  \
			0, 65535                                                                   \
		}                                                                                  \
	}

static const struct sl_name_key fixture_key = { { 0x9ae16a3b2f90404full,
						  0xc949d7c7509e6557ull,
						  0xff51afd7ed558ccdull,
						  0xc4ceb9fe1a85ec53ull } };
static const struct sl_policy_range fixture_all[] = ALL_PORTS;

// For what asks for randomness with a context: a sequence that is the same each time.
static inline uint64_t
next_random(void *context)
{
	uint64_t *x = context;

	*x = *x * 6364136223846793005ull + 1442695040888963407ull;
	return *x ^ *x >> 29;
}

// A resource that lets everything through.
static inline struct sl_policy_resource
open_resource(uint32_t id, const char *const *pattern, uint64_t groups)
{
	return (struct sl_policy_resource){
		.id = id,
		.network = id + 1000,
		.label = pattern[0],
		.patterns = pattern,
		.nb_patterns = 1,
		.tcp = fixture_all,
		.nb_tcp = 1,
		.udp = fixture_all,
		.nb_udp = 1,
		.icmp = true,
		.groups = groups,
		.ttl_s = 60,
	};
}

static inline struct sl_policy *
build_policy(const struct sl_policy_resource *list, unsigned nb, uint32_t generation)
{
	struct sl_policy_spec spec = { .generation = generation,
				       .name_key = fixture_key,
				       .resources = list,
				       .nb_resources = nb,
				       .canary = true };
	struct sl_policy_error error;
	struct sl_policy *policy;

	if (sl_policy_build(&spec, &policy, &error) != 0)
		sl_test_note("policy: %s", error.what);
	return policy;
}

// A lease store that says yes at the next tick; tests look inside.
struct fake_store {
	unsigned nb_bound, nb_retired, nb_released;
	uint32_t pending; // name id last asked for
	uint32_t address;
	bool is_full;
};

static inline bool
fake_bind(void *store, uint32_t name_id, const char *name, uint32_t address)
{
	struct fake_store *s = store;

	(void)name;
	if (s->is_full)
		return false;
	s->nb_bound++;
	s->pending = name_id;
	s->address = address;
	return true;
}

static inline bool
fake_retire(void *store, uint32_t name_id, const char *name, uint32_t address, bool is_released)
{
	struct fake_store *s = store;

	(void)name_id;
	(void)name;
	(void)address;
	s->nb_retired += !is_released;
	s->nb_released += is_released;
	return true;
}

static const struct sl_lease_ops fake_ops = { .bind = fake_bind, .retire = fake_retire };

static inline struct sl_addresses_config
table_config(struct fake_store *store, uint8_t pool_bits, uint32_t names_max)
{
	return (struct sl_addresses_config){
		.pool = POOL,
		.pool_bits = pool_bits,
		.names_max = names_max,
		.quarantine_s = 86400,
		.drain_s = 60,
		.idle_s = 600,
		.name_key = fixture_key,
		.probe_key = { 1, 2, 3 },
		.lease = &fake_ops,
		.store = store,
	};
}

// Claim a name and let the store agree. Returns its id, SL_NO_NAME if it could not be had.
static inline uint32_t
give_name(
	struct sl_addresses *table,
	struct fake_store *store,
	const struct sl_policy *policy,
	const char *text,
	uint32_t client,
	uint32_t now_s
)
{
	struct sl_claim claim = {
		.policy = policy, .client_groups = UINT64_MAX, .client = client, .now_s = now_s
	};
	struct sl_name name;
	uint32_t id;

	if (sl_name_from_text(&name, text) != SL_NAME_OK)
		return SL_NO_NAME;
	switch (sl_addresses_claim(table, &claim, &name, &id)) {
	case SL_CLAIM_LIVE:
		return id;
	case SL_CLAIM_PENDING:
		if (sl_addresses_bound(table, id, SL_LEASE_BOUND, store->address, now_s) ==
		    SL_CLAIM_LIVE)
			return id;
		return SL_NO_NAME;
	case SL_CLAIM_FULL:
	case SL_CLAIM_CLIENT_QUOTA:
	case SL_CLAIM_RESOURCE_QUOTA:
	case SL_CLAIM_BUSY:
	case SL_CLAIM_NOT_A_RESOURCE:
	default:
		return SL_NO_NAME;
	}
}

// Query bytes: header, question in the letter case given, OPT if edns_bytes is not 0.
static inline size_t
make_query(uint8_t *to, const char *text, uint16_t type, uint16_t flags, uint16_t edns_bytes)
{
	uint8_t *p = to + 12;

	memset(to, 0, 12);
	sl_put16(to, 0x1234);
	sl_put16(to + 2, flags);
	sl_put16(to + 4, 1);
	while (*text != '\0') {
		size_t n = strcspn(text, ".");

		*p++ = (uint8_t)n;
		memcpy(p, text, n);
		p += n;
		text += n + (text[n] == '.');
	}
	*p++ = 0;
	sl_put16(p, type);
	sl_put16(p + 2, SL_DNS_IN);
	p += 4;
	if (edns_bytes != 0) {
		memset(p, 0, 11);
		sl_put16(p + 1, SL_DNS_OPT);
		sl_put16(p + 3, edns_bytes);
		sl_put16(to + 10, 1);
		p += 11;
	}
	return (size_t)(p - to);
}
