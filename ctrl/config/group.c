// group: the reader behind the tables of field.h.
#include "field.h"

#include <string.h>

static void
set_default(struct sl_loader *l, const struct sl_field *f, void *at)
{
	switch (f->type) {
	case SL_FIELD_TEXT:
	case SL_FIELD_IDENTIFIER:
	case SL_FIELD_PATH:
		*(const char **)at = f->text;
		break;
	case SL_FIELD_U16:
		*(uint16_t *)at = (uint16_t)f->number;
		break;
	case SL_FIELD_U32:
		*(uint32_t *)at = f->number;
		break;
	case SL_FIELD_BOOL:
		*(bool *)at = f->number != 0;
		break;
	case SL_FIELD_WORD:
		*(int *)at = (int)f->number;
		break;
	case SL_FIELD_PREFIX:
		if (f->text != NULL)
			sl_get_prefix(l, NULL, f->text, at);
		break;
	case SL_FIELD_ENDPOINT:
		if (f->text != NULL)
			(void)sl_text_endpoint(f->text, 0, at);
		break;
	case SL_FIELD_PORT:
		*(uint16_t *)at = SL_CONFIG_NONE;
		break;
	case SL_FIELD_IP4:
	case SL_FIELD_INTERFACE:
	case SL_FIELD_KEY:
	case SL_FIELD_NAMES:
	case SL_FIELD_PORTS:
	case SL_FIELD_OTHER:
	default:
		break; // zero already, or the reader's own matter
	}
}

static void
read_number(struct sl_loader *l, const config_setting_t *s, const struct sl_field *f, void *at)
{
	uint32_t number;

	if (!sl_get_number(l, s, f->min, f->max, &number))
		return;
	if (f->type == SL_FIELD_U16)
		*(uint16_t *)at = (uint16_t)number;
	else
		*(uint32_t *)at = number;
}

// The types that are written as a string.
static void
read_text(struct sl_loader *l, const config_setting_t *s, const struct sl_field *f, void *at)
{
	const char *text;

	if (!sl_get_text(l, s, &text))
		return;
	switch ((int)f->type) {
	case SL_FIELD_IDENTIFIER:
		if (!sl_text_is_identifier(text))
			SL_COMPLAIN(
				l,
				s,
				"'%s' is no name|use at most 63 letters, digits, '.', '_', '-' and "
				"'@'",
				text
			);
		*(const char **)at = text;
		break;
	case SL_FIELD_IP4:
		if (sl_text_ip4(text, at) != SL_TEXT_OK)
			SL_COMPLAIN(l, s, "'%s' is no IPv4 address|write it as 192.0.2.1", text);
		break;
	case SL_FIELD_PREFIX:
		sl_get_prefix(l, s, text, at);
		break;
	case SL_FIELD_INTERFACE:
		sl_get_interface(l, s, text, at);
		break;
	case SL_FIELD_ENDPOINT:
		sl_get_endpoint(l, s, text, (uint16_t)f->number, at);
		break;
	case SL_FIELD_KEY:
		sl_get_key(l, s, text, at);
		break;
	case SL_FIELD_PORT:
		sl_get_port(l, s, text, at);
		break;
	default:
		*(const char **)at = text;
	}
}

static void
read_field(struct sl_loader *l, const config_setting_t *s, const struct sl_field *f, void *at)
{
	switch (f->type) {
	case SL_FIELD_U16:
	case SL_FIELD_U32:
		read_number(l, s, f, at);
		break;
	case SL_FIELD_BOOL:
		if (s->type == CONFIG_TYPE_BOOL)
			*(bool *)at = config_setting_get_bool(s) != 0;
		else
			SL_COMPLAIN(
				l, s, "'%s' must be true or false|write it without quotes", s->name
			);
		break;
	case SL_FIELD_WORD:
		sl_get_word(l, s, f->words, at);
		break;
	case SL_FIELD_NAMES:
		sl_get_names(l, s, at);
		break;
	case SL_FIELD_PORTS:
		sl_get_ports(l, s, at);
		break;
	case SL_FIELD_OTHER:
		f->read(l, s, at);
		break;
	case SL_FIELD_TEXT:
	case SL_FIELD_IDENTIFIER:
	case SL_FIELD_PATH:
	case SL_FIELD_IP4:
	case SL_FIELD_PREFIX:
	case SL_FIELD_INTERFACE:
	case SL_FIELD_ENDPOINT:
	case SL_FIELD_KEY:
	case SL_FIELD_PORT:
	default:
		read_text(l, s, f, at);
	}
}

static void
complain_unknown(
	struct sl_loader *l,
	const config_setting_t *s,
	const struct sl_field *fields,
	unsigned nb_fields,
	const char *what
)
{
	const char *words[SL_FIELDS_MAX];
	const char *nearest;

	for (unsigned i = 0; i < nb_fields; i++)
		words[i] = fields[i].key;
	nearest = sl_text_nearest(s->name, words, nb_fields);
	if (nearest != NULL)
		SL_COMPLAIN(
			l, s, "'%s' is not a key of %s|did you mean '%s'?", s->name, what, nearest
		);
	else
		SL_COMPLAIN(
			l,
			s,
			"'%s' is not a key of %s|remove it; docs/configuration.md lists the keys",
			s->name,
			what
		);
}

void
sl_read_group(
	struct sl_loader *l,
	const config_setting_t *group,
	const struct sl_field *fields,
	unsigned nb_fields,
	const char *what,
	void *base
)
{
	bool met[SL_FIELDS_MAX] = { false };

	for (unsigned i = 0; i < nb_fields; i++)
		set_default(l, &fields[i], (char *)base + fields[i].offset);
	if (group == NULL)
		return;
	if (group->type != CONFIG_TYPE_GROUP) {
		SL_COMPLAIN(
			l,
			group,
			"'%s' must be a group|write %s = { ... };",
			group->name,
			group->name
		);
		return;
	}
	for (int n = 0; n < config_setting_length(group); n++) {
		const config_setting_t *s = config_setting_get_elem(group, (unsigned)n);
		unsigned i = 0;

		while (i < nb_fields && strcmp(fields[i].key, s->name) != 0)
			i++;
		if (i == nb_fields) {
			complain_unknown(l, s, fields, nb_fields, what);
			continue;
		}
		met[i] = true;
		read_field(l, s, &fields[i], (char *)base + fields[i].offset);
	}
	for (unsigned i = 0; i < nb_fields; i++)
		if (fields[i].required && !met[i])
			SL_COMPLAIN(
				l,
				group,
				"%s has no '%s'|add %s = ...;",
				what,
				fields[i].key,
				fields[i].key
			);
}
