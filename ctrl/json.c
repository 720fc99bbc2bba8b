#include <arpa/inet.h>
#include <sluice/ctrl/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static json_t *text_of(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

static json_t *
text_of(const char *fmt, va_list ap)
{
	char *text = NULL;
	json_t *value;

	if (vasprintf(&text, fmt, ap) < 0)
		return NULL;
	value = sl_json_str(text);
	free(text);
	return value;
}

json_t *
sl_json_str(const char *text)
{
	json_t *value = json_string(text);
	char *ascii;

	if (value != NULL || text == NULL)
		return value;
	ascii = strdup(text);
	for (char *c = ascii; c != NULL && *c != '\0'; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	value = json_string(ascii);
	free(ascii);
	return value;
}

json_t *
sl_json_table(const char *title, const struct sl_column *columns, unsigned nb_columns)
{
	json_t *table = json_pack("{s:s, s:[], s:[]}", "title", title, "columns", "rows");
	json_t *list = json_object_get(table, "columns");

	for (unsigned i = 0; i < nb_columns; i++) {
		json_t *column = json_pack(
			"{s:s, s:s, s:s}",
			"name",
			columns[i].name,
			"align",
			columns[i].align == SL_ALIGN_RIGHT ? "right" : "left",
			"unit",
			columns[i].unit == NULL ? "" : columns[i].unit
		);

		if (columns[i].is_detail)
			json_object_set_new(column, "detail", json_true());
		json_array_append_new(list, column);
	}
	return table;
}

void
sl_json_row(json_t *table, const char *fmt, ...)
{
	char whole[128];
	json_t *row;
	va_list ap;

	snprintf(whole, sizeof(whole), "[%s]", fmt);
	va_start(ap, fmt);
	row = json_vpack_ex(NULL, 0, whole, ap);
	va_end(ap);
	json_array_append_new(json_object_get(table, "rows"), row);
}

void
sl_json_note(json_t *table, const char *fmt, ...)
{
	json_t *notes = json_object_get(table, "notes");
	va_list ap;

	if (table == NULL)
		return;
	if (notes == NULL) {
		notes = json_array();
		json_object_set_new(table, "notes", notes);
	}
	va_start(ap, fmt);
	json_array_append_new(notes, text_of(fmt, ap));
	va_end(ap);
}

json_t *
sl_json_text(const char *fmt, ...)
{
	va_list ap;
	json_t *text;

	va_start(ap, fmt);
	text = text_of(fmt, ap);
	va_end(ap);
	return json_pack("{s:o}", "text", text);
}

json_t *
sl_json_ip4(uint32_t address)
{
	struct in_addr in = { .s_addr = htonl(address) };
	char text[INET_ADDRSTRLEN];

	return json_string(inet_ntop(AF_INET, &in, text, sizeof(text)));
}

json_t *
sl_json_ip(const uint8_t address[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char text[INET6_ADDRSTRLEN];

	if (memcmp(address, mapped, sizeof(mapped)) == 0)
		return json_string(inet_ntop(AF_INET, address + 12, text, sizeof(text)));
	return json_string(inet_ntop(AF_INET6, address, text, sizeof(text)));
}

void
sl_time_format(uint64_t wall_ns, char text[SL_TIME_CHARS + 1])
{
	time_t s = (time_t)(wall_ns / 1000000000u);
	struct tm tm;
	size_t len;

	gmtime_r(&s, &tm);
	len = strftime(text, SL_TIME_CHARS + 1, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(
		text + len,
		SL_TIME_CHARS + 1 - len,
		".%06uZ",
		(unsigned)(wall_ns % 1000000000u / 1000u)
	);
}

json_t *
sl_json_time(uint64_t wall_ns)
{
	char text[SL_TIME_CHARS + 1];

	if (wall_ns == 0)
		return json_null();
	sl_time_format(wall_ns, text);
	return json_string(text);
}
