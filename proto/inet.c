#include <sluice/proto/inet.h>

uint16_t
sl_sum(const void *data, size_t nb_bytes)
{
	const uint8_t *p = data;
	uint64_t sum = 0;
	uint32_t word;

	for (; nb_bytes >= 4; nb_bytes -= 4, p += 4) {
		memcpy(&word, p, 4);
		sum += word;
	}
	word = 0;
	memcpy(&word, p, nb_bytes);
	sum += word;
	return sl_sum_fold(sum);
}
