#include "internal.h"

#include <stdlib.h>
#include <string.h>

int
peers_init(struct peers *p)
{
	memset(p->heads, 0xff, sizeof(p->heads));
	p->newest = p->oldest = NOBODY;
	return sl_hash_key_random(&p->hash_key);
}

void
peers_fini(struct peers *p)
{
	free(p->clients);
}

struct client *
peers_client(struct peers *p, uint32_t client)
{
	uint32_t nb = p->nb_clients == 0 ? 256 : p->nb_clients;
	struct client *more;

	if (client < p->nb_clients)
		return &p->clients[client];
	while (nb <= client)
		nb *= 2;
	more = realloc(p->clients, nb * sizeof(*more));
	if (more == NULL)
		return NULL;
	memset(more + p->nb_clients, 0, (nb - p->nb_clients) * sizeof(*more));
	p->clients = more;
	p->nb_clients = nb;
	return &more[client];
}

static uint32_t *
head_of(struct peers *p, const struct peer_key *key)
{
	return &p->heads[sl_hash(&p->hash_key, key, sizeof(*key)) % NB_HEADS];
}

static void
unlink_age(struct peers *p, uint32_t i)
{
	struct peer *peer = &p->list[i];

	if (peer->newer != NOBODY)
		p->list[peer->newer].older = peer->older;
	else
		p->newest = peer->older;
	if (peer->older != NOBODY)
		p->list[peer->older].newer = peer->newer;
	else
		p->oldest = peer->newer;
}

static void
link_newest(struct peers *p, uint32_t i)
{
	p->list[i].newer = NOBODY;
	p->list[i].older = p->newest;
	if (p->newest != NOBODY)
		p->list[p->newest].newer = i;
	else
		p->oldest = i;
	p->newest = i;
}

static void
see(struct peers *p, uint32_t i, uint64_t now_ns)
{
	p->list[i].seen_ns = now_ns;
	if (p->newest == i)
		return;
	unlink_age(p, i);
	link_newest(p, i);
}

static void
unlink_head(struct peers *p, uint32_t i)
{
	uint32_t *at = head_of(p, &p->list[i].key);

	while (*at != i)
		at = &p->list[*at].next;
	*at = p->list[i].next;
}

// One never used, or the one that has been quiet for longest, if for long enough.
static uint32_t
take_free(struct peers *p, uint64_t now_ns)
{
	uint32_t i = p->oldest;

	if (p->nb_used < NB_PEERS)
		return p->nb_used++;
	if (now_ns - p->list[i].seen_ns < PEER_REST_NS)
		return NOBODY;
	p->clients[p->list[i].key.client].nb_peers--;
	unlink_age(p, i);
	unlink_head(p, i);
	return i;
}

uint32_t
peers_take(struct peers *p, const struct peer_key *key, uint8_t worker, uint64_t now_ns)
{
	struct client *client = peers_client(p, key->client);
	uint32_t *head = head_of(p, key), i;

	for (i = *head; i != NOBODY; i = p->list[i].next)
		if (memcmp(&p->list[i].key, key, sizeof(*key)) == 0) {
			p->list[i].worker = worker;
			see(p, i, now_ns);
			return i;
		}
	if (client == NULL || client->nb_peers >= CLIENT_PEERS)
		return NOBODY;
	i = take_free(p, now_ns);
	if (i == NOBODY)
		return NOBODY;
	head = head_of(p, key); // the one taken may have stood there
	p->list[i] = (struct peer
	){ .key = *key, .seen_ns = now_ns, .next = *head, .worker = worker, .is_used = true };
	*head = i;
	client->nb_peers++;
	link_newest(p, i);
	return i;
}

uint32_t
peers_find(struct peers *p, uint32_t synthetic, uint64_t now_ns)
{
	uint32_t i = synthetic - STREAM_CLIENTS;

	if (i >= NB_PEERS || !p->list[i].is_used)
		return NOBODY;
	see(p, i, now_ns);
	return i;
}
