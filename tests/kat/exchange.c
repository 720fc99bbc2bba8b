// exchange: what a version of Sluice says on the wire, from fixed keys: both handshake messages with
// their hellos, and a sealed datagram of each cipher with one record of each type. The octets of released
// versions are files beside this; today's code must read each of them, and writes the newest the same,
// octet by octet, so that no change of the format goes unnoticed. SL_EXCHANGE_RECORD=FILE writes the file
// of this version instead.
#include "../lib/aead_openssl.h"
#include "sl_test.h"

#include <netinet/in.h>
#include <sluice/proto/aead.h>
#include <sluice/proto/bytes.h>
#include <sluice/proto/cookie.h>
#include <sluice/proto/hello.h>
#include <sluice/proto/keypair.h>
#include <sluice/proto/noise.h>
#include <sluice/proto/record.h>
#include <sluice/proto/tai64n.h>
#include <stdlib.h>
#include <string.h>

#define NEWEST      "tests/kat/vectors/exchange-0.1.txt"
#define HEADER      16u
#define TAG         16u
#define RECORDS     11u
#define PARTS       16u
#define INDEX_I     0x11223344u
#define INDEX_R     0x55667788u
#define MESSAGE_MAX 2048u

struct part {
	char name[32];
	uint8_t bytes[MESSAGE_MAX];
	size_t nb;
};

static struct part made[PARTS], read_back[PARTS];
static unsigned nb_made;
static struct sl_noise_local initiator, responder;
static struct sl_noise_remote of_initiator, of_responder;
static struct sl_noise_handshake_key hi, hr;
static struct sl_noise_private_key ephemeral_i, ephemeral_r;

static void
fill(uint8_t *out, size_t nb, uint8_t from)
{
	for (size_t i = 0; i < nb; i++)
		out[i] = (uint8_t)(from + 3 * i);
}

static void
setup_ends(void)
{
	struct sl_noise_private_key key_i, key_r;
	struct sl_noise_shared_key psk;

	fill(key_i.octets, 32, 1);
	fill(key_r.octets, 32, 2);
	fill(psk.octets, 32, 3);
	fill(ephemeral_i.octets, 32, 4);
	fill(ephemeral_r.octets, 32, 5);
	CU_ASSERT_EQUAL_FATAL(sl_noise_local_init(&initiator, &sl_noise_tunnel, &key_i), 0);
	CU_ASSERT_EQUAL_FATAL(sl_noise_local_init(&responder, &sl_noise_tunnel, &key_r), 0);
	CU_ASSERT_EQUAL_FATAL(
		sl_noise_remote_init(&of_initiator, &initiator, &responder.public, &psk), 0
	);
	CU_ASSERT_EQUAL_FATAL(
		sl_noise_remote_init(&of_responder, &responder, &initiator.public, &psk), 0
	);
}

static struct part *
add(const char *name, size_t nb)
{
	struct part *p = &made[nb_made++];

	CU_ASSERT_FATAL(nb_made <= PARTS && nb <= MESSAGE_MAX);
	memset(p, 0, sizeof(*p));
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->nb = nb;
	return p;
}

static void
put_macs(struct part *p, const struct sl_noise_public *to)
{
	struct sl_cookie_jar jar;

	sl_cookie_jar_init(&jar, &sl_noise_tunnel, to);
	sl_cookie_seal(&jar, p->bytes, p->nb, 0);
}

static void
hello_of(uint8_t *payload, bool is_answer)
{
	struct sl_hello hello = { .version = SL_HELLO_VERSION,
				  .nb_lanes = 8,
				  .nb_workers = is_answer ? 4 : 2,
				  .capabilities = SL_HELLO_TICKETS,
				  .incarnation = is_answer ? 0x0102030405060708u
							   : 0x1112131415161718u,
				  .ciphers = SL_HELLO_AES | SL_HELLO_CHACHA20,
				  .cipher = is_answer ? SL_CIPHER_AES256_GCM : SL_CIPHER_NONE };

	sl_hello_put((struct sl_wire_hello *)(void *)payload, &hello);
}

static const struct sl_noise_remote *
lookup(void *context, const struct sl_noise_public *public)
{
	(void)context;
	return sl_noise_public_equal(public, &initiator.public) ? &of_responder : NULL;
}

static void
make_handshake(void)
{
	uint8_t payload[SL_NOISE_PAYLOAD_MAX] = { 0 }, got[SL_NOISE_PAYLOAD_MAX];
	struct part *p = add("initiation", sl_noise_initiation_bytes(&sl_noise_tunnel));
	uint32_t index;

	fill(payload, SL_TAI64N_BYTES, 0x40);
	hello_of(payload + SL_TAI64N_BYTES, false);
	CU_ASSERT_EQUAL_FATAL(
		sl_noise_write_initiation(
			&hi, &initiator, &of_initiator, &ephemeral_i, INDEX_I, payload, p->bytes
		),
		SL_NOISE_OK
	);
	put_macs(p, &responder.public);
	CU_ASSERT_EQUAL_FATAL(
		sl_noise_read_initiation(
			&hr, &responder, lookup, NULL, p->bytes, p->nb, got, &index
		),
		SL_NOISE_OK
	);
	p = add("response", sl_noise_response_bytes(&sl_noise_tunnel));
	memset(payload, 0, sizeof(payload));
	hello_of(payload, true);
	CU_ASSERT_EQUAL_FATAL(
		sl_noise_write_response(
			&hr,
			&responder,
			&of_responder,
			&ephemeral_r,
			INDEX_R,
			INDEX_I,
			payload,
			p->bytes
		),
		SL_NOISE_OK
	);
	put_macs(p, &initiator.public);
}

// ---- Records ----------------------------------------------------------------------------------------

static const uint8_t name[] = "git.corp.example";
static const uint8_t transport[32] = { 1, 2, 3, 4, 5, 6, 7, 8, 0x50 };
static uint8_t flow_key[16], ticket[SL_WIRE_TICKET_BYTES];

static size_t
put_open(uint8_t *p)
{
	struct sl_open open = { .flow = 0x01000005,
				.generation = 7,
				.open_flags = SL_OPEN_RESUME,
				.protocol = IPPROTO_TCP,
				.destination_kind = SL_DESTINATION_NAME,
				.destination_bytes = sizeof(name) - 1,
				.port = 443,
				.destination = name,
				.flow_key = flow_key };
	struct sl_rec rec = { .type = SL_RECORD_OPEN,
			      .flags = SL_RECORD_TOS_TTL,
			      .tos = 0x2e,
			      .ttl = 61,
			      .nb_bytes = sl_open_bytes(sizeof(name) - 1) + sizeof(transport) };
	size_t nb = sl_rec_put(p, &rec);

	nb += sl_open_put(p + nb, &open);
	memcpy(p + nb, transport, sizeof(transport));
	return nb + sizeof(transport);
}

static size_t
put_data(uint8_t *p)
{
	struct sl_rec rec = { .type = SL_RECORD_DATA,
			      .flags = SL_RECORD_FRAGMENT,
			      .generation = 9,
			      .flow = 0x02000006,
			      .fragment_id = 0x1234,
			      .fragment_offset_bytes = 512,
			      .more = true,
			      .nb_bytes = sizeof(transport) };
	size_t nb = sl_rec_put(p, &rec);

	memcpy(p + nb, transport, sizeof(transport));
	return nb + sizeof(transport);
}

static size_t
put_reopen(uint8_t *p)
{
	struct sl_reopen reopen = { .flow = 0x03000007, .generation = 11, .ticket = ticket };
	struct sl_rec rec = { .type = SL_RECORD_REOPEN,
			      .nb_bytes = SL_REOPEN_BODY_BYTES + sizeof(transport) };
	size_t nb = sl_rec_put(p, &rec);

	sl_reopen_put(p + nb, &reopen);
	memcpy(p + nb + SL_REOPEN_BODY_BYTES, transport, sizeof(transport));
	return nb + SL_REOPEN_BODY_BYTES + sizeof(transport);
}

static size_t
put_small(uint8_t *p)
{
	struct sl_error error = { .icmp_type = 3,
				  .icmp_code = 4,
				  .mtu = 1280,
				  .l4_bytes = 1400,
				  .quoted_bytes = 8,
				  .quoted = transport };
	struct sl_heartbeat beat = { .state = SL_HEARTBEAT_READY | SL_HEARTBEAT_DRAINING,
				     .load = 0x8001,
				     .sequence = 77,
				     .timestamp_ns = 0x1122334455667788u };
	struct sl_lane_report lane = { .lane = 5, .worker = 1, .owner = 2 };
	struct sl_resolve resolve = { .token = 0xcafe,
				      .is_answer = true,
				      .has_more = true,
				      .offset = 16,
				      .message = transport,
				      .nb_bytes = sizeof(transport) };
	uint8_t *at = p;

	sl_accept_put(at, 0x01000005, 7, 0x02000006, 9);
	at += SL_REC_ACCEPT_BYTES;
	sl_close_put(at, SL_RECORD_CLOSE, 0x02000006, 9, SL_CLOSE_POLICY);
	at += SL_REC_CLOSE_BYTES;
	sl_close_put(at, SL_RECORD_REJECT, 0x01000005, 7, SL_CLOSE_NO_FLOW);
	at += SL_REC_CLOSE_BYTES;
	at += sl_error_put(at, 256, 0x01000005, 7, &error);
	at += sl_resolve_put(at, &resolve);
	memcpy(at, transport, sizeof(transport));
	at += sizeof(transport);
	sl_heartbeat_put(at, &beat);
	at += SL_REC_HEARTBEAT_BYTES;
	sl_lane_report_put(at, &lane);
	at += SL_REC_LANE_BYTES;
	memcpy(sl_ticket_record_put(at, 0x02000006, 9), ticket, sizeof(ticket));
	return (size_t)(at + SL_REC_TICKET_BYTES - p);
}

// ---- Datagrams ---------------------------------------------------------------------------------------

static struct sl_aead *engine;

// Header of 16 octets (type 8, flags, lane, receiver, counter), sealed records, tag.
static void
crypt(struct part *p, const uint8_t raw[32], enum sl_cipher cipher, bool is_sealing, bool *is_good)
{
	static struct sl_aead_key key;
	struct sl_aead_op op = { .key = key.expanded,
				 .cipher = (uint8_t)cipher,
				 .data = p->bytes + HEADER,
				 .tag = p->bytes + p->nb - TAG,
				 .aad = p->bytes,
				 .nb_bytes = (uint32_t)(p->nb - HEADER - TAG),
				 .nb_aad_bytes = HEADER };

	// 16 zero bits, lane, counter.
	memcpy(op.nonce + 2, p->bytes + 2, 2);
	memcpy(op.nonce + 4, p->bytes + 8, 8);
	engine->ops->expand(engine, &key, cipher, raw);
	(is_sealing ? engine->ops->seal : engine->ops->open)(engine, &op, 1);
	*is_good = op.authentic;
}

static void
make_datagram(const char *title, enum sl_cipher cipher)
{
	struct sl_transport_key key;
	struct part *p = add(title, 0);
	uint8_t *at = p->bytes + HEADER;
	bool is_good;

	p->bytes[0] = 8;
	sl_put16(p->bytes + 2, 5);
	sl_put32(p->bytes + 4, INDEX_R);
	sl_put64(p->bytes + 8, 0x0000000100000002u);
	at += put_open(at);
	at += put_data(at);
	at += put_small(at);
	at += put_reopen(at);
	p->nb = (size_t)(at - p->bytes) + TAG;
	sl_noise_split(&hi, &sl_noise_tunnel, cipher, true, &key);
	crypt(p, key.seal, cipher, true, &is_good);
}

static void
make_all(void)
{
	nb_made = 0;
	fill(flow_key, sizeof(flow_key), 6);
	fill(ticket, sizeof(ticket), 7);
	setup_ends();
	make_handshake();
	// The initiator's end of it.
	uint8_t got[SL_NOISE_PAYLOAD_MAX];
	uint32_t index;

	CU_ASSERT_EQUAL_FATAL(
		sl_noise_read_response(
			&hi, &initiator, &of_initiator, made[1].bytes, made[1].nb, got, &index
		),
		SL_NOISE_OK
	);
	make_datagram("aes-256-gcm", SL_CIPHER_AES256_GCM);
	make_datagram("chacha20-poly1305", SL_CIPHER_CHACHA20_POLY1305);
}

// ---- The file ------------------------------------------------------------------------------------------

static void
write_file(const char *path)
{
	FILE *f = fopen(path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	for (unsigned i = 0; i < nb_made; i++) {
		fprintf(f, "%s ", made[i].name);
		for (size_t k = 0; k < made[i].nb; k++)
			fprintf(f, "%02x", made[i].bytes[k]);
		fputc('\n', f);
	}
	fclose(f);
}

static unsigned
read_file(const char *path)
{
	static char hex[2 * MESSAGE_MAX + 1];
	FILE *f = fopen(path, "r");
	unsigned nb = 0, octet;

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	memset(read_back, 0, sizeof(read_back));
	while (nb < PARTS && fscanf(f, "%31s %4096s", read_back[nb].name, hex) == 2) {
		for (size_t k = 0; hex[2 * k] != '\0' && sscanf(hex + 2 * k, "%2x", &octet) == 1;
		     k++)
			read_back[nb].bytes[read_back[nb].nb++] = (uint8_t)octet;
		nb++;
	}
	fclose(f);
	return nb;
}

// ---- Cases -----------------------------------------------------------------------------------------------

static void
test_written(void)
{
	const char *record = getenv("SL_EXCHANGE_RECORD");
	unsigned nb;

	make_all();
	if (record != NULL)
		write_file(record);
	nb = read_file(NEWEST);
	CU_ASSERT_EQUAL(nb, nb_made);
	for (unsigned i = 0; i < nb; i++) {
		SL_ASSERT_ROW(strcmp(read_back[i].name, made[i].name) == 0, made[i].name);
		SL_ASSERT_ROW(
			read_back[i].nb == made[i].nb &&
				memcmp(read_back[i].bytes, made[i].bytes, made[i].nb) == 0,
			made[i].name
		);
	}
}

static void
take_hello(const uint8_t *payload, bool is_answer)
{
	struct sl_hello hello,
		own = { .version = SL_HELLO_VERSION,
			.nb_lanes = 8,
			.nb_workers = 1,
			.ciphers = SL_HELLO_AES | SL_HELLO_CHACHA20,
			.capabilities = SL_HELLO_TICKETS };
	struct sl_agreement agreement;

	CU_ASSERT_TRUE_FATAL(
		sl_hello_get(&hello, (const struct sl_wire_hello *)(const void *)payload)
	);
	CU_ASSERT_TRUE(
		is_answer ? sl_hello_accept(&agreement, &own, &hello)
			  : sl_hello_choose(&agreement, &own, &hello)
	);
	CU_ASSERT_EQUAL(agreement.cipher, SL_CIPHER_AES256_GCM);
	CU_ASSERT_EQUAL(agreement.nb_lanes, 8);
	CU_ASSERT_EQUAL(agreement.capabilities, SL_HELLO_TICKETS);
	CU_ASSERT_EQUAL(
		agreement.incarnation, is_answer ? 0x0102030405060708u : 0x1112131415161718u
	);
}

static void
take_handshake(void)
{
	uint8_t payload[SL_NOISE_PAYLOAD_MAX], source[SL_COOKIE_ADDRESS_BYTES] = { 0 };
	struct sl_cookie_checker checker;
	uint32_t index;

	sl_cookie_checker_init(&checker, &sl_noise_tunnel, &responder.public);
	CU_ASSERT_EQUAL(
		sl_cookie_check(&checker, read_back[0].bytes, read_back[0].nb, source, 0),
		SL_COOKIE_MAC1_ONLY
	);
	CU_ASSERT_EQUAL_FATAL(
		sl_noise_read_initiation(
			&hr,
			&responder,
			lookup,
			NULL,
			read_back[0].bytes,
			read_back[0].nb,
			payload,
			&index
		),
		SL_NOISE_OK
	);
	CU_ASSERT_EQUAL(index, INDEX_I);
	take_hello(payload + SL_TAI64N_BYTES, false);
	CU_ASSERT_EQUAL_FATAL(
		sl_noise_read_response(
			&hi,
			&initiator,
			&of_initiator,
			read_back[1].bytes,
			read_back[1].nb,
			payload,
			&index
		),
		SL_NOISE_OK
	);
	CU_ASSERT_EQUAL(index, INDEX_R);
	take_hello(payload, true);
}

static bool
is_sound(const struct sl_rec *rec)
{
	enum sl_close_reason reason;
	struct sl_open open;
	struct sl_accept accept;
	struct sl_error error;
	struct sl_resolve resolve;
	struct sl_heartbeat beat;
	struct sl_lane_report lane;
	struct sl_reopen reopen;
	const uint8_t *got;

	switch (rec->type) {
	case SL_RECORD_DATA:
		return rec->fragment_offset_bytes == 512 && rec->more && rec->nb_bytes == 32;
	case SL_RECORD_OPEN:
		return sl_open_parse(rec, &open) == SL_BODY_OK && open.port == 443 &&
			rec->ttl == 61 && open.destination_bytes == sizeof(name) - 1 &&
			memcmp(open.flow_key, flow_key, 16) == 0;
	case SL_RECORD_ACCEPT:
		return sl_accept_parse(rec, &accept) == SL_BODY_OK && accept.generation == 9;
	case SL_RECORD_CLOSE:
		return sl_close_parse(rec, &reason) == SL_BODY_OK && reason == SL_CLOSE_POLICY;
	case SL_RECORD_REJECT:
		return sl_close_parse(rec, &reason) == SL_BODY_OK && reason == SL_CLOSE_NO_FLOW;
	case SL_RECORD_ERROR:
		return sl_error_parse(rec, &error) == SL_BODY_OK && error.mtu == 1280;
	case SL_RECORD_RESOLVE:
		return sl_resolve_parse(rec, &resolve) == SL_BODY_OK && resolve.token == 0xcafe;
	case SL_RECORD_HEARTBEAT:
		return sl_heartbeat_parse(rec, &beat) == SL_BODY_OK && beat.load == 0x8001;
	case SL_RECORD_LANE:
		return sl_lane_report_parse(rec, &lane) == SL_BODY_OK && lane.owner == 2;
	case SL_RECORD_TICKET:
		return sl_ticket_record_parse(rec, &got) == SL_BODY_OK &&
			memcmp(got, ticket, sizeof(ticket)) == 0;
	case SL_RECORD_REOPEN:
		return sl_reopen_parse(rec, &reopen) == SL_BODY_OK && reopen.generation == 11;
	default:
		return false;
	}
}

static void
take_datagram(struct part *p, enum sl_cipher cipher)
{
	struct sl_transport_key key;
	struct sl_recs recs;
	struct sl_rec rec;
	enum sl_rec_verdict verdict;
	unsigned nb = 0;
	bool is_good;

	sl_noise_split(&hi, &sl_noise_tunnel, cipher, true, &key);
	crypt(p, key.seal, cipher, false, &is_good);
	CU_ASSERT_TRUE_FATAL(is_good);
	recs = sl_recs_begin(p->bytes + HEADER, p->nb - HEADER - TAG);
	while ((verdict = sl_recs_next(&recs, &rec)) == SL_REC_OK) {
		CU_ASSERT_TRUE(is_sound(&rec));
		nb++;
	}
	CU_ASSERT_EQUAL(verdict, SL_REC_END);
	CU_ASSERT_EQUAL(nb, RECORDS);
}

static void
test_read(void)
{
	static const char *const versions[] = { NEWEST };

	for (unsigned i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		make_all(); // our end of the handshake
		CU_ASSERT_EQUAL_FATAL(read_file(versions[i]), 4);
		// The state before message 2, which reading it takes further.
		nb_made = 0;
		make_handshake();
		take_handshake();
		take_datagram(&read_back[2], SL_CIPHER_AES256_GCM);
		take_datagram(&read_back[3], SL_CIPHER_CHACHA20_POLY1305);
	}
}

static int
setup(void)
{
	engine = sl_aead_openssl_create();
	return engine == NULL ? -1 : 0;
}

static int
teardown(void)
{
	sl_aead_openssl_destroy(engine);
	return 0;
}

static const struct sl_test_case cases[] = {
	{ "E7: what released versions said on the wire is read: hellos, both ciphers, each record",
	  test_read },
	{ "E7: this version says the same as recorded, octet by octet", test_written },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]), setup, teardown);
}
