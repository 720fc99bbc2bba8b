// role_pop: where the named exits of the nodes lead in a PoP; clients on one side, connectors on the
// other. Read beside role_connector.c: the difference is the role.
#include "graph.h"

const struct sl_wiring sl_role_pop[] = {
	// Exits that mean the same wherever they occur.
	{ "*", "eth_input", "eth_input" },
	{ "*", "arp_input", "arp_input" },
	{ "*", "ip4_input", "ip4_input" },
	{ "*", "ip4_output", "ip4_output" },
	{ "*", "ip4_fragment", "ip4_fragment" },
	{ "*", "eth_output", "eth_output" },
	{ "*", "neighbour_hold", "neighbour_hold" },
	{ "*", "port_tx", "port_tx" },
	{ "*", "handover", "handover" },
	{ "*", "punt", "punt" },
	{ "*", "reject", "reject" },

	// Off the wire.
	{ "ip4_input", "local_udp", "udp_input" },
	{ "ip4_input", "local_icmp", "icmp_local" },
	{ "ip4_input", "local_other", "client_input" },
	{ "ip4_input", "transit", "client_input" },
	{ "ip4_input", "fragment", "fragment_input" },
	{ "ip4_input", "ttl_expired", "client_input" },
	{ "icmp_local", "other", "client_input" },
	{ "icmp_local", "error", "icmp_error" },
	{ "icmp_error", "flow", "error_collect" },
	{ "udp_input", "tunnel", "tunnel_open" },
	{ "udp_input", "wireguard", "wireguard_open" },
	{ "udp_input", "other", "client_input" },

	// What clients ask and send.
	{ "*", "inner", "client_input" },
	{ "wireguard_open", "fragment", "fragment_input" },
	{ "client_input", "dns", "dns_answer" },
	{ "client_input", "stream", "dns_stream" },
	{ "client_input", "echo", "icmp_local" },
	{ "client_input", "flow", "flow_forward" },
	{ "client_input", "own", "flow_collect" },
	{ "client_input", "error", "error_forward" },
	{ "client_input", "other", "flow_refuse" },
	{ "dns_stream", "other", "flow_refuse" },
	{ "flow_collect", "strange", "flow_refuse" },
	{ "*", "stream", "stream_tx" },
	{ "flow_forward", "new", "flow_new" },
	{ "*", "pack", "tunnel_pack" },
	{ "*", "seal", "tunnel_seal" },

	// What comes back out of the tunnel.
	{ "tunnel_open", "records", "record_input" },
	{ "record_input", "data", "flow_return" },
	{ "record_input", "open", "record_input_unknown" },
	{ "record_input", "reopen", "flow_reopen" },
	{ "flow_reopen", "data", "flow_return" },
	{ "record_input", "ended", "flow_end" },
	{ "record_input", "error", "error_return" },
	{ "record_input", "seal", "tunnel_pack" },
	{ "record_input", "fragment", "record_whole" },
	{ "record_whole", "records", "record_input" },
	{ "*", "client", "client_output" },
	{ "client_output", "plain", "ip4_output" },
	{ "*", "wireguard", "wireguard_seal" },
	{ "wireguard_seal", "too_big", "wireguard_cut" },
	{ "*", "unreachable", "unreachable" },
	{ "unreachable", "flow", "error_forward" },
	{ "*", "output", "ip4_output" },

	// From other workers and the session thread.
	{ "mailbox_rx", "fragment", "fragment_input" },
	{ "mailbox_rx", "tunnel", "tunnel_open" },
	{ "mailbox_rx", "wireguard", "wireguard_open" },
	{ "mailbox_rx", "client", "client_input" },
	{ "mailbox_rx", "record", "record_input" },
	{ "mailbox_rx", "collect", "flow_collect" },
	{ "mailbox_rx", "seal", "tunnel_pack" },
	{ "mailbox_rx", "icmp", "icmp_error" },
	{ "mailbox_rx", "probe", "tunnel_seal" },
	{ "mailbox_rx", "to_client", "client_output" },
	{ "mailbox_rx", "query", "query_out" },
	{ "mailbox_rx", "arp", "arp_input" },
	{ "mailbox_rx", "stream", "stream_out" },
	{ "mailbox_rx", "to_session", "wireguard_seal" },

	// Onto the wire.
	{ "ip4_output", "no_route", "ip4_output_no_route" },
	{ "ip4_output", "too_big", "unreachable" },
	{ "neighbour_sweep", "unreachable", "neighbour_sweep_unanswered" },
};
const unsigned sl_role_pop_rows = RTE_DIM(sl_role_pop);
