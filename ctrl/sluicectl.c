// sluicectl: ask a running sluice, or tell it something, through its control socket.
#include "cli/cli.h"

#include <getopt.h>
#include <locale.h>
#include <sluice/ctrl/api.h>
#include <stdlib.h>
#include <string.h>

static const char usage
	[] = "usage: sluicectl [--json] [--socket PATH] COMMAND [ARGUMENT...]\n"
	     "\n"
	     "  show "
	     "ports|workers|clients|resources|names|sessions|peers|flows|limits|graph|drops|"
	     "stats|cpu\n"
	     "  trace CLIENT [N]          the journey of the client's next N packets\n"
	     "  explain CLIENT NAME|ADDRESS PROTOCOL PORT\n"
	     "                            what would become of a packet, and by which rule\n"
	     "  top                       what is busy, every second\n"
	     "  health                    exit code 0 when healthy, else 1 and the first reason\n"
	     "  reload [--confirm S]      read the configuration again; with --confirm the one "
	     "before\n"
	     "                            comes back after S seconds unless it is confirmed\n"
	     "  confirm, rollback         keep what is on trial, or take it back at once\n"
	     "  reopen                    open the flow log again, after it was moved away\n"
	     "  drain [stay|undo]         take no new flows; the daemon ends when the last one "
	     "has\n"
	     "                            (stay: goes on), undo: take new ones again\n"
	     "  client add|remove|show    WireGuard clients added at run time\n"
	     "  help                      all commands of the running daemon\n"
	     "\n"
	     "  --json          print the answer as JSON\n"
	     "  --socket PATH   the daemon's control socket; default $SLUICE_SOCKET, then\n"
	     "                  " SL_API_SOCKET_DEFAULT "\n"
	     "\n"
	     "Exit code: 0 done, 1 refused or not healthy, 2 wrong usage, 3 no daemon answers.\n";

static const struct {
	const char *word;
	int (*run)(const struct cli *cli);
} commands[] = {
	{ "show", cli_show },    { "reload", cli_show },   { "drain", cli_show },
	{ "confirm", cli_show }, { "rollback", cli_show }, { "help", cli_show },
	{ "explain", cli_show }, { "trace", cli_trace },   { "health", cli_health },
	{ "top", cli_top },      { "client", cli_client },
};

static int
run(const struct cli *cli)
{
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].word, cli->words[0]) == 0)
			return commands[i].run(cli);
	// The daemon may know more than this page.
	return cli_show(cli);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "socket", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct cli cli = { .socket = getenv("SLUICE_SOCKET") };
	int c;

	setlocale(LC_CTYPE, "");
	if (cli.socket == NULL || *cli.socket == '\0')
		cli.socket = SL_API_SOCKET_DEFAULT;
	// Options come before the command: what follows it is the daemon's to understand. --json is
	// taken anywhere, since it is easily forgotten.
	while ((c = getopt_long(argc, argv, "+js:h", options, NULL)) != -1) {
		if (c == 'h') {
			fputs(usage, stdout);
			return CLI_OK;
		}
		if (c == '?')
			return CLI_USAGE;
		if (c == 'j')
			cli.json = true;
		else
			cli.socket = optarg;
	}
	cli.words = argv + optind;
	for (int i = optind; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			cli.json = true;
		else
			cli.words[cli.nb_words++] = argv[i];
	}
	if (cli.nb_words == 0) {
		fputs(usage, stderr);
		return CLI_USAGE;
	}
	return run(&cli);
}
