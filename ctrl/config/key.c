#include <openssl/evp.h>

#include <errno.h>
#include <fcntl.h>
#include <sluice/ctrl/key.h>
#include <sluice/proto/aead.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Three octets to four characters, without table lookups by secret data: the index is compared with
// every entry, so that time and cache lines say nothing about it.
static char
encode6(unsigned v)
{
	char c = 0;

	for (unsigned i = 0; i < 64; i++)
		c |= (char)(alphabet[i] & -(char)(i == v));
	return c;
}

static unsigned
decode6(char c, unsigned *bad)
{
	unsigned v = 0;
	unsigned found = 0;

	for (unsigned i = 0; i < 64; i++) {
		unsigned same = alphabet[i] == c;

		v |= i & -same;
		found |= same;
	}
	*bad |= !found;
	return v;
}

void
sl_key_to_base64(const uint8_t bytes[SL_KEY_BYTES], char text[SL_KEY_BASE64_CHARS + 1])
{
	unsigned o = 0;

	for (unsigned i = 0; i < SL_KEY_BYTES; i += 3) {
		bool last = i + 3 > SL_KEY_BYTES; // 32 = 10 * 3 + 2
		unsigned v = (unsigned)bytes[i] << 16 | (unsigned)bytes[i + 1] << 8 |
			(last ? 0u : bytes[i + 2]);

		text[o++] = encode6(v >> 18 & 63);
		text[o++] = encode6(v >> 12 & 63);
		text[o++] = encode6(v >> 6 & 63);
		text[o++] = last ? '=' : encode6(v & 63);
	}
	text[o] = '\0';
}

bool
sl_key_from_base64(const char *text, size_t nb_chars, uint8_t bytes[SL_KEY_BYTES])
{
	unsigned bad = nb_chars != SL_KEY_BASE64_CHARS || text[SL_KEY_BASE64_CHARS - 1] != '=';

	memset(bytes, 0, SL_KEY_BYTES);
	if (bad)
		return false;
	for (unsigned i = 0, o = 0; i < SL_KEY_BASE64_CHARS; i += 4) {
		bool last = i + 4 == SL_KEY_BASE64_CHARS;
		unsigned v = decode6(text[i], &bad) << 18 | decode6(text[i + 1], &bad) << 12 |
			decode6(text[i + 2], &bad) << 6 | (last ? 0u : decode6(text[i + 3], &bad));

		bytes[o++] = (uint8_t)(v >> 16);
		bytes[o++] = (uint8_t)(v >> 8);
		if (!last)
			bytes[o++] = (uint8_t)v;
		else
			bad |= (v & 0xff) != 0; // bits beyond the 32 octets: not canonical
	}
	if (bad)
		sl_wipe(bytes, SL_KEY_BYTES);
	return !bad;
}

int
sl_key_public(const struct sl_private_key *private_key, struct sl_public_key *public_key)
{
	size_t nb = SL_KEY_BYTES;
	int rc = -EIO;
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(
		EVP_PKEY_X25519, NULL, private_key->bytes, SL_KEY_BYTES
	);

	if (key != NULL && EVP_PKEY_get_raw_public_key(key, public_key->bytes, &nb) == 1)
		rc = 0;
	EVP_PKEY_free(key);
	return rc;
}

static int
make(struct sl_private_key *private_key)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	size_t nb = SL_KEY_BYTES;
	int rc = -EIO;

	if (key != NULL && EVP_PKEY_get_raw_private_key(key, private_key->bytes, &nb) == 1)
		rc = 0;
	EVP_PKEY_free(key);
	// Clamped as WireGuard writes it, so that the file equals what its tools would show.
	private_key->bytes[0] &= 248;
	private_key->bytes[31] = (uint8_t)((private_key->bytes[31] & 127) | 64);
	return rc;
}

static int
write_key(const char *path, const struct sl_private_key *private_key)
{
	char text[SL_KEY_BASE64_CHARS + 2];
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc = 0;

	if (fd < 0)
		return -errno;
	sl_key_to_base64(private_key->bytes, text);
	text[SL_KEY_BASE64_CHARS] = '\n';
	// The mode is set again: a umask can only have taken away from it.
	if (fchmod(fd, 0600) != 0 ||
	    write(fd, text, SL_KEY_BASE64_CHARS + 1) != SL_KEY_BASE64_CHARS + 1 || fsync(fd) != 0)
		rc = errno != 0 ? -errno : -EIO;
	close(fd);
	if (rc != 0)
		(void)unlink(path);
	sl_wipe(text, sizeof(text));
	return rc;
}

int
sl_key_generate(const char *path, struct sl_public_key *public_key)
{
	struct sl_private_key private_key;
	int rc = make(&private_key);

	if (rc == 0)
		rc = sl_key_public(&private_key, public_key);
	if (rc == 0)
		rc = write_key(path, &private_key);
	sl_wipe(&private_key, sizeof(private_key));
	return rc;
}

static int
check_mode(int fd, const char **why)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		*why = "is not a regular file|name a file made by sluice --genkey";
		return -EPERM;
	}
	if ((st.st_mode & 0177) != 0) {
		*why = "can be read or run by others than its owner|chmod 600 it";
		return -EPERM;
	}
	return 0;
}

static int
load(const char *path, uint8_t bytes[SL_KEY_BYTES], const char **why)
{
	char text[SL_KEY_BASE64_CHARS + 4];
	ssize_t nb;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int rc;

	memset(bytes, 0, SL_KEY_BYTES);
	if (fd < 0)
		return -errno;
	rc = check_mode(fd, why);
	if (rc != 0) {
		close(fd);
		return rc;
	}
	nb = read(fd, text, sizeof(text));
	rc = nb < 0 ? -errno : 0;
	close(fd);
	while (nb > 0 && (text[nb - 1] == '\n' || text[nb - 1] == '\r'))
		nb--;
	if (rc == 0 && !sl_key_from_base64(text, nb < 0 ? 0 : (size_t)nb, bytes)) {
		*why = "holds no key|it must be one line of 44 base64 characters";
		rc = -EBADMSG;
	}
	sl_wipe(text, sizeof(text));
	return rc;
}

int
sl_key_load(const char *path, struct sl_private_key *private_key, const char **why)
{
	const char *ignored = NULL;

	return load(path, private_key->bytes, why == NULL ? &ignored : why);
}

int
sl_psk_load(const char *path, struct sl_preshared_key *preshared_key, const char **why)
{
	const char *ignored = NULL;

	return load(path, preshared_key->bytes, why == NULL ? &ignored : why);
}
