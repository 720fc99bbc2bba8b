// cpu: feature questions. The compiler's runtime asks CPUID and XGETBV once.
#include <sluice/dp/cpu.h>
#include <stdlib.h>
#include <string.h>

static bool
has_v2(void)
{
	return __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1") &&
		__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
}

static bool
has_v3(void)
{
	return __builtin_cpu_supports("avx") && __builtin_cpu_supports("avx2") &&
		__builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
		__builtin_cpu_supports("fma");
}

static bool
has_v4(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
		__builtin_cpu_supports("avx512vl");
}

enum sl_cpu_level
sl_cpu_level(void)
{
	__builtin_cpu_init();
	if (!has_v2())
		return SL_CPU_V1;
	if (!has_v3())
		return SL_CPU_V2;
	return has_v4() ? SL_CPU_V4 : SL_CPU_V3;
}

static enum sl_cpu_level
wished_level(void)
{
	const char *wish = getenv("SLUICE_CPU");

	for (enum sl_cpu_level level = SL_CPU_V1; wish != NULL && level < SL_CPU_V4; level++)
		if (strcmp(wish, sl_cpu_level_name(level)) == 0)
			return level;
	return SL_CPU_V4;
}

enum sl_cpu_level
sl_cpu_node_level(void)
{
	enum sl_cpu_level level = sl_cpu_level(), wish = wished_level();

	if (!sl_cpu_has_aes() && level > SL_CPU_V2)
		level = SL_CPU_V2;
	return wish < level ? wish : level;
}

const char *
sl_cpu_level_name(enum sl_cpu_level level)
{
	static const char *const names[] = {
		[SL_CPU_V1] = "x86-64",
		[SL_CPU_V2] = "x86-64-v2",
		[SL_CPU_V3] = "x86-64-v3",
		[SL_CPU_V4] = "x86-64-v4",
	};

	return names[level];
}

bool
sl_cpu_has_chapoly_avx512(void)
{
	return sl_cpu_level() == SL_CPU_V4 && __builtin_cpu_supports("avx512ifma") &&
		__builtin_cpu_supports("avx512vbmi2");
}

bool
sl_cpu_has_aes(void)
{
	__builtin_cpu_init();
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
}
