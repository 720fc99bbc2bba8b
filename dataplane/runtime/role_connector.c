// role_connector: where the named exits of the nodes lead in a connector; PoPs on one side, private
// hosts on the other. Read beside role_pop.c: the difference is the role.
#include "graph.h"

const struct sl_wiring sl_role_connector[] = {
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
	{ "reject", "client", "ip4_output" },

	// Off the wire.
	{ "ip4_input", "local_udp", "udp_input" },
	{ "ip4_input", "local_icmp", "icmp_local" },
	{ "ip4_input", "local_other", "flow_collect" },
	{ "ip4_input", "transit", "ip4_input_not_ours" },
	{ "ip4_input", "fragment", "fragment_input" },
	{ "ip4_input", "ttl_expired", "ip4_input_ttl" },
	{ "icmp_local", "other", "flow_collect" },
	{ "icmp_local", "error", "icmp_error" },
	{ "icmp_error", "flow", "error_collect" },
	{ "udp_input", "tunnel", "tunnel_open" },
	{ "udp_input", "other", "flow_collect" },

	// What PoPs send on behalf of clients.
	{ "tunnel_open", "records", "record_input" },
	{ "record_input", "data", "flow_originate" },
	{ "record_input", "open", "flow_open" },
	{ "record_input", "reopen", "record_input_unknown" },
	{ "record_input", "ended", "flow_end" },
	{ "record_input", "error", "error_return" },
	{ "record_input", "seal", "tunnel_pack" },
	{ "record_input", "fragment", "record_whole" },
	{ "record_whole", "records", "record_input" },
	{ "*", "host", "ip4_output" },
	{ "*", "output", "ip4_output" },

	// What private hosts answer.
	{ "flow_collect", "strange", "flow_collect_no_flow" },
	{ "*", "stream", "stream_tx" },
	{ "*", "pack", "tunnel_pack" },
	{ "*", "seal", "tunnel_seal" },

	// From other workers and the session thread.
	{ "mailbox_rx", "fragment", "fragment_input" },
	{ "mailbox_rx", "tunnel", "tunnel_open" },
	{ "mailbox_rx", "record", "record_input" },
	{ "mailbox_rx", "collect", "flow_collect" },
	{ "mailbox_rx", "seal", "tunnel_pack" },
	{ "mailbox_rx", "icmp", "icmp_error" },
	{ "mailbox_rx", "probe", "tunnel_seal" },
	{ "mailbox_rx", "resolved", "flow_open" },
	{ "mailbox_rx", "search", "flow_open" },
	{ "mailbox_rx", "query", "query_out" },
	{ "mailbox_rx", "arp", "arp_input" },
	{ "mailbox_rx", "stream", "stream_out" },

	// Onto the wire.
	{ "ip4_output", "no_route", "unreachable" },
	{ "ip4_output", "too_big", "unreachable" },
	{ "neighbour_sweep", "unreachable", "unreachable" },
	{ "unreachable", "flow", "error_collect" },
};
const unsigned sl_role_connector_rows = RTE_DIM(sl_role_connector);
