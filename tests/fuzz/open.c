// An OPEN body of any octets. What parses is built again and must parse to the same.
#include "fuzz.h"

#include <sluice/proto/record.h>
#include <stdlib.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_rec rec = { .body = data, .nb_bytes = (uint32_t)size, .type = SL_RECORD_OPEN };
	uint8_t copy[sizeof(struct sl_wire_open) + UINT8_MAX];
	struct sl_open open;
	unsigned nb;

	if (size > SL_REC_BODY_MAX_BYTES || sl_open_parse(&rec, &open) != SL_BODY_OK)
		return 0;
	nb = sl_open_put(copy, &open);
	copy[11] = data[11]; // reserved: ignored when read, 0 when written
	if (memcmp(copy, data, nb) != 0 || nb + open.nb_transport_bytes != size)
		abort();
	return 0;
}
