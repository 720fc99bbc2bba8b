// carry: what of a transport header travels in a record, and the checksum arithmetic that lets it
// travel without being summed.
//
// Left out are TCP's and UDP's ports, UDP's length, and ICMP's type and code; an echo's identifier
// stays in place but travels as zero. The checksum field C travels as T = C + N in one's
// complement, where N is the sum of everything a checksum covers that does not travel:
// pseudo-header, ports, UDP length (twice), ICMP type, code and identifier. The far side sets
// C' = T - N' with its own. A corrupted packet stays corrupted by the same difference.
//
// N without lengths is constant for a flow and direction. Compute it once with sl_carry_sum() or
// sl_carry_sum_echo(), keep N for the way into the tunnel (`sum_strip`) and its complement for the
// way out (`sum_restore`). Sums are in packet byte order, like those of inet.h.
#pragma once

#include <netinet/in.h>
#include <sluice/proto/inet.h>
#include <sluice/proto/wire.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SL_ICMP_ECHO_REPLY   0u
#define SL_ICMP_ECHO_REQUEST 8u

// How a protocol's header travels. Looked up, not asked for protocol by protocol: packets of several
// alternate, and a branch that guesses wrong costs more than all the rest here.
struct sl_carry_shape {
	uint8_t skip_bytes; // at the front of the header, that do not travel; 0: not carried
	uint8_t min_bytes; // that can travel: all of TCP, UDP's checksum, an echo up to its sequence
	uint8_t checksum_at; // from the start of the transport header
	uint8_t nb_lengths; // how often its length is in the checksum
};
extern const struct sl_carry_shape sl_carry_shapes[256]; // by protocol

static inline unsigned
sl_carry_skip_bytes(uint8_t protocol)
{
	return sl_carry_shapes[protocol].skip_bytes;
}

static inline unsigned
sl_carry_min_bytes(uint8_t protocol)
{
	return sl_carry_shapes[protocol].min_bytes;
}

static inline unsigned
sl_carry_checksum_at(uint8_t protocol)
{
	return sl_carry_shapes[protocol].checksum_at;
}

// N of a TCP or UDP flow and direction, without lengths. Addresses and ports in wire order.
static inline uint16_t
sl_carry_sum(
	uint32_t source_be,
	uint32_t destination_be,
	uint8_t protocol,
	uint16_t source_port_be,
	uint16_t destination_port_be
)
{
	return sl_sum_fold(
		(uint64_t)source_be + destination_be + __builtin_bswap16(protocol) +
		source_port_be + destination_port_be
	);
}

// N of an echo flow and direction: `type` is SL_ICMP_ECHO_REQUEST or _REPLY. ICMP has no
// pseudo-header.
static inline uint16_t
sl_carry_sum_echo(uint8_t type, uint16_t id_be)
{
	return sl_sum_add(__builtin_bswap16((uint16_t)(type << 8)), id_be);
}

// What to keep for the way out of the tunnel, from N of the packets to be built.
static inline uint16_t
sl_carry_restore_sum(uint16_t n)
{
	return (uint16_t)~n;
}

static inline uint16_t
sl_carry_load16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return v;
}

static inline void
sl_carry_store16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, 2);
}

// The part of N that depends on the packet: its length, once for TCP, twice for UDP. Not folded.
static inline uint32_t
sl_carry_length_sum(const struct sl_carry_shape *shape, uint16_t l4_bytes)
{
	return (uint32_t)__builtin_bswap16(l4_bytes) * shape->nb_lengths;
}

// Fold a sum of few 16-bit words.
static inline uint16_t
sl_carry_fold(uint32_t sum)
{
	return (uint16_t)((sum + (sum << 16 | sum >> 16)) >> 16);
}

// Turn the transport header at `l4` into what travels, in place, and return its first octet
// (l4 + sl_carry_skip_bytes()). `l4_bytes` is the transport length by the IP header and at least
// skip + min; for UDP the length field must equal it. Hot.
static inline uint8_t *
sl_carry_strip(uint8_t *l4, uint16_t l4_bytes, uint8_t protocol, uint16_t sum_strip)
{
	const struct sl_carry_shape *shape = &sl_carry_shapes[protocol];
	uint8_t *field = l4 + shape->checksum_at;
	uint16_t checksum = sl_carry_load16(field);
	uint16_t travels = sl_carry_fold(
		checksum + sum_strip + sl_carry_length_sum(shape, l4_bytes)
	);

	// C is never 0 with a UDP checksum, and one's complement adds up to 0 only from 0 and 0, so T
	// cannot become "no checksum".
	if (protocol == IPPROTO_UDP && checksum == 0)
		travels = 0;
	sl_carry_store16(field, travels);
	if (__builtin_expect(protocol == IPPROTO_ICMP, 0))
		sl_carry_store16(l4 + 4, 0);
	return l4 + shape->skip_bytes;
}

// The checksum field of the packet to be built from the one that travelled.
static inline uint16_t
sl_carry_checksum(uint8_t protocol, uint16_t travelled, uint16_t restore_n)
{
	uint16_t checksum = sl_sum_add(travelled, restore_n);

	if (protocol == IPPROTO_UDP) {
		if (travelled == 0)
			return 0;
		return checksum == 0 ? 0xffff : checksum;
	}
	return checksum == 0xffff ? 0 : checksum; // the two zeros are one; senders write 0
}

// The reverse: carried octets stand at l4 + sl_carry_skip_bytes(), and the header in front of them
// is written. `source_port_be` is for ICMP the identifier, `destination_port_be` then the type
// (SL_ICMP_ECHO_*). `sum_restore` comes from sl_carry_restore_sum(). Hot.
static inline void
sl_carry_restore(
	uint8_t *l4,
	uint16_t l4_bytes,
	uint8_t protocol,
	uint16_t sum_restore,
	uint16_t source_port_be,
	uint16_t destination_port_be
)
{
	const struct sl_carry_shape *shape = &sl_carry_shapes[protocol];
	uint8_t *field = l4 + shape->checksum_at;
	// Less the lengths: more of their complement, as often.
	uint16_t n = sl_carry_fold(sum_restore + sl_carry_length_sum(shape, (uint16_t)~l4_bytes));

	sl_carry_store16(field, sl_carry_checksum(protocol, sl_carry_load16(field), n));
	if (__builtin_expect(protocol == IPPROTO_ICMP, 0)) {
		l4[0] = (uint8_t)destination_port_be;
		l4[1] = 0;
		sl_carry_store16(l4 + 4, source_port_be);
		return;
	}
	sl_carry_store16(l4, source_port_be);
	sl_carry_store16(l4 + 2, destination_port_be);
	if (protocol == IPPROTO_UDP)
		sl_carry_store16(l4 + 4, __builtin_bswap16(l4_bytes));
}
