#include "cli.h"

#include <unistd.h>

#define ANSWER_WITHIN_S 10u
#define CLEAR_SCREEN    "\033[H\033[2J"

// Once a second on a terminal until Ctrl-C, else once. Rates are since the last call, whoever made it: a
// call for nothing begins a second of our own.
int
cli_top(const struct cli *cli)
{
	for (unsigned nb = 0;; nb++) {
		json_t *result;
		int rc = cli_call(
			cli, cli->nb_words, cli->words, ANSWER_WITHIN_S, CLI_LOUD, &result
		);

		if (rc == CLI_OK && nb == 0) {
			json_decref(result);
			sleep(1);
			continue;
		}
		if (rc == CLI_OK && isatty(STDOUT_FILENO) && !cli->json)
			fputs(CLEAR_SCREEN, stdout);
		if (rc == CLI_OK)
			cli_print(cli, result);
		json_decref(result);
		if (rc != CLI_OK || cli->json || !isatty(STDOUT_FILENO))
			return rc;
		fflush(stdout);
		sleep(1);
	}
}
