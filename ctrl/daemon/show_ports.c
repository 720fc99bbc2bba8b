// show ports, workers, cpu: the machine as the data plane uses it.
#include "show.h"

#include <rte_ethdev.h>

#include <sluice/dp/cpu.h>
#include <sluice/dp/crypto.h>
#include <sluice/dp/flow_table.h>
#include <unistd.h>

static json_t *
port_address(const struct sl_port *port)
{
	char text[32];

	snprintf(
		text,
		sizeof(text),
		"%u.%u.%u.%u/%u",
		((const uint8_t *)&port->address)[0],
		((const uint8_t *)&port->address)[1],
		((const uint8_t *)&port->address)[2],
		((const uint8_t *)&port->address)[3],
		port->prefix_bits
	);
	return json_string(text);
}

static json_t *
ports_table(const struct daemon *d, const struct sl_net *net)
{
	static const struct sl_column columns[] = {
		SHOW_LEFT("name"),        SHOW_LEFT("link"),      SHOW_LEFT("address"),
		SHOW_LEFT("mac"),         SHOW_RIGHT("vlan", ""), SHOW_RIGHT("mtu", ""),
		SHOW_RIGHT("queues", ""), SHOW_LEFT("device"),
	};
	json_t *table = sl_json_table("ports", columns, RTE_DIM(columns));

	for (unsigned i = 0; i < net->nb_ports; i++) {
		const struct sl_port *p = &net->ports[i];
		char mac[RTE_ETHER_ADDR_FMT_SIZE];

		rte_ether_format_addr(mac, sizeof(mac), &p->mac);
		sl_json_row(
			table,
			"ssosoiis",
			p->name,
			atomic_load(&p->link_up) ? "up" : "down",
			port_address(p),
			mac,
			p->vlan == 0 ? json_null() : json_integer(p->vlan),
			p->mtu_bytes,
			p->nb_queues,
			i < d->config->nb_ports ? d->config->ports[i].device : "-"
		);
	}
	return table;
}

// What a device lost before any worker saw it: no descriptor or no mbuf was free.
static uint64_t
missed(const struct sl_port *p)
{
	struct rte_eth_stats stats;

	if (rte_eth_stats_get(p->ethdev, &stats) != 0)
		return 0;
	return stats.imissed + stats.rx_nombuf;
}

void
show_ports(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	static const struct sl_column columns[] = {
		SHOW_LEFT("port"),
		SHOW_RIGHT("rx_pkts", "pkts"),
		SHOW_RIGHT("rx_bytes", "bytes"),
		SHOW_RIGHT("tx_pkts", "pkts"),
		SHOW_RIGHT("tx_bytes", "bytes"),
		SHOW_RIGHT("missed", "pkts"),
	};
	struct daemon *d = arg;
	const struct sl_net *net = sl_dp_net(d->dp);
	json_t *traffic = sl_json_table("traffic", columns, RTE_DIM(columns));
	struct sl_worker_stats sum;

	(void)nb_words;
	(void)words;
	sl_dp_worker_stats(d->dp, &sum);
	for (unsigned i = 0; i < net->nb_ports; i++)
		sl_json_row(
			traffic,
			"sIIIII",
			net->ports[i].name,
			(json_int_t)sum.rx_pkts[i],
			(json_int_t)sum.rx_bytes[i],
			(json_int_t)sum.tx_pkts[i],
			(json_int_t)sum.tx_bytes[i],
			(json_int_t)missed(&net->ports[i])
		);
	sl_api_reply(request, show_tables(ports_table(d, net), traffic));
}

// ---- Workers ---------------------------------------------------------------------------------------------

static json_t *
numa_json(int node)
{
	return node < 0 ? json_null() : json_integer(node);
}

static json_t *
queues_table(struct daemon *d)
{
	static const struct sl_column columns[] = {
		SHOW_RIGHT("worker", ""), SHOW_RIGHT("core", ""),  SHOW_RIGHT("numa", ""),
		SHOW_LEFT("port"),        SHOW_RIGHT("queue", ""), SHOW_RIGHT("port_numa", ""),
	};
	const struct sl_net *net = sl_dp_net(d->dp);
	json_t *table = sl_json_table("queues", columns, RTE_DIM(columns));

	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++) {
		const struct sl_worker *w = sl_dp_worker(d->dp, k);
		int core = sl_dp_core(d->dp, k);

		for (unsigned i = 0; i < w->nb_rx_pairs; i++)
			sl_json_row(
				table,
				"ioosio",
				k,
				core < 0 ? json_null() : json_integer(core),
				core < 0 ? json_null() : numa_json(sl_numa_of_core((unsigned)core)),
				net->ports[w->rx_pairs[i].port].name,
				w->rx_pairs[i].queue,
				numa_json(rte_eth_dev_socket_id(w->rx_pairs[i].ethdev))
			);
	}
	return table;
}

void
show_workers(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	static const struct sl_column columns[] = {
		SHOW_RIGHT("worker", ""),     SHOW_RIGHT("core", ""),
		SHOW_RIGHT("flows", ""),      SHOW_RIGHT("flows_max", ""),
		SHOW_RIGHT("walks", "pkts"),  SHOW_RIGHT("busy", "percent"),
		SHOW_RIGHT("sleeps", "pkts"), SHOW_RIGHT("handed_over", "pkts"),
		SHOW_RIGHT("punted", "pkts"),
	};
	struct daemon *d = arg;
	json_t *table = sl_json_table("workers", columns, RTE_DIM(columns));

	(void)nb_words;
	(void)words;
	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++) {
		const struct sl_worker *w = sl_dp_worker(d->dp, k);
		struct sl_worker_stats s = w->stats;
		int core = sl_dp_core(d->dp, k);

		sl_json_row(
			table,
			"ioiiIoIII",
			k,
			core < 0 ? json_null() : json_integer(core),
			w->flows == NULL ? 0 : w->flows->nb_used,
			w->flows == NULL ? 0 : w->flows->nb_flows,
			(json_int_t)s.walks,
			s.walks == 0 ? json_null()
				     : json_real(
					       100.0 * (double)(s.walks - s.walks_empty) /
					       (double)s.walks
				       ),
			(json_int_t)s.sleeps,
			(json_int_t)s.handed_over,
			(json_int_t)s.punted
		);
	}
	sl_api_reply(request, show_tables(table, queues_table(d)));
}

void
show_cpu(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	static const struct sl_column columns[] = { SHOW_LEFT("what"), SHOW_LEFT("value") };
	struct daemon *d = arg;
	const struct sl_worker *w = sl_dp_worker(d->dp, 0);
	json_t *table = sl_json_table("cpu", columns, RTE_DIM(columns));
	char text[256];

	(void)nb_words;
	(void)words;
	sl_json_row(table, "ss", "level", sl_cpu_level_name(sl_cpu_level()));
	sl_json_row(
		table,
		"ss",
		"packet path",
		sl_cpu_level_name(RTE_MAX(sl_cpu_node_level(), SL_CPU_V2))
	);
	sl_json_row(
		table, "ss", "AES", sl_cpu_has_aes() ? "in instructions" : "no instructions here"
	);
	sl_json_row(
		table,
		"ss",
		"ChaCha20-Poly1305",
		sl_cpu_has_chapoly_avx512() ? "interleaved, AVX-512" : "a packet at a time"
	);
	if (w->aead != NULL) {
		sl_aead_describe(w->aead, text, sizeof(text));
		sl_json_row(table, "ss", "engine", text);
	}
	sl_api_reply(request, table);
}
