// plain: clients without WireGuard, known by (port, VLAN, source prefix). Built by the control
// thread as part of a snapshot, immutable after; the longest prefix wins.
#pragma once

#include <rte_byteorder.h>

#include <stdint.h>

struct sl_plain_clients;

struct sl_plain_entry {
	rte_be32_t prefix;
	uint32_t client; // id
	uint16_t port; // index of struct sl_port
	uint16_t vlan; // 0 untagged
	uint8_t prefix_bits;
};

// A table of `nb` entries (copied); NULL when there is no memory. Free with sl_plain_free().
[[nodiscard]] struct sl_plain_clients *
sl_plain_build(const struct sl_plain_entry *entries, uint32_t nb);
void sl_plain_free(struct sl_plain_clients *p);

// The most slots that finding one of the table's own entries reads: few, or the hash is a bad one.
unsigned sl_plain_longest(const struct sl_plain_clients *p);

// Ask for what sl_plain_find() will most likely read.
void sl_plain_prefetch(
	const struct sl_plain_clients *p, uint16_t port, uint16_t vlan, rte_be32_t source
);

// Client id of a source, or SL_NO_CLIENT. Costs one probe per distinct prefix length in use.
uint32_t
sl_plain_find(const struct sl_plain_clients *p, uint16_t port, uint16_t vlan, rte_be32_t source);
