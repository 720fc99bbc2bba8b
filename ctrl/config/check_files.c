// check_files: key files that the daemon will read must be there, private, and hold keys.
#include "readers.h"

#include <errno.h>
#include <sluice/proto/aead.h>
#include <string.h>

static void
complain(
	struct sl_loader *l, struct sl_config_where where, const char *path, int rc, const char *why
)
{
	if (rc == -ENOENT)
		sl_config_error(
			l->errors,
			where,
			"key file '%s' does not exist|make it: sluice --genkey %s",
			path,
			path
		);
	else if (why != NULL)
		sl_config_error(l->errors, where, "key file '%s' %s", path, why);
	else
		sl_config_error(
			l->errors,
			where,
			"cannot read key file '%s': %s|give its path, and the right to read it",
			path,
			strerror(-rc)
		);
}

// The node's public key, or false and an error.
static bool
check_private(
	struct sl_loader *l,
	struct sl_config_where where,
	const char *path,
	struct sl_public_key *own
)
{
	struct sl_private_key key;
	const char *why = NULL;
	int rc;

	if (path == NULL)
		return false;
	rc = sl_key_load(path, &key, &why);
	if (rc != 0)
		complain(l, where, path, rc, why);
	else
		rc = sl_key_public(&key, own);
	sl_wipe(&key, sizeof(key));
	return rc == 0;
}

static void
check_psk(struct sl_loader *l, struct sl_config_where where, const char *path)
{
	struct sl_preshared_key key;
	const char *why = NULL;
	int rc;

	if (path == NULL)
		return;
	rc = sl_psk_load(path, &key, &why);
	if (rc != 0)
		complain(l, where, path, rc, why);
	sl_wipe(&key, sizeof(key));
}

static void
check_not_own(
	struct sl_loader *l,
	struct sl_config_where where,
	const struct sl_public_key *key,
	const struct sl_public_key *own
)
{
	if (memcmp(key, own, sizeof(*key)) == 0)
		sl_config_error(
			l->errors,
			where,
			"this public_key is the node's own|give the other side's public key"
		);
}

void
sl_check_files(struct sl_loader *l)
{
	const struct sl_config *config = l->config;
	struct sl_public_key own;
	struct sl_public_key wireguard;
	bool has_own = check_private(l, config->node.where, config->node.key_file, &own);

	if (config->wireguard.key_file != config->node.key_file)
		(void
		)check_private(l, config->wireguard.where, config->wireguard.key_file, &wireguard);
	for (unsigned i = 0; i < config->tunnel.nb_peers; i++) {
		const struct sl_config_peer *peer = &config->tunnel.peers[i];

		check_psk(l, peer->where, peer->psk_file);
		if (has_own)
			check_not_own(l, peer->where, &peer->public_key, &own);
	}
	for (unsigned i = 0; i < config->nb_tenants; i++) {
		const struct sl_config_tenant *t = &config->tenants[i];

		for (unsigned j = 0; j < t->nb_clients; j++)
			check_psk(l, t->clients[j].where, t->clients[j].psk_file);
		for (unsigned j = 0; j < t->nb_networks; j++)
			for (unsigned k = 0; k < t->networks[j].nb_connectors; k++) {
				const struct sl_config_connector *c = &t->networks[j].connectors[k];

				check_psk(l, c->where, c->psk_file);
				if (has_own)
					check_not_own(l, c->where, &c->public_key, &own);
			}
	}
}
