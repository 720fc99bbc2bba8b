#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_MAX   64u
#define GAP           2u // blanks between columns
#define SHRUNK_MIN    8u // a column is not cut below this
#define WIDTH_DEFAULT 80u

unsigned
cli_width(FILE *to)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;

	if (ioctl(fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col != 0)
		return size.ws_col;
	if (columns != NULL && atoi(columns) >= 20)
		return (unsigned)atoi(columns);
	return WIDTH_DEFAULT;
}

struct layout {
	unsigned nb;
	unsigned widths[COLUMNS_MAX];
	bool right[COLUMNS_MAX];
	const char *names[COLUMNS_MAX];
	const char *units[COLUMNS_MAX];
};

static const char *
text_of(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text == NULL ? "" : text;
}

static void
measure(struct layout *layout, json_t *columns, json_t *rows)
{
	char cell[CLI_CELL_BYTES];
	json_t *row;
	size_t r;

	layout->nb = (unsigned)json_array_size(columns);
	if (layout->nb > COLUMNS_MAX)
		layout->nb = COLUMNS_MAX;
	for (unsigned c = 0; c < layout->nb; c++) {
		json_t *column = json_array_get(columns, c);

		layout->names[c] = text_of(column, "name");
		layout->units[c] = text_of(column, "unit");
		layout->right[c] = strcmp(text_of(column, "align"), "right") == 0;
		layout->widths[c] = cli_text_width(layout->names[c]);
	}
	json_array_foreach(rows, r, row)
	{
		for (unsigned c = 0; c < layout->nb; c++) {
			unsigned width;

			cli_value(json_array_get(row, c), layout->units[c], cell);
			width = cli_text_width(cell);
			if (width > layout->widths[c])
				layout->widths[c] = width;
		}
	}
}

static unsigned
total(const struct layout *layout)
{
	unsigned sum = layout->nb == 0 ? 0 : (layout->nb - 1) * GAP;

	for (unsigned c = 0; c < layout->nb; c++)
		sum += layout->widths[c];
	return sum;
}

// Cut the widest columns of text until the table fits. Figures are never cut. False when that is
// not enough.
static bool
shrink(struct layout *layout, unsigned width)
{
	while (total(layout) > width) {
		unsigned widest = layout->nb;

		for (unsigned c = 0; c < layout->nb; c++) {
			unsigned least = cli_text_width(layout->names[c]);

			least = least < SHRUNK_MIN ? SHRUNK_MIN : least;
			if (layout->right[c] || layout->widths[c] <= least)
				continue;
			if (widest == layout->nb || layout->widths[c] > layout->widths[widest])
				widest = c;
		}
		if (widest == layout->nb)
			return false;
		layout->widths[widest]--;
	}
	return true;
}

static void
put_blanks(FILE *to, unsigned nb)
{
	while (nb-- > 0)
		fputc(' ', to);
}

static void
put_cell(FILE *to, const struct layout *layout, unsigned c, const char *text)
{
	unsigned width = cli_text_width(text);
	unsigned pad = width < layout->widths[c] ? layout->widths[c] - width : 0;

	if (layout->right[c])
		put_blanks(to, pad);
	cli_put_text(to, text, layout->widths[c]);
	if (c + 1 == layout->nb)
		return; // no blanks at the end of a line
	put_blanks(to, (layout->right[c] ? 0 : pad) + GAP);
}

static void
put_table(FILE *to, const struct layout *layout, json_t *rows)
{
	char cell[CLI_CELL_BYTES];
	json_t *row;
	size_t r;

	for (unsigned c = 0; c < layout->nb; c++)
		put_cell(to, layout, c, layout->names[c]);
	fputc('\n', to);
	json_array_foreach(rows, r, row)
	{
		for (unsigned c = 0; c < layout->nb; c++) {
			cli_value(json_array_get(row, c), layout->units[c], cell);
			put_cell(to, layout, c, cell);
		}
		fputc('\n', to);
	}
}

// For a table that does not fit: a paragraph a row.
static void
put_paragraphs(FILE *to, const struct layout *layout, json_t *rows, unsigned width)
{
	char cell[CLI_CELL_BYTES];
	unsigned names = 0;
	json_t *row;
	size_t r;

	for (unsigned c = 0; c < layout->nb; c++)
		if (cli_text_width(layout->names[c]) > names)
			names = cli_text_width(layout->names[c]);
	json_array_foreach(rows, r, row)
	{
		if (r != 0)
			fputc('\n', to);
		for (unsigned c = 0; c < layout->nb; c++) {
			cli_put_text(to, layout->names[c], names);
			put_blanks(to, names - cli_text_width(layout->names[c]) + GAP);
			cli_value(json_array_get(row, c), layout->units[c], cell);
			cli_put_text(to, cell, width > names + GAP ? width - names - GAP : 1);
			fputc('\n', to);
		}
	}
}

static void
render_table(FILE *to, json_t *table, unsigned width)
{
	json_t *rows = json_object_get(table, "rows"), *note;
	struct layout layout;
	size_t i;

	measure(&layout, json_object_get(table, "columns"), rows);
	if (json_array_size(rows) == 0) {
		fputs("no ", to);
		cli_put_text(to, text_of(table, "title"), width);
		fputc('\n', to);
	} else if (shrink(&layout, width)) {
		put_table(to, &layout, rows);
	} else {
		put_paragraphs(to, &layout, rows, width);
	}
	json_array_foreach(json_object_get(table, "notes"), i, note)
	{
		const char *text = json_string_value(note);

		cli_put_text(to, text == NULL ? "" : text, 4096);
		fputc('\n', to);
	}
}

void
cli_put_lines(FILE *to, const char *text)
{
	char *copy = strdup(text), *rest = copy, *line;

	while (rest != NULL && (line = strsep(&rest, "\n")) != NULL) {
		if (rest == NULL && *line == '\0')
			break;
		cli_put_text(to, line, 4096);
		fputc('\n', to);
	}
	free(copy);
}

void
cli_render(FILE *to, json_t *document, unsigned width)
{
	json_t *tables = json_object_get(document, "tables");
	json_t *text = json_object_get(document, "text");
	json_t *table;
	size_t i;

	if (json_is_string(text))
		cli_put_lines(to, json_string_value(text));
	json_array_foreach(tables, i, table)
	{
		if (i != 0)
			fputc('\n', to);
		cli_put_text(to, text_of(table, "title"), width);
		fputc('\n', to);
		render_table(to, table, width);
	}
	if (json_is_array(json_object_get(document, "columns")))
		render_table(to, document, width);
	else if (tables == NULL && text == NULL) {
		json_dumpf(document, to, JSON_INDENT(2) | JSON_ENCODE_ANY);
		fputc('\n', to);
	}
}

void
cli_print(const struct cli *cli, json_t *document)
{
	if (!cli->json) {
		cli_render(stdout, document, cli_width(stdout));
		return;
	}
	json_dumpf(document, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	fputc('\n', stdout);
}
