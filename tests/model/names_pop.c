#include "names_pop.h"

#include <sluice/ctrl/clock.h>
#include <string.h>
#include <unistd.h>

#define TENANT 7u
#define RETIRE (1ull << 40)

struct sl_name_key name_key;
char store_dir[64];

struct pop pop;

struct sl_policy *
policy(void)
{
	return pop.policies[world->policy];
}

void
build_policy(unsigned which, uint32_t generation)
{
	static const struct sl_policy_range all = { 0, 65535 };
	struct sl_policy_resource resources[RULES];
	struct sl_policy_error error;
	struct sl_policy_spec spec = { .generation = generation,
				       .name_key = name_key,
				       .resources = resources,
				       .nb_resources = RULES,
				       .canary = true,
				       .refuse_other = which == 0 };

	for (unsigned i = 0; i < RULES; i++)
		resources[i] = (struct sl_policy_resource){ .id = i,
							    .label = rules[which][i].pattern,
							    .patterns = &rules[which][i].pattern,
							    .nb_patterns = 1,
							    .tcp = &all,
							    .nb_tcp = 1,
							    .groups = rules[which][i].groups,
							    .inherit = rules[which][i].inherit,
							    .ttl_s = rules[which][i].ttl_s };
	sl_policy_free(pop.policies[which]);
	if (sl_policy_build(&spec, &pop.policies[which], &error) != 0) {
		check(false, "policy: %s", error.what);
		_exit(1);
	}
}

static bool
bind_lease(void *arg, uint32_t name_id, const char *name, uint32_t address)
{
	(void)arg, (void)address;
	return sl_lease_acquire(pop.store, 1ull << 32 | name_id, TENANT, name, "", 1) == 0;
}

static bool
retire_lease(void *arg, uint32_t name_id, const char *name, uint32_t address, bool is_released)
{
	(void)arg, (void)name;
	if (is_released)
		return sl_lease_reclaim(pop.store, UINT64_MAX, TENANT, address) == 0;
	return sl_lease_rest(pop.store, RETIRE | name_id, TENANT, address, QUARANTINE_S * NS) == 0;
}

static const struct sl_lease_ops lease_ops = { bind_lease, retire_lease };

static void
restore(void *arg, const struct sl_lease *lease)
{
	uint64_t retired_ns = lease->until_ns - QUARANTINE_S * NS;
	bool rests = lease->state == SL_LEASE_RESTING;
	uint32_t age_s = rests ? (uint32_t)((sl_store_wall_ns(pop.store) - retired_ns) / NS) : 0;

	(void)arg;
	check(sl_addresses_restore(
		      pop.table, lease->name, lease->address, rests, age_s, world->now_s
	      ) == 0,
	      "%s cannot be restored",
	      lease->name);
}

static size_t
question(uint8_t *to, const char *name, uint16_t type, uint16_t id)
{
	uint8_t *p = to + 12;

	memset(to, 0, 12);
	sl_put16(to, id);
	sl_put16(to + 2, 0x0100);
	sl_put16(to + 4, 1);
	while (*name != '\0') {
		size_t n = strcspn(name, ".");

		*p++ = (uint8_t)n;
		memcpy(p, name, n);
		p += n;
		name += n + (name[n] == '.');
	}
	*p++ = 0;
	sl_put16(p, type);
	sl_put16(p + 2, 1);
	return (size_t)(p + 4 - to);
}

struct sl_answer
ask(uint32_t client, const char *name, uint16_t type, uint8_t message[2048])
{
	struct sl_answer_context context = { .policy = policy(),
					     .addresses = pop.table,
					     .groups = client_groups[client],
					     .now_s = world->now_s,
					     .budget_bytes = UINT32_MAX };
	struct sl_answer answer;

	memset(message, 0, 2048);
	sl_answer(&answer, &context, message, question(message, name, type, 0), 2048);
	return answer;
}

void
be_born(void)
{
	struct sl_store_config store = { .dir = store_dir,
					 .pool = { POOL, POOL_NB },
					 .linger_us = UINT32_MAX };
	struct sl_addresses_config config = { .pool = POOL,
					      .pool_bits = 24,
					      .names_max = 400,
					      .client_names_max = 6,
					      .quarantine_s = QUARANTINE_S,
					      .drain_s = DRAIN_S,
					      .idle_s = 60,
					      .name_key = name_key,
					      .lease = &lease_ops };
	char why[300] = "";

	sl_clock_freeze(world->now_s * NS, (1700000000ull + world->now_s) * NS);
	build_policy(0, ++world->generation);
	build_policy(1, ++world->generation);
	if (sl_store_open(&pop.store, &store, why, sizeof(why)) != 0 ||
	    (pop.table = sl_addresses_create(&config)) == NULL ||
	    sl_lease_load(pop.store, restore, NULL) < 0 || sl_store_start(pop.store) != 0) {
		check(false, "start: %s", why);
		_exit(1);
	}
}
