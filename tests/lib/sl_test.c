#include "sl_test.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned nb_failed;

void
sl_test_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("    ", stdout);
	vprintf(fmt, ap);
	fputc('\n', stdout);
	va_end(ap);
}

static void
case_complete(const CU_pTest test, const CU_pSuite suite, const CU_pFailureRecord failure)
{
	(void)suite;
	if (failure != NULL)
		nb_failed++;
	printf("%s - %s\n", failure == NULL ? "ok" : "not ok", test->pName);
	for (CU_pFailureRecord f = failure; f != NULL; f = f->pNext)
		printf("    %s:%u: %s\n", f->strFileName, f->uiLineNumber, f->strCondition);
	fflush(stdout);
}

static int
list_cases(const struct sl_test_case *cases, unsigned nb)
{
	for (unsigned i = 0; i < nb; i++)
		puts(cases[i].sentence);
	return EXIT_SUCCESS;
}

int
sl_test_main(
	int argc,
	char **argv,
	const struct sl_test_case *cases,
	unsigned nb,
	int (*setup)(void),
	int (*teardown)(void)
)
{
	const char *pattern = argc > 1 ? argv[1] : "";
	CU_pSuite suite;
	unsigned nb_added = 0;

	if (strcmp(pattern, "--list") == 0)
		return list_cases(cases, nb);
	if (CU_initialize_registry() != CUE_SUCCESS)
		return EXIT_FAILURE;
	suite = CU_add_suite("sluice", setup, teardown);
	for (unsigned i = 0; suite != NULL && i < nb; i++) {
		if (strstr(cases[i].sentence, pattern) == NULL)
			continue;
		if (CU_add_test(suite, cases[i].sentence, cases[i].run) != NULL)
			nb_added++;
	}
	CU_set_test_complete_handler(case_complete);
	setvbuf(stdout, NULL, _IOLBF, 0);
	CU_run_all_tests();
	if (CU_get_number_of_suites_failed() != 0)
		puts("not ok - the set-up or tear-down of the test failed");
	nb_failed += CU_get_number_of_suites_failed();
	if (nb_added == 0)
		printf("no case matches \"%s\"\n", pattern);
	CU_cleanup_registry();
	return nb_failed == 0 && nb_added != 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
