// pair_policies: what the PoP of the pair grants, and what its connector allows.
#include "pair.h"
#include "pair_internal.h"

const struct sl_name_key pair_name_key = { { 0x9ae16a3b2f90404full,
					     0xc949d7c7509e6557ull,
					     0xff51afd7ed558ccdull,
					     0xc4ceb9fe1a85ec53ull } };

#define PATTERN(name)                                                                              \
	.label = (name), .patterns = (const char *const[]){ name }, .nb_patterns = 1, .ttl_s = 60

static const struct sl_policy_range all[] = { { 0, 65535 } };
static const struct sl_policy_range web[] = { { 80, 80 } };
static const struct sl_policy_range git_tcp[] = { { 22, 22 }, { 80, 80 }, { 443, 443 } };
static const struct sl_policy_range git_udp[] = { { 53, 53 }, { 5000, 5999 } };
static const struct sl_policy_prefix ip_hosts[] = { { 0x0a420000, 24 } };
#define EVERYTHING .tcp = all, .nb_tcp = 1, .udp = all, .nb_udp = 1, .icmp = true

static const struct sl_policy_resource resources[] = {
	{ .id = 1,
	  PATTERN(GIT),
	  .tcp = git_tcp,
	  .nb_tcp = 3,
	  .udp = git_udp,
	  .nb_udp = 2,
	  .icmp = true,
	  .groups = PAIR_GROUP_A },
	{ .id = 2, PATTERN(HIDDEN), EVERYTHING, .groups = PAIR_GROUP_B },
	{ .id = 3,
	  PATTERN(SILENT),
	  .tcp = web,
	  .nb_tcp = 1,
	  .groups = PAIR_GROUP_A,
	  .deny = SL_POLICY_SILENT },
	{ .id = 4, PATTERN("*.dev.corp.example"), EVERYTHING, .groups = PAIR_GROUP_A },
	{ .id = 5, PATTERN(NOBODY), EVERYTHING, .groups = PAIR_GROUP_A },
	{ .id = 6,
	  PATTERN("real.corp.example"),
	  EVERYTHING,
	  .groups = PAIR_GROUP_A,
	  .aliases = (const char *const[]){ ALIAS },
	  .nb_aliases = 1 },
	{ .id = 7,
	  .label = "10.66.0.0/24",
	  .prefixes = ip_hosts,
	  .nb_prefixes = 1,
	  .tcp = web,
	  .nb_tcp = 1,
	  .groups = PAIR_GROUP_A },
	{ .id = 8, PATTERN(NO_ECHO), .tcp = web, .nb_tcp = 1, .groups = PAIR_GROUP_A },
};

static struct sl_policy *
build(const struct sl_policy_resource *list, unsigned nb, uint32_t generation)
{
	struct sl_policy_spec spec = { .generation = generation,
				       .name_key = pair_name_key,
				       .resources = list,
				       .nb_resources = nb,
				       .canary = true };
	struct sl_policy_error error;
	struct sl_policy *policy = NULL;

	if (sl_policy_build(&spec, &policy, &error) != 0)
		sl_test_note("policy: %s", error.what);
	CU_ASSERT_PTR_NOT_NULL_FATAL(policy);
	return policy;
}

struct sl_policy *
pair_policy_build(uint32_t without, uint32_t widened, uint32_t narrowed, uint32_t generation)
{
	struct sl_policy_resource list[RTE_DIM(resources)];
	unsigned nb = 0;

	for (unsigned i = 0; i < RTE_DIM(resources); i++) {
		if (resources[i].id == without)
			continue;
		list[nb] = resources[i];
		if (list[nb].id == widened)
			list[nb].groups = PAIR_GROUP_A | PAIR_GROUP_B;
		if (list[nb].id == narrowed)
			list[nb].nb_tcp = 1;
		nb++;
	}
	return build(list, nb, generation);
}

struct sl_policy *
pair_allow_build(void)
{
	static const struct sl_policy_range ssh[] = { { 22, 22 } };
	const struct sl_policy_resource list[] = {
		{ .id = 1, PATTERN(GIT), .tcp = ssh, .nb_tcp = 1, .groups = UINT64_MAX },
		{ .id = 2,
		  .label = "ip",
		  .prefixes = ip_hosts,
		  .nb_prefixes = 1,
		  .tcp = web,
		  .nb_tcp = 1,
		  .groups = UINT64_MAX },
	};

	return build(list, RTE_DIM(list), 1);
}
