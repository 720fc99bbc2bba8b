// Fragments of any shape in any order, from three sources, with time passing. Input: per fragment 6
// octets (source and id, offset in units 16, length, flags, time step). Body octets tell their own
// place, so that a record put together wrongly is seen.
#include "fuzz.h"

#include <sluice/proto/fragment.h>
#include <sluice/proto/limits.h>
#include <stdlib.h>

#define MAX_BYTES 4096u
#define PLACES    4u

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t memory[1 << 17] __attribute__((aligned(64)));
	static const struct sl_assembly_conf conf = { .nb_places = PLACES,
						      .nb_chunks = 6,
						      .share_places = 2,
						      .share_chunks = 4,
						      .max_bytes = MAX_BYTES };
	struct sl_reass *reass;
	uint64_t now_ns = 0;

	if (sl_reass_bytes(&conf) > sizeof(memory))
		abort();
	reass = sl_reass_init(memory, &conf);
	for (; size >= 6; data += 6, size -= 6) {
		uint8_t body[256];
		struct sl_rec whole,
			rec = {
				.body = body,
				.nb_bytes = data[3],
				.flags = SL_RECORD_FRAGMENT,
				.fragment_id = data[0] >> 2,
				.fragment_offset_bytes = (uint32_t)(data[1] << 8 | data[2]) % 8192 *
					8,
				.more = (data[4] & 1) != 0,
			};

		for (unsigned i = 0; i < rec.nb_bytes; i++)
			body[i] = (uint8_t)((rec.fragment_offset_bytes + i) * 5);
		now_ns += data[5] * 10 * SL_NS_PER_MS;
		if (sl_reass_add(reass, data[0] & 3, &rec, now_ns, &whole) != SL_REASS_DONE)
			continue;
		if (whole.nb_bytes == 0 || whole.nb_bytes > MAX_BYTES)
			abort();
		for (unsigned i = 0; i < whole.nb_bytes; i++)
			if (whole.body[i] != (uint8_t)(i * 5))
				abort();
	}
	return 0;
}
