#include "../../dns/addresses_private.h"
#include "pair_fault.h"

void
pair_misassign(struct sl_addresses *addresses, uint32_t from, uint32_t to)
{
	for (uint32_t id = 0; id < addresses->config.names_max; id++)
		if (atomic_load(&addresses->hot[id].address) == from)
			atomic_store(&addresses->hot[id].address, to);
}
