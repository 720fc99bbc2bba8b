// packet: frames built and looked at by tests.
#pragma once

#include <rte_byteorder.h>
#include <rte_ether.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// "10.0.0.1" in wire order.
rte_be32_t packet_ip(const char *text);

struct packet_spec {
	const struct rte_ether_addr *to; // MAC of the port it is sent to
	const char *from; // MAC text; NULL: 02:aa:00:00:00:01
	uint16_t vlan; // 0: untagged
	const char *source; // addresses
	const char *destination;
	uint8_t protocol; // IPPROTO_ICMP (echo request), _UDP, _TCP
	uint16_t source_port; // ICMP: id
	uint16_t destination_port; // ICMP: sequence
	uint16_t icmp_type_code; // type << 8 | code; 0: an echo request
	uint8_t tos;
	uint8_t ttl; // 0: 64
	uint8_t tcp_flags;
	uint32_t tcp_seq;
	uint32_t tcp_ack;
	uint16_t fragment_bits; // of the IPv4 header, host order; 0x4000 is DF
	const void *payload;
	size_t payload_bytes;
};

// Build a frame with right lengths and checksums; its length.
size_t packet_build(uint8_t *frame, size_t room, const struct packet_spec *spec);

// Recompute the IPv4 header checksum of an untagged frame after a test altered it.
void packet_fix_ip_checksum(uint8_t *frame);

// Where the IPv4 header of a frame is; NULL if it is none or any length or checksum (IPv4, UDP, TCP,
// ICMP) is wrong, with a note that says which.
const struct rte_ipv4_hdr *packet_check(const uint8_t *frame, size_t nb_bytes);

// An ARP frame; opcode 1 asks, 2 answers.
size_t packet_arp(
	uint8_t *frame,
	uint16_t opcode,
	const char *sender_mac,
	const char *sender,
	const char *target
);
