// tables: what the workers of an instance need beside their graphs: flow tables, caches, NAT, AEAD
// engines, and the session table they share. Made by the control thread between sl_dp_create() and
// sl_dp_start().
#pragma once

#include <rte_byteorder.h>

#include <sluice/dp/session.h>
#include <sluice/dp/timeouts.h>
#include <stdint.h>

struct sl_dp;

struct sl_tables_conf {
	uint32_t nb_flows; // of the instance; shared out evenly among workers
	uint32_t nb_sessions;
	uint32_t nb_names; // connector: names each worker caches; 0: none
	struct sl_timeouts timeouts;
	const rte_be32_t *nat_addresses; // none: the address of the port a flow leaves by
	unsigned nb_nat_addresses;
	uint16_t nat_port_low, nat_port_high; // host order
	uint32_t nat_rest_ds; // 2 MSL: how long a closed TCP tuple rests
};

// Make them all and hand them to the workers. `sessions` is filled in here and shared. 0 or -errno
// (then destroy what there is).
[[nodiscard]] int
sl_tables_create(struct sl_dp *dp, const struct sl_tables_conf *conf, struct sl_sessions *sessions);

// After the workers have stopped, before sl_dp_destroy().
void sl_tables_destroy(struct sl_dp *dp, struct sl_sessions *sessions);
