// policy_index: the hash tables of a policy that is being built.
#include "policy_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t *
arena_wire(struct sl_policy *policy, size_t *used, const struct sl_name *name)
{
	uint8_t *to = (uint8_t *)policy->arena + *used;

	memcpy(to, name->wire, name->nb_bytes);
	*used += name->nb_bytes;
	return to;
}

static int
index_exact(struct sl_policy *policy, size_t *used)
{
	if (!sl_index_init(&policy->exact, policy->nb_exact + 1))
		return -ENOMEM;
	for (uint32_t i = 0; i < policy->nb_exact; i++) {
		struct sl_policy_class *c = &policy->classes[i];
		struct sl_name name;

		if (sl_name_from_text(&name, c->pattern) != SL_NAME_OK)
			return -EINVAL;
		c->wire = arena_wire(policy, used, &name);
		c->nb_wire_bytes = name.nb_bytes;
		sl_index_insert(&policy->exact, sl_name_hash(&name, &policy->key), i);
	}
	return 0;
}

// The literal labels a wildcard ends with ("" if its last label holds a wildcard), and its shape.
static const char *
anchor_of(struct sl_policy_class *c)
{
	const char *last = c->pattern, *dot;
	size_t nb_before;

	for (const char *p = c->pattern; *p != '\0'; p++)
		if (*p == '*' || *p == '?')
			last = p;
	dot = strchr(last, '.');
	c->shape = SL_SHAPE_GLOB;
	if (dot == NULL)
		return "";
	nb_before = (size_t)(dot - c->pattern);
	if (strspn(c->pattern, "*") == nb_before)
		c->shape = c->dialect == SL_GLOB_LABEL && nb_before == 1 ? SL_SHAPE_CHILD
									 : SL_SHAPE_BELOW;
	return dot + 1;
}

static uint32_t
find_anchor(const struct sl_policy *policy, const struct sl_name *name, uint64_t hash)
{
	struct sl_index_at at = { 0 };
	uint32_t i;

	while ((i = sl_index_next(&policy->anchor_index, hash, &at)) != SL_INDEX_NONE)
		if (policy->anchors[i].nb_wire_bytes == name->nb_bytes &&
		    memcmp(policy->anchors[i].wire, name->wire, name->nb_bytes) == 0)
			return i;
	return SL_INDEX_NONE;
}

static int
anchor_class(struct sl_policy *policy, size_t *used, uint32_t class_idx, uint32_t *anchor)
{
	struct sl_name name;
	uint64_t hash;

	if (sl_name_from_text(&name, anchor_of(&policy->classes[class_idx])) != SL_NAME_OK)
		return -EINVAL;
	*anchor = 0;
	if (name.nb_labels == 0)
		return 0;
	hash = sl_name_hash(&name, &policy->key);
	*anchor = find_anchor(policy, &name, hash);
	if (*anchor != SL_INDEX_NONE)
		return 0;
	*anchor = policy->nb_anchors++;
	policy->anchors[*anchor].wire = arena_wire(policy, used, &name);
	policy->anchors[*anchor].nb_wire_bytes = name.nb_bytes;
	policy->anchor_bytes[name.nb_bytes >> 6] |= 1ull << (name.nb_bytes & 63);
	sl_index_insert(&policy->anchor_index, hash, *anchor);
	return 0;
}

static int
index_anchors(struct sl_policy *policy, size_t *used, struct sl_policy_error *error)
{
	const uint32_t nb = policy->nb_globs;
	uint32_t *of = calloc(nb + 1, sizeof(*of)); // class -> anchor
	uint32_t at = 0;
	int rc = -ENOMEM;

	policy->anchors = calloc(nb + 1, sizeof(*policy->anchors));
	policy->anchored = calloc(nb + 1, sizeof(*policy->anchored));
	if (of == NULL || policy->anchors == NULL || policy->anchored == NULL ||
	    !sl_index_init(&policy->anchor_index, nb + 1))
		goto out;
	policy->nb_anchors = 1; // the root
	rc = 0;
	for (uint32_t i = 0; i < nb && rc == 0; i++) {
		rc = anchor_class(policy, used, policy->nb_exact + i, &of[i]);
		if (rc != 0)
			snprintf(
				error->what,
				sizeof(error->what),
				"the pattern '%.200s' has a label of more than 63 characters",
				policy->classes[policy->nb_exact + i].pattern
			);
		else
			policy->anchors[of[i]].nb++;
	}
	if (rc != 0)
		goto out;
	for (uint32_t a = 0; a < policy->nb_anchors; a++) {
		policy->anchors[a].first = at;
		at += policy->anchors[a].nb;
		policy->anchors[a].nb = 0;
	}
	for (uint32_t i = 0; i < nb; i++) { // ascending within an anchor: most specific first
		struct sl_policy_anchor *a = &policy->anchors[of[i]];

		policy->anchored[a->first + a->nb++] = policy->nb_exact + i;
	}
	if (policy->anchors[0].nb > SL_POLICY_GLOBS_MAX) {
		snprintf(
			error->what,
			sizeof(error->what),
			"%u wildcards have a wildcard in their last label; at most %u may, since "
			"every "
			"query is held against each",
			policy->anchors[0].nb,
			SL_POLICY_GLOBS_MAX
		);
		rc = -EINVAL;
	}
out:
	free(of);
	return rc;
}

static int
index_prefixes(struct sl_policy *policy)
{
	const uint32_t first = policy->nb_exact + policy->nb_globs;

	if (!sl_index_init(&policy->prefix_index, policy->nb_prefixes + 1))
		return -ENOMEM;
	for (uint32_t i = first; i < first + policy->nb_prefixes; i++) {
		const struct sl_policy_class *c = &policy->classes[i];

		policy->prefix_bits |= 1ull << c->nb_bits;
		sl_index_insert(
			&policy->prefix_index,
			sl_policy_prefix_hash(policy, c->address, c->nb_bits),
			i
		);
	}
	return 0;
}

static int
index_bypass(
	struct sl_policy *policy, const struct sl_policy_spec *spec, struct sl_policy_error *error
)
{
	policy->bypass_wire = calloc(spec->nb_bypass + 1, sizeof(*policy->bypass_wire));
	policy->bypass_prefixes = calloc(
		spec->nb_bypass_prefixes + 1, sizeof(*policy->bypass_prefixes)
	);
	if (policy->bypass_wire == NULL || policy->bypass_prefixes == NULL ||
	    !sl_index_init(&policy->bypass, spec->nb_bypass + 1))
		return -ENOMEM;
	for (unsigned i = 0; i < spec->nb_bypass; i++) {
		struct sl_name name;

		if (sl_name_from_text(&name, spec->bypass[i]) != SL_NAME_OK ||
		    name.nb_labels == 0) {
			snprintf(
				error->what,
				sizeof(error->what),
				"the bypass name '%.253s' is no name",
				spec->bypass[i]
			);
			return -EINVAL;
		}
		policy->bypass_wire[i][0] = (uint8_t)name.nb_bytes;
		memcpy(policy->bypass_wire[i] + 1, name.wire, name.nb_bytes);
		sl_index_insert(&policy->bypass, sl_name_hash(&name, &policy->key), i);
	}
	policy->nb_bypass = spec->nb_bypass;
	for (unsigned i = 0; i < spec->nb_bypass_prefixes; i++) {
		struct sl_policy_prefix p = spec->bypass_prefixes[i];

		if (p.nb_bits > 32 || (p.address & ~sl_prefix_mask(p.nb_bits)) != 0) {
			snprintf(
				error->what,
				sizeof(error->what),
				"bypass prefix %u has host bits",
				i + 1
			);
			return -EINVAL;
		}
		policy->bypass_prefixes[i] = p;
	}
	policy->nb_bypass_prefixes = spec->nb_bypass_prefixes;
	return 0;
}

int
sl_policy_index(
	struct sl_policy *policy,
	size_t *arena_used,
	const struct sl_policy_spec *spec,
	struct sl_policy_error *error
)
{
	int rc = index_exact(policy, arena_used);

	if (rc == 0)
		rc = index_anchors(policy, arena_used, error);
	if (rc == 0)
		rc = index_prefixes(policy);
	if (rc == 0)
		rc = index_bypass(policy, spec, error);
	policy->nb_bytes += sl_index_bytes(&policy->exact) + sl_index_bytes(&policy->anchor_index) +
		sl_index_bytes(&policy->prefix_index) + sl_index_bytes(&policy->bypass);
	return rc;
}
