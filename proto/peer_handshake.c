// Handshake messages of a session, in and out. Nothing of a peer changes before a message has been
// found good to its last octet.
#include "peer_internal.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <sluice/proto/bytes.h>
#include <string.h>

// A peer that asks more often is not listened to (as WireGuard does).
#define INITIATION_INTERVAL_NS (20 * SL_NS_PER_MS)
// Spread of a retry, so that peers of a node that came back do not ask in step.
#define JITTER_NS (333 * SL_NS_PER_MS)
// A connector's first retry: what it asks may be just starting.
#define EAGER_NS (400 * SL_NS_PER_MS)
// How soon to look again when no initiation could be sent at all.
#define BLOCKED_NS (100 * SL_NS_PER_MS)

static uint64_t
jitter_ns(void)
{
	uint32_t r;

	if (RAND_bytes((unsigned char *)&r, sizeof(r)) != 1)
		return 0;
	return r % JITTER_NS;
}

// How long an initiation is waited for. A connector asks soon again and then less and less often, so
// that one whose PoP was away for a moment has not long to wait after it.
static uint64_t
patience_ns(const struct sl_peer *peer, uint64_t now_ns)
{
	uint64_t asked_ns = now_ns - peer->asking_since_ns,
		 most_ns = SECONDS_NS(SL_REKEY_TIMEOUT_S);

	if ((peer->flags & SL_PEER_PERSISTENT) == 0 || asked_ns > most_ns)
		return most_ns;
	return asked_ns < EAGER_NS ? EAGER_NS : asked_ns;
}

static enum sl_peer_verdict
of_noise(enum sl_noise_verdict verdict)
{
	switch (verdict) {
	case SL_NOISE_OK:
		return SL_PEER_OK;
	case SL_NOISE_SHORT:
		return SL_PEER_SHORT;
	case SL_NOISE_FORGED:
		return SL_PEER_FORGED;
	case SL_NOISE_WEAK_KEY:
		return SL_PEER_WEAK_KEY;
	case SL_NOISE_UNKNOWN_PEER:
		return SL_PEER_UNKNOWN;
	case SL_NOISE_FAULT:
	default:
		return SL_PEER_NO_MEANS;
	}
}

// An agreement of the suite without hellos: there is nothing to agree on.
static struct sl_agreement
agreement_wireguard(void)
{
	return (struct sl_agreement){ .nb_lanes = 1, .cipher = SL_CIPHER_CHACHA20_POLY1305 };
}

// INSTALL for the keys that `h` has come to.
static struct sl_peer_slot
install(const struct sl_peer *peer,
	const struct sl_noise_handshake_key *h,
	const struct sl_agreement *agreement,
	uint32_t local_index,
	uint32_t remote_index,
	bool is_initiator,
	uint64_t now_ns,
	struct sl_peer_output *out)
{
	struct sl_transport_key *key = &sl_peer_emit(out, SL_PEER_INSTALL)->key;

	sl_noise_split(h, peer->local->noise.suite, agreement->cipher, is_initiator, key);
	key->local_index = local_index;
	key->remote_index = remote_index;
	key->nb_lanes = agreement->nb_lanes;
	key->peer_workers = agreement->peer_workers;
	key->created_ns = now_ns;
	return (struct sl_peer_slot){
		.index = local_index,
		.is_used = true,
		.is_initiator = is_initiator,
		.created_ns = now_ns,
		.agreement = *agreement,
	};
}

static void
put_hello(const struct sl_peer_local *local, enum sl_cipher cipher, uint8_t *out)
{
	struct sl_hello hello = local->hello;
	struct sl_wire_hello wire;

	hello.cipher = cipher;
	sl_hello_put(&wire, &hello);
	memcpy(out, &wire, sizeof(wire));
}

[[nodiscard]] static bool
get_hello(struct sl_hello *out, const uint8_t *in)
{
	struct sl_wire_hello wire;

	memcpy(&wire, in, sizeof(wire));
	return sl_hello_get(out, &wire);
}

[[nodiscard]] static enum sl_noise_verdict
write_initiation(struct sl_peer *peer, struct sl_peer_now now, uint32_t index, uint8_t *message)
{
	struct sl_peer_local *local = peer->local;
	uint8_t payload[SL_NOISE_PAYLOAD_MAX];
	struct sl_noise_private_key ephemeral;
	enum sl_noise_verdict verdict;

	if (!sl_tai64n_next(&local->clock, now.wall_ns, payload) ||
	    sl_noise_generate(&ephemeral) != 0)
		return SL_NOISE_FAULT;
	if (local->noise.suite->has_hello)
		put_hello(local, SL_CIPHER_NONE, payload + SL_TAI64N_BYTES);
	verdict = sl_noise_write_initiation(
		&peer->handshake, &local->noise, &peer->remote, &ephemeral, index, payload, message
	);
	sl_wipe(&ephemeral, sizeof(ephemeral));
	return verdict;
}

void
sl_peer_send_initiation(struct sl_peer *peer, struct sl_peer_now now, struct sl_peer_output *out)
{
	const struct sl_noise_suite *suite = peer->local->noise.suite;
	uint8_t message[SL_NOISE_MESSAGE_MAX];
	struct sl_peer_event *e;
	uint32_t index;

	// Each try has its own index: an answer to an earlier one is none to this.
	sl_peer_drop_handshake_index(peer, out);
	peer->retry_ns = now.ns + BLOCKED_NS;
	if (!peer->local->take_index(peer->local->context, peer, &index))
		return;
	if (write_initiation(peer, now, index, message) != SL_NOISE_OK) {
		sl_peer_emit(out, SL_PEER_RELEASE)->index = index;
		return;
	}
	peer->handshake_index = index;
	peer->has_handshake_index = true;
	peer->retry_ns = now.ns + patience_ns(peer, now.ns) + jitter_ns();
	e = sl_peer_emit(out, SL_PEER_SEND);
	e->nb_bytes = (uint16_t)sl_noise_initiation_bytes(suite);
	memcpy(e->bytes, message, e->nb_bytes - SL_NOISE_MACS_BYTES);
	sl_cookie_seal(&peer->jar, e->bytes, e->nb_bytes, now.ns);
}

// Between sl_noise_read_initiation and the peers of the caller.
struct asking {
	struct sl_peer_local *local;
	struct sl_peer *peer;
};

static const struct sl_noise_remote *
lookup(void *context, const struct sl_noise_public *public)
{
	struct asking *a = context;

	a->peer = a->local->by_public(a->local->context, public);
	return a->peer == NULL ? NULL : &a->peer->remote;
}

// Is an initiation that says `payload` one to answer, and with what?
[[nodiscard]] static enum sl_peer_verdict
judge_initiation(
	const struct sl_peer *peer,
	const uint8_t *payload,
	struct sl_peer_now now,
	struct sl_agreement *agreement
)
{
	const struct sl_peer_local *local = peer->local;
	struct sl_hello asked;

	if (!sl_tai64n_is_after(payload, peer->last_timestamp))
		return SL_PEER_REPLAYED;
	if (peer->has_taken && now.ns - peer->last_taken_ns < INITIATION_INTERVAL_NS)
		return SL_PEER_TOO_SOON;
	*agreement = agreement_wireguard();
	if (!local->noise.suite->has_hello)
		return SL_PEER_OK;
	if (!get_hello(&asked, payload + SL_TAI64N_BYTES) ||
	    !sl_hello_choose(agreement, &local->hello, &asked))
		return SL_PEER_NO_AGREEMENT;
	return SL_PEER_OK;
}

[[nodiscard]] static enum sl_peer_verdict
respond(struct sl_peer *peer,
	struct sl_noise_handshake_key *h,
	uint32_t remote_index,
	const struct sl_agreement *agreement,
	struct sl_peer_now now,
	struct sl_peer_output *out)
{
	struct sl_peer_local *local = peer->local;
	uint8_t payload[SL_NOISE_PAYLOAD_MAX], message[SL_NOISE_MESSAGE_MAX];
	struct sl_noise_private_key ephemeral;
	enum sl_noise_verdict verdict;
	struct sl_peer_event *e;
	uint32_t index;

	if (!local->take_index(local->context, peer, &index))
		return SL_PEER_NO_MEANS;
	verdict = sl_noise_generate(&ephemeral) != 0 ? SL_NOISE_FAULT : SL_NOISE_OK;
	if (local->noise.suite->has_hello)
		put_hello(local, agreement->cipher, payload);
	if (verdict == SL_NOISE_OK)
		verdict = sl_noise_write_response(
			h,
			&local->noise,
			&peer->remote,
			&ephemeral,
			index,
			remote_index,
			payload,
			message
		);
	sl_wipe(&ephemeral, sizeof(ephemeral));
	if (verdict != SL_NOISE_OK) {
		sl_peer_emit(out, SL_PEER_RELEASE)->index = index;
		return of_noise(verdict);
	}
	sl_peer_drop_slot(&peer->next, out);
	peer->next = install(peer, h, agreement, index, remote_index, false, now.ns, out);
	e = sl_peer_emit(out, SL_PEER_SEND);
	e->to_source = true;
	e->nb_bytes = (uint16_t)sl_noise_response_bytes(local->noise.suite);
	memcpy(e->bytes, message, e->nb_bytes - SL_NOISE_MACS_BYTES);
	sl_cookie_seal(&peer->jar, e->bytes, e->nb_bytes, now.ns);
	return SL_PEER_OK;
}

[[nodiscard]] static enum sl_peer_verdict
receive_initiation(
	struct sl_peer_local *local,
	const uint8_t *message,
	size_t nb_bytes,
	struct sl_peer_now now,
	struct sl_peer_output *out
)
{
	struct asking asking = { .local = local };
	uint8_t payload[SL_NOISE_PAYLOAD_MAX];
	struct sl_noise_handshake_key h;
	struct sl_agreement agreement;
	enum sl_peer_verdict verdict;
	uint32_t sender;

	verdict = of_noise(sl_noise_read_initiation(
		&h, &local->noise, lookup, &asking, message, nb_bytes, payload, &sender
	));
	if (verdict != SL_PEER_OK)
		return verdict;
	verdict = judge_initiation(asking.peer, payload, now, &agreement);
	if (verdict == SL_PEER_OK)
		verdict = respond(asking.peer, &h, sender, &agreement, now, out);
	if (verdict == SL_PEER_OK) {
		memcpy(asking.peer->last_timestamp, payload, SL_TAI64N_BYTES);
		asking.peer->last_taken_ns = now.ns;
		asking.peer->has_taken = true;
	}
	out->peer = asking.peer;
	sl_wipe(&h, sizeof(h));
	return verdict;
}

// Is `index` that of the initiation under way?
static bool
is_asking_under(const struct sl_peer *peer, uint32_t index)
{
	return peer->is_asking && peer->has_handshake_index && peer->handshake_index == index;
}

[[nodiscard]] static enum sl_peer_verdict
judge_response(const struct sl_peer *peer, const uint8_t *payload, struct sl_agreement *agreement)
{
	const struct sl_peer_local *local = peer->local;
	struct sl_hello answer;

	*agreement = agreement_wireguard();
	if (!local->noise.suite->has_hello)
		return SL_PEER_OK;
	if (!get_hello(&answer, payload) || !sl_hello_accept(agreement, &local->hello, &answer))
		return SL_PEER_NO_AGREEMENT;
	return SL_PEER_OK;
}

[[nodiscard]] static enum sl_peer_verdict
receive_response(
	struct sl_peer_local *local,
	const uint8_t *message,
	size_t nb_bytes,
	struct sl_peer_now now,
	struct sl_peer_output *out
)
{
	uint32_t sender, index = sl_get32le(message + 8);
	struct sl_peer *peer = local->by_index(local->context, index);
	uint8_t payload[SL_NOISE_PAYLOAD_MAX];
	struct sl_noise_handshake_key h;
	struct sl_agreement agreement;
	enum sl_peer_verdict verdict;
	struct sl_peer_slot slot;

	if (peer == NULL || !is_asking_under(peer, index))
		return SL_PEER_NOT_ASKED;
	h = peer->handshake;
	verdict = of_noise(sl_noise_read_response(
		&h, &local->noise, &peer->remote, message, nb_bytes, payload, &sender
	));
	if (verdict == SL_PEER_OK)
		verdict = judge_response(peer, payload, &agreement);
	if (verdict == SL_PEER_OK) {
		peer->has_handshake_index = false; // it goes on as the keypair's
		sl_peer_stop_asking(peer, out);
		slot = install(peer, &h, &agreement, index, sender, true, now.ns, out);
		sl_peer_drop_slot(&peer->next, out);
		sl_peer_promote(peer, slot, out);
		peer->answer_due_ns = UINT64_MAX;
		// The responder waits for a datagram before it seals anything.
		peer->last_sealed_ns = now.ns;
		sl_peer_emit(out, SL_PEER_KEEPALIVE);
		out->peer = peer;
	}
	sl_wipe(&h, sizeof(h));
	return verdict;
}

[[nodiscard]] static enum sl_peer_verdict
receive_cookie(
	struct sl_peer_local *local,
	const uint8_t *message,
	size_t nb_bytes,
	struct sl_peer_now now,
	struct sl_peer_output *out
)
{
	uint32_t index = sl_get32le(message + 4);
	struct sl_peer *peer = local->by_index(local->context, index);

	// About an initiation or about a response of ours.
	if (peer == NULL ||
	    !(is_asking_under(peer, index) || (peer->next.is_used && peer->next.index == index)))
		return SL_PEER_NOT_ASKED;
	if (!sl_cookie_take(&peer->jar, local->noise.suite, message, nb_bytes, now.ns))
		return SL_PEER_FORGED;
	// The retry at its time carries mac2: at once would let a flood of cookies make one of asking.
	out->peer = peer;
	return SL_PEER_OK;
}

[[nodiscard]] static enum sl_peer_verdict
check_macs(
	struct sl_peer_local *local,
	const uint8_t *message,
	size_t nb_bytes,
	const uint8_t source[SL_COOKIE_ADDRESS_BYTES],
	enum sl_peer_load load,
	struct sl_peer_now now,
	struct sl_peer_output *out
)
{
	struct sl_peer_event *e;

	switch (sl_cookie_check(&local->checker, message, nb_bytes, source, now.ns)) {
	case SL_COOKIE_INVALID:
		return SL_PEER_BAD_MAC;
	case SL_COOKIE_MAC2_VALID:
		return SL_PEER_OK;
	case SL_COOKIE_MAC1_ONLY:
	default:
		break;
	}
	if (load == SL_PEER_CALM)
		return SL_PEER_OK;
	e = sl_peer_emit(out, SL_PEER_SEND);
	e->to_source = true;
	e->nb_bytes = SL_COOKIE_REPLY_BYTES;
	if (sl_cookie_reply(&local->checker, message, nb_bytes, source, now.ns, e->bytes) != 0) {
		out->nb--;
		return SL_PEER_NO_MEANS;
	}
	return SL_PEER_COOKIE_SENT;
}

enum sl_peer_verdict
sl_peer_receive(
	struct sl_peer_local *local,
	const uint8_t *message,
	size_t nb_bytes,
	const uint8_t source[SL_COOKIE_ADDRESS_BYTES],
	enum sl_peer_load load,
	struct sl_peer_now now,
	struct sl_peer_output *out
)
{
	const struct sl_noise_suite *suite = local->noise.suite;
	uint32_t type = nb_bytes < 8 ? 0 : sl_get32le(message);
	bool initiation = type == suite->type_initiation &&
		nb_bytes == sl_noise_initiation_bytes(suite);
	bool response = type == suite->type_response && nb_bytes == sl_noise_response_bytes(suite);
	enum sl_peer_verdict verdict;

	if (type == suite->type_cookie_reply && nb_bytes == SL_COOKIE_REPLY_BYTES)
		return receive_cookie(local, message, nb_bytes, now, out);
	if (!initiation && !response)
		return SL_PEER_SHORT;
	verdict = check_macs(local, message, nb_bytes, source, load, now, out);
	if (verdict != SL_PEER_OK)
		return verdict;
	return initiation ? receive_initiation(local, message, nb_bytes, now, out)
			  : receive_response(local, message, nb_bytes, now, out);
}
