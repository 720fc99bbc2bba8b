#include "capture.h"
#include "sl_test.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_FRAMES 20000u

struct record {
	uint64_t now_ns;
	size_t nb_bytes;
	uint8_t *bytes;
};

static struct record records[MAX_FRAMES];
static unsigned nb_records;

void
capture_frame(unsigned port, uint64_t now_ns, const void *frame, size_t nb_bytes)
{
	struct record *r = &records[nb_records];

	(void)port;
	if (nb_records == MAX_FRAMES)
		return;
	r->bytes = malloc(nb_bytes);
	if (r->bytes == NULL)
		return;
	memcpy(r->bytes, frame, nb_bytes);
	r->nb_bytes = nb_bytes;
	r->now_ns = now_ns;
	nb_records++;
}

const uint8_t *
capture_get(unsigned i, size_t *nb_bytes)
{
	if (i >= nb_records)
		return NULL;
	*nb_bytes = records[i].nb_bytes;
	return records[i].bytes;
}

void
capture_clear(void)
{
	for (unsigned i = 0; i < nb_records; i++)
		free(records[i].bytes);
	nb_records = 0;
}

static void
put32(FILE *f, uint32_t v)
{
	fwrite(&v, sizeof(v), 1, f);
}

static void
file_name(const char *title, char *name, size_t nb_bytes)
{
	int len = snprintf(name, nb_bytes, "build/test-logs/%.80s", title);

	for (int i = 16; i < len; i++)
		if (!isalnum((unsigned char)name[i]))
			name[i] = '_';
	strncat(name, ".pcap", nb_bytes - strlen(name) - 1);
}

void
capture_write(const char *title)
{
	char name[128];
	FILE *f;

	file_name(title, name, sizeof(name));
	if (mkdir("build/test-logs", 0755) != 0 && errno != EEXIST)
		return;
	f = fopen(name, "wb");
	if (f == NULL)
		return;
	// Header of a pcap file: magic, version 2.4, zone, accuracy, snap length, Ethernet.
	put32(f, 0xa1b2c3d4);
	put32(f, 4u << 16 | 2u);
	put32(f, 0);
	put32(f, 0);
	put32(f, 65535);
	put32(f, 1);
	for (unsigned i = 0; i < nb_records; i++) {
		put32(f, (uint32_t)(records[i].now_ns / 1000000000u));
		put32(f, (uint32_t)(records[i].now_ns / 1000u % 1000000u));
		put32(f, (uint32_t)records[i].nb_bytes);
		put32(f, (uint32_t)records[i].nb_bytes);
		fwrite(records[i].bytes, 1, records[i].nb_bytes, f);
	}
	fclose(f);
	sl_test_note("frames are in %s", name);
}
