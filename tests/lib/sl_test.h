// sl_test: CUnit wrapped once. A test file lists its cases and calls SL_TEST_MAIN; the executable
// prints one line per case, "ok - SENTENCE" or "not ok - SENTENCE", with the failed assertions
// indented below, and exits 0 only if every case that ran passed and at least one ran.
//
//   prog             run everything
//   prog --list      print the sentences
//   prog PATTERN     run the cases whose sentence contains PATTERN
//
// A sentence that starts with behaviour numbers ("A2 A3: ...") holds those rows of
// docs/behaviours.md.
#pragma once

#include <CUnit/CUnit.h>

struct sl_test_case {
	const char *sentence; // one behaviour, in words
	void (*run)(void);
};

// Run `nb` cases under the options of argv; returns the process exit code. `setup` and `teardown`
// may be NULL; a setup that returns non-zero fails the run.
int sl_test_main(
	int argc,
	char **argv,
	const struct sl_test_case *cases,
	unsigned nb,
	int (*setup)(void),
	int (*teardown)(void)
);

#define SL_TEST_MAIN(cases)                                                                        \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return sl_test_main(                                                               \
			argc, argv, (cases), sizeof(cases) / sizeof((cases)[0]), NULL, NULL        \
		);                                                                                 \
	}

// An assertion that says which row of a table it was about.
#define SL_ASSERT_ROW(cond, row)                                                                   \
	do {                                                                                       \
		int sl_ok_ = !!(cond);                                                             \
		if (!sl_ok_)                                                                       \
			sl_test_note("row: %s", (row));                                            \
		CU_assertImplementation(sl_ok_, __LINE__, #cond, __FILE__, "", CU_FALSE);          \
	} while (0)

// Print a line below the running case (shown whether or not it passes).
void sl_test_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
