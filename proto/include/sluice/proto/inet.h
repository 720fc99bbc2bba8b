// inet: one's complement sums (RFC 1071, RFC 1624) over octets, without DPDK.
//
// Sums here are kept folded to 16 bits and in the byte order of the packet as loaded by memcpy, so
// that they may be written back without swapping.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// End-around carries, by adding each half to the other: what overflows one is carried into it.
static inline uint16_t
sl_sum_fold(uint64_t sum)
{
	uint32_t half = (uint32_t)((sum + (sum << 32 | sum >> 32)) >> 32);

	return (uint16_t)((half + (half << 16 | half >> 16)) >> 16);
}

// a + b in one's complement.
static inline uint16_t
sl_sum_add(uint16_t a, uint16_t b)
{
	uint32_t s = (uint32_t)a + b;

	return (uint16_t)((s & 0xffffu) + (s >> 16));
}

// a - b in one's complement.
static inline uint16_t
sl_sum_sub(uint16_t a, uint16_t b)
{
	return sl_sum_add(a, (uint16_t)~b);
}

// Sum of an IPv4 header without options: 0xffff when its checksum is right. Hot.
static inline uint16_t
sl_sum_ip4_header(const void *header)
{
	uint64_t sum, second;
	uint32_t last;

	memcpy(&sum, header, sizeof(sum));
	memcpy(&second, (const uint8_t *)header + 8, sizeof(second));
	memcpy(&last, (const uint8_t *)header + 16, sizeof(last));
	sum += second;
	sum += sum < second; // the carry goes round
	sum += last;
	sum += sum < last;
	return sl_sum_fold(sum);
}

// Sum of `nb_bytes` octets (an odd last octet is padded with zero), folded.
uint16_t sl_sum(const void *data, size_t nb_bytes);
