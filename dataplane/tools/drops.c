// sluice-drops: prints docs/drops.md from the SL_DROP declarations.
#include <sluice/dp/node.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
by_name(const void *a, const void *b)
{
	const struct sl_drop *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static void
print_section(
	const struct sl_drop **drops, unsigned nb, enum sl_severity severity, const char *title
)
{
	printf("\n## %s\n\n| reason | meaning |\n| --- | --- |\n", title);
	for (unsigned i = 0; i < nb; i++)
		if (drops[i]->severity == severity)
			printf("| `%s` | %s |\n", drops[i]->name, drops[i]->sentence);
}

int
main(void)
{
	const struct sl_drop *drops[1024];
	unsigned nb = 0;

	for (const struct sl_drop *d = sl_drop_first(); d != NULL && nb < RTE_DIM(drops);
	     d = d->next)
		drops[nb++] = d;
	qsort(drops, nb, sizeof(drops[0]), by_name);
	puts("# Why packets are dropped\n\n"
	     "Made by `sluice-drops` from the declarations beside the nodes; do not edit. Every "
	     "packet\n"
	     "that is not delivered is counted under one of these names, which `sluicectl show "
	     "drops`\n"
	     "prints with their counts.");
	print_section(
		drops, nb, SL_OUR_FAULT, "Our fault: something is too small, too slow or wrong here"
	);
	print_section(
		drops, nb, SL_PEER_FAULT, "A peer's fault: somebody sent what they should not"
	);
	print_section(drops, nb, SL_EXPECTED, "Expected: policy or the network did its job");
	return EXIT_SUCCESS;
}
