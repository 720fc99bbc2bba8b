// vectors: reading published test vectors, tests/kat/vectors. What cannot be read fails the case.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Hexadecimal digits to octets, at most `nb_max`; how many.
size_t vectors_hex(uint8_t *out, size_t nb_max, const char *hex);

// Are `nb_bytes` octets of `data` what `hex` says, and as many?
bool vectors_are(const uint8_t *data, size_t nb_bytes, const char *hex);

// A JSON file of the folder; the caller drops the reference.
json_t *vectors_json(const char *name);

// A member that is a string; "" if there is none.
const char *vectors_text(const json_t *object, const char *name);

// Wycheproof's key and nonce sizes, in bits; 0: of the group, whatever it is.
struct vectors_sizes {
	unsigned key, nonce;
};

// Run `take` with every test of a Wycheproof file whose group has these sizes; how many. At least
// one, or the case fails.
unsigned vectors_wycheproof(
	const char *name,
	struct vectors_sizes sizes,
	void (*take)(const json_t *test, void *context),
	void *context
);

// A record of NIST's response files.
struct vectors_nist {
	char key[65], nonce[25], plain[256], aad[256], sealed[256], tag[33];
	char name[16]; // its count
	bool is_fail; // must not open
};

// Run `take` with every record of a .rsp file; how many.
unsigned vectors_nist(
	const char *name,
	void (*take)(const struct vectors_nist *record, void *context),
	void *context
);
