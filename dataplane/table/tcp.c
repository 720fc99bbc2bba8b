#include <sluice/dp/tcp.h>
#include <sluice/proto/bytes.h>

#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_MSS 2

// The MSS value inside the options, or NULL (RFC 9293 section 3.2).
static uint8_t *
find_mss(uint8_t *at, const uint8_t *end)
{
	while (at < end && *at != OPTION_END) {
		if (*at == OPTION_NOP) {
			at++;
			continue;
		}
		if (end - at < 2 || at[1] < 2 || at[1] > end - at)
			return NULL;
		if (at[0] == OPTION_MSS && at[1] == 4)
			return at + 2;
		at += at[1];
	}
	return NULL;
}

void
sl_tcp_clamp_mss(struct rte_tcp_hdr *tcp, uint16_t segment_bytes, uint16_t mss)
{
	uint16_t header_bytes = (uint16_t)((tcp->data_off >> 4) * 4);
	uint8_t *option, *start = (uint8_t *)tcp;
	uint16_t old_sum = 0, new_sum;
	uint8_t pair[4] = { 0 };

	if (!(tcp->tcp_flags & RTE_TCP_SYN_FLAG) || header_bytes <= sizeof(*tcp) ||
	    header_bytes > segment_bytes)
		return;
	option = find_mss((uint8_t *)(tcp + 1), start + header_bytes);
	if (option == NULL || sl_get16(option) <= mss)
		return;
	// The value may stand at an odd offset: sum the aligned words that hold it.
	size_t from = (size_t)(option - start) & ~1u;
	size_t nb_bytes = (option - start) % 2 == 0 ? 2 : 4;

	if (from + nb_bytes > header_bytes)
		nb_bytes = header_bytes - from;
	memcpy(pair, start + from, nb_bytes);
	old_sum = sl_sum(pair, 4);
	sl_put16(option, mss);
	memcpy(pair, start + from, nb_bytes);
	new_sum = sl_sum(pair, 4);
	// ~(~HC + ~m + m'), RFC 1624 equation 3.
	tcp->cksum = (uint16_t)~sl_sum_add(sl_sum_sub((uint16_t)~tcp->cksum, old_sum), new_sum);
}
