// The clients there are, found by public key and by where they were last heard, and what the store
// keeps of them.
#include "clients.h"

#include <errno.h>
#include <sluice/dp/hash.h>
#include <stdlib.h>

#define NONE           UINT32_MAX
#define KEY_HEX_BYTES  (2 * SL_NOISE_KEY_BYTES)
#define FLOOR_BYTES    (SL_TAI64N_BYTES + 8u) // timestamp and incarnation; WireGuard has none
#define ENDPOINT_BYTES 6u

// ---- Chains ----------------------------------------------------------------------------------------------

static uint32_t *
head_by_key(const struct sl_service *s, const struct sl_noise_public *public)
{
	const struct sl_hash_key *key = sl_dp_worker(s->dp, 0)->owner_key;

	return &s->clients
			->keys[sl_hash(key, public->octets, sizeof(public->octets)) &
			       s->clients->mask];
}

static uint32_t *
head_by_remote(const struct sl_service *s, struct address remote)
{
	const struct sl_hash_key *key = sl_dp_worker(s->dp, 0)->owner_key;
	uint32_t who[2] = { remote.ip, remote.port };

	return &s->clients->remotes[sl_hash(key, who, sizeof(who)) & s->clients->mask];
}

struct client *
client_by_key(const struct sl_service *s, const struct sl_noise_public *public)
{
	for (uint32_t at = *head_by_key(s, public); at != NONE;) {
		struct client *e = s->clients->by_session[at];

		if (sl_noise_public_equal(&e->public, public))
			return e;
		at = e->next_by_key;
	}
	return NULL;
}

struct client *
client_by_remote(const struct sl_service *s, struct address remote)
{
	for (uint32_t at = *head_by_remote(s, remote); at != NONE;) {
		struct client *e = s->clients->by_session[at];

		if (e->remote.ip == remote.ip && e->remote.port == remote.port)
			return e;
		at = e->next_by_remote;
	}
	return NULL;
}

static void
leave_remote(struct sl_service *s, struct client *e)
{
	uint32_t *at = head_by_remote(s, e->remote);

	if (e->remote.ip == 0)
		return;
	while (*at != e->session)
		at = &s->clients->by_session[*at]->next_by_remote;
	*at = e->next_by_remote;
}

static void
leave_key(struct sl_service *s, struct client *e)
{
	uint32_t *at = head_by_key(s, &e->public);

	while (*at != e->session)
		at = &s->clients->by_session[*at]->next_by_key;
	*at = e->next_by_key;
}

void
client_moved(struct sl_service *s, struct client *e, struct address remote)
{
	uint32_t *head;

	leave_remote(s, e);
	e->remote = remote;
	if (remote.ip == 0)
		return;
	head = head_by_remote(s, remote);
	e->next_by_remote = *head;
	*head = e->session;
}

// ---- The store ---------------------------------------------------------------------------------------------

static void
store_key(char text[SL_STORE_KEY_BYTES], const char *prefix, const struct sl_noise_public *public)
{
	size_t at = (size_t)snprintf(text, SL_STORE_KEY_BYTES, "%s", prefix);

	for (size_t i = 0; i < sizeof(public->octets); i++)
		snprintf(text + at + 2 * i, 3, "%02x", public->octets[i]);
}

static void
store_put(
	struct sl_service *s,
	const struct client *e,
	const char *prefix,
	const uint8_t *value,
	size_t nb_bytes
)
{
	char key[SL_STORE_KEY_BYTES];

	store_key(key, prefix, &e->public);
	// Full or failing: written the next time round, and said by the store's own health.
	(void)!sl_store_put(s->store, 0, key, value, nb_bytes);
}

void
client_store_remote(struct sl_service *s, struct client *e)
{
	uint8_t value[ENDPOINT_BYTES];
	char key[SL_STORE_KEY_BYTES];

	memcpy(value, &e->remote.ip, 4);
	memcpy(value + 4, &e->remote.port, 2);
	store_key(key, "endpoint/", &e->public);
	if (sl_store_put(s->store, 0, key, value, sizeof(value)) == 0)
		e->stored = e->remote;
}

void
client_store_timestamp(struct sl_service *s, const struct client *e)
{
	uint8_t value[FLOOR_BYTES] = { 0 };

	memcpy(value, e->peer.last_timestamp, SL_TAI64N_BYTES);
	store_put(s, e, "floor/", value, sizeof(value));
}

void
client_forget(struct sl_service *s, const struct client *e)
{
	store_put(s, e, "endpoint/", NULL, 0);
	store_put(s, e, "floor/", NULL, 0);
}

static bool
key_of(const char *text, uint8_t out[SL_NOISE_KEY_BYTES])
{
	const char *hex = strchr(text, '/');

	if (hex == NULL || strlen(++hex) != KEY_HEX_BYTES)
		return false;
	for (size_t i = 0; i < SL_NOISE_KEY_BYTES; i++) {
		unsigned octet;

		if (sscanf(hex + 2 * i, "%2x", &octet) != 1)
			return false;
		out[i] = (uint8_t)octet;
	}
	return true;
}

static void
remember(void *arg, const char *key, const void *value, size_t nb_bytes)
{
	struct clients *c = arg;
	struct remembered r = { 0 };

	if (!key_of(key, r.public_key))
		return;
	if (key[0] == 'e' && nb_bytes == ENDPOINT_BYTES) {
		memcpy(&r.remote.ip, value, 4);
		memcpy(&r.remote.port, (const uint8_t *)value + 4, 2);
	} else if (key[0] == 'f' && nb_bytes == FLOOR_BYTES) {
		memcpy(r.timestamp, value, SL_TAI64N_BYTES);
	} else {
		return;
	}
	if (c->nb_remembered == c->room_remembered) {
		size_t room = c->room_remembered == 0 ? 64 : 2 * c->room_remembered;
		struct remembered *grown = realloc(c->remembered, room * sizeof(*grown));

		if (grown == NULL)
			return;
		c->remembered = grown;
		c->room_remembered = room;
	}
	c->remembered[c->nb_remembered++] = r;
}

static int
compare_remembered(const void *a, const void *b)
{
	const struct remembered *left = a, *right = b;

	return memcmp(left->public_key, right->public_key, sizeof(left->public_key));
}

// Endpoint and timestamp come as two rows of one key.
static void
recall(struct sl_service *s, struct client *e)
{
	const struct clients *c = s->clients;
	struct remembered wanted;
	size_t low = 0, high = c->nb_remembered;

	memcpy(wanted.public_key, e->public.octets, sizeof(wanted.public_key));
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_remembered(&c->remembered[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < c->nb_remembered && compare_remembered(&c->remembered[low], &wanted) == 0;
	     low++) {
		const struct remembered *r = &c->remembered[low];

		if (r->remote.ip != 0) {
			client_moved(s, e, r->remote);
			e->stored = r->remote;
		} else {
			memcpy(e->last_timestamp, r->timestamp, sizeof(e->last_timestamp));
		}
	}
}

// ---- Life --------------------------------------------------------------------------------------------------

struct client *
client_new(struct sl_service *s, const struct sl_service_peer *from)
{
	struct clients *c = s->clients;
	struct client *e = calloc(1, sizeof(*e));
	uint32_t *head;

	if (e == NULL)
		return NULL;
	e->session = from->session;
	e->id = from->client;
	e->inner = rte_cpu_to_be_32(from->inner);
	memcpy(e->public.octets, from->public_key, sizeof(e->public.octets));
	memcpy(e->psk.octets, from->psk, sizeof(e->psk.octets));
	e->has_psk = from->has_psk;
	e->timer.owner = e;
	snprintf(e->name, sizeof(e->name), "%s", from->name);
	c->by_session[e->session] = e;
	c->used[c->nb_used++] = e->session;
	head = head_by_key(s, &e->public);
	e->next_by_key = *head;
	*head = e->session;
	recall(s, e);
	return e;
}

void
client_delete(struct sl_service *s, struct client *e)
{
	struct clients *c = s->clients;
	uint32_t at = 0;

	leave_remote(s, e);
	leave_key(s, e);
	sl_timers_cancel(&c->timers, &e->timer);
	while (c->used[at] != e->session)
		at++;
	c->used[at] = c->used[--c->nb_used];
	c->by_session[e->session] = NULL;
	sl_wipe(e, sizeof(*e));
	free(e);
}

int
clients_table_create(struct sl_service *s)
{
	struct clients *c = s->clients;
	uint32_t nb_heads = rte_align32pow2(2 * s->sessions->nb_sessions);

	c->nb_sessions = s->sessions->nb_sessions;
	c->mask = nb_heads - 1;
	c->by_session = calloc(c->nb_sessions, sizeof(*c->by_session));
	c->used = calloc(c->nb_sessions, sizeof(*c->used));
	c->keys = malloc(nb_heads * sizeof(*c->keys));
	c->remotes = malloc(nb_heads * sizeof(*c->remotes));
	if (c->by_session == NULL || c->used == NULL || c->keys == NULL || c->remotes == NULL ||
	    sl_timers_init(&c->timers, c->nb_sessions) != 0)
		return -ENOMEM;
	memset(c->keys, 0xff, nb_heads * sizeof(*c->keys));
	memset(c->remotes, 0xff, nb_heads * sizeof(*c->remotes));
	if (sl_store_values(s->store, "endpoint/", remember, c) < 0 ||
	    sl_store_values(s->store, "floor/", remember, c) < 0)
		return -EIO;
	if (c->nb_remembered != 0)
		qsort(c->remembered, c->nb_remembered, sizeof(*c->remembered), compare_remembered);
	return 0;
}

void
clients_table_free(struct clients *c)
{
	sl_timers_free(&c->timers);
	free(c->remembered);
	free(c->remotes);
	free(c->keys);
	free(c->used);
	free(c->by_session);
}
