// ipsec_mb: the AEAD engine of the workers.
//
// AES-256-GCM goes through the direct one-shot entry (61 cycles at 64 octets against 99 by the job
// interface). That entry begins by writing one variable of the whole process, which costs 56 cycles
// more as soon as two workers do it: ipsec_mb_copy.c has the figures and the remedy.
// ChaCha20-Poly1305 goes to the interleaved code when there is one for this CPU, and otherwise
// through the job interface (443 cycles; the direct interface is 760).
#include "chapoly.h"
#include "ipsec_mb_copy.h"

#include <intel-ipsec-mb.h>

#include <assert.h>
#include <sluice/dp/cpu.h>
#include <sluice/dp/crypto.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A key schedule that is not in the cache costs 336 cycles at 64 octets and 730 at 1420; asked for
// this many packets ahead it costs about 30.
#define PREFETCH_AHEAD   7u
#define CACHE_LINE_BYTES 64u
#define ROUND_KEY_LINES  4u // 15 round keys of 16 octets
#define KEY_LINES        (SL_AEAD_EXPANDED_BYTES / CACHE_LINE_BYTES)
#define FLAT_KEY_LINES   8u // of a schedule without the 48 hash key powers
#define HASH_POWERS      48u // powers of the hash key the VAES code keeps, the first power last
#define CHAPOLY_BATCH    64u // ops handed to the interleaved code per call

// Payload is asked for while the packets before are worked on: memory and AES then cost the larger of
// the two, not their sum. At 1400 octets fetching what nobody has touched takes as long as sealing it.
#define PAYLOAD_AHEAD 3u

static_assert(sizeof(struct gcm_key_data) <= SL_AEAD_EXPANDED_BYTES);

struct engine {
	struct sl_aead aead; // first: struct sl_aead * is what callers hold
	struct sl_ipsec_mb library;
	IMB_MGR *mgr; // its function pointers lead into `library`
	const struct sl_chapoly *chapoly; // NULL: ipsec-mb
	unsigned nb_flat_lines; // lines of a schedule that every packet needs
	bool has_hash_powers; // VAES layout: long packets use more of the schedule's end
};

static struct engine *
engine_of(struct sl_aead *aead)
{
	return (struct engine *)aead;
}

static void
expand(struct sl_aead *aead,
       struct sl_aead_key *key,
       enum sl_cipher cipher,
       const uint8_t raw_key[SL_AEAD_KEY_BYTES])
{
	if (cipher == SL_CIPHER_AES256_GCM)
		IMB_AES256_GCM_PRE(
			engine_of(aead)->mgr, raw_key, (struct gcm_key_data *)(void *)key->expanded
		);
	else
		memcpy(key->expanded, raw_key, SL_AEAD_KEY_BYTES);
}

// Equal or not in time that does not depend on where the first difference is.
static bool
tag_equal(const uint8_t *a, const uint8_t *b)
{
	uint64_t x[2], y[2];
	uint64_t different;

	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	different = (x[0] ^ y[0]) | (x[1] ^ y[1]);
	__asm__("" : "+r"(different)); // the compiler must not split this into two branches
	return different == 0;
}

// Ask for the lines of the key schedule that a packet of this length will read.
static inline void
prefetch_key(const struct engine *engine, const struct sl_aead_op *op)
{
	const uint8_t *p = op->key;
	unsigned nb_powers, first = KEY_LINES;
	unsigned nb_flat = engine->nb_flat_lines;

	if (op->cipher != SL_CIPHER_AES256_GCM) {
		nb_flat = 1;
	} else if (engine->has_hash_powers) {
		// one power per block, those of the associated data and the lengths included
		nb_powers = op->nb_bytes / 16 + 3;
		if (nb_powers > HASH_POWERS)
			nb_powers = HASH_POWERS;
		first -= (nb_powers + 4) / 4;
	}
	for (unsigned i = 0; i < nb_flat; i++)
		__builtin_prefetch(p + i * CACHE_LINE_BYTES);
	for (unsigned i = first; i < KEY_LINES; i++)
		__builtin_prefetch(p + i * CACHE_LINE_BYTES);
}

// The first line is here: headers were read or written in it.
static inline void
prefetch_payload(const struct sl_aead_op *op)
{
	for (uint32_t at = CACHE_LINE_BYTES; at < op->nb_bytes; at += CACHE_LINE_BYTES)
		__builtin_prefetch(op->data + at, 1);
}

static inline void
gcm_seal(IMB_MGR *mgr, struct sl_aead_op *op)
{
	struct gcm_context_data
		context; // needed by the interface; the one-shot code keeps no secret there

	IMB_AES256_GCM_ENC(
		mgr,
		(const struct gcm_key_data *)(const void *)op->key,
		&context,
		op->data,
		op->data,
		op->nb_bytes,
		op->nonce,
		op->aad,
		op->nb_aad_bytes,
		op->tag,
		SL_AEAD_TAG_BYTES
	);
	op->authentic = true;
}

static inline void
gcm_open(IMB_MGR *mgr, struct sl_aead_op *op)
{
	struct gcm_context_data context;
	uint8_t tag[SL_AEAD_TAG_BYTES]; // ipsec-mb computes the tag; comparing is left to us

	IMB_AES256_GCM_DEC(
		mgr,
		(const struct gcm_key_data *)(const void *)op->key,
		&context,
		op->data,
		op->data,
		op->nb_bytes,
		op->nonce,
		op->aad,
		op->nb_aad_bytes,
		tag,
		SL_AEAD_TAG_BYTES
	);
	op->authentic = tag_equal(tag, op->tag);
}

// One packet by the job interface; false when the library did not take it.
static bool
chapoly_job(IMB_MGR *mgr, struct sl_aead_op *op, IMB_CIPHER_DIRECTION direction, uint8_t *tag)
{
	IMB_JOB *job = IMB_GET_NEXT_JOB(mgr);

	job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
	job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
	job->cipher_direction = direction;
	job->chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH
							: IMB_ORDER_HASH_CIPHER;
	job->enc_keys = op->key;
	job->dec_keys = op->key;
	job->key_len_in_bytes = SL_AEAD_KEY_BYTES;
	job->iv = op->nonce;
	job->iv_len_in_bytes = SL_AEAD_NONCE_BYTES;
	job->src = op->data;
	job->dst = op->data;
	job->cipher_start_src_offset_in_bytes = 0;
	job->hash_start_src_offset_in_bytes = 0;
	job->msg_len_to_cipher_in_bytes = op->nb_bytes;
	job->msg_len_to_hash_in_bytes = op->nb_bytes;
	job->u.CHACHA20_POLY1305.aad = op->aad;
	job->u.CHACHA20_POLY1305.aad_len_in_bytes = op->nb_aad_bytes;
	job->auth_tag_output = tag;
	job->auth_tag_output_len_in_bytes = SL_AEAD_TAG_BYTES;
	job = IMB_SUBMIT_JOB(mgr);
	return job && job->status == IMB_STATUS_COMPLETED;
}

static void
chapoly_seal_one(IMB_MGR *mgr, struct sl_aead_op *op)
{
	op->authentic = chapoly_job(mgr, op, IMB_DIR_ENCRYPT, op->tag);
}

static void
chapoly_open_one(IMB_MGR *mgr, struct sl_aead_op *op)
{
	uint8_t tag[SL_AEAD_TAG_BYTES] = { 0 };

	op->authentic = chapoly_job(mgr, op, IMB_DIR_DECRYPT, tag) && tag_equal(tag, op->tag);
}

// Walk a batch: AES at once, ChaCha gathered so that the interleaved code sees as many packets
// together as there are. Inlined into its two callers with constant functions.
static inline __attribute__((always_inline)) void
run(struct engine *engine,
    struct sl_aead_op *ops,
    unsigned nb_ops,
    void (*gcm)(IMB_MGR *, struct sl_aead_op *),
    void (*one)(IMB_MGR *, struct sl_aead_op *),
    void (*many)(struct sl_aead_op *const *, unsigned))
{
	struct sl_aead_op *gathered[CHAPOLY_BATCH];
	unsigned nb_gathered = 0;

	for (unsigned i = 0; i < nb_ops && i < PREFETCH_AHEAD; i++)
		prefetch_key(engine, &ops[i]);
	for (unsigned i = 0; i < nb_ops && i < PAYLOAD_AHEAD; i++)
		prefetch_payload(&ops[i]);
	for (unsigned i = 0; i < nb_ops; i++) {
		if (i + PAYLOAD_AHEAD < nb_ops)
			prefetch_payload(&ops[i + PAYLOAD_AHEAD]);
		if (i + PREFETCH_AHEAD < nb_ops)
			prefetch_key(engine, &ops[i + PREFETCH_AHEAD]);
		if (ops[i].cipher == SL_CIPHER_AES256_GCM) {
			gcm(engine->mgr, &ops[i]);
		} else if (ops[i].cipher != SL_CIPHER_CHACHA20_POLY1305) {
			ops[i].authentic = false; // nothing that there is a key for
		} else if (!many) {
			one(engine->mgr, &ops[i]);
		} else {
			gathered[nb_gathered++] = &ops[i];
			if (nb_gathered == CHAPOLY_BATCH) {
				many(gathered, nb_gathered);
				nb_gathered = 0;
			}
		}
	}
	if (nb_gathered)
		many(gathered, nb_gathered);
}

static void
seal(struct sl_aead *aead, struct sl_aead_op *ops, unsigned nb_ops)
{
	struct engine *engine = engine_of(aead);

	run(engine,
	    ops,
	    nb_ops,
	    gcm_seal,
	    chapoly_seal_one,
	    engine->chapoly ? engine->chapoly->seal : NULL);
}

static void
open(struct sl_aead *aead, struct sl_aead_op *ops, unsigned nb_ops)
{
	struct engine *engine = engine_of(aead);

	run(engine,
	    ops,
	    nb_ops,
	    gcm_open,
	    chapoly_open_one,
	    engine->chapoly ? engine->chapoly->open : NULL);
}

static const struct sl_aead_ops ipsec_mb_ops = {
	.name = "ipsec-mb",
	.expand = expand,
	.seal = seal,
	.open = open,
};

static const struct sl_aead_ops interleaved_ops = {
	.name = "ipsec-mb, interleaved ChaCha20-Poly1305",
	.expand = expand,
	.seal = seal,
	.open = open,
};

struct sl_aead *
sl_aead_create(enum sl_aead_preference preference)
{
	const uint64_t vaes = IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ;
	struct engine *engine = calloc(1, sizeof(*engine));

	if (!engine)
		return NULL;
	sl_ipsec_mb_open(&engine->library);
	engine->mgr = engine->library.alloc(0);
	if (!engine->mgr)
		goto fail;
	engine->library.init(engine->mgr, NULL);
	if (engine->library.get_errno(engine->mgr) != 0 || !engine->mgr->gcm256_enc)
		goto fail;
	engine->has_hash_powers = engine->mgr->used_arch == IMB_ARCH_AVX512 &&
		(engine->mgr->features & vaes) == vaes;
	engine->nb_flat_lines = engine->has_hash_powers ? ROUND_KEY_LINES : FLAT_KEY_LINES;
	if (preference == SL_AEAD_BEST)
		engine->chapoly = sl_chapoly_best();
	engine->aead.ops = engine->chapoly ? &interleaved_ops : &ipsec_mb_ops;
	return &engine->aead;
fail:
	sl_aead_destroy(&engine->aead);
	return NULL;
}

struct sl_aead *
sl_aead_ipsec_mb_create(void)
{
	return sl_aead_create(SL_AEAD_IPSEC_MB);
}

void
sl_aead_destroy(struct sl_aead *aead)
{
	struct engine *engine = aead ? engine_of(aead) : NULL;

	if (!engine)
		return;
	if (engine->mgr)
		engine->library.release(engine->mgr);
	sl_ipsec_mb_close(&engine->library);
	free(engine);
}

static const char *
arch_name(const IMB_MGR *mgr)
{
	switch (mgr->used_arch) {
	case IMB_ARCH_AVX512:
		return "avx512";
	case IMB_ARCH_AVX2:
		return "avx2";
	case IMB_ARCH_AVX:
		return "avx";
	case IMB_ARCH_SSE:
		return "sse";
	case IMB_ARCH_NOAESNI:
		return "sse without aes";
	case IMB_ARCH_NONE:
	case IMB_ARCH_NUM:
		break;
	}
	return "unknown";
}

void
sl_aead_describe(const struct sl_aead *aead, char *text, size_t nb_bytes)
{
	const struct engine *engine = (const struct engine *)aead;

	snprintf(
		text,
		nb_bytes,
		"aes-256-gcm: ipsec-mb %s %s%s%s; chacha20-poly1305: %s",
		imb_get_version_str(),
		arch_name(engine->mgr),
		engine->has_hash_powers ? " vaes" : "",
		engine->library.handle ? ", own copy" : "",
		engine->chapoly ? engine->chapoly->name : "ipsec-mb, one packet at a time"
	);
}
