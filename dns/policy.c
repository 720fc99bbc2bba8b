// policy: reading. Nothing here writes or allocates. Building is in policy_build.c.
#include "policy_private.h"

#include <netinet/in.h>
#include <string.h>

uint32_t
sl_policy_generation(const struct sl_policy *policy)
{
	return policy->generation;
}

const struct sl_name_key *
sl_policy_name_key(const struct sl_policy *policy)
{
	return &policy->key;
}

bool
sl_policy_refuses_other(const struct sl_policy *policy)
{
	return policy->refuse_other;
}

uint64_t
sl_policy_bytes(const struct sl_policy *policy)
{
	return policy->nb_bytes;
}

unsigned
sl_policy_nb_exact(const struct sl_policy *policy)
{
	return policy->nb_exact;
}

void
sl_policy_exact(const struct sl_policy *policy, unsigned idx, struct sl_name *name)
{
	const struct sl_policy_class *c = &policy->classes[idx];

	// Cannot fail: it was a name when the policy was built.
	(void)sl_name_parse_plain(name, c->wire, c->nb_wire_bytes, 0, NULL);
}

bool
sl_policy_is_bypass(const struct sl_policy *policy, const struct sl_name *name, uint64_t hash)
{
	struct sl_index_at at = { 0 };
	uint32_t i;

	if (policy->nb_bypass == 0)
		return false;
	while ((i = sl_index_next(&policy->bypass, hash, &at)) != SL_INDEX_NONE)
		if (policy->bypass_wire[i][0] == name->nb_bytes &&
		    memcmp(policy->bypass_wire[i] + 1, name->wire, name->nb_bytes) == 0)
			return true;
	return false;
}

bool
sl_policy_is_canary(const struct sl_policy *policy, const struct sl_name *name, uint64_t hash)
{
	static const uint8_t canary[] = "\23use-application-dns\3net";

	(void)hash;
	return policy->canary && name->nb_bytes == sizeof(canary) &&
		memcmp(name->wire, canary, sizeof(canary)) == 0;
}

void
sl_policy_prefetch(const struct sl_policy *policy, uint64_t hash)
{
	sl_index_prefetch(&policy->exact, hash);
}

// Keep the classes sorted; beyond the maximum the least specific goes.
static void
add_match(struct sl_matches *m, uint32_t class_idx)
{
	uint32_t i = m->nb;

	if (i == SL_POLICY_MATCHES_MAX) {
		if (m->classes[i - 1] < class_idx)
			return;
		i--;
	} else {
		m->nb++;
	}
	for (; i > 0 && m->classes[i - 1] > class_idx; i--)
		m->classes[i] = m->classes[i - 1];
	m->classes[i] = class_idx;
}

// Presentation form without escapes, for the matcher: a dot inside a label becomes an octet that no
// pattern holds. False for a name too long to be a pattern's.
static bool
plain_text(const struct sl_name *name, char text[SL_NAME_WIRE_MAX])
{
	for (unsigned i = 1; i + 1 < name->nb_bytes; i++) {
		uint8_t c = name->wire[i];

		text[i - 1] = c == '.' || c == '\0' ? '\1' : (char)c;
	}
	for (unsigned l = 1; l < name->nb_labels; l++)
		text[name->label_at[l] - 1] = '.';
	text[name->nb_bytes - 2] = '\0';
	return true;
}

static void
match_anchor(
	const struct sl_policy *policy,
	const struct sl_policy_anchor *anchor,
	const struct sl_name *name,
	unsigned nb_below,
	char *text,
	struct sl_matches *matches
)
{
	for (uint32_t i = 0; i < anchor->nb; i++) {
		uint32_t idx = policy->anchored[anchor->first + i];
		const struct sl_policy_class *c = &policy->classes[idx];

		if (c->shape == SL_SHAPE_CHILD && nb_below != 1)
			continue;
		if (c->shape == SL_SHAPE_GLOB) {
			if (text[0] == '\0')
				plain_text(name, text);
			if (!sl_glob_match(c->pattern, text, (enum sl_glob_dialect)c->dialect))
				continue;
		}
		add_match(matches, idx);
	}
}

static void
match_exact(
	const struct sl_policy *policy,
	const struct sl_name *name,
	uint64_t hash,
	struct sl_matches *matches
)
{
	struct sl_index_at at = { 0 };
	uint32_t i;

	while ((i = sl_index_next(&policy->exact, hash, &at)) != SL_INDEX_NONE) {
		const struct sl_policy_class *c = &policy->classes[i];

		if (c->nb_wire_bytes == name->nb_bytes &&
		    memcmp(c->wire, name->wire, name->nb_bytes) == 0) {
			add_match(matches, i);
			return;
		}
	}
}

void
sl_policy_match(
	const struct sl_policy *policy,
	const struct sl_name *name,
	uint64_t hash,
	struct sl_matches *matches
)
{
	char text[SL_NAME_WIRE_MAX];

	matches->nb = 0;
	if (name->nb_labels == 0 || sl_policy_is_bypass(policy, name, hash))
		return;
	match_exact(policy, name, hash, matches);
	if (policy->nb_globs == 0)
		return;
	text[0] = '\0';
	for (unsigned l = 1; l < name->nb_labels; l++) {
		unsigned n = name->nb_bytes - name->label_at[l];
		struct sl_index_at at = { 0 };
		uint64_t h;
		uint32_t i;

		if ((policy->anchor_bytes[n >> 6] >> (n & 63) & 1) == 0)
			continue;
		h = sl_name_hash_from(name, l, &policy->key);
		while ((i = sl_index_next(&policy->anchor_index, h, &at)) != SL_INDEX_NONE) {
			const struct sl_policy_anchor *a = &policy->anchors[i];

			if (a->nb_wire_bytes == n &&
			    memcmp(a->wire, name->wire + name->label_at[l], n) == 0)
				match_anchor(policy, a, name, l, text, matches);
		}
	}
	match_anchor(policy, &policy->anchors[0], name, name->nb_labels, text, matches);
}

void
sl_policy_match_address(
	const struct sl_policy *policy, uint32_t address, struct sl_matches *matches
)
{
	matches->nb = 0;
	for (uint32_t i = 0; i < policy->nb_bypass_prefixes; i++) {
		const struct sl_policy_prefix *p = &policy->bypass_prefixes[i];

		if ((address & sl_prefix_mask(p->nb_bits)) == p->address)
			return;
	}
	for (uint64_t left = policy->prefix_bits; left != 0;) {
		unsigned bits = 63u - (unsigned)__builtin_clzll(left); // longest first
		uint32_t base = address & sl_prefix_mask(bits);
		uint64_t h = sl_policy_prefix_hash(policy, base, bits);
		struct sl_index_at at = { 0 };
		uint32_t i;

		left &= ~(1ull << bits);
		while ((i = sl_index_next(&policy->prefix_index, h, &at)) != SL_INDEX_NONE)
			if (policy->classes[i].address == base &&
			    policy->classes[i].nb_bits == bits)
				add_match(matches, i);
	}
}

void
sl_policy_visibility(
	const struct sl_policy *policy,
	const struct sl_matches *matches,
	struct sl_visibility *visibility
)
{
	struct sl_visibility v = { .ttl_s = UINT32_MAX, .is_wildcard = true };
	uint32_t ttl_min_s = UINT32_MAX;

	for (uint32_t i = 0; i < matches->nb; i++) {
		const struct sl_policy_class *c = &policy->classes[matches->classes[i]];

		v.groups |= c->groups;
		if (c->ttl_min_s < ttl_min_s)
			ttl_min_s = c->ttl_min_s;
		if (c->ttl_max_s > v.ttl_max_s)
			v.ttl_max_s = c->ttl_max_s;
		if (c->kind == SL_CLASS_EXACT)
			v.is_wildcard = false;
		if (!c->inherit)
			break;
	}
	v.ttl_s = matches->nb == 0 ? 0 : ttl_min_s;
	v.ttl_varies = ttl_min_s < v.ttl_max_s;
	*visibility = v;
}

uint32_t
sl_policy_ttl(
	const struct sl_policy *policy, const struct sl_matches *matches, uint64_t client_groups
)
{
	for (uint32_t i = 0; i < matches->nb; i++) {
		const struct sl_policy_class *c = &policy->classes[matches->classes[i]];

		for (uint32_t r = 0; r < c->nb_rules; r++) {
			const struct sl_policy_entry
				*e = &policy->entries[policy->rules[c->first_rule + r].entry];

			if ((e->groups & client_groups) != 0)
				return e->ttl_s;
		}
		if (!c->inherit)
			break;
	}
	return 0;
}

static bool
ports_admit(const struct sl_policy_range *ranges, unsigned nb, uint16_t port)
{
	for (unsigned i = 0; i < nb; i++)
		if (port >= ranges[i].low && port <= ranges[i].high)
			return true;
	return false;
}

static bool
admits(const struct sl_policy *policy,
       const struct sl_policy_entry *entry,
       uint8_t protocol,
       uint16_t port)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return ports_admit(policy->ranges + entry->tcp_at, entry->nb_tcp, port);
	case IPPROTO_UDP:
		return ports_admit(policy->ranges + entry->udp_at, entry->nb_udp, port);
	case IPPROTO_ICMP:
		return entry->icmp;
	default:
		return false;
	}
}

static void
set_choice(
	const struct sl_policy *policy,
	const struct sl_policy_rule *rule,
	enum sl_choice_verdict verdict,
	struct sl_choice *choice
)
{
	const struct sl_policy_entry *e = &policy->entries[rule->entry];

	*choice = (struct sl_choice){
		.verdict = verdict,
		.deny = (enum sl_policy_deny)e->deny,
		.resource = e->id,
		.network = e->network,
		.names_max = e->names_max,
		.target = (enum sl_target_kind)rule->target,
		.target_address = rule->target_address,
		.target_name = rule->target_name,
		.label = e->label,
	};
}

enum sl_choice_verdict
sl_policy_choose(
	const struct sl_policy *policy,
	const struct sl_matches *matches,
	uint64_t client_groups,
	uint8_t protocol,
	uint16_t port,
	struct sl_choice *choice
)
{
	struct sl_visibility visibility;

	*choice = (struct sl_choice){
		.verdict = SL_CHOICE_UNKNOWN,
		.resource = UINT32_MAX,
		.network = UINT32_MAX,
	};
	sl_policy_visibility(policy, matches, &visibility);
	if ((visibility.groups & client_groups) == 0)
		return SL_CHOICE_UNKNOWN;
	for (uint32_t i = 0; i < matches->nb; i++) {
		const struct sl_policy_class *c = &policy->classes[matches->classes[i]];

		if ((c->groups & client_groups) == 0)
			continue;
		for (uint32_t r = 0; r < c->nb_rules; r++) {
			const struct sl_policy_rule *rule = &policy->rules[c->first_rule + r];
			const struct sl_policy_entry *e = &policy->entries[rule->entry];

			if ((e->groups & client_groups) == 0)
				continue;
			if (admits(policy, e, protocol, port)) {
				set_choice(policy, rule, SL_CHOICE_ADMITTED, choice);
				return SL_CHOICE_ADMITTED;
			}
			if (choice->verdict == SL_CHOICE_UNKNOWN)
				set_choice(policy, rule, SL_CHOICE_DENIED, choice);
		}
	}
	return choice->verdict;
}

const char *
sl_policy_class_pattern(const struct sl_policy *policy, uint32_t class_idx)
{
	return policy->classes[class_idx].pattern;
}

unsigned
sl_policy_class_labels(
	const struct sl_policy *policy, uint32_t class_idx, const char **labels, unsigned nb_max
)
{
	const struct sl_policy_class *c = &policy->classes[class_idx];
	unsigned nb = 0;

	for (uint32_t r = 0; r < c->nb_rules && nb < nb_max; r++)
		labels[nb++] = policy->entries[policy->rules[c->first_rule + r].entry].label;
	return nb;
}
