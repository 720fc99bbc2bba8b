// aead_openssl: the AEAD interface over OpenSSL, the reference that other engines are held to. Slow.
#pragma once

#include <sluice/proto/aead.h>

// NULL when OpenSSL lacks a cipher or memory. One thread at a time.
struct sl_aead *sl_aead_openssl_create(void);
void sl_aead_openssl_destroy(struct sl_aead *engine);
