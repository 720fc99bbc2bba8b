// explain: why a client may or may not reach something.
#include "daemon.h"

int
explain_register(struct daemon *d)
{
	(void)d;
	return 0;
}
