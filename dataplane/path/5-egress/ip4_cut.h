// ip4_cut: an IPv4 packet into fragments that fit (RFC 791 section 3.2).
#pragma once

#include "ip4_output.h"

#define IP4_CUT_MAX         1400u // 65535 octets at the least MTU there is, 68
#define IP4_CUT_OFFSET_BITS 0x1fffu
#define IP4_CUT_MORE_BIT    0x2000u

// Octets [at, at + bytes) of the payload of `whole`, into the empty buffer `m`.
static inline void
ip4_cut_piece(
	struct rte_mbuf *m, const struct rte_mbuf *whole, uint32_t at, uint32_t bytes, uint16_t bits
)
{
	const struct rte_ipv4_hdr *from = rte_pktmbuf_mtod(whole, const struct rte_ipv4_hdr *);
	struct rte_ipv4_hdr *ip = (void *)rte_pktmbuf_append(m, (uint16_t)(sizeof(*ip) + bytes));

	*ip = *from;
	memcpy(ip + 1, (const uint8_t *)(from + 1) + at, bytes);
	ip->total_length = rte_cpu_to_be_16((uint16_t)(sizeof(*ip) + bytes));
	ip->fragment_offset = rte_cpu_to_be_16(bits);
	ip4_output_checksum(ip);
	*sl_meta(m) = *(struct sl_meta *)rte_mbuf_to_priv((struct rte_mbuf *)(uintptr_t)whole);
}

// Copies of all pieces of the packet in `m`, first to last; their number, 0 without buffers for all
// of them. `m` stays the caller's.
static inline unsigned
ip4_cut(struct sl_worker *w,
	const struct rte_mbuf *m,
	uint16_t mtu,
	struct rte_mbuf *pieces[IP4_CUT_MAX])
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	uint32_t step = (mtu - (uint32_t)sizeof(*ip)) & ~7u;
	uint32_t payload = rte_pktmbuf_data_len(m) - (uint32_t)sizeof(*ip);
	uint32_t nb = step == 0 ? IP4_CUT_MAX + 1 : (payload + step - 1) / step;
	uint16_t bits = rte_be_to_cpu_16(ip->fragment_offset);
	uint16_t first = bits & IP4_CUT_OFFSET_BITS, more = bits & IP4_CUT_MORE_BIT;

	if (nb > IP4_CUT_MAX || rte_pktmbuf_alloc_bulk(w->pool, pieces, nb) != 0)
		return 0;
	for (uint32_t i = 0; i < nb; i++) {
		uint32_t at = i * step, bytes = RTE_MIN(step, payload - at);
		uint16_t flag = i + 1 == nb ? more : IP4_CUT_MORE_BIT;

		ip4_cut_piece(pieces[i], m, at, bytes, (uint16_t)((first + at / 8) | flag));
	}
	w->stats.created += nb;
	return nb;
}
