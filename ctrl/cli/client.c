#include "cli.h"

#include <qrencode.h>
#include <string.h>

#define ANSWER_WITHIN_S 20u // it is on disk when it is answered

// Two rows of modules a line, dark on light whatever the terminal's colours, with the quiet zone
// that readers want.
static void
put_qr(FILE *to, const QRcode *code)
{
	static const char *const halves[] = { " ", "\u2584", "\u2580", "\u2588" };
	const int quiet = 2;

	for (int y = -quiet; y < code->width + quiet; y += 2) {
		fputs("\033[30;107m", to);
		for (int x = -quiet; x < code->width + quiet; x++) {
			unsigned dark = 0;

			for (int half = 0; half < 2; half++) {
				int row = y + half;

				if (row >= 0 && row < code->width && x >= 0 && x < code->width &&
				    (code->data[row * code->width + x] & 1) != 0)
					dark |= half == 0 ? 2u : 1u;
			}
			fputs(halves[dark], to);
		}
		fputs("\033[0m\n", to);
	}
}

// The daemon answers {"config": "[Interface]..."}: the configuration goes to stdout so that it can
// be sent to a file, the code for phones to stderr.
static int
print_added(const struct cli *cli, json_t *result)
{
	const char *config = json_string_value(json_object_get(result, "config"));
	QRcode *code;

	if (cli->json || config == NULL) {
		cli_print(cli, result);
		return CLI_OK;
	}
	fputs(config, stdout);
	fflush(stdout);
	code = QRcode_encodeString(config, 0, QR_ECLEVEL_L, QR_MODE_8, 1);
	if (code == NULL) {
		fputs("sluicectl: the configuration is too long for a QR code\n", stderr);
		return CLI_OK;
	}
	put_qr(stderr, code);
	QRcode_free(code);
	return CLI_OK;
}

int
cli_client(const struct cli *cli)
{
	json_t *result;
	int rc;

	if (cli->nb_words < 2) {
		fputs("usage: sluicectl client add|remove|show ...\n", stderr);
		return CLI_USAGE;
	}
	rc = cli_call(cli, cli->nb_words, cli->words, ANSWER_WITHIN_S, CLI_LOUD, &result);
	if (rc == CLI_OK && strcmp(cli->words[1], "add") == 0)
		rc = print_added(cli, result);
	else if (rc == CLI_OK)
		cli_print(cli, result);
	json_decref(result);
	return rc;
}
