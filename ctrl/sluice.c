// sluice: the daemon. Options here; start, run and stop in daemon/run.c.
#include "daemon/daemon.h"

#include <errno.h>
#include <getopt.h>
#include <sluice/ctrl/key.h>
#include <sluice/dp/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char
	usage[] = "usage: sluice -c FILE            run\n"
		  "       sluice -c FILE --check    say what is wrong with FILE, and what memory "
		  "it needs\n"
		  "       sluice --genkey FILE      make a private key; prints the public one\n"
		  "       sluice --version\n";

static int
generate_key(const char *path)
{
	char text[SL_KEY_BASE64_CHARS + 1];
	struct sl_public_key public_key;
	int ret = sl_key_generate(path, &public_key);

	if (ret != 0) {
		fprintf(stderr,
			"sluice: %s: %s%s\n",
			path,
			strerror(-ret),
			ret == -EEXIST ? "; a key is never overwritten: name a new file" : "");
		return EXIT_FAILURE;
	}
	sl_key_to_base64(public_key.bytes, text);
	puts(text);
	return EXIT_SUCCESS;
}

// --check: a file that is good on a machine too small for it.
#define EXIT_TOO_LITTLE_MEMORY 3

static int
check(const char *path)
{
	struct sl_config_errors errors = { 0 };
	struct sl_system_memory has;
	struct sl_config_memory needs;
	struct sl_config *config;
	int ret = sl_config_load(path, &config, &errors), code = EXIT_FAILURE;

	if (ret == 0) {
		needs = sl_config_memory(config);
		ret = sl_system_memory("", &has);
		if (ret == 0) {
			sl_config_memory_print(&needs, &has, stdout);
			ret = sl_config_memory_check(&needs, &has, &errors);
			code = EXIT_TOO_LITTLE_MEMORY;
		}
		sl_config_free(config);
	}
	sl_config_errors_print(&errors, stderr);
	sl_config_errors_free(&errors);
	if (ret == 0)
		printf("%s: good\n", path);
	return ret == 0 ? EXIT_SUCCESS : code;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' }, { "check", no_argument, NULL, 'k' },
		{ "genkey", required_argument, NULL, 'g' }, { "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
	};
	const char *path = NULL, *key_path = NULL;
	int is_check = 0, option;

	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 'k':
			is_check = 1;
			break;
		case 'g':
			key_path = optarg;
			break;
		case 'v':
			printf("sluice %s\n", sl_version());
			return EXIT_SUCCESS;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			fputs(usage, stderr);
			return EXIT_FAILURE;
		}
	}
	if (key_path != NULL)
		return generate_key(key_path);
	if (path == NULL || optind != argc) {
		fputs(usage, stderr);
		return EXIT_FAILURE;
	}
	return is_check ? check(path) : daemon_run(path);
}
