// A packet of any octets, at L3, on the way of those that flows carry: what a flow lets through can be
// stripped to a record, read again and put together as it was; what an ICMP error quotes can be read; and
// what refuses it is a packet. None reads or writes past its buffer.
#include "1-ingress/ip4_input.h"
#include "3-inner/error_common.h"
#include "3-inner/flow_up.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES 512u // in front, as nodes have it

static struct sl_net net = {
	.nb_ports = 1,
	.ports = { { .address = RTE_BE32(0x0a000001), .prefix_bits = 24 } },
	.pool_bits = 12,
};
static struct sl_worker worker = { .net = &net, .nb_workers = 1, .ip_id_last = UINT16_MAX };
static const struct sl_session session = { .knows_df = true };

static void
hold(bool is_true)
{
	if (!is_true)
		abort();
}

// A packet in a buffer of its own that ends where it ends.
static struct rte_mbuf *
make(const uint8_t *data, size_t nb_bytes)
{
	struct rte_mbuf *m = aligned_alloc(
		RTE_CACHE_LINE_SIZE, sizeof(*m) + sizeof(struct sl_meta)
	);
	uint8_t *buffer = malloc(HEAD_BYTES + nb_bytes);

	hold(m != NULL && buffer != NULL);
	memset(m, 0, sizeof(*m) + sizeof(struct sl_meta));
	memcpy(buffer + HEAD_BYTES, data, nb_bytes);
	m->buf_addr = buffer;
	m->buf_len = (uint16_t)(HEAD_BYTES + nb_bytes);
	m->data_off = HEAD_BYTES;
	m->nb_segs = 1;
	m->pkt_len = m->data_len = (uint16_t)nb_bytes;
	m->priv_size = sizeof(struct sl_meta);
	return m;
}

static void
drop(struct rte_mbuf *m)
{
	free(m->buf_addr);
	free(m);
}

// Into a record and out of it. Of the header TTL, identifier and checksum change, no more.
static void
there_and_back(struct rte_mbuf *m, const struct sl_flow_key *key)
{
	struct sl_flow f = { .key = *key, .kind = SL_FLOW_CLIENT };
	uint16_t nb_bytes = m->data_len, l4_bytes = (uint16_t)(nb_bytes - 20);
	uint8_t *before = malloc(nb_bytes);
	struct rte_ipv4_hdr was, *ip;
	struct sl_rec rec;
	size_t used;

	hold(before != NULL);
	memcpy(before, rte_pktmbuf_mtod(m, void *), nb_bytes);
	memcpy(&was, before, sizeof(was));
	sl_flow_client_sums(&f);
	if (sl_meta(m)->protocol == IPPROTO_TCP)
		sl_tcp_track(&f, sl_flow_tcp(m, sl_meta(m)), l4_bytes, SL_UP);
	// An echo comes back as the reply to a request; here it is to be the same again.
	f.sum_restore = sl_carry_restore_sum(f.sum_strip);
	sl_flow_to_record(&session, m, sl_meta(m), &f, 0, SL_SEND_DATA);
	hold(sl_rec_parse(rte_pktmbuf_mtod(m, void *), m->data_len, &rec, &used) == SL_REC_OK);
	hold(used == m->data_len && rec.tos == was.type_of_service && rec.ttl == was.time_to_live);
	hold(sl_flow_body_is_sound(rec.nb_bytes, was.next_proto_id));
	struct sl_flow_out out = {
		.ends = { .source = was.src_addr, .destination = was.dst_addr },
		.sum_restore = f.sum_restore,
		.source_port_be = key->source_port_be,
		.destination_port_be = was.next_proto_id == IPPROTO_ICMP ? SL_ICMP_ECHO_REQUEST
									 : key->destination_port_be,
		.protocol = was.next_proto_id,
	};

	if (sl_flow_restore(&worker, m, &rec, &out)) {
		ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
		hold(m->data_len == nb_bytes && ip->time_to_live == was.time_to_live - 1);
		hold(ip->fragment_offset == (was.fragment_offset & SL_IP4_DF));
		// The checksum may come back as its other zero.
		if (was.next_proto_id == IPPROTO_TCP)
			hold(memcmp(ip + 1, before + 20, 16) == 0);
		hold(l4_bytes < 20 ||
		     memcmp((uint8_t *)(ip + 1) + 20, before + 40, l4_bytes - 20u) == 0);
	} else {
		hold(was.time_to_live <= 1);
	}
	free(before);
}

static void
refuse(const uint8_t *data, size_t nb_bytes, uint8_t l4_offset, uint8_t reason)
{
	struct rte_mbuf *m = make(data, nb_bytes);

	if (sl_reject_packet(m, l4_offset, reason, 1280)) {
		const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);

		hold(m->data_len >= 40 && m->data_len == rte_be_to_cpu_16(ip->total_length));
		hold(m->data_len <= 20 + 8 + 60 + 8);
		hold(rte_raw_cksum(ip, sizeof(*ip)) == 0xffff);
	}
	drop(m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t nb_bytes)
{
	struct sl_flow_key key = { 0 };
	struct sl_quote quote;
	struct rte_mbuf *m;
	rte_edge_t edge;

	if (nb_bytes > 2000)
		return 0;
	if (net.pool_mask == 0)
		sl_net_index(&net);
	m = make(data, nb_bytes);
	edge = ip4_input_verdict(&worker, m);
	if (edge == SL_IP4_TRANSIT) {
		nb_bytes = m->data_len;
		refuse(data, nb_bytes, sl_meta(m)->l4_offset, SL_CLOSE_POLICY);
		refuse(data, nb_bytes, sl_meta(m)->l4_offset, SL_LOCAL_TOO_BIG);
		if (sl_meta(m)->protocol == IPPROTO_ICMP && m->data_len >= 28 &&
		    sl_quote_parse(m, sl_meta(m)->l4_offset, &quote))
			hold(quote.nb_l4 >= SL_QUOTE_MIN_BYTES &&
			     (quote.protocol == IPPROTO_TCP || sl_quote_is_in_flight(&quote, 0)));
		if (sl_carry_skip_bytes(sl_meta(m)->protocol) != 0 &&
		    sl_flow_up_key(m, &key) == SL_UP_KEY_OK) {
			if (sl_meta(m)->protocol == IPPROTO_TCP)
				sl_tcp_clamp_mss(
					rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, 20),
					(uint16_t)(m->data_len - 20),
					1300
				);
			there_and_back(m, &key);
		}
	}
	drop(m);
	return 0;
}
