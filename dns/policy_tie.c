// policy_tie: true ties. Two rules of equal specificity, whose patterns can match one name and whose
// protocols and ports overlap, leave the choice of a flow undecided; the configuration is refused.
#include "policy_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool
ranges_overlap(
	const struct sl_policy_range *a,
	unsigned nb_a,
	const struct sl_policy_range *b,
	unsigned nb_b
)
{
	for (unsigned i = 0; i < nb_a; i++)
		for (unsigned j = 0; j < nb_b; j++)
			if (a[i].low <= b[j].high && b[j].low <= a[i].high)
				return true;
	return false;
}

// What two entries both admit, in words; NULL if nothing.
static const char *
overlap(const struct sl_policy *p, const struct sl_policy_entry *a, const struct sl_policy_entry *b)
{
	if (ranges_overlap(p->ranges + a->tcp_at, a->nb_tcp, p->ranges + b->tcp_at, b->nb_tcp))
		return "TCP ports";
	if (ranges_overlap(p->ranges + a->udp_at, a->nb_udp, p->ranges + b->udp_at, b->nb_udp))
		return "UDP ports";
	return a->icmp && b->icmp ? "ICMP echo" : NULL;
}

static int
report(const struct sl_policy *policy,
       const struct sl_policy_class *ca,
       const struct sl_policy_rule *ra,
       const struct sl_policy_class *cb,
       const struct sl_policy_rule *rb,
       const char *what,
       struct sl_policy_error *error)
{
	error->resource = ra->entry;
	error->other = rb->entry;
	if (ca == cb)
		snprintf(
			error->what,
			sizeof(error->what),
			"the resources '%.80s' and '%.80s' both hold '%.120s' and overlap in %s, "
			"so which "
			"of them takes a flow is undecided",
			policy->entries[ra->entry].label,
			policy->entries[rb->entry].label,
			ca->pattern,
			what
		);
	else
		snprintf(
			error->what,
			sizeof(error->what),
			"the resources '%.60s' ('%.90s') and '%.60s' ('%.90s') are equally "
			"specific, can "
			"match one name and overlap in %s, so which of them takes a flow is "
			"undecided",
			policy->entries[ra->entry].label,
			ca->pattern,
			policy->entries[rb->entry].label,
			cb->pattern,
			what
		);
	return -EINVAL;
}

// Compare the rules of two classes (or of one with itself).
static int
check_pair(
	const struct sl_policy *policy,
	const struct sl_policy_class *a,
	const struct sl_policy_class *b,
	struct sl_policy_error *error
)
{
	for (uint32_t i = 0; i < a->nb_rules; i++)
		for (uint32_t j = a == b ? i + 1 : 0; j < b->nb_rules; j++) {
			const struct sl_policy_rule *ra = &policy->rules[a->first_rule + i];
			const struct sl_policy_rule *rb = &policy->rules[b->first_rule + j];
			const char *what;

			if (ra->entry == rb->entry) // one resource, two patterns: no choice to make
				continue;
			what = overlap(
				policy, &policy->entries[ra->entry], &policy->entries[rb->entry]
			);
			if (what == NULL)
				continue;
			if (a != b &&
			    !sl_glob_intersect(
				    a->pattern,
				    (enum sl_glob_dialect)a->dialect,
				    b->pattern,
				    (enum sl_glob_dialect)b->dialect
			    ))
				return 0;
			return report(policy, a, ra, b, rb, what, error);
		}
	return 0;
}

// Globs of `nb` equally specific classes from `first`. Two patterns that are a wildcard and a zone
// (shapes BELOW and CHILD) with as many literals meet only if the zone is the same, and then they
// stand under one anchor; only patterns of shape GLOB must be held against all others.
static int
check_equals(
	const struct sl_policy *policy, uint32_t first, uint32_t nb, struct sl_policy_error *error
)
{
	for (uint32_t i = 0; i < nb; i++) {
		const struct sl_policy_class *a = &policy->classes[first + i];

		if (a->shape != SL_SHAPE_GLOB)
			continue;
		for (uint32_t j = 0; j < nb; j++) {
			const struct sl_policy_class *b = &policy->classes[first + j];
			int rc;

			if (j == i || (b->shape == SL_SHAPE_GLOB && j < i))
				continue;
			rc = check_pair(policy, i < j ? a : b, i < j ? b : a, error);
			if (rc != 0)
				return rc;
		}
	}
	return 0;
}

// Patterns under one anchor with as many literals, neither of shape GLOB.
static int
check_anchor(
	const struct sl_policy *policy,
	const struct sl_policy_anchor *anchor,
	struct sl_policy_error *error
)
{
	const uint32_t *of = policy->anchored + anchor->first;

	for (uint32_t i = 0; i < anchor->nb; i++)
		for (uint32_t j = i + 1; j < anchor->nb; j++) {
			const struct sl_policy_class *a = &policy->classes[of[i]];
			const struct sl_policy_class *b = &policy->classes[of[j]];
			int rc;

			if (b->literals != a->literals)
				break; // sorted: the rest has fewer still
			if (a->shape == SL_SHAPE_GLOB || b->shape == SL_SHAPE_GLOB)
				continue;
			rc = check_pair(policy, a, b, error);
			if (rc != 0)
				return rc;
		}
	return 0;
}

int
sl_policy_check_ties(const struct sl_policy *policy, struct sl_policy_error *error)
{
	const uint32_t nb_classes = policy->nb_exact + policy->nb_globs + policy->nb_prefixes;
	const uint32_t globs_end = policy->nb_exact + policy->nb_globs;
	int rc = 0;

	for (uint32_t i = 0; i < nb_classes && rc == 0; i++)
		if (policy->classes[i].nb_rules > 1)
			rc = check_pair(policy, &policy->classes[i], &policy->classes[i], error);
	for (uint32_t first = policy->nb_exact; first < globs_end && rc == 0;) {
		uint32_t nb = 1;

		while (first + nb < globs_end &&
		       policy->classes[first + nb].literals == policy->classes[first].literals)
			nb++;
		rc = check_equals(policy, first, nb, error);
		first += nb;
	}
	for (uint32_t i = 0; i < policy->nb_anchors && rc == 0; i++)
		rc = check_anchor(policy, &policy->anchors[i], error);
	return rc;
}
