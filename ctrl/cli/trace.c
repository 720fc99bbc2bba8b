#include "cli.h"

// A trace ends when its packets have come: wait as long as it takes; Ctrl-C ends it.
int
cli_trace(const struct cli *cli)
{
	json_t *result;
	int rc = cli_call(cli, cli->nb_words, cli->words, 0, CLI_LOUD, &result);

	if (rc == CLI_OK)
		cli_print(cli, result);
	json_decref(result);
	return rc;
}
