// aead: the engines against OpenSSL on random packets, and what must never happen around them.
// SL_TEST_LONG=1 in the environment runs millions of packets instead of some 100,000.
#include "aead_openssl.h"
#include "sl_test.h"

#include <sluice/dp/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_OPS   64u
#define MAX_BYTES 1500u
#define MAX_AAD   69u
#define NB_KEYS   64u
#define HUGE      65535u

struct packet {
	uint8_t data[MAX_BYTES];
	uint8_t tag[SL_AEAD_TAG_BYTES];
	uint8_t aad[MAX_AAD];
};

static struct sl_aead *reference, *engines[2];
static struct packet plain[MAX_OPS], ours[MAX_OPS], theirs[MAX_OPS];
static struct sl_aead_key our_keys[2][NB_KEYS], their_keys[NB_KEYS];
static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t
rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1du;
}

static void
fill(void *p, size_t nb_bytes)
{
	uint8_t *at = p;
	uint64_t r;

	for (; nb_bytes >= 8; nb_bytes -= 8, at += 8) {
		r = rnd();
		memcpy(at, &r, 8);
	}
	r = rnd();
	memcpy(at, &r, nb_bytes);
}

// Of the key with this number.
static uint8_t
cipher_of(unsigned key)
{
	return key & 1 ? SL_CIPHER_AES256_GCM : SL_CIPHER_CHACHA20_POLY1305;
}

static void
make_keys(void)
{
	for (unsigned i = 0; i < NB_KEYS; i++) {
		enum sl_cipher cipher = cipher_of(i);
		uint8_t raw[SL_AEAD_KEY_BYTES];

		fill(raw, sizeof(raw));
		reference->ops->expand(reference, &their_keys[i], cipher, raw);
		for (unsigned e = 0; e < 2; e++)
			engines[e]->ops->expand(engines[e], &our_keys[e][i], cipher, raw);
	}
}

static int
setup(void)
{
	reference = sl_aead_openssl_create();
	engines[0] = sl_aead_create(SL_AEAD_IPSEC_MB);
	engines[1] = sl_aead_create(SL_AEAD_BEST);
	if (!reference || !engines[0] || !engines[1])
		return -1;
	make_keys();
	return 0;
}

static int
teardown(void)
{
	sl_aead_openssl_destroy(reference);
	for (unsigned e = 0; e < 2; e++)
		sl_aead_destroy(engines[e]);
	return 0;
}

static void
point(struct sl_aead_op *op, struct packet *packet, const struct sl_aead_key *key)
{
	op->data = packet->data;
	op->tag = packet->tag;
	op->aad = packet->aad;
	op->key = key->expanded;
}

// Small packets as often as large, so that short tails of every length meet often.
static uint32_t
random_length(void)
{
	return (uint32_t)(rnd() % (rnd() & 1 ? MAX_BYTES + 1 : 130));
}

static bool
same(const struct sl_aead_op *a, const struct sl_aead_op *b)
{
	return memcmp(a->data, b->data, a->nb_bytes) == 0 && memcmp(a->tag, b->tag, 16) == 0;
}

// Seal with both, compare; forge some; open ours, compare with the plaintext. Returns faults.
static unsigned
one_batch(unsigned e, unsigned nb)
{
	struct sl_aead_op our_ops[MAX_OPS], their_ops[MAX_OPS];
	bool forged[MAX_OPS];
	unsigned nb_faults = 0;

	fill(plain, nb * sizeof(plain[0]));
	memcpy(ours, plain, nb * sizeof(plain[0]));
	memcpy(theirs, plain, nb * sizeof(plain[0]));
	for (unsigned i = 0; i < nb; i++) {
		unsigned k = (unsigned)(rnd() % NB_KEYS);

		our_ops[i] = (struct sl_aead_op){
			.cipher = cipher_of(k),
			.nb_bytes = random_length(),
			.nb_aad_bytes = (uint32_t)(rnd() % (MAX_AAD + 1)),
		};
		fill(our_ops[i].nonce, SL_AEAD_NONCE_BYTES);
		their_ops[i] = our_ops[i];
		point(&our_ops[i], &ours[i], &our_keys[e][k]);
		point(&their_ops[i], &theirs[i], &their_keys[k]);
	}
	engines[e]->ops->seal(engines[e], our_ops, nb);
	reference->ops->seal(reference, their_ops, nb);
	for (unsigned i = 0; i < nb; i++) {
		nb_faults += !same(&our_ops[i], &their_ops[i]) || !our_ops[i].authentic;
		forged[i] = rnd() % 8 == 0;
		if (forged[i])
			ours[i].tag[rnd() % 16] ^= (uint8_t)(1u << rnd() % 8);
		our_ops[i].authentic = forged[i];
	}
	engines[e]->ops->open(engines[e], our_ops, nb);
	for (unsigned i = 0; i < nb; i++) {
		nb_faults += our_ops[i].authentic == forged[i];
		if (!forged[i])
			nb_faults += memcmp(ours[i].data, plain[i].data, our_ops[i].nb_bytes) != 0;
	}
	return nb_faults;
}

static void
test_against_openssl(void)
{
	unsigned long nb_wanted = getenv("SL_TEST_LONG") ? 5000000 : 80000;

	for (unsigned e = 0; e < 2; e++) {
		unsigned long nb_done = 0, nb_faults = 0;

		while (nb_done < nb_wanted) {
			unsigned nb = 1 + (unsigned)(rnd() % MAX_OPS);

			nb_faults += one_batch(e, nb);
			nb_done += nb;
		}
		sl_test_note(
			"%s: %lu packets, %lu differ", engines[e]->ops->name, nb_done, nb_faults
		);
		CU_ASSERT_EQUAL(nb_faults, 0);
	}
}

static void
test_huge(void)
{
	static uint8_t a[3][HUGE], b[3][HUGE], p[3][HUGE];
	static const uint32_t lengths[] = { HUGE, 65520, 32769 };

	for (unsigned k = 0; k < 4; k++) {
		unsigned e = k & 1;
		struct sl_aead_op x[3], y[3];
		uint8_t tags[6][16];

		fill(p, sizeof(p));
		memcpy(a, p, sizeof(p));
		memcpy(b, p, sizeof(p));
		for (unsigned i = 0; i < 3; i++) {
			x[i] = (struct sl_aead_op){ .key = our_keys[e][k / 2].expanded,
						    .cipher = cipher_of(k / 2),
						    .data = a[i],
						    .tag = tags[i],
						    .aad = p[0],
						    .nb_bytes = lengths[i],
						    .nb_aad_bytes = 16 * i };
			y[i] = x[i];
			y[i].key = their_keys[k / 2].expanded;
			y[i].data = b[i];
			y[i].tag = tags[3 + i];
		}
		engines[e]->ops->seal(engines[e], x, 3);
		reference->ops->seal(reference, y, 3);
		for (unsigned i = 0; i < 3; i++)
			CU_ASSERT(same(&x[i], &y[i]));
		engines[e]->ops->open(engines[e], x, 3);
		for (unsigned i = 0; i < 3; i++)
			CU_ASSERT(x[i].authentic && memcmp(a[i], p[i], lengths[i]) == 0);
	}
}

static void
test_tag_bits(void)
{
	uint8_t data[100], tag[16];

	for (unsigned n = 0; n < 4 * 128; n++) {
		unsigned e = n / 256, bit = n % 128;
		struct sl_aead_op op = { .key = our_keys[e][n / 128 % 2].expanded,
					 .cipher = cipher_of(n / 128 % 2),
					 .data = data,
					 .tag = tag,
					 .aad = data,
					 .nb_bytes = n % 2 ? sizeof(data) : 0 };

		fill(data, sizeof(data));
		engines[e]->ops->seal(engines[e], &op, 1);
		tag[bit / 8] ^= (uint8_t)(1u << bit % 8);
		op.authentic = true;
		engines[e]->ops->open(engines[e], &op, 1);
		CU_ASSERT_FALSE(op.authentic);
	}
}

static void
test_changed_input(void)
{
	uint8_t data[100], aad[16];

	for (unsigned n = 0; n < 4 * 3; n++) {
		unsigned e = n & 1, what = n / 4;
		uint8_t tag[16];
		struct sl_aead_op op = { .key = our_keys[e][n / 2 % 2].expanded,
					 .cipher = cipher_of(n / 2 % 2),
					 .data = data,
					 .tag = tag,
					 .aad = aad,
					 .nb_bytes = sizeof(data),
					 .nb_aad_bytes = sizeof(aad) };

		fill(data, sizeof(data));
		fill(aad, sizeof(aad));
		engines[e]->ops->seal(engines[e], &op, 1);
		if (what == 0)
			data[99] ^= 1;
		else if (what == 1)
			aad[15] ^= 0x80;
		else
			op.nonce[11] ^= 1;
		engines[e]->ops->open(engines[e], &op, 1);
		CU_ASSERT_FALSE(op.authentic);
	}
}

// One page that may be touched between two that may not.
static uint8_t *
guarded_page(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *p = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + page, page, PROT_READ | PROT_WRITE) != 0)
		return NULL;
	return p + page;
}

// Every length to 300 with each buffer hard against the page after it, then against the one before.
static void
guard_round(uint8_t *pages[3], bool at_end)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (uint32_t n = 0; n < 1200; n++) {
		uint32_t nb = n / 4, nb_aad = n % 70;
		struct sl_aead_op op = {
			.key = our_keys[n & 1][n / 2 % 2].expanded,
			.cipher = cipher_of(n / 2 % 2),
			.data = at_end ? pages[0] + page - nb : pages[0],
			.tag = at_end ? pages[1] + page - 16 : pages[1],
			.aad = at_end ? pages[2] + page - nb_aad : pages[2],
			.nb_bytes = nb,
			.nb_aad_bytes = nb_aad,
		};

		engines[n & 1]->ops->seal(engines[n & 1], &op, 1);
		engines[n & 1]->ops->open(engines[n & 1], &op, 1);
		CU_ASSERT(op.authentic);
	}
}

static void
test_guard_pages(void)
{
	uint8_t *pages[3];

	for (unsigned i = 0; i < 3; i++) {
		pages[i] = guarded_page();
		CU_ASSERT_PTR_NOT_NULL_FATAL(pages[i]);
	}
	guard_round(pages, true);
	guard_round(pages, false);
	for (unsigned i = 0; i < 3; i++)
		munmap(pages[i] - sysconf(_SC_PAGESIZE), 3 * (size_t)sysconf(_SC_PAGESIZE));
}

#define GUARDED 16u // packets of a batch

// A batch of packets of all lengths and each buffer hard against the page after it: what one packet lacks
// of a group that its neighbours have must not be read.
static void
guard_batch(uint8_t *pages[GUARDED][3], unsigned e, unsigned round)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct sl_aead_op ops[GUARDED];
	unsigned nb = 1 + round % GUARDED;

	for (unsigned i = 0; i < nb; i++) {
		uint32_t nb_bytes = (uint32_t)(rnd() % (rnd() & 1 ? page : 130));
		uint32_t nb_aad = (uint32_t)(rnd() % (MAX_AAD + 1));
		unsigned k = (unsigned)(rnd() % NB_KEYS);

		ops[i] = (struct sl_aead_op){
			.key = our_keys[e][k].expanded,
			.cipher = cipher_of(k),
			.data = pages[i][0] + page - nb_bytes,
			.tag = pages[i][1] + page - 16,
			.aad = pages[i][2] + page - nb_aad,
			.nb_bytes = nb_bytes,
			.nb_aad_bytes = nb_aad,
		};
	}
	engines[e]->ops->seal(engines[e], ops, nb);
	engines[e]->ops->open(engines[e], ops, nb);
	for (unsigned i = 0; i < nb; i++)
		CU_ASSERT(ops[i].authentic);
}

static void
test_guarded_batches(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned nb_rounds = getenv("SL_TEST_LONG") ? 200000 : 3000;
	uint8_t *pages[GUARDED][3];

	for (unsigned i = 0; i < GUARDED; i++)
		for (unsigned k = 0; k < 3; k++) {
			pages[i][k] = guarded_page();
			CU_ASSERT_PTR_NOT_NULL_FATAL(pages[i][k]);
		}
	for (unsigned n = 0; n < nb_rounds; n++)
		guard_batch(pages, n & 1, n);
	for (unsigned i = 0; i < GUARDED; i++)
		for (unsigned k = 0; k < 3; k++)
			munmap(pages[i][k] - page, 3 * page);
}

static void
test_describe(void)
{
	char text[200];

	for (unsigned e = 0; e < 2; e++) {
		sl_aead_describe(engines[e], text, sizeof(text));
		CU_ASSERT_PTR_NOT_NULL(strstr(text, "ipsec-mb"));
		sl_test_note("%s", text);
	}
}

static const struct sl_test_case cases[] = {
	{ "aead: engines agree with OpenSSL on random packets, keys, batches and forgeries",
	  test_against_openssl },
	{ "aead: engines agree with OpenSSL on packets near 64 kB", test_huge },
	{ "aead: no packet opens with any one bit of its tag flipped", test_tag_bits },
	{ "aead: no packet opens with its data, associated data or nonce changed",
	  test_changed_input },
	{ "aead: nothing outside data, tag and associated data is touched", test_guard_pages },
	{ "aead: batches touch nothing outside the buffers of each packet", test_guarded_batches },
	{ "aead: an engine says what it uses", test_describe },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]), setup, teardown);
}
