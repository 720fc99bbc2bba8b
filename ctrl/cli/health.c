#include "cli.h"

// Less than what watchdogs wait.
#define ANSWER_WITHIN_S 5u

// {"healthy": true} or {"healthy": false, "reasons": ["..."]}; exit code 0 or 1, never another, so
// that it serves as a check for other programs.
int
cli_health(const struct cli *cli)
{
	const char *reason;
	json_t *result;
	int rc = cli_call(cli, cli->nb_words, cli->words, ANSWER_WITHIN_S, CLI_LOUD, &result);

	if (rc != CLI_OK)
		return CLI_REFUSED;
	rc = json_is_true(json_object_get(result, "healthy")) ? CLI_OK : CLI_REFUSED;
	reason = json_string_value(json_array_get(json_object_get(result, "reasons"), 0));
	if (cli->json) {
		cli_print(cli, result);
	} else if (rc == CLI_OK) {
		puts("healthy");
	} else {
		fputs("not healthy: ", stdout);
		cli_put_text(stdout, reason == NULL ? "no reason was given" : reason, 4096);
		putchar('\n');
	}
	json_decref(result);
	return rc;
}
