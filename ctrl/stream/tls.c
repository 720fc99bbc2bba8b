// tls: DNS over TLS (RFC 7858). Toward clients with the certificate of the configuration, or one made at start that
// clients can only use opportunistically. Toward servers always authenticated (the strict profile of RFC 8310): by
// name and a known authority, or by the key's pin. There is no way back to plain DNS.
#include "internal.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <string.h>

#define YEAR_S (365l * 86400)

static void *
fail(SSL_CTX *context, char *why, size_t why_bytes, const char *what)
{
	char text[160] = "";

	ERR_error_string_n(ERR_peek_last_error(), text, sizeof(text));
	ERR_clear_error();
	snprintf(why, why_bytes, "%s: %s", what, text);
	SSL_CTX_free(context);
	return NULL;
}

// A certificate that nobody has signed, for a key that only this process has.
static bool
make_certificate(SSL_CTX *context)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	unsigned char serial[8];
	bool is_good = false;

	if (key != NULL && cert != NULL && RAND_bytes(serial, sizeof(serial)) == 1) {
		X509_NAME *name = X509_get_subject_name(cert);

		serial[0] &= 0x7f;
		X509_set_version(cert, X509_VERSION_3);
		ASN1_STRING_set(X509_get_serialNumber(cert), serial, sizeof(serial));
		X509_gmtime_adj(X509_getm_notBefore(cert), -86400);
		X509_gmtime_adj(X509_getm_notAfter(cert), 10 * YEAR_S);
		X509_NAME_add_entry_by_txt(
			name,
			"CN",
			MBSTRING_ASC,
			(const unsigned char *)"sluice resolver",
			-1,
			-1,
			0
		);
		X509_set_issuer_name(cert, name);
		X509_set_pubkey(cert, key);
		is_good = X509_sign(cert, key, EVP_sha256()) != 0 &&
			SSL_CTX_use_certificate(context, cert) == 1 &&
			SSL_CTX_use_PrivateKey(context, key) == 1;
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	return is_good;
}

// RFC 7858 has no ALPN of its own, IANA does: taken when offered, not asked for.
static int
choose_alpn(
	SSL *ssl,
	const unsigned char **out,
	unsigned char *nb_out,
	const unsigned char *in,
	unsigned nb_in,
	void *arg
)
{
	static const unsigned char dot[] = "\x03"
					   "dot";
	unsigned char *found;

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto(&found, nb_out, dot, sizeof(dot) - 1, in, nb_in) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*out = found;
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *
context_for(const SSL_METHOD *method)
{
	SSL_CTX *context = SSL_CTX_new(method);

	if (context == NULL)
		return NULL;
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_mode(
		context,
		SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
			SSL_MODE_RELEASE_BUFFERS
	);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	return context;
}

SSL_CTX *
tls_server(const char *cert_file, const char *key_file, char *why, size_t why_bytes)
{
	SSL_CTX *context = context_for(TLS_server_method());

	if (context == NULL)
		return fail(context, why, why_bytes, "no TLS");
	SSL_CTX_set_alpn_select_cb(context, choose_alpn, NULL);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); // tickets keep no state here
	if (cert_file == NULL)
		return make_certificate(context)
			? context
			: fail(context, why, why_bytes, "no certificate could be made");
	if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1)
		return fail(context, why, why_bytes, cert_file);
	if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1)
		return fail(context, why, why_bytes, key_file);
	if (SSL_CTX_check_private_key(context) != 1)
		return fail(context, why, why_bytes, "certificate and key do not belong together");
	return context;
}

SSL_CTX *
tls_client(void)
{
	SSL_CTX *context = context_for(TLS_client_method());

	if (context == NULL)
		return NULL;
	(void)SSL_CTX_set_default_verify_paths(context);
	return context;
}

SSL *
tls_connect(SSL_CTX *context, int fd, const struct sl_stream_server *server)
{
	SSL *ssl = SSL_new(context);

	if (ssl == NULL)
		return NULL;
	// With a pin the key itself is known: who signed for it does not matter.
	SSL_set_verify(ssl, server->tls_pin == NULL ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	if (SSL_set_tlsext_host_name(ssl, server->tls_name) != 1 ||
	    SSL_set1_host(ssl, server->tls_name) != 1 || SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_connect_state(ssl);
	return ssl;
}

bool
tls_is_pinned(SSL *ssl, const char *pin)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	unsigned char *der = NULL, digest[32], text[48];
	unsigned nb_digest = 0;
	bool is_same = false;
	int nb;

	if (pin == NULL)
		return true;
	nb = cert == NULL ? -1 : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	if (nb > 0 && EVP_Digest(der, (size_t)nb, digest, &nb_digest, EVP_sha256(), NULL) == 1 &&
	    EVP_EncodeBlock(text, digest, sizeof(digest)) == 44)
		is_same = strcmp((const char *)text, pin) == 0;
	OPENSSL_free(der);
	return is_same;
}
