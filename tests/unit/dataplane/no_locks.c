// Disassembles the objects of dataplane/path and dataplane/table and looks for what would make a
// worker wait: atomic read-modify-writes, the heap, output, threads, system calls, clocks.
// Exceptions stand in no_locks.txt, one a line: function, what it uses, why.
#include "sl_test.h"

#include <ctype.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_EXCEPTIONS 128
#define MAX_WORD       96

static const char *const banned[] = {
	"malloc",
	"calloc",
	"realloc",
	"free",
	"aligned_alloc",
	"posix_memalign",
	"strdup",
	"rte_*alloc*",
	"rte_free",
	"printf",
	"*printf",
	"__*printf_chk",
	"puts",
	"putchar",
	"fputs",
	"fwrite",
	"perror",
	"rte_log",
	"pthread_*",
	"mtx_*",
	"sem_*",
	"syscall",
	"read",
	"write",
	"poll",
	"ppoll",
	"epoll_*",
	"select",
	"open*",
	"close",
	"ioctl",
	"send*",
	"recv*",
	"socket",
	"nanosleep",
	"clock_*",
	"usleep",
	"sleep",
	"getrandom",
	"getenv",
	"gettimeofday",
	"time",
	"sched_*",
	"mmap",
	"munmap",
	"futex",
	"rte_get_timer_*",
	"rte_eth_dev_*",
	"abort",
	"exit",
};

// Not meant by the patterns above.
static const char *const harmless[] = { "rte_pktmbuf_*", "rte_mempool_*" };

struct exception {
	char function[MAX_WORD];
	char use[MAX_WORD];
	bool is_needed;
};

static struct exception exceptions[MAX_EXCEPTIONS];
static unsigned nb_exceptions, nb_functions, nb_faults;

static void
read_exceptions(void)
{
	char line[256];
	FILE *f = fopen(SL_NO_LOCKS_LIST, "r");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		struct exception *e = &exceptions[nb_exceptions];
		int at = 0;

		if (line[0] == '#' || line[0] == '\n')
			continue;
		CU_ASSERT_FATAL(nb_exceptions < MAX_EXCEPTIONS);
		CU_ASSERT_EQUAL_FATAL(sscanf(line, "%95s %95s %n", e->function, e->use, &at), 2);
		SL_ASSERT_ROW(isalpha((unsigned char)line[at]), line); // a reason
		nb_exceptions++;
	}
	fclose(f);
}

static bool
is_excepted(const char *function, const char *use)
{
	for (unsigned i = 0; i < nb_exceptions; i++) {
		struct exception *e = &exceptions[i];

		if (fnmatch(e->function, function, 0) != 0 || fnmatch(e->use, use, 0) != 0)
			continue;
		e->is_needed = true;
		return true;
	}
	return false;
}

static bool
matches_any(const char *const *patterns, size_t nb, const char *name)
{
	for (size_t i = 0; i < nb; i++)
		if (fnmatch(patterns[i], name, 0) == 0)
			return true;
	return false;
}

static void
report(const char *object, const char *function, const char *use)
{
	// gcc names parts of a function <name>.part.0, .cold, .isra.0.
	char base[MAX_WORD];

	snprintf(base, sizeof(base), "%.*s", (int)strcspn(function, "."), function);
	if (is_excepted(base, use))
		return;
	nb_faults++;
	sl_test_note("%s: %s uses %s", strrchr(object, '/') + 1, base, use);
}

// An instruction line of objdump: "  1a:\tlock xadd %eax,(%rdx)".
static void
look_at_instruction(const char *object, const char *function, const char *text)
{
	if (strncmp(text, "lock ", 5) == 0)
		report(object, function, "lock");
	else if (strncmp(text, "xchg", 4) == 0 && strchr(text, '(') != NULL)
		report(object, function, "xchg");
	else if (strncmp(text, "syscall", 7) == 0 || strncmp(text, "rdtsc", 5) == 0)
		report(object, function, "rdtsc");
}

// A relocation line: "\t\t\t1b: R_X86_64_PLT32\tmalloc-0x4".
static void
look_at_relocation(const char *object, const char *function, const char *symbol)
{
	char name[MAX_WORD];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(symbol, "-+@\n"), symbol);
	if (matches_any(banned, sizeof(banned) / sizeof(banned[0]), name) &&
	    !matches_any(harmless, sizeof(harmless) / sizeof(harmless[0]), name))
		report(object, function, name);
}

static void
look_at_object(const char *object)
{
	char command[512], line[512], function[MAX_WORD] = "";
	FILE *f;

	snprintf(command, sizeof(command), "objdump -dr --no-show-raw-insn '%s'", object);
	f = popen(command, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		const char *relocation = strstr(line, "R_X86_64_");
		const char *tab = strchr(line, '\t');

		if (sscanf(line, "%*x <%95[^>]>:", function) == 1)
			nb_functions++;
		else if (relocation != NULL && strchr(relocation, '\t') != NULL)
			look_at_relocation(object, function, strchr(relocation, '\t') + 1);
		else if (tab != NULL && line[0] == ' ')
			look_at_instruction(object, function, tab + 1);
	}
	CU_ASSERT_EQUAL(pclose(f), 0);
}

static void
test_no_locks(void)
{
	glob_t objects;

	read_exceptions();
	CU_ASSERT_EQUAL_FATAL(glob(SL_OBJECTS "/path_*.o", 0, NULL, &objects), 0);
	CU_ASSERT_EQUAL_FATAL(glob(SL_OBJECTS "/table_*.o", GLOB_APPEND, NULL, &objects), 0);
	for (size_t i = 0; i < objects.gl_pathc; i++)
		look_at_object(objects.gl_pathv[i]);
	globfree(&objects);
	CU_ASSERT_EQUAL(nb_faults, 0);
	CU_ASSERT(nb_functions > 30); // something was read
	for (unsigned i = 0; i < nb_exceptions; i++)
		SL_ASSERT_ROW(exceptions[i].is_needed, exceptions[i].function);
}

static const struct sl_test_case cases[] = {
	{ "no_locks: nodes and tables neither lock, allocate, print, call the kernel nor read "
	  "clocks",
	  test_no_locks },
};

SL_TEST_MAIN(cases)
