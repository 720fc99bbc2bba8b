#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_MAX   64u
#define GAP           2u // blanks between columns
#define SHRUNK_MIN    8u // a column is not cut below this
#define WIDTH_DEFAULT 80u
#define WRAPPED_MIN   24u // the last column is not wrapped into less
#define LINES_MAX     3u // that a row may be folded into
#define FOLD_INDENT   2u

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
	unsigned from[COLUMNS_MAX]; // place in a row
	unsigned widths[COLUMNS_MAX];
	bool right[COLUMNS_MAX];
	const char *names[COLUMNS_MAX];
	const char *units[COLUMNS_MAX];
	unsigned nb_lines; // that a row takes
	unsigned line_at[LINES_MAX + 1]; // first column of each, and the end
};

static const char *
text_of(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text == NULL ? "" : text;
}

enum details { WITH_DETAILS, WITHOUT_DETAILS };

static void
add_columns(struct layout *layout, json_t *columns, enum details details)
{
	json_t *column;
	size_t i;

	layout->nb = 0;
	json_array_foreach(columns, i, column)
	{
		unsigned c = layout->nb;

		if (c == COLUMNS_MAX ||
		    (details == WITHOUT_DETAILS && json_is_true(json_object_get(column, "detail"))))
			continue;
		layout->from[c] = (unsigned)i;
		layout->names[c] = text_of(column, "name");
		layout->units[c] = text_of(column, "unit");
		layout->right[c] = strcmp(text_of(column, "align"), "right") == 0;
		layout->widths[c] = cli_text_width(layout->names[c]);
		layout->nb++;
	}
}

// A column of text in which no row has anything tells nothing: it is left out, but for the first.
static void
drop_empty(struct layout *layout, const bool has_text[])
{
	unsigned nb = 0;

	for (unsigned c = 0; c < layout->nb; c++) {
		if (c != 0 && !has_text[c] && !layout->right[c])
			continue;
		layout->from[nb] = layout->from[c];
		layout->names[nb] = layout->names[c];
		layout->units[nb] = layout->units[c];
		layout->right[nb] = layout->right[c];
		layout->widths[nb++] = layout->widths[c];
	}
	layout->nb = nb;
}

static void
measure(struct layout *layout, json_t *columns, json_t *rows, enum details details)
{
	bool has_text[COLUMNS_MAX] = { false };
	char cell[CLI_CELL_BYTES];
	json_t *row;
	size_t r;

	add_columns(layout, columns, details);
	json_array_foreach(rows, r, row)
	{
		for (unsigned c = 0; c < layout->nb; c++) {
			unsigned width;

			cli_value(json_array_get(row, layout->from[c]), layout->units[c], cell);
			width = cli_text_width(cell);
			has_text[c] |= width != 0;
			if (width > layout->widths[c])
				layout->widths[c] = width;
		}
	}
	if (json_array_size(rows) != 0)
		drop_empty(layout, has_text);
}

static unsigned
total(const struct layout *layout)
{
	unsigned sum = layout->nb == 0 ? 0 : (layout->nb - 1) * GAP;

	for (unsigned c = 0; c < layout->nb; c++)
		sum += layout->widths[c];
	return sum;
}

static void
one_line(struct layout *layout)
{
	layout->nb_lines = 1;
	layout->line_at[0] = 0;
	layout->line_at[1] = layout->nb;
}

// Give the last column, if it is text, what the others leave of the line.
static bool
wrap_last(struct layout *layout, unsigned width)
{
	unsigned last = layout->nb - 1, others = total(layout) - layout->widths[last];

	if (layout->right[last] || others + WRAPPED_MIN > width)
		return false;
	layout->widths[last] = width - others;
	return true;
}

// Fold the columns over a few lines. Nothing is cut; the last column may be wrapped.
static bool
fold(struct layout *layout, unsigned width)
{
	unsigned nb = 1, at = 0;

	layout->line_at[0] = 0;
	for (unsigned c = 0; c < layout->nb; c++) {
		unsigned room = width - (nb == 1 ? 0 : FOLD_INDENT);
		bool is_last_text = c + 1 == layout->nb && !layout->right[c];

		if (at != 0 && at + layout->widths[c] > room) {
			if (nb == LINES_MAX)
				return false;
			layout->line_at[nb++] = c;
			at = 0;
			room = width - FOLD_INDENT;
		}
		if (layout->widths[c] > room && is_last_text && room >= WRAPPED_MIN)
			layout->widths[c] = room;
		if (layout->widths[c] > room)
			return false;
		at += layout->widths[c] + GAP;
	}
	layout->line_at[nb] = layout->nb;
	layout->nb_lines = nb;
	return true;
}

// Cut the widest columns of text until the table fits. Figures are never cut. False when that is
// not enough.
static bool
shrink(struct layout *layout, unsigned width)
{
	one_line(layout);
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

// Find the best way to show the table: as it is, with its last column wrapped, folded, cut. False:
// none of them will do.
static bool
fit(struct layout *layout, unsigned width)
{
	struct layout folded = *layout;

	one_line(layout);
	if (total(layout) <= width || wrap_last(layout, width))
		return true;
	if (fold(&folded, width)) {
		*layout = folded;
		return true;
	}
	return shrink(layout, width);
}

static void
put_blanks(FILE *to, unsigned nb)
{
	while (nb-- > 0)
		fputc(' ', to);
}

enum cell_place { INNER_CELL, LAST_CELL };

static void
put_cell(FILE *to, const struct layout *layout, unsigned c, const char *text, enum cell_place place)
{
	unsigned width = cli_text_width(text);
	unsigned pad = width < layout->widths[c] ? layout->widths[c] - width : 0;

	if (layout->right[c])
		put_blanks(to, pad);
	cli_put_text(to, text, layout->widths[c]);
	if (place == LAST_CELL)
		return; // no blanks at the end of a line
	put_blanks(to, (layout->right[c] ? 0 : pad) + GAP);
}

// Octets of `text` that go on a line of `width` columns: up to the last blank that fits, a word longer
// than the line being cut. `*next` is where the line after begins.
static size_t
line_bytes(const char *text, unsigned width, const char **next)
{
	size_t nb = cli_text_prefix(text, width), blank = nb;

	*next = text + nb;
	if (*text == '\0' || text[nb] == '\0')
		return nb;
	while (blank > 0 && text[blank] != ' ')
		blank--;
	if (blank == 0)
		return nb;
	*next = text + blank + 1;
	return blank;
}

// Text over several lines of `width` columns, those after the first behind `indent` blanks.
static void
put_wrapped(FILE *to, const char *text, unsigned indent, unsigned width)
{
	const char *next;
	char line[CLI_CELL_BYTES];

	for (;;) {
		size_t nb = line_bytes(text, width, &next);

		snprintf(line, sizeof(line), "%.*s", (int)nb, text);
		cli_put_text(to, line, width);
		fputc('\n', to);
		if (*next == '\0')
			return;
		put_blanks(to, indent);
		text = next;
	}
}

// Columns [first, end) of a row on one line, behind `indent` blanks. The table's last column may be
// wider than its place and is wrapped.
static void
put_line(
	FILE *to,
	const struct layout *layout,
	json_t *row,
	unsigned first,
	unsigned end,
	unsigned indent
)
{
	char cell[CLI_CELL_BYTES];
	unsigned at = indent;

	put_blanks(to, indent);
	for (unsigned c = first; c < end; c++) {
		if (row == NULL)
			snprintf(cell, sizeof(cell), "%s", layout->names[c]);
		else
			cli_value(json_array_get(row, layout->from[c]), layout->units[c], cell);
		if (c + 1 == layout->nb && !layout->right[c]) {
			put_wrapped(to, cell, at, layout->widths[c]);
			return;
		}
		put_cell(to, layout, c, cell, c + 1 == end ? LAST_CELL : INNER_CELL);
		at += layout->widths[c] + GAP;
	}
	fputc('\n', to);
}

// A row takes as many lines as the columns were folded into; `row` NULL: the heading.
static void
put_row(FILE *to, const struct layout *layout, json_t *row)
{
	for (unsigned l = 0; l < layout->nb_lines; l++)
		put_line(
			to,
			layout,
			row,
			layout->line_at[l],
			layout->line_at[l + 1],
			l == 0 ? 0 : FOLD_INDENT
		);
}

static void
put_table(FILE *to, const struct layout *layout, json_t *rows)
{
	json_t *row;
	size_t r;

	put_row(to, layout, NULL);
	json_array_foreach(rows, r, row) put_row(to, layout, row);
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
			cli_value(json_array_get(row, layout->from[c]), layout->units[c], cell);
			cli_put_text(to, cell, width > names + GAP ? width - names - GAP : 1);
			fputc('\n', to);
		}
	}
}

static void
render_table(FILE *to, json_t *table, unsigned width)
{
	json_t *columns = json_object_get(table, "columns");
	json_t *rows = json_object_get(table, "rows"), *note;
	struct layout layout;
	size_t i;

	measure(&layout, columns, rows, WITH_DETAILS);
	if (total(&layout) > width)
		measure(&layout, columns, rows, WITHOUT_DETAILS);
	if (json_array_size(rows) == 0) {
		fputs("no ", to);
		cli_put_text(to, text_of(table, "title"), width);
		fputc('\n', to);
	} else if (fit(&layout, width)) {
		put_table(to, &layout, rows);
	} else {
		put_paragraphs(to, &layout, rows, width);
	}
	json_array_foreach(json_object_get(table, "notes"), i, note)
	{
		const char *text = json_string_value(note);

		put_wrapped(to, text == NULL ? "" : text, 0, width);
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
	document = cli_json(document);
	json_dumpf(document, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	fputc('\n', stdout);
	json_decref(document);
}
