#include <sluice/dp/version.h>

const char *
sl_version(void)
{
	return "0.1.0";
}
