#include "kit.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE_BYTES (2u << 20)

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct sl_bench_stat
sl_bench_stat(double *samples, unsigned nb)
{
	qsort(samples, nb, sizeof(samples[0]), compare);
	return (struct sl_bench_stat){
		.min = samples[0],
		.median = samples[nb / 2],
		.nb_samples = nb,
	};
}

uint64_t
sl_bench_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545f4914f6cdd1du;
}

void
sl_bench_shuffle(uint32_t *order, uint32_t nb, uint64_t *random)
{
	for (uint32_t i = 0; i < nb; i++) {
		uint32_t j = (uint32_t)(sl_bench_random(random) % (i + 1));

		order[i] = order[j];
		order[j] = i;
	}
}

void *
sl_bench_memory(size_t nb_bytes)
{
	size_t alignment = nb_bytes >= HUGE_PAGE_BYTES ? HUGE_PAGE_BYTES : 64;
	void *p = NULL;

	if (posix_memalign(&p, alignment, nb_bytes) != 0) {
		fprintf(stderr, "bench: no %zu bytes of memory\n", nb_bytes);
		exit(EXIT_FAILURE);
	}
	madvise(p, nb_bytes, MADV_HUGEPAGE); // a refusal costs TLB misses, nothing else
	memset(p, 0, nb_bytes);
	return p;
}

bool
sl_bench_pin(unsigned cpu_idx)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu_idx, &set);
	return pthread_setaffinity_np(pthread_self(), sizeof(set), &set) == 0;
}

void
sl_bench_json_open(struct sl_bench_json *json, FILE *out)
{
	*json = (struct sl_bench_json){ .out = out };
	fputs("[", out);
}

void
sl_bench_json_object(struct sl_bench_json *json)
{
	fputs(json->nb_objects ? "},\n {" : "\n {", json->out);
	json->nb_objects++;
	json->nb_fields = 0;
}

static void
name_field(struct sl_bench_json *json, const char *name)
{
	fprintf(json->out, "%s\"%s\": ", json->nb_fields++ ? ", " : "", name);
}

void
sl_bench_json_text(struct sl_bench_json *json, const char *name, const char *value)
{
	name_field(json, name);
	fputc('"', json->out);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			fputc('\\', json->out);
		if ((unsigned char)*value >= ' ')
			fputc(*value, json->out);
	}
	fputc('"', json->out);
}

void
sl_bench_json_number(struct sl_bench_json *json, const char *name, double value)
{
	name_field(json, name);
	fprintf(json->out, "%.10g", value);
}

void
sl_bench_json_stat(struct sl_bench_json *json, const char *name, const struct sl_bench_stat *stat)
{
	char field[64];

	snprintf(field, sizeof(field), "%s_min", name);
	sl_bench_json_number(json, field, stat->min);
	snprintf(field, sizeof(field), "%s_median", name);
	sl_bench_json_number(json, field, stat->median);
}

void
sl_bench_json_close(struct sl_bench_json *json)
{
	fputs(json->nb_objects ? "}\n]\n" : "]\n", json->out);
}
