// fragments: what every worker has to put fragments together with: of IPv4 packets and of records,
// and buffers for what exceeds an ordinary one.
#pragma once

#include <rte_mbuf.h>

#include <sluice/dp/meta.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/assembly.h>
#include <sluice/proto/limits.h>

// IPv4. RFC 1122 section 3.3.2 says 60 s and more; what is not there after 15 s (RFC 791 section 3.2)
// was lost. A share holds three of the largest packets whole.
#define SL_FRAGMENTS_TIMEOUT_S 15u
#define SL_FRAGMENTS_CONF                                                                          \
	(struct sl_assembly_conf)                                                                  \
	{                                                                                          \
		.nb_places = 512, .nb_chunks = 1024, .share_places = 64, .share_chunks = 128,      \
		.max_bytes = UINT16_MAX - 20, .timeout_ns = SL_FRAGMENTS_TIMEOUT_S * SL_NS_PER_S   \
	}

// Records; a share is a lane's. Their time is SL_RECORD_FRAGMENT_TIMEOUT_MS.
#define SL_RECORDS_CONF                                                                            \
	(struct sl_assembly_conf)                                                                  \
	{                                                                                          \
		.nb_places = 256, .nb_chunks = 1024, .share_places = 128, .share_chunks = 512,     \
		.max_bytes = UINT16_MAX                                                            \
	}

// Buffers of one segment that hold any IPv4 packet. They are in use while a packet is put together,
// turned into a record or out of one, and cut again: within a walk, but for those handed to another
// thread.
#define SL_LARGE_MBUFS      64u // per worker
#define SL_LARGE_ROOM_BYTES UINT16_MAX
#define SL_LARGE_MBUF_BYTES                                                                        \
	(SL_LARGE_ROOM_BYTES + sizeof(struct rte_mbuf) + sizeof(struct sl_meta) + 64u)

// Make `m` empty with its data at the far end of what `nb_bytes` leave free, but not further than
// `headroom`. It is false, and the buffer as it was, when it does not hold them.
static inline bool
sl_large_reset(struct rte_mbuf *m, uint32_t nb_bytes, uint32_t headroom, uint32_t headroom_min)
{
	if (nb_bytes + headroom_min > m->buf_len)
		return false;
	m->data_off = (uint16_t)RTE_MIN(headroom, m->buf_len - nb_bytes);
	m->data_len = (uint16_t)nb_bytes;
	m->pkt_len = nb_bytes;
	return true;
}
