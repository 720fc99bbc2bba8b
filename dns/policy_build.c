// policy_build: from a spec to the immutable form. Patterns become items, items are sorted by
// specificity and grouped into classes, classes are indexed, and ties are refused.
#include "policy_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// One pattern of one resource.
struct item {
	const char *pattern;
	const char *target_name;
	uint32_t target_address;
	uint32_t entry;
	uint32_t address;
	uint16_t literals;
	uint8_t kind, dialect, target, nb_bits;
};

struct build {
	const struct sl_policy_spec *spec;
	struct sl_policy *policy;
	struct sl_policy_error *error;
	struct item *items;
	size_t nb_items;
	size_t arena_used;
	size_t nb_ranges;
};

static int __attribute__((format(printf, 3, 4)))
refuse(struct build *b, unsigned resource, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(b->error->what, sizeof(b->error->what), fmt, ap);
	va_end(ap);
	b->error->resource = resource;
	return -EINVAL;
}

static void *
arena_take(struct build *b, size_t nb_bytes)
{
	void *p = b->policy->arena + b->arena_used;

	b->arena_used += nb_bytes;
	return p;
}

// A copy in the arena, lower-cased, without a trailing dot.
static char *
arena_text(struct build *b, const char *text)
{
	size_t n = strlen(text);
	char *to;

	if (n > 1 && text[n - 1] == '.')
		n--;
	to = arena_take(b, n + 1);
	for (size_t i = 0; i < n; i++)
		to[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 0x20) : text[i];
	to[n] = '\0';
	return to;
}

static const char *
arena_label(struct build *b, const char *label)
{
	size_t n = label == NULL ? 0 : strlen(label);
	char *to = arena_take(b, n + 1);

	memcpy(to, label == NULL ? "" : label, n + 1);
	return to;
}

static bool
is_wildcard(const char *text)
{
	return strpbrk(text, "*?") != NULL;
}

// Why a pattern cannot be one, or NULL.
static const char *
pattern_fault(const char *text)
{
	struct sl_name name;
	size_t n = strlen(text);

	if (n == 0 || n > SL_NAME_MAX_BYTES)
		return "must have 1 to 253 characters";
	for (size_t i = 0; i < n; i++) {
		char c = text[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    strchr("-_.*?", c) == NULL)
			return "holds a character other than letters, digits, '-', '_', '.', '*' "
			       "and '?'";
		if (c == '.' && (i == 0 || text[i - 1] == '.'))
			return "has an empty label";
	}
	if (!is_wildcard(text) && sl_name_from_text(&name, text) != SL_NAME_OK)
		return "has a label of more than 63 characters";
	return NULL;
}

static int
add_pattern(struct build *b, unsigned r, const char *text, const struct item *like)
{
	struct item *it = &b->items[b->nb_items];
	const char *pattern = arena_text(b, text);
	const char *fault = pattern_fault(pattern);

	if (fault != NULL)
		return refuse(
			b,
			r,
			"the name '%.253s' of the resource '%.60s' %s",
			text,
			b->spec->resources[r].label,
			fault
		);
	*it = *like;
	it->entry = r;
	it->pattern = pattern;
	it->kind = is_wildcard(pattern) ? SL_CLASS_GLOB : SL_CLASS_EXACT;
	it->dialect = it->kind == SL_CLASS_GLOB ? (uint8_t)b->spec->resources[r].dialect : 0;
	it->literals = (uint16_t)sl_glob_literals(pattern);
	b->nb_items++;
	return 0;
}

static int
add_prefix(struct build *b, unsigned r, struct sl_policy_prefix prefix)
{
	const uint32_t a = prefix.address;
	char *text;

	if (prefix.nb_bits > 32 || (a & ~sl_prefix_mask(prefix.nb_bits)) != 0)
		return refuse(
			b,
			r,
			"the prefix %u.%u.%u.%u/%u of the resource '%.60s' has host bits",
			a >> 24,
			a >> 16 & 255,
			a >> 8 & 255,
			a & 255,
			prefix.nb_bits,
			b->spec->resources[r].label
		);
	text = arena_take(b, 20);
	snprintf(
		text,
		20,
		"%u.%u.%u.%u/%u",
		a >> 24,
		a >> 16 & 255,
		a >> 8 & 255,
		a & 255,
		(unsigned)(prefix.nb_bits & 63)
	);
	b->items[b->nb_items++] = (struct item){
		.pattern = text,
		.entry = r,
		.kind = SL_CLASS_PREFIX,
		.address = a,
		.nb_bits = prefix.nb_bits,
	};
	return 0;
}

// What the aliases of a resource stand for, as the target of an item.
static int
alias_target(struct build *b, unsigned r, size_t first_item, struct item *like)
{
	const struct sl_policy_resource *in = &b->spec->resources[r];

	if (b->nb_items - first_item == 1) {
		const struct item *only = &b->items[first_item];

		if (only->kind == SL_CLASS_EXACT) {
			*like = (struct item){ .target = SL_TARGET_NAME,
					       .target_name = only->pattern };
			return 0;
		}
		if (only->kind == SL_CLASS_PREFIX && only->nb_bits == 32) {
			*like = (struct item){ .target = SL_TARGET_IP4,
					       .target_address = only->address };
			return 0;
		}
	}
	return refuse(
		b,
		r,
		"the resource '%.60s' has aliases, so it must have exactly one name without "
		"wildcards, or "
		"exactly one address",
		in->label
	);
}

static int
add_aliases(struct build *b, unsigned r, size_t first_item)
{
	const struct sl_policy_resource *in = &b->spec->resources[r];
	struct item like;
	int rc = alias_target(b, r, first_item, &like);

	for (unsigned i = 0; i < in->nb_aliases && rc == 0; i++) {
		const char *dot = strchr(in->aliases[i], '.');

		if (dot == NULL || dot[1] == '\0' || is_wildcard(in->aliases[i]))
			return refuse(
				b,
				r,
				"the alias '%.253s' of the resource '%.60s' must hold a dot and no "
				"wildcard",
				in->aliases[i],
				in->label
			);
		rc = add_pattern(b, r, in->aliases[i], &like);
	}
	return rc;
}

static int
copy_ranges(
	struct build *b,
	unsigned r,
	const struct sl_policy_range *list,
	unsigned nb,
	uint32_t *at,
	uint16_t *nb_out
)
{
	*at = (uint32_t)b->nb_ranges;
	*nb_out = (uint16_t)nb;
	for (unsigned i = 0; i < nb; i++) {
		if (list[i].low > list[i].high || nb > UINT16_MAX)
			return refuse(
				b,
				r,
				"the ports %u-%u of the resource '%.60s' are no range",
				list[i].low,
				list[i].high,
				b->spec->resources[r].label
			);
		b->policy->ranges[b->nb_ranges++] = list[i];
	}
	return 0;
}

static int
add_resource(struct build *b, unsigned r)
{
	const struct sl_policy_resource *in = &b->spec->resources[r];
	struct sl_policy_entry *e = &b->policy->entries[r];
	const size_t first_item = b->nb_items;
	const struct item self = { .target = SL_TARGET_SELF };
	int rc;

	*e = (struct sl_policy_entry){
		.groups = in->groups,
		.id = in->id,
		.network = in->network,
		.names_max = in->names_max,
		.ttl_s = in->ttl_s,
		.icmp = in->icmp,
		.inherit = in->inherit,
		.deny = (uint8_t)in->deny,
		.label = arena_label(b, in->label),
	};
	if (in->ttl_s > SL_POLICY_TTL_MAX_S)
		return refuse(b, r, "the TTL of the resource '%.60s' is over 86400 s", in->label);
	if (in->nb_patterns + in->nb_prefixes == 0)
		return refuse(b, r, "the resource '%.60s' has neither name nor address", in->label);
	rc = copy_ranges(b, r, in->tcp, in->nb_tcp, &e->tcp_at, &e->nb_tcp);
	if (rc == 0)
		rc = copy_ranges(b, r, in->udp, in->nb_udp, &e->udp_at, &e->nb_udp);
	for (unsigned i = 0; i < in->nb_patterns && rc == 0; i++)
		rc = add_pattern(b, r, in->patterns[i], &self);
	for (unsigned i = 0; i < in->nb_prefixes && rc == 0; i++)
		rc = add_prefix(b, r, in->prefixes[i]);
	if (in->nb_aliases != 0 && rc == 0)
		rc = add_aliases(b, r, first_item);
	return rc;
}

#define COMPARE(x, y)                                                                              \
	do {                                                                                       \
		if ((x) != (y))                                                                    \
			return (x) < (y) ? -1 : 1;                                                 \
	} while (0)

// Do two items have the same pattern? Negative and positive order classes, most specific first.
static int
compare_pattern(const struct item *a, const struct item *b)
{
	COMPARE(a->kind, b->kind);
	if (a->kind == SL_CLASS_PREFIX) {
		COMPARE(b->nb_bits, a->nb_bits);
		COMPARE(a->address, b->address);
		return 0;
	}
	if (a->kind == SL_CLASS_GLOB) {
		COMPARE(b->literals, a->literals);
		COMPARE(b->dialect, a->dialect); // a run within a label is the narrower one
	}
	return strcmp(a->pattern, b->pattern);
}

static int
compare_items(const void *va, const void *vb)
{
	const struct item *a = va, *b = vb;
	int rc = compare_pattern(a, b);

	if (rc != 0)
		return rc;
	COMPARE(a->entry, b->entry);
	COMPARE(a->target, b->target); // a name that is also an alias of itself stands for itself
	return 0;
}

static void
begin_class(struct build *b, struct sl_policy_class *c, const struct item *it)
{
	*c = (struct sl_policy_class){
		.pattern = it->pattern,
		.literals = it->literals,
		.kind = it->kind,
		.dialect = it->dialect,
		.shape = SL_SHAPE_GLOB,
		.inherit = true,
		.first_rule = b->policy->nb_rules,
		.ttl_min_s = UINT32_MAX,
		.address = it->address,
		.nb_bits = it->nb_bits,
	};
	b->policy->nb_exact += it->kind == SL_CLASS_EXACT;
	b->policy->nb_globs += it->kind == SL_CLASS_GLOB;
	b->policy->nb_prefixes += it->kind == SL_CLASS_PREFIX;
}

static void
make_classes(struct build *b)
{
	struct sl_policy *p = b->policy;
	struct sl_policy_class *c = NULL;
	uint32_t nb_classes = 0;

	qsort(b->items, b->nb_items, sizeof(*b->items), compare_items);
	for (size_t i = 0; i < b->nb_items; i++) {
		const struct item *it = &b->items[i];
		const struct sl_policy_entry *e = &p->entries[it->entry];
		bool is_same = i != 0 && compare_pattern(it, &b->items[i - 1]) == 0;

		if (!is_same) {
			c = &p->classes[nb_classes++];
			begin_class(b, c, it);
		} else if (it->entry == b->items[i - 1].entry) {
			continue; // written twice
		}
		p->rules[p->nb_rules++] = (struct sl_policy_rule){
			.entry = it->entry,
			.target = it->target,
			.target_address = it->target_address,
			.target_name = it->target_name,
		};
		c->nb_rules++;
		c->groups |= e->groups;
		c->inherit = c->inherit && e->inherit;
		c->ttl_min_s = e->ttl_s < c->ttl_min_s ? e->ttl_s : c->ttl_min_s;
		c->ttl_max_s = e->ttl_s > c->ttl_max_s ? e->ttl_s : c->ttl_max_s;
	}
}

// How much text the spec holds, so that the arena never moves.
static void
measure(const struct sl_policy_spec *spec, size_t *nb_items, size_t *nb_ranges, size_t *nb_arena)
{
	*nb_items = *nb_ranges = 0;
	*nb_arena = 16;
	for (unsigned r = 0; r < spec->nb_resources; r++) {
		const struct sl_policy_resource *in = &spec->resources[r];

		*nb_items += (size_t)in->nb_patterns + in->nb_prefixes + in->nb_aliases;
		*nb_ranges += (size_t)in->nb_tcp + in->nb_udp;
		*nb_arena += (in->label == NULL ? 0 : strlen(in->label)) + 1 + in->nb_prefixes * 20;
		// Text, wire form or anchor.
		for (unsigned i = 0; i < in->nb_patterns; i++)
			*nb_arena += 2 * strlen(in->patterns[i]) + 4;
		for (unsigned i = 0; i < in->nb_aliases; i++)
			*nb_arena += 2 * strlen(in->aliases[i]) + 4;
	}
}

static bool
allocate(struct build *b)
{
	struct sl_policy *p = b->policy;
	size_t nb_items, nb_ranges, nb_arena;

	measure(b->spec, &nb_items, &nb_ranges, &nb_arena);
	p->nb_entries = b->spec->nb_resources;
	p->nb_arena_bytes = nb_arena;
	b->items = calloc(nb_items + 1, sizeof(*b->items));
	p->classes = calloc(nb_items + 1, sizeof(*p->classes));
	p->rules = calloc(nb_items + 1, sizeof(*p->rules));
	p->entries = calloc(p->nb_entries + 1, sizeof(*p->entries));
	p->ranges = calloc(nb_ranges + 1, sizeof(*p->ranges));
	p->arena = calloc(1, nb_arena);
	p->nb_bytes = sizeof(*p) + nb_items * (sizeof(*p->classes) + sizeof(*p->rules)) +
		p->nb_entries * sizeof(*p->entries) + nb_ranges * sizeof(*p->ranges) + nb_arena;
	return b->items != NULL && p->classes != NULL && p->rules != NULL && p->entries != NULL &&
		p->ranges != NULL && p->arena != NULL;
}

int
sl_policy_build(
	const struct sl_policy_spec *spec, struct sl_policy **policy, struct sl_policy_error *error
)
{
	struct build b = { .spec = spec, .error = error };
	int rc = -ENOMEM;

	*policy = NULL;
	*error = (struct sl_policy_error){ .resource = UINT32_MAX, .other = UINT32_MAX };
	b.policy = calloc(1, sizeof(*b.policy));
	if (b.policy == NULL || !allocate(&b))
		goto fail;
	b.policy->generation = spec->generation;
	b.policy->key = spec->name_key;
	b.policy->canary = spec->canary;
	b.policy->refuse_other = spec->refuse_other;
	rc = 0;
	for (unsigned r = 0; r < spec->nb_resources && rc == 0; r++)
		rc = add_resource(&b, r);
	if (rc != 0)
		goto fail;
	make_classes(&b);
	rc = sl_policy_index(b.policy, &b.arena_used, spec, error);
	if (rc == 0)
		rc = sl_policy_check_ties(b.policy, error);
	if (rc != 0)
		goto fail;
	free(b.items);
	*policy = b.policy;
	return 0;
fail:
	if (rc == -ENOMEM)
		snprintf(error->what, sizeof(error->what), "no memory for the policy");
	free(b.items);
	sl_policy_free(b.policy);
	return rc;
}

void
sl_policy_free(struct sl_policy *policy)
{
	if (policy == NULL)
		return;
	sl_index_fini(&policy->exact);
	sl_index_fini(&policy->anchor_index);
	sl_index_fini(&policy->prefix_index);
	sl_index_fini(&policy->bypass);
	free(policy->bypass_prefixes);
	free(policy->bypass_wire);
	free(policy->anchored);
	free(policy->anchors);
	free(policy->arena);
	free(policy->ranges);
	free(policy->entries);
	free(policy->rules);
	free(policy->classes);
	free(policy);
}
