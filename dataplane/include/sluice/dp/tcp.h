// tcp: what the packet path knows of a conversation: enough for its timers, for a RST that the
// client accepts, and to clamp the MSS. Never the windows: the ends keep those.
#pragma once

#include <rte_byteorder.h>
#include <rte_tcp.h>

#include <sluice/dp/flow.h>
#include <sluice/proto/inet.h>
#include <stdbool.h>
#include <stdint.h>

enum sl_direction { SL_UP, SL_DOWN }; // client to host, host to client

// Later of two sequence numbers (RFC 9293 section 3.4).
static inline uint32_t
sl_seq_max(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0 ? a : b;
}

static inline uint8_t
sl_tcp_next_up(uint8_t state, uint8_t flags)
{
	if (flags & RTE_TCP_FIN_FLAG)
		return state == SL_TCP_FIN_DOWN ? SL_TCP_CLOSING : SL_TCP_FIN_UP;
	if (state == SL_TCP_DOUBTED)
		return SL_TCP_ESTABLISHED;
	if (state == SL_TCP_NONE)
		return flags & RTE_TCP_SYN_FLAG ? SL_TCP_SYN_SENT : SL_TCP_ESTABLISHED;
	if (state == SL_TCP_SYN_RECEIVED && (flags & RTE_TCP_ACK_FLAG))
		return SL_TCP_ESTABLISHED;
	return state;
}

static inline uint8_t
sl_tcp_next_down(uint8_t state, uint8_t flags)
{
	if (flags & RTE_TCP_FIN_FLAG)
		return state == SL_TCP_FIN_UP ? SL_TCP_CLOSING : SL_TCP_FIN_DOWN;
	if (state == SL_TCP_DOUBTED)
		return SL_TCP_ESTABLISHED;
	if (state == SL_TCP_SYN_SENT && (flags & RTE_TCP_SYN_FLAG))
		return SL_TCP_SYN_RECEIVED;
	return state;
}

// How far from the number it should have a RST may be and still be taken for one: segments before it
// may have been lost, or be under way.
#define SL_TCP_DOUBT_BYTES (1u << 20)

// A RST ends the conversation when its receiver must believe it: it has the very number that is
// expected (RFC 5961 section 3), or acknowledges the SYN it answers (RFC 9293 section 3.10.7.3). One
// that is near casts doubt: if nothing follows, the flow goes after the transitory time (RFC 7857
// section 2.1). Any other is forged or from another life.
static inline void
sl_tcp_track_reset(struct sl_flow *f, const struct rte_tcp_hdr *tcp, enum sl_direction direction)
{
	uint32_t seq = rte_be_to_cpu_32(tcp->sent_seq);
	uint32_t own = direction == SL_UP ? f->seq_up : f->seq_down;
	bool is_answer = (tcp->tcp_flags & RTE_TCP_ACK_FLAG) != 0 &&
		rte_be_to_cpu_32(tcp->recv_ack) == f->seq_up;

	if (direction == SL_DOWN && f->tcp == SL_TCP_SYN_SENT) {
		if (is_answer)
			f->tcp = SL_TCP_RESET;
		return;
	}
	if (seq == own)
		f->tcp = SL_TCP_RESET;
	else if (f->tcp >= SL_TCP_ESTABLISHED && f->tcp < SL_TCP_CLOSING && seq - own + SL_TCP_DOUBT_BYTES < 2 * SL_TCP_DOUBT_BYTES)
		f->tcp = SL_TCP_DOUBTED;
}

// Note one segment. `tcp` may be the carried form of a record: only the octets from sequence number
// on are read. `segment_bytes` counts the TCP header and its data. FIN after FIN keeps CLOSING.
static inline void
sl_tcp_track(
	struct sl_flow *f,
	const struct rte_tcp_hdr *tcp,
	uint16_t segment_bytes,
	enum sl_direction direction
)
{
	uint8_t flags = tcp->tcp_flags;
	uint32_t seq = rte_be_to_cpu_32(tcp->sent_seq);
	uint32_t ack = rte_be_to_cpu_32(tcp->recv_ack);
	uint32_t header_bytes = (uint32_t)(tcp->data_off >> 4) * 4;
	uint32_t next = seq + (segment_bytes > header_bytes ? segment_bytes - header_bytes : 0) +
		!!(flags & RTE_TCP_SYN_FLAG) + !!(flags & RTE_TCP_FIN_FLAG);
	// The client uses its port again: the conversation begins anew (RFC 9293 section 3.6.1).
	if (direction == SL_UP && f->tcp >= SL_TCP_CLOSING &&
	    (flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG | RTE_TCP_RST_FLAG)) == RTE_TCP_SYN_FLAG)
		f->tcp = SL_TCP_NONE;
	uint32_t *own = direction == SL_UP ? &f->seq_up : &f->seq_down;
	uint32_t *other = direction == SL_UP ? &f->seq_down : &f->seq_up;

	if (flags & RTE_TCP_RST_FLAG) {
		sl_tcp_track_reset(f, tcp, direction);
		return;
	}
	// A SYN in mid-stream is answered by a challenge (RFC 5961 section 4) and moves nothing.
	if (flags & RTE_TCP_SYN_FLAG) {
		if (f->tcp <= SL_TCP_SYN_RECEIVED)
			*own = next;
		else
			return;
	} else {
		*own = sl_seq_max(*own, next);
	}
	if (flags & RTE_TCP_ACK_FLAG)
		*other = f->tcp == SL_TCP_NONE ? ack : sl_seq_max(*other, ack);
	if (f->tcp != SL_TCP_CLOSING && f->tcp != SL_TCP_RESET)
		f->tcp = direction == SL_UP ? sl_tcp_next_up(f->tcp, flags)
					    : sl_tcp_next_down(f->tcp, flags);
}

// Lower the MSS option of a SYN to `mss` and mend the checksum (RFC 1624); `tcp` is whole, with
// `segment_bytes` octets behind it. Other segments are left alone.
void sl_tcp_clamp_mss(struct rte_tcp_hdr *tcp, uint16_t segment_bytes, uint16_t mss);
