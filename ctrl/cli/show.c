#include "cli.h"

#define ANSWER_WITHIN_S 10u

int
cli_show(const struct cli *cli)
{
	json_t *result;
	int rc = cli_call(cli, cli->nb_words, cli->words, ANSWER_WITHIN_S, CLI_LOUD, &result);

	if (rc == CLI_OK)
		cli_print(cli, result);
	json_decref(result);
	return rc;
}
