#include <sluice/proto/carry.h>

const struct sl_carry_shape sl_carry_shapes[256] = {
	[IPPROTO_TCP] = { .skip_bytes = SL_WIRE_TCP_SKIP_BYTES,
			  .min_bytes = 20 - SL_WIRE_TCP_SKIP_BYTES,
			  .checksum_at = 16,
			  .nb_lengths = 1 },
	[IPPROTO_UDP] = { .skip_bytes = SL_WIRE_UDP_SKIP_BYTES,
			  .min_bytes = 8 - SL_WIRE_UDP_SKIP_BYTES,
			  .checksum_at = 6,
			  .nb_lengths = 2 },
	[IPPROTO_ICMP] = { .skip_bytes = SL_WIRE_ICMP_SKIP_BYTES,
			   .min_bytes = 8 - SL_WIRE_ICMP_SKIP_BYTES,
			   .checksum_at = 2 },
};
