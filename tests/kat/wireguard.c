// wireguard: handshakes and datagrams that the Linux kernel's WireGuard sent, with the keys it used.
// Ours must read each, and with the same keys write the same octets, MACs included.
#include "sl_test.h"
#include "vectors.h"

#include <sluice/dp/crypto.h>
#include <sluice/proto/cookie.h>
#include <sluice/proto/noise.h>
#include <string.h>

#define MAX_BYTES 2048u

// One published handshake, and both ends of it.
struct handshake {
	const json_t *json;
	const char *name;
	uint8_t initiation[SL_NOISE_MESSAGE_MAX], response[SL_NOISE_MESSAGE_MAX];
	struct sl_noise_private_key ephemeral_i, ephemeral_r;
	struct sl_noise_local initiator, responder;
	struct sl_noise_remote of_initiator, of_responder; // who the other is
	struct sl_noise_handshake_key hi, hr;
};

static void
key_of(uint8_t out[32], const json_t *json, const char *name)
{
	CU_ASSERT_FATAL(vectors_hex(out, 32, vectors_text(json, name)) == 32);
}

static void
handshake_load(struct handshake *h, const json_t *json)
{
	const struct sl_noise_suite *suite = &sl_noise_wireguard;
	bool has_psk = vectors_text(json, "preshared")[0] != '\0';
	struct sl_noise_shared_key psk;
	struct sl_noise_private_key key;

	memset(h, 0, sizeof(*h));
	h->json = json;
	h->name = vectors_text(json, "name");
	if (has_psk)
		key_of(psk.octets, json, "preshared");
	key_of(h->ephemeral_i.octets, json, "initiator_ephemeral");
	key_of(h->ephemeral_r.octets, json, "responder_ephemeral");
	CU_ASSERT_EQUAL(
		vectors_hex(h->initiation, sizeof(h->initiation), vectors_text(json, "initiation")),
		sl_noise_initiation_bytes(suite)
	);
	CU_ASSERT_EQUAL(
		vectors_hex(h->response, sizeof(h->response), vectors_text(json, "response")),
		sl_noise_response_bytes(suite)
	);
	key_of(key.octets, json, "initiator_static");
	CU_ASSERT_EQUAL(sl_noise_local_init(&h->initiator, suite, &key), SL_NOISE_OK);
	key_of(key.octets, json, "responder_static");
	CU_ASSERT_EQUAL(sl_noise_local_init(&h->responder, suite, &key), SL_NOISE_OK);
	CU_ASSERT_EQUAL(
		sl_noise_remote_init(
			&h->of_initiator, &h->initiator, &h->responder.public, has_psk ? &psk : NULL
		),
		SL_NOISE_OK
	);
	CU_ASSERT_EQUAL(
		sl_noise_remote_init(
			&h->of_responder, &h->responder, &h->initiator.public, has_psk ? &psk : NULL
		),
		SL_NOISE_OK
	);
}

static const struct sl_noise_remote *
lookup(void *context, const struct sl_noise_public *public)
{
	const struct handshake *h = context;

	return sl_noise_public_equal(public, &h->initiator.public) ? &h->of_responder : NULL;
}

// The MACs of a message to `to`, whose others are filled in.
static void
put_macs(uint8_t *message, size_t nb_bytes, const struct sl_noise_public *to)
{
	struct sl_cookie_jar jar;

	sl_cookie_jar_init(&jar, &sl_noise_wireguard, to);
	sl_cookie_seal(&jar, message, nb_bytes, 0);
}

// The responder reads message 1; the initiator, given what it says, writes the same.
static void
hold_initiation(struct handshake *h)
{
	size_t nb = sl_noise_initiation_bytes(&sl_noise_wireguard);
	uint8_t payload[SL_NOISE_PAYLOAD_MAX], ours[SL_NOISE_MESSAGE_MAX] = { 0 };
	uint8_t source[SL_COOKIE_ADDRESS_BYTES] = { 0 };
	struct sl_cookie_checker checker;
	uint32_t sender = 0;

	sl_cookie_checker_init(&checker, &sl_noise_wireguard, &h->responder.public);
	SL_ASSERT_ROW(
		sl_cookie_check(&checker, h->initiation, nb, source, 0) == SL_COOKIE_MAC1_ONLY,
		h->name
	);
	SL_ASSERT_ROW(
		sl_noise_read_initiation(
			&h->hr, &h->responder, lookup, h, h->initiation, nb, payload, &sender
		) == SL_NOISE_OK,
		h->name
	);
	SL_ASSERT_ROW(
		sl_noise_write_initiation(
			&h->hi,
			&h->initiator,
			&h->of_initiator,
			&h->ephemeral_i,
			sender,
			payload,
			ours
		) == SL_NOISE_OK,
		h->name
	);
	put_macs(ours, nb, &h->responder.public);
	SL_ASSERT_ROW(memcmp(ours, h->initiation, nb) == 0, h->name);
}

static void
hold_response(struct handshake *h)
{
	size_t nb = sl_noise_response_bytes(&sl_noise_wireguard);
	uint8_t payload[SL_NOISE_PAYLOAD_MAX] = { 0 }, ours[SL_NOISE_MESSAGE_MAX] = { 0 };
	uint32_t sender = 0;

	SL_ASSERT_ROW(
		sl_noise_read_response(
			&h->hi, &h->initiator, &h->of_initiator, h->response, nb, payload, &sender
		) == SL_NOISE_OK,
		h->name
	);
	SL_ASSERT_ROW(
		sl_noise_write_response(
			&h->hr,
			&h->responder,
			&h->of_responder,
			&h->ephemeral_r,
			sender,
			sl_get32le(h->initiation + 4),
			payload,
			ours
		) == SL_NOISE_OK,
		h->name
	);
	put_macs(ours, nb, &h->initiator.public);
	SL_ASSERT_ROW(memcmp(ours, h->response, nb) == 0, h->name);
}

static void
test_handshakes(void)
{
	json_t *root = vectors_json("wireguard.json");
	const json_t *json;
	struct handshake h;
	size_t i;

	json_array_foreach(json_object_get(root, "handshakes"), i, json)
	{
		handshake_load(&h, json);
		hold_initiation(&h);
		hold_response(&h);
		SL_ASSERT_ROW(memcmp(h.hi.hash, h.hr.hash, sizeof(h.hi.hash)) == 0, h.name);
	}
	CU_ASSERT_EQUAL(i, 4);
	json_decref(root);
}

#define MTU_BYTES 1420u // of the device; a packet is not padded beyond it

// Is it a keepalive, or an IPv4 packet with no more behind it than padding to 16 octets?
static bool
is_inner(const uint8_t *data, size_t nb_bytes)
{
	if (nb_bytes == 0)
		return true;
	return (nb_bytes % 16 == 0 || nb_bytes == MTU_BYTES) && data[0] >> 4 == 4 &&
		sl_get16(data + 2) <= nb_bytes && nb_bytes - sl_get16(data + 2) < 16;
}

// Open a datagram, and seal what was in it again under the number it has.
static void
hold_datagram(struct sl_aead *engine, const struct sl_aead_key *key, const json_t *json)
{
	uint8_t published[MAX_BYTES], work[MAX_BYTES], header[16];
	const char *hex = vectors_text(json, "bytes");
	size_t nb = vectors_hex(published, sizeof(published), hex);
	uint64_t counter = sl_get64le(published + 8);
	struct sl_aead_op op = { .key = key->expanded, .cipher = SL_CIPHER_CHACHA20_POLY1305 };

	CU_ASSERT_FATAL(nb >= SL_WG_DATA_MIN_BYTES);
	memcpy(work, published, nb);
	op.data = work + 16;
	op.nb_bytes = (uint32_t)(nb - SL_WG_DATA_MIN_BYTES);
	op.tag = op.data + op.nb_bytes;
	sl_keypair_nonce_wireguard(op.nonce, counter);
	engine->ops->open(engine, &op, 1);
	SL_ASSERT_ROW(op.authentic && is_inner(op.data, op.nb_bytes), hex);
	memset(op.tag, 0, SL_AEAD_TAG_BYTES);
	engine->ops->seal(engine, &op, 1);
	SL_ASSERT_ROW(memcmp(work, published, nb) == 0, hex);
	sl_keypair_header_wireguard(header, sl_get32le(published + 4), counter);
	SL_ASSERT_ROW(memcmp(header, published, sizeof(header)) == 0, hex);
}

static unsigned
hold_transport(struct sl_aead *engine, const struct handshake *h)
{
	struct sl_transport_key key = { 0 };
	struct sl_aead_key seal, open;
	const json_t *json;
	size_t i;

	sl_noise_split(&h->hi, &sl_noise_wireguard, SL_CIPHER_CHACHA20_POLY1305, true, &key);
	engine->ops->expand(engine, &seal, key.cipher, key.seal);
	engine->ops->expand(engine, &open, key.cipher, key.open);
	json_array_foreach(json_object_get(h->json, "transport"), i, json)
	{
		bool by_initiator = json_is_true(json_object_get(json, "by_initiator"));

		hold_datagram(engine, by_initiator ? &seal : &open, json);
	}
	return (unsigned)i;
}

static void
test_transport(void)
{
	struct sl_aead *engine = sl_aead_create(SL_AEAD_BEST);
	json_t *root = vectors_json("wireguard.json");
	const json_t *json;
	struct handshake h;
	unsigned nb = 0;
	size_t i;

	CU_ASSERT_PTR_NOT_NULL_FATAL(engine);
	json_array_foreach(json_object_get(root, "handshakes"), i, json)
	{
		handshake_load(&h, json);
		hold_initiation(&h);
		hold_response(&h);
		nb += hold_transport(engine, &h);
	}
	CU_ASSERT_EQUAL(nb, 18);
	json_decref(root);
	sl_aead_destroy(engine);
}

static const struct sl_test_case cases[] = {
	{ "D1: handshakes of the Linux kernel, with and without a PSK, are read and written alike",
	  test_handshakes },
	{ "D1: datagrams of the Linux kernel open, and seal to the same octets", test_transport },
};

SL_TEST_MAIN(cases)
