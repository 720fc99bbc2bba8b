// timeouts: how long a flow may be idle.
#pragma once

#include <stdint.h>

// Idle times, in deciseconds (RFC 5382, RFC 4787, RFC 5508); a connector's are 1.5 times a PoP's.
struct sl_timeouts {
	uint32_t tcp_established_ds;
	uint32_t tcp_transitory_ds;
	uint32_t tcp_closed_ds; // after FIN both ways, or RST
	uint32_t udp_ds;
	uint32_t dns_ds; // UDP to port 53, and queries of our own
	uint32_t icmp_ds;
	uint32_t suspect_ms; // a peer silent for longer gets no new flows
};
