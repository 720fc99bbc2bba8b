// key: X25519 keys in files, written as WireGuard does: one line of base64, 44 characters.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_KEY_BYTES        32u
#define SL_KEY_BASE64_CHARS 44u

struct sl_public_key {
	uint8_t bytes[SL_KEY_BYTES];
};

// Secret: the holder wipes it with sl_wipe() at every exit.
struct sl_private_key {
	uint8_t bytes[SL_KEY_BYTES];
};

// Secret: likewise. All zero stands for no pre-shared key, as in WireGuard.
struct sl_preshared_key {
	uint8_t bytes[SL_KEY_BYTES];
};

// Write `bytes` as 44 characters and a NUL.
void sl_key_to_base64(const uint8_t bytes[SL_KEY_BYTES], char text[SL_KEY_BASE64_CHARS + 1]);

// The strict inverse: exactly 44 characters of canonical base64. False leaves `bytes` zero.
bool sl_key_from_base64(const char *text, size_t nb_chars, uint8_t bytes[SL_KEY_BYTES]);

// Make a private key and write it to a new file of mode 0600, synced to disk. The file must not
// exist (-EEXIST). Returns 0 and the public key, or -errno.
[[nodiscard]] int sl_key_generate(const char *path, struct sl_public_key *public_key);

// Read a private key. The file must be a regular one, readable, and of no mode beyond 0600.
// Returns 0, or -errno and in *why a constant sentence with the remedy (NULL allowed): -EPERM for
// a mode too wide, -EBADMSG for contents that are no key.
[[nodiscard]] int
sl_key_load(const char *path, struct sl_private_key *private_key, const char **why);
[[nodiscard]] int
sl_psk_load(const char *path, struct sl_preshared_key *preshared_key, const char **why);

// The public half of a private key.
[[nodiscard]] int
sl_key_public(const struct sl_private_key *private_key, struct sl_public_key *public_key);
