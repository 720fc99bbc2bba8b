// policy, inside: the built form. Classes are sorted most specific first within each kind, so the
// order of class numbers is the order of specificity.
#pragma once

#include "index.h"

#include <sluice/dns/policy.h>

enum sl_class_kind { SL_CLASS_EXACT, SL_CLASS_GLOB, SL_CLASS_PREFIX };

enum sl_class_shape {
	SL_SHAPE_BELOW, // "*.zone" or "**.zone": any name below the anchor
	SL_SHAPE_CHILD, // "*.zone" in the label dialect: one label below
	SL_SHAPE_GLOB, // run the matcher
};

// A resource, as choices report it.
struct sl_policy_entry {
	uint64_t groups;
	uint32_t id;
	uint32_t network;
	uint32_t names_max;
	uint32_t ttl_s;
	uint32_t tcp_at, udp_at; // in policy->ranges
	uint16_t nb_tcp, nb_udp;
	bool icmp;
	bool inherit;
	uint8_t deny;
	const char *label;
};

// A resource's place in a class. A resource may be in many classes.
struct sl_policy_rule {
	uint32_t entry;
	uint8_t target; // enum sl_target_kind
	uint32_t target_address;
	const char *target_name;
};

struct sl_policy_class {
	uint64_t groups; // of all its rules
	const char *pattern;
	const uint8_t *wire; // EXACT: wire form
	uint16_t nb_wire_bytes;
	uint16_t literals;
	uint8_t kind;
	uint8_t dialect;
	uint8_t shape;
	bool inherit; // all rules say so
	uint32_t first_rule, nb_rules;
	uint32_t ttl_min_s, ttl_max_s;
	uint32_t address; // PREFIX
	uint8_t nb_bits;
};

// Wildcards that share their literal labels at the end.
struct sl_policy_anchor {
	const uint8_t *wire;
	uint16_t nb_wire_bytes;
	uint32_t first, nb; // in policy->anchored
};

struct sl_policy {
	uint32_t generation;
	bool canary;
	bool refuse_other;
	struct sl_name_key key;

	struct sl_policy_class *classes; // exact, globs, prefixes
	uint32_t nb_exact, nb_globs, nb_prefixes;
	struct sl_policy_rule *rules;
	uint32_t nb_rules;
	struct sl_policy_entry *entries;
	uint32_t nb_entries;
	struct sl_policy_range *ranges;

	struct sl_index exact; // hash of the name -> class
	struct sl_index anchor_index; // hash of the anchor -> anchor
	struct sl_policy_anchor *anchors; // [0] is the root
	uint32_t nb_anchors;
	uint32_t *anchored; // class numbers, ascending within an anchor
	uint64_t anchor_bytes[4]; // bit n: an anchor of n octets exists
	struct sl_index prefix_index; // hash of (address, bits) -> class
	uint64_t prefix_bits; // bit n: a prefix of n bits exists
	struct sl_index bypass; // hash -> number
	uint8_t (*bypass_wire)[SL_NAME_WIRE_MAX + 1]; // first octet: length
	uint32_t nb_bypass;
	struct sl_policy_prefix *bypass_prefixes;
	uint32_t nb_bypass_prefixes;

	char *arena; // all text and wire forms
	uint64_t nb_arena_bytes;
	uint64_t nb_bytes;
};

// policy_index.c: make the tables of the classes. `arena_used` moves on. -EINVAL (`error`) or -ENOMEM.
int sl_policy_index(
	struct sl_policy *policy,
	size_t *arena_used,
	const struct sl_policy_spec *spec,
	struct sl_policy_error *error
);

// policy_tie.c: -EINVAL and `error` if two rules of equal specificity admit the same flow. Entries
// are numbered as the spec's resources.
int sl_policy_check_ties(const struct sl_policy *policy, struct sl_policy_error *error);

static inline uint64_t
sl_policy_prefix_hash(const struct sl_policy *policy, uint32_t address, unsigned nb_bits)
{
	__uint128_t p = (__uint128_t)((uint64_t)address << 8 | nb_bits | 1ull << 48) *
		policy->key.word[1];
	uint64_t h = (uint64_t)p ^ (uint64_t)(p >> 64) ^ policy->key.word[2];

	return h * 0x9e3779b97f4a7c15ull ^ h >> 29;
}

static inline uint32_t
sl_prefix_mask(unsigned nb_bits)
{
	return nb_bits == 0 ? 0 : UINT32_MAX << (32 - nb_bits);
}
