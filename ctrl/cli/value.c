#include "cli.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// 1234567 -> "1.23 M", three digits that matter.
static void
put_scaled(char *text, double value, const char *unit)
{
	static const char prefixes[] = " kMGTPE";
	unsigned i = 0;
	int decimals;

	while (fabs(value) >= 999.5 && i + 2 < sizeof(prefixes)) {
		value /= 1000;
		i++;
	}
	decimals = i == 0 ? 0 : fabs(value) < 9.995 ? 2 : fabs(value) < 99.95 ? 1 : 0;
	if (i == 0)
		snprintf(text, CLI_CELL_BYTES, "%.*f %s", decimals, value, unit);
	else
		snprintf(text, CLI_CELL_BYTES, "%.*f %c%s", decimals, value, prefixes[i], unit);
}

static void
put_ns(char *text, double ns)
{
	static const struct {
		double below;
		double divisor;
		const char *unit;
	} rows[] = {
		{ 1e3, 1, "ns" }, { 1e6, 1e3, "us" }, { 1e9, 1e6, "ms" }, { 120e9, 1e9, "s" }
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		double value = ns / rows[i].divisor;

		if (fabs(ns) >= rows[i].below)
			continue;
		snprintf(
			text,
			CLI_CELL_BYTES,
			"%.*f %s",
			i == 0 || value >= 100 ? 0 : 1,
			value,
			rows[i].unit
		);
		return;
	}
	json_t *s = json_real(ns / 1e9);

	cli_value(s, "s", text);
	json_decref(s);
}

static void
put_s(char *text, double s)
{
	uint64_t whole = s < 0 ? 0 : (uint64_t)s;
	unsigned d = (unsigned)(whole / 86400), h = (unsigned)(whole / 3600 % 24);
	unsigned m = (unsigned)(whole / 60 % 60);

	if (d != 0)
		snprintf(text, CLI_CELL_BYTES, "%ud%02uh", d, h);
	else if (h != 0)
		snprintf(text, CLI_CELL_BYTES, "%uh%02um", h, m);
	else if (m != 0)
		snprintf(text, CLI_CELL_BYTES, "%um%02us", m, (unsigned)(whole % 60));
	else
		snprintf(text, CLI_CELL_BYTES, "%.*f s", s < 10 && s != trunc(s) ? 1 : 0, s);
}

static void
put_number(char *text, json_t *value, const char *unit)
{
	double number = json_number_value(value);

	if (strcmp(unit, "bytes") == 0)
		put_scaled(text, number, "B");
	else if (strcmp(unit, "bps") == 0)
		put_scaled(text, number, "b/s");
	else if (strcmp(unit, "pps") == 0)
		put_scaled(text, number, "/s");
	else if (strcmp(unit, "ns") == 0)
		put_ns(text, number);
	else if (strcmp(unit, "s") == 0)
		put_s(text, number);
	else if (strcmp(unit, "percent") == 0)
		snprintf(text, CLI_CELL_BYTES, "%.1f %%", number);
	else if (json_is_integer(value))
		snprintf(text, CLI_CELL_BYTES, "%lld", (long long)json_integer_value(value));
	else
		snprintf(text, CLI_CELL_BYTES, "%.1f", number);
}

// Steps of a journey: "a > b > c".
static void
put_steps(char *text, json_t *steps)
{
	size_t at = 0, i;
	json_t *step;

	json_array_foreach(steps, i, step)
	{
		const char *word = json_string_value(step);

		if (at < CLI_CELL_BYTES)
			at += (size_t)snprintf(
				text + at,
				CLI_CELL_BYTES - at,
				"%s%s",
				i == 0 ? "" : " > ",
				word == NULL ? "?" : word
			);
	}
}

void
cli_value(json_t *value, const char *unit, char *text)
{
	char *dump;

	text[0] = '\0';
	if (value == NULL || json_is_null(value))
		snprintf(text, CLI_CELL_BYTES, "-");
	else if (json_is_string(value))
		snprintf(text, CLI_CELL_BYTES, "%s", json_string_value(value));
	else if (json_is_boolean(value))
		snprintf(text, CLI_CELL_BYTES, "%s", json_is_true(value) ? "yes" : "no");
	else if (json_is_number(value))
		put_number(text, value, unit == NULL ? "" : unit);
	else if (json_is_array(value) && json_is_string(json_array_get(value, 0)))
		put_steps(text, value);
	else {
		dump = json_dumps(value, JSON_COMPACT);
		snprintf(text, CLI_CELL_BYTES, "%s", dump == NULL ? "?" : dump);
		free(dump);
	}
}

// Octets of the UTF-8 character at `text`, 1 for what is none.
static unsigned
char_bytes(const char *text)
{
	unsigned char c = (unsigned char)*text;
	unsigned nb = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1;

	for (unsigned i = 1; i < nb; i++)
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			return 1;
	return nb;
}

unsigned
cli_text_width(const char *text)
{
	unsigned width = 0;

	for (; *text != '\0'; text += char_bytes(text))
		width++;
	return width;
}

size_t
cli_text_prefix(const char *text, unsigned width)
{
	size_t nb = 0;

	for (; width > 0 && text[nb] != '\0'; width--)
		nb += char_bytes(text + nb);
	return nb;
}

// Terminals obey octets below 0x20, DEL, and U+0080 to U+009F.
static bool
is_harmless(const char *text, unsigned nb)
{
	unsigned char c = (unsigned char)text[0];

	if (nb == 1)
		return c >= 0x20 && c < 0x7f;
	return !(nb == 2 && c == 0xc2 && (unsigned char)text[1] < 0xa0);
}

void
cli_put_text(FILE *to, const char *text, unsigned width)
{
	unsigned left = cli_text_width(text);
	unsigned room = left <= width ? left : width < 4 ? width : width - 3;

	while (*text != '\0' && room > 0) {
		unsigned nb = char_bytes(text);

		if (is_harmless(text, nb))
			fwrite(text, 1, nb, to);
		else
			fputc('?', to);
		text += nb;
		room--;
	}
	if (*text != '\0' && width >= 4)
		fputs("...", to);
}
