// cli: what the parts of sluicectl share.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

// Exit codes.
enum {
	CLI_OK = 0,
	CLI_REFUSED = 1, // the daemon said no, or is not healthy
	CLI_USAGE = 2,
	CLI_UNREACHABLE = 3, // no daemon answers
};

struct cli {
	const char *socket; // path
	bool json; // print documents as they are
	int nb_words;
	char **words; // the command and its arguments
};

// call.c: ask the daemon. Prints why and the remedy on stderr unless `quiet`, and returns an exit
// code; CLI_OK and the result (caller's reference) when it went well. timeout_s 0: wait for ever.
enum cli_voice { CLI_LOUD, CLI_QUIET };
int cli_call(
	const struct cli *cli,
	int nb_words,
	char *const *words,
	unsigned timeout_s,
	enum cli_voice voice,
	json_t **result
);

// render.c: print a document for people, lines at most `width` columns wide.
void cli_render(FILE *to, json_t *document, unsigned width);

// The width of what `to` leads to: the terminal's, else COLUMNS, else 80.
unsigned cli_width(FILE *to);

// Print as JSON or for people, as the options say.
void cli_print(const struct cli *cli, json_t *document);

// json.c: the document as programs want it: the rows of its tables are objects, by the names of the
// columns, so that a column more changes nothing for them. A new document.
json_t *cli_json(json_t *document);

// value.c: one cell of a table as text, shortened by its unit. `text` takes CLI_CELL_BYTES.
#define CLI_CELL_BYTES 1024u
void cli_value(json_t *value, const char *unit, char *text);

// Columns that UTF-8 text takes on a terminal.
unsigned cli_text_width(const char *text);

// Octets of `text` that take at most `width` columns.
size_t cli_text_prefix(const char *text, unsigned width);

// Print `text` without anything a terminal would obey, at most `width` columns, "..." for a rest.
void cli_put_text(FILE *to, const char *text, unsigned width);

// The same for text of several lines, each at its full length.
void cli_put_lines(FILE *to, const char *text);

// The commands that do more than ask and print. They return an exit code.
int cli_health(const struct cli *cli);
int cli_top(const struct cli *cli);
int cli_client(const struct cli *cli);

// Ask and print: show, reload, drain, help. And trace, explain, which may take their time.
int cli_show(const struct cli *cli);
int cli_trace(const struct cli *cli);
