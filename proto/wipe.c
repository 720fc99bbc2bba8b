#include <sluice/proto/aead.h>

#include <openssl/crypto.h>

void
sl_wipe(void *secret, unsigned long nb_bytes)
{
	OPENSSL_cleanse(secret, nb_bytes);
}
