// Handshake messages of both suites at both ends: the first octet chooses suite, end and load, the
// rest is the datagram. Nothing unauthentic may change a peer, and no key of ours opens what a fuzzer
// makes, so every verdict but OK is right.
#include "../lib/peer_pair.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static struct pair *
pair_of(unsigned suite)
{
	static struct pair pairs[2];
	static bool is_made;

	if (!is_made) {
		pair_init(&pairs[0], &sl_noise_tunnel, NULL, SL_PEER_INITIATES, 0);
		pair_init(&pairs[1], &sl_noise_wireguard, NULL, SL_PEER_INITIATES, 0);
		pair_initiate(&pairs[0]);
		pair_initiate(&pairs[1]);
		is_made = true;
	}
	return &pairs[suite];
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t nb_bytes)
{
	struct pair *p;
	struct pair_end *end;
	struct sl_peer before;
	uint8_t message[256], index[4];
	size_t at;

	if (nb_bytes < 1 || nb_bytes > sizeof(message))
		return 0;
	p = pair_of(data[0] & 1);
	end = (data[0] & 2) != 0 ? &p->responder : &p->initiator;
	before = end->peer;
	memcpy(message, data + 1, nb_bytes - 1);
	// An index that is really asked under, which a fuzzer would not find.
	at = (data[0] & 8) != 0 ? 4 : 8;
	if ((data[0] & 16) != 0 && nb_bytes - 1 >= at + 4) {
		memcpy(index, &p->initiator.peer.handshake_index, sizeof(index));
		memcpy(message + at, index, sizeof(index));
	}
	// And a mac1 that is right.
	if ((data[0] & 32) != 0 && nb_bytes - 1 >= 40) {
		struct sl_cookie_jar jar;

		sl_cookie_jar_init(&jar, end->local.noise.suite, &end->local.noise.public);
		sl_cookie_seal(&jar, message, nb_bytes - 1, p->now.ns);
	}
	if (pair_give(
		    p,
		    end,
		    message,
		    nb_bytes - 1,
		    (data[0] & 4) != 0 ? SL_PEER_UNDER_LOAD : SL_PEER_CALM
	    ) == SL_PEER_OK)
		abort();
	if (memcmp(&before, &end->peer, sizeof(before)) != 0)
		abort();
	return 0;
}
