#include "peer_pair.h"

#include <sluice/proto/limits.h>
#include <stdlib.h>
#include <string.h>

static struct sl_peer *
by_public(void *context, const struct sl_noise_public *public)
{
	struct pair_end *end = context;

	return sl_noise_public_equal(public, &end->peer.remote.public) ? &end->peer : NULL;
}

static struct sl_peer *
by_index(void *context, uint32_t index)
{
	struct pair_end *end = context;

	return index - end->base < PAIR_INDICES && end->live[index - end->base] ? &end->peer : NULL;
}

static bool
take_index(void *context, struct sl_peer *peer, uint32_t *index)
{
	struct pair_end *end = context;

	(void)peer;
	if (end->nb_indices == PAIR_INDICES)
		return false;
	end->live[end->nb_indices] = true;
	*index = end->base + end->nb_indices++;
	return true;
}

static void
must(bool ok)
{
	if (!ok)
		abort();
}

static void
local_init(
	struct pair_end *end,
	const struct sl_noise_suite *suite,
	const struct sl_noise_private_key *key,
	uint64_t incarnation
)
{
	must(sl_peer_local_init(&end->local, suite, key) == SL_NOISE_OK);
	end->local.context = end;
	end->local.by_public = by_public;
	end->local.by_index = by_index;
	end->local.take_index = take_index;
	end->local.hello = (struct sl_hello){
		.version = SL_HELLO_VERSION,
		.nb_lanes = 8,
		.nb_workers = 4,
		.incarnation = incarnation,
		.ciphers = SL_HELLO_AES | SL_HELLO_CHACHA20,
	};
	sl_tai64n_floor_is(&end->local.clock, UINT64_MAX);
}

void
pair_init(
	struct pair *p,
	const struct sl_noise_suite *suite,
	const struct sl_noise_shared_key *preshared,
	uint8_t flags,
	uint16_t keepalive_s
)
{
	struct sl_noise_private_key a, b;

	memset(p, 0, sizeof(*p));
	p->now = (struct sl_peer_now){ .ns = 1000 * SL_NS_PER_S,
				       .wall_ns = 1800000000ull * SL_NS_PER_S };
	p->initiator.base = 0x10000;
	p->responder.base = 0x20000;
	must(sl_noise_generate(&a) == 0 && sl_noise_generate(&b) == 0);
	local_init(&p->initiator, suite, &a, 0xa);
	local_init(&p->responder, suite, &b, 0xb);
	must(sl_peer_init(
		     &p->initiator.peer,
		     &p->initiator.local,
		     &p->responder.local.noise.public,
		     preshared,
		     flags,
		     keepalive_s
	     ) == SL_NOISE_OK);
	must(sl_peer_init(
		     &p->responder.peer,
		     &p->responder.local,
		     &p->initiator.local.noise.public,
		     preshared,
		     0,
		     0
	     ) == SL_NOISE_OK);
}

void
pair_fini(struct pair *p)
{
	sl_peer_fini(&p->initiator.peer, &p->initiator.out);
	sl_peer_fini(&p->responder.peer, &p->responder.out);
	sl_wipe(p, sizeof(*p));
}

void
pair_restart(struct pair *p, struct pair_end *end, uint8_t flags)
{
	const struct pair_end *other = end == &p->initiator ? &p->responder : &p->initiator;
	struct sl_noise_private_key key = end->local.noise.key;
	struct sl_noise_shared_key preshared = end->peer.remote.preshared;
	struct sl_hello hello = end->local.hello;
	uint64_t last_ns = end->local.clock.last_ns;

	sl_peer_fini(&end->peer, &end->out);
	pair_book(end);
	hello.incarnation++;
	local_init(end, other->local.noise.suite, &key, hello.incarnation);
	end->local.hello = hello;
	sl_tai64n_clock_init(&end->local.clock, last_ns);
	sl_tai64n_floor_is(&end->local.clock, UINT64_MAX);
	must(sl_peer_init(
		     &end->peer, &end->local, &other->local.noise.public, &preshared, flags, 0
	     ) == SL_NOISE_OK);
}

static void
book_event(struct pair_end *end, const struct sl_peer_event *e)
{
	switch (e->type) {
	case SL_PEER_SEND:
		memcpy(end->message, e->bytes, e->nb_bytes);
		end->nb_bytes = e->nb_bytes;
		end->to_source = e->to_source;
		break;
	case SL_PEER_INSTALL:
		end->installed[e->key.local_index - end->base] = true;
		end->keys[e->key.local_index - end->base] = e->key;
		break;
	case SL_PEER_CONFIRMED:
		must(end->installed[e->index - end->base]);
		end->sealing = e->index;
		end->agreement = e->agreement;
		end->nb_sealing++;
		break;
	case SL_PEER_RELEASE:
		must(end->live[e->index - end->base]);
		end->live[e->index - end->base] = false;
		end->installed[e->index - end->base] = false;
		break;
	case SL_PEER_KEEPALIVE:
		end->nb_keepalives++;
		break;
	case SL_PEER_RESTARTED:
		end->nb_restarted++;
		break;
	case SL_PEER_EXPIRED:
		end->nb_expired++;
		break;
	case SL_PEER_GAVE_UP:
		end->nb_gave_up++;
		break;
	}
}

void
pair_book(struct pair_end *end)
{
	for (unsigned i = 0; i < end->out.nb; i++)
		book_event(end, &end->out.events[i]);
	sl_peer_output_wipe(&end->out);
}

enum sl_peer_verdict
pair_give(
	struct pair *p,
	struct pair_end *end,
	const uint8_t *bytes,
	size_t nb,
	enum sl_peer_load load
)
{
	static const uint8_t source[SL_COOKIE_ADDRESS_BYTES] = { 10, 1, 1, 1 };
	enum sl_peer_verdict verdict = sl_peer_receive(
		&end->local, bytes, nb, source, load, p->now, &end->out
	);

	pair_book(end);
	return verdict;
}

enum sl_peer_verdict
pair_deliver(struct pair *p, struct pair_end *from, struct pair_end *to)
{
	size_t nb = from->nb_bytes;

	from->nb_bytes = 0;
	return pair_give(p, to, from->message, nb, SL_PEER_CALM);
}

void
pair_initiate(struct pair *p)
{
	sl_peer_initiate(&p->initiator.peer, p->now, &p->initiator.out);
	pair_book(&p->initiator);
}

void
pair_run(struct pair *p, struct pair_end *end)
{
	sl_peer_run(&end->peer, p->now, &end->out);
	pair_book(end);
}

void
pair_pass(struct pair *p, uint64_t ns)
{
	p->now.ns += ns;
	p->now.wall_ns += ns;
}

void
pair_data(struct pair *p, struct pair_end *from, struct pair_end *to)
{
	const struct sl_transport_key *key = &from->keys[from->sealing - from->base];

	must(from->installed[from->sealing - from->base]);
	sl_peer_note_sealed(&from->peer, SL_PEER_DATA, p->now, &from->out);
	pair_book(from);
	if (!to->installed[key->remote_index - to->base])
		return;
	sl_peer_note_opened(&to->peer, key->remote_index, SL_PEER_DATA, p->now, &to->out);
	pair_book(to);
}

bool
pair_handshake(struct pair *p)
{
	pair_initiate(p);
	if (p->initiator.nb_bytes == 0 ||
	    pair_deliver(p, &p->initiator, &p->responder) != SL_PEER_OK ||
	    pair_deliver(p, &p->responder, &p->initiator) != SL_PEER_OK)
		return false;
	pair_data(p, &p->initiator, &p->responder);
	return true;
}
