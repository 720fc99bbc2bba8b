// replay: run a fuzz target over its corpus, for builds without libFuzzer. Each input is also cut at
// every length and has each of its octets changed, so that a small corpus says much.
#include "fuzz.h"
#include "sl_test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX (1u << 16)
// Larger inputs are cut and changed in this many places, evenly spread.
#define PLACES_MAX 512u

// In memory of exactly its size, so that the sanitizers see a read past its end.
static void
run(const uint8_t *data, size_t nb_bytes)
{
	uint8_t *exact = malloc(nb_bytes == 0 ? 1 : nb_bytes);

	if (exact == NULL)
		abort();
	if (nb_bytes > 0)
		memcpy(exact, data, nb_bytes);
	CU_ASSERT_EQUAL(LLVMFuzzerTestOneInput(exact, nb_bytes), 0);
	free(exact);
}

static void
run_all_about(uint8_t *data, size_t nb_bytes)
{
	static const uint8_t changes[] = { 0x01, 0x80, 0xff };
	size_t step = nb_bytes / PLACES_MAX + 1;

	run(data, nb_bytes);
	for (size_t at = 0; at < nb_bytes; at += step) {
		run(data, at);
		for (unsigned i = 0; i < sizeof(changes); i++) {
			data[at] ^= changes[i];
			run(data, nb_bytes);
			data[at] ^= changes[i];
		}
	}
}

static void
test_corpus(void)
{
	DIR *dir = opendir(SL_FUZZ_CORPUS);
	uint8_t *data = malloc(INPUT_BYTES_MAX);
	const struct dirent *entry;
	unsigned nb = 0;

	CU_ASSERT_PTR_NOT_NULL(dir);
	while (dir != NULL && data != NULL && (entry = readdir(dir)) != NULL) {
		char path[4096];
		FILE *f;

		(void)snprintf(path, sizeof(path), SL_FUZZ_CORPUS "/%s", entry->d_name);
		if (entry->d_name[0] == '.' || (f = fopen(path, "re")) == NULL)
			continue;
		run_all_about(data, fread(data, 1, INPUT_BYTES_MAX, f));
		fclose(f);
		nb++;
	}
	if (dir != NULL)
		closedir(dir);
	free(data);
	sl_test_note("%u inputs", nb);
	CU_ASSERT_TRUE(nb > 0);
}

static const struct sl_test_case cases[] = {
	{ "fuzz: " SL_FUZZ_NAME " takes its corpus, cut and changed everywhere", test_corpus },
};

SL_TEST_MAIN(cases)
