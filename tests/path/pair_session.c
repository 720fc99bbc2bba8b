// pair_session: the one session of the pair: its lanes, its keys and their replacement, and what
// happens to it.
#include "pair.h"
#include "pair_internal.h"

#include <sluice/dp/crypto.h>
#include <sluice/dp/lane_port.h>
#include <sluice/dp/tickets.h>
#include <sluice/proto/keypair.h>
#include <stdlib.h>
#include <string.h>

#define KEYPAIRS_MAX 256u

static struct sl_keypair *keypairs[KEYPAIRS_MAX];
static unsigned nb_keypairs;
static uint32_t next_index;
static uint64_t keyed_ns;

static struct sl_keypair *
make_keypair(const struct sl_transport_key *t)
{
	struct sl_aead *engine = sl_aead_create(SL_AEAD_BEST);
	struct sl_keypair *k = aligned_alloc(64, sl_keypair_bytes(t->cipher, t->nb_lanes));

	CU_ASSERT_FATAL(engine != NULL && k != NULL && nb_keypairs < KEYPAIRS_MAX);
	sl_keypair_init(k, t, engine);
	sl_aead_destroy(engine);
	keypairs[nb_keypairs++] = k;
	return k;
}

static void
install(struct sl_sessions *sessions, const struct sl_transport_key *t)
{
	struct sl_keypair *k = make_keypair(t);
	struct sl_session *s = &sessions->sessions[0];

	atomic_store(&sessions->keypairs[t->local_index & sessions->slot_mask], k);
	s->nb_lanes = t->nb_lanes;
	s->peer_workers = t->peer_workers;
	s->weight = 1;
	s->has_tickets = !pair_conf.no_tickets;
	s->knows_df = !pair_conf.no_df;
	memset(s->public_key, 0xcc, sizeof(s->public_key)
	); // of the other end; the PoP's view counts
	atomic_store(&s->kind, SL_SESSION_TUNNEL);
	atomic_store(&s->current, k);
}

void
pair_rekey(void)
{
	struct sl_transport_key pop = {
		.cipher = pair_conf.is_chacha ? SL_CIPHER_CHACHA20_POLY1305 : SL_CIPHER_AES256_GCM,
		.nb_lanes = PAIR_LANES,
		.peer_workers = PATH_WORKERS,
		.created_ns = path_now_ns(),
		.local_index = 0x1000 + next_index,
		.remote_index = 0x2000 + next_index,
	};
	struct sl_transport_key connector = pop;

	next_index++;
	for (unsigned i = 0; i < SL_AEAD_KEY_BYTES; i++) {
		pop.seal[i] = (uint8_t)(rand() >> 8);
		pop.open[i] = (uint8_t)(rand() >> 8);
	}
	memcpy(connector.seal, pop.open, sizeof(connector.seal));
	memcpy(connector.open, pop.seal, sizeof(connector.open));
	connector.local_index = pop.remote_index;
	connector.remote_index = pop.local_index;
	connector.is_initiator = true;
	install(&pair.connector_sessions, &connector);
	install(&pair.pop_sessions, &pop);
	keyed_ns = path_now_ns();
}

void
pair_set_lanes(
	struct sl_sessions *sessions, const char *local, const char *remote, unsigned is_connector
)
{
	for (uint16_t k = 0; k < PAIR_LANES; k++) {
		uint16_t own = (uint16_t)(PAIR_POP_PORT + (is_connector ? k : 0));
		uint16_t other = (uint16_t)(PAIR_POP_PORT + (is_connector ? 0 : k));

		sessions->sessions[0].lanes[k] = (struct sl_lane_endpoint){
			.remote = packet_ip(remote),
			.local = packet_ip(local),
			.remote_port = rte_cpu_to_be_16(other),
			.local_port = rte_cpu_to_be_16(own),
			.mtu_bytes = pair_conf.underlay_mtu,
			.heard_ns = path_now_ns(),
		};
		sl_lane_port_begin(
			&sessions->sessions[0].ports[k],
			is_connector && pair_conf.searches_ports ? PAIR_POP_PORT : 0
		);
	}
}

void
pair_down(void)
{
	atomic_store(&pair.pop_sessions.sessions[0].current, NULL);
	atomic_store(&pair.connector_sessions.sessions[0].current, NULL);
}

void
pair_restart_pop(void)
{
	struct sl_dp *dp = path_dp(pair.pop);

	for (unsigned k = 0; k < sl_dp_nb_workers(dp); k++) {
		struct sl_worker *w = sl_dp_worker(dp, k);
		uint32_t nb_flows = w->flows->nb_flows;

		sl_flow_table_destroy(w->flows);
		w->flows = sl_flow_table_create(nb_flows, (uint8_t)k, false, SOCKET_ID_ANY);
		CU_ASSERT_PTR_NOT_NULL_FATAL(w->flows);
	}
	for (unsigned k = 0; k < sl_dp_nb_workers(dp); k++) {
		struct sl_worker *w = sl_dp_worker(dp, k);

		sl_tickets_destroy(w->tickets);
		w->tickets = sl_tickets_create(0, SOCKET_ID_ANY);
	}
	pair.pop_sessions.incarnation++;
	// The connector learns of the new incarnation by the handshake.
	atomic_fetch_add(&pair.connector_sessions.sessions[0].epoch, 1);
	pair_rekey();
}

void
pair_pass_s(unsigned s)
{
	for (unsigned i = 0; i < s; i++) {
		path_pass_ms(1000);
		if (atomic_load(&pair.pop_sessions.sessions[0].current) != NULL &&
		    path_now_ns() - keyed_ns > SL_REKEY_AFTER_S * SL_NS_PER_S)
			pair_rekey();
	}
}

void
pair_free_keys(void)
{
	for (unsigned i = 0; i < nb_keypairs; i++) {
		sl_keypair_wipe(keypairs[i]);
		free(keypairs[i]);
	}
	nb_keypairs = next_index = 0;
}
