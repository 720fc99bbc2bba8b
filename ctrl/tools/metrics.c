// sluice-metrics: prints docs/metrics.md from the table of metrics.
#include <sluice/ctrl/metrics.h>
#include <stdlib.h>

int
main(void)
{
	sl_metric_document(stdout);
	return EXIT_SUCCESS;
}
