// compile: from tenants as the operator wrote them to policies as the packet path reads them.
#pragma once

#include <sluice/ctrl/config.h>
#include <sluice/dns/policy.h>

// How a tenant's policy is built. The ids are what flows hold, so they stay the same from one
// configuration to the next; the caller keeps them. An array of NULL means the indices themselves.
struct sl_compile {
	uint32_t generation; // not 0
	struct sl_name_key name_key; // of the process
	const uint32_t *resource_ids; // by index in tenant->resources
	const uint32_t *network_ids; // by index in tenant->networks
};

// Build the policy of tenant `tenant_idx`. Returns 0 and the policy, which is the caller's; -EINVAL and
// an error with the lines of what cannot stand together; or -ENOMEM. Control thread.
[[nodiscard]] int sl_compile_policy(
	const struct sl_config *config,
	unsigned tenant_idx,
	const struct sl_compile *how,
	struct sl_policy **policy,
	struct sl_config_errors *errors
);

// Build the policies of all tenants and drop them, for their errors alone. Loading does this.
[[nodiscard]] int sl_compile_check(const struct sl_config *config, struct sl_config_errors *errors);
