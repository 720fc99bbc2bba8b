// hash: the keyed hash behind flow tables, owners and caches. One AES round per 16 octets and three
// to finish, keyed with 64 secret octets: an outsider who picks addresses and ports cannot aim at
// one bucket, which a CRC would allow whatever its seed (it is affine). CPUs without AES
// instructions use SipHash-1-3 with the same interface.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct sl_hash_key {
	uint8_t secret[64];
} __attribute__((aligned(64)));

// Fill with random octets, at start; -EIO when the kernel gives none.
[[nodiscard]] int sl_hash_key_random(struct sl_hash_key *key);

// Any thread. `nb_bytes` up to 512.
uint64_t sl_hash(const struct sl_hash_key *key, const void *data, size_t nb_bytes);

// Hashes of `nb` items of 40 octets each.
void
sl_hash40_bulk(const struct sl_hash_key *key, const void *items, unsigned nb, uint64_t hashes[]);
