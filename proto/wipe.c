#include <openssl/crypto.h>

#include <sluice/proto/aead.h>

void
sl_wipe(void *secret, unsigned long nb_bytes)
{
	OPENSSL_cleanse(secret, nb_bytes);
}
