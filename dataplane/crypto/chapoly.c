// chapoly: which interleaved ChaCha20-Poly1305 this CPU can run.
#include "chapoly.h"

#include <sluice/dp/cpu.h>
#include <stddef.h>

const struct sl_chapoly *
sl_chapoly_best(void)
{
	return sl_cpu_has_chapoly_avx512() ? &sl_chapoly_avx512 : NULL;
}
