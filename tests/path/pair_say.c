// pair_say: packets that tests of the pair send and expect again and again.
#include "pair.h"

#include <netinet/in.h>
#include <string.h>

struct packet_spec
pair_udp_to(
	const char *address, uint16_t client_port, uint16_t service, const void *data, size_t nb
)
{
	return (struct packet_spec){ .destination = address,
				     .protocol = IPPROTO_UDP,
				     .source_port = client_port,
				     .destination_port = service,
				     .payload = data,
				     .payload_bytes = nb };
}

bool
pair_is_reset(const struct pair_packet *p, const struct pair_tcp *t, bool is_to_host)
{
	uint16_t to = is_to_host ? t->service : t->client_port;

	return p->ip->next_proto_id == IPPROTO_TCP && (p->tcp->tcp_flags & RTE_TCP_RST_FLAG) != 0 &&
		p->tcp->dst_port == rte_cpu_to_be_16(to) &&
		rte_be_to_cpu_32(p->tcp->sent_seq) == (is_to_host ? t->client_seq : t->host_seq);
}

bool
pair_is_error(const struct pair_packet *p, uint8_t type, uint8_t code)
{
	return p->ip->next_proto_id == IPPROTO_ICMP && p->icmp->icmp_type == type &&
		p->icmp->icmp_code == code;
}

void
pair_tcp_send_up(const struct pair_tcp *t, const char *data)
{
	pair_client_send(&(struct packet_spec){ .destination = t->address,
						.protocol = IPPROTO_TCP,
						.source_port = t->client_port,
						.destination_port = t->service,
						.tcp_flags = RTE_TCP_ACK_FLAG,
						.tcp_seq = t->client_seq,
						.tcp_ack = t->host_seq,
						.payload = data,
						.payload_bytes = strlen(data) });
}

void
pair_tcp_send_down(const struct pair_tcp *t, const char *data)
{
	pair_host_send(&(struct packet_spec){ .protocol = IPPROTO_TCP,
					      .source_port = t->service,
					      .destination_port = t->nat_port,
					      .tcp_flags = RTE_TCP_ACK_FLAG,
					      .tcp_seq = t->host_seq,
					      .tcp_ack = t->client_seq,
					      .payload = data,
					      .payload_bytes = strlen(data) });
}
