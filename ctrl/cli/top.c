#include "cli.h"

#include <unistd.h>

#define ANSWER_WITHIN_S 10u
#define CLEAR_SCREEN    "\033[H\033[2J"

// Once a second on a terminal until Ctrl-C, else once.
int
cli_top(const struct cli *cli)
{
	for (;;) {
		json_t *result;
		int rc = cli_call(
			cli, cli->nb_words, cli->words, ANSWER_WITHIN_S, CLI_LOUD, &result
		);

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
