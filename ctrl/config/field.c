#include "field.h"

#include <stdlib.h>
#include <string.h>

struct sl_config_where
sl_where(const struct sl_loader *l, const config_setting_t *s)
{
	struct sl_config_where where = sl_source_where(l->source, s == NULL ? 0 : s->line);

	// The tree outlives the source: give out the arena's copy of the file's name.
	for (unsigned i = 0; i < l->source->nb_files; i++)
		if (where.file == l->source->files[i])
			where.file = l->files[i];
	if (s == NULL)
		where.line = 0;
	return where;
}

bool
sl_get_text(struct sl_loader *l, const config_setting_t *s, const char **text)
{
	const char *value = config_setting_get_string(s);

	if (value == NULL || *value == '\0') {
		SL_COMPLAIN(
			l,
			s,
			"'%s' must be a string that is not empty|write %s = \"...\"",
			s->name == NULL ? "an element" : s->name,
			s->name == NULL ? "..." : s->name
		);
		return false;
	}
	*text = sl_arena_strdup(l->arena, value);
	return true;
}

bool
sl_get_number(
	struct sl_loader *l, const config_setting_t *s, uint32_t min, uint32_t max, uint32_t *n
)
{
	const char *key = s->name == NULL ? "an element" : s->name;
	long long value;

	if (s->type == CONFIG_TYPE_INT) {
		value = config_setting_get_int(s);
	} else if (s->type == CONFIG_TYPE_INT64) {
		value = config_setting_get_int64(s);
	} else {
		SL_COMPLAIN(l, s, "'%s' must be a whole number|write it without quotes", key);
		return false;
	}
	if (value < min || value > max) {
		SL_COMPLAIN(l, s, "'%s' is %lld|it may be from %u to %u", key, value, min, max);
		return false;
	}
	*n = (uint32_t)value;
	return true;
}

void
sl_get_prefix(
	struct sl_loader *l,
	const config_setting_t *s,
	const char *text,
	struct sl_config_prefix *prefix
)
{
	char shown[SL_TEXT_PREFIX_CHARS];
	enum sl_text rc = sl_text_prefix(text, prefix);

	if (rc == SL_TEXT_HOST_BITS) {
		prefix->address &= sl_prefix_mask(prefix->length);
		SL_COMPLAIN(
			l,
			s,
			"'%s' has host bits set|write %s",
			text,
			sl_text_show_prefix(*prefix, shown)
		);
	} else if (rc != SL_TEXT_OK) {
		*prefix = (struct sl_config_prefix){ 0 };
		SL_COMPLAIN(
			l, s, "'%s' is no IPv4 prefix|write it as 10.0.0.0/24 or 10.0.0.1", text
		);
	}
}

void
sl_get_interface(
	struct sl_loader *l,
	const config_setting_t *s,
	const char *text,
	struct sl_config_prefix *prefix
)
{
	enum sl_text rc = sl_text_prefix(text, prefix);

	if (strchr(text, '/') == NULL || (rc != SL_TEXT_OK && rc != SL_TEXT_HOST_BITS)) {
		*prefix = (struct sl_config_prefix){ 0 };
		SL_COMPLAIN(
			l,
			s,
			"'%s' is no IPv4 address with prefix length|write it as 192.0.2.1/24",
			text
		);
	} else if (prefix->length < 31 && rc == SL_TEXT_OK) {
		SL_COMPLAIN(
			l,
			s,
			"'%s' is a subnet, not an address in it|write the port's own address",
			text
		);
	} else if (prefix->length == 0) {
		SL_COMPLAIN(l, s, "'%s' has prefix length 0|write the subnet's length", text);
	}
}

void
sl_get_endpoint(
	struct sl_loader *l,
	const config_setting_t *s,
	const char *text,
	uint16_t port,
	struct sl_config_endpoint *endpoint
)
{
	enum sl_text rc = sl_text_endpoint(text, port, endpoint);

	if (rc == SL_TEXT_RANGE)
		SL_COMPLAIN(
			l, s, "'%s' has no port from 1 to 65535|write it as 192.0.2.1:4501", text
		);
	else if (rc != SL_TEXT_OK)
		SL_COMPLAIN(
			l, s, "'%s' is no IPv4 address and port|write it as 192.0.2.1:4501", text
		);
}

static const char *
get_dns(struct sl_loader *l, const config_setting_t *s, const char *text, bool wild)
{
	char out[256];

	switch (wild ? sl_text_pattern(text, out) : sl_text_name(text, out)) {
	case SL_TEXT_OK:
		return sl_arena_strdup(l->arena, out);
	case SL_TEXT_DOTLESS:
		SL_COMPLAIN(
			l,
			s,
			"'%s' has a single label|give the full name, such as %.60s.corp.example",
			text,
			text
		);
		break;
	case SL_TEXT_TOO_LONG:
		SL_COMPLAIN(
			l, s, "'%s' is too long|a name has 253 characters at most, a label 63", text
		);
		break;
	case SL_TEXT_STARS:
		SL_COMPLAIN(
			l,
			s,
			"'%s' holds too many wildcards|use at most %u",
			text,
			SL_PATTERN_WILDCARDS_MAX
		);
		break;
	case SL_TEXT_BAD:
	case SL_TEXT_HOST_BITS:
	case SL_TEXT_RANGE:
	default:
		SL_COMPLAIN(
			l,
			s,
			"'%s' is no DNS name|use letters, digits, '-', '_' and dots%s",
			text,
			wild ? ", with '*' and '?' as wildcards" : ""
		);
	}
	return NULL;
}

const char *
sl_get_pattern(struct sl_loader *l, const config_setting_t *s, const char *text)
{
	return get_dns(l, s, text, true);
}

const char *
sl_get_name(struct sl_loader *l, const config_setting_t *s, const char *text)
{
	return get_dns(l, s, text, false);
}

unsigned
sl_list_length(struct sl_loader *l, const config_setting_t *list, const char *what)
{
	if (list == NULL)
		return 0;
	if (list->type != CONFIG_TYPE_LIST) {
		SL_COMPLAIN(
			l,
			list,
			"'%s' must be a list of %s|write %s = ( { ... }, { ... } );",
			list->name,
			what,
			list->name
		);
		return 0;
	}
	for (int i = 0; i < config_setting_length(list); i++) {
		const config_setting_t *s = config_setting_get_elem(list, (unsigned)i);

		if (s->type != CONFIG_TYPE_GROUP) {
			SL_COMPLAIN(
				l, s, "an element of '%s' is no group|write { ... }", list->name
			);
			return 0;
		}
	}
	return (unsigned)config_setting_length(list);
}

unsigned
sl_strings_length(struct sl_loader *l, const config_setting_t *s)
{
	if (s == NULL)
		return 0;
	if (s->type == CONFIG_TYPE_STRING)
		return 1;
	if (s->type == CONFIG_TYPE_ARRAY || s->type == CONFIG_TYPE_LIST)
		return (unsigned)config_setting_length(s);
	SL_COMPLAIN(
		l,
		s,
		"'%s' must be a string or a list of strings|write %s = [\"...\", \"...\"];",
		s->name,
		s->name
	);
	return 0;
}

const char *
sl_strings_get(
	struct sl_loader *l, const config_setting_t *s, unsigned idx, const config_setting_t **at
)
{
	const char *text;

	*at = s->type == CONFIG_TYPE_STRING ? s : config_setting_get_elem(s, idx);
	text = config_setting_get_string(*at);
	if (text == NULL || *text == '\0') {
		SL_COMPLAIN(
			l,
			*at,
			"an element of '%s' is no string, or empty|write it in quotes",
			s->name
		);
		return NULL;
	}
	return text;
}

unsigned
sl_get_reference(
	struct sl_loader *l,
	const config_setting_t *s,
	const char *what,
	const char *text,
	const char *const *words,
	unsigned nb
)
{
	const char *nearest;

	for (unsigned i = 0; i < nb; i++)
		if (words[i] != NULL && strcmp(words[i], text) == 0)
			return i;
	nearest = sl_text_nearest(text, words, nb);
	if (nearest != NULL)
		SL_COMPLAIN(
			l, s, "the %s '%s' is not defined|did you mean '%s'?", what, text, nearest
		);
	else
		SL_COMPLAIN(
			l,
			s,
			"the %s '%s' is not defined|define it, or correct the name",
			what,
			text
		);
	return nb;
}

void
sl_get_port(struct sl_loader *l, const config_setting_t *s, const char *text, uint16_t *port_idx)
{
	unsigned nb = l->config->nb_ports;
	const char **words = sl_arena_alloc(l->arena, nb + 1, sizeof(*words));
	unsigned idx;

	for (unsigned i = 0; i < nb; i++)
		words[i] = l->config->ports[i].name == NULL ? "" : l->config->ports[i].name;
	idx = sl_get_reference(l, s, "port", text, words, nb);
	*port_idx = idx == nb ? SL_CONFIG_NONE : (uint16_t)idx;
}

void
sl_get_word(struct sl_loader *l, const config_setting_t *s, const char *const *words, int *value)
{
	const char *text = config_setting_get_string(s);
	char all[160] = "";

	for (int i = 0; words[i] != NULL; i++) {
		if (text != NULL && strcmp(text, words[i]) == 0) {
			*value = i;
			return;
		}
		(void)snprintf(
			all + strlen(all),
			sizeof(all) - strlen(all),
			"%s\"%s\"",
			i == 0 ? "" : ", ",
			words[i]
		);
	}
	SL_COMPLAIN(l, s, "'%s' is not one of its words|it may be %s", s->name, all);
}

void
sl_get_key(
	struct sl_loader *l, const config_setting_t *s, const char *text, struct sl_public_key *key
)
{
	static const struct sl_public_key none;

	if (!sl_key_from_base64(text, strlen(text), key->bytes))
		SL_COMPLAIN(
			l,
			s,
			"'%s' is no public key|give the 44 characters that sluice --genkey printed",
			s->name
		);
	else if (memcmp(key, &none, sizeof(none)) == 0)
		SL_COMPLAIN(l, s, "'%s' is the all-zero key|give a real public key", s->name);
}

void
sl_get_names(struct sl_loader *l, const config_setting_t *s, struct sl_config_strings *names)
{
	unsigned nb = sl_strings_length(l, s);

	names->list = sl_arena_alloc(l->arena, nb, sizeof(*names->list));
	for (unsigned i = 0; i < nb; i++) {
		const config_setting_t *at;
		const char *text = sl_strings_get(l, s, i, &at);
		const char *name = text == NULL ? NULL : sl_get_name(l, at, text);

		if (name != NULL)
			names->list[names->nb++] = name;
	}
}

static int
compare_ranges(const void *a, const void *b)
{
	return ((const struct sl_config_port_range *)a)->low -
		((const struct sl_config_port_range *)b)->low;
}

static void
merge_ranges(struct sl_config_port_ranges *r)
{
	unsigned nb = 0;

	if (r->nb > 1)
		qsort(r->list, r->nb, sizeof(*r->list), compare_ranges);
	for (unsigned i = 0; i < r->nb; i++) {
		if (nb > 0 && r->list[i].low <= r->list[nb - 1].high + 1) {
			if (r->list[i].high > r->list[nb - 1].high)
				r->list[nb - 1].high = r->list[i].high;
		} else {
			r->list[nb++] = r->list[i];
		}
	}
	r->nb = nb;
}

#define RANGES_MAX 64u

static void
add_ports(struct sl_loader *l, const config_setting_t *s, struct sl_config_port_ranges *r)
{
	const char *text = config_setting_get_string(s);
	uint32_t port;

	if (text == NULL) {
		if (sl_get_number(l, s, 0, UINT16_MAX, &port) && r->nb < RANGES_MAX)
			r->list[r->nb++] = (struct sl_config_port_range){ (uint16_t)port,
									  (uint16_t)port };
	} else if (sl_text_ports(text, r->list, &r->nb, RANGES_MAX) != SL_TEXT_OK) {
		SL_COMPLAIN(
			l,
			s,
			"'%s' are no ports|write \"all\", \"none\", 443, or at most %u such as "
			"\"80, 8000-8100\"",
			text,
			RANGES_MAX
		);
	}
}

void
sl_get_ports(struct sl_loader *l, const config_setting_t *s, struct sl_config_port_ranges *ranges)
{
	struct sl_config_port_range list[RANGES_MAX];
	struct sl_config_port_ranges r = { list, 0 };

	if (s->type == CONFIG_TYPE_ARRAY || s->type == CONFIG_TYPE_LIST) {
		if (config_setting_length(s) > (int)RANGES_MAX)
			SL_COMPLAIN(
				l, s, "'%s' has too many ranges|use at most %u", s->name, RANGES_MAX
			);
		else
			for (int i = 0; i < config_setting_length(s); i++)
				add_ports(l, config_setting_get_elem(s, (unsigned)i), &r);
	} else {
		add_ports(l, s, &r);
	}
	merge_ranges(&r);
	ranges->nb = r.nb;
	ranges->list = sl_arena_alloc(l->arena, r.nb, sizeof(*r.list));
	if (r.nb > 0)
		memcpy(ranges->list, r.list, r.nb * sizeof(*r.list));
}
