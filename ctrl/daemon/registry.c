#include "daemon.h"

#include <limits.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

// An entry of the tree; the key is kind, tenant and name.
struct registered {
	enum registry_kind kind;
	unsigned tenant;
	uint32_t id;
	char name[];
};

struct registry {
	void *root; // tsearch(3)
	uint32_t next[ID_KINDS];
	struct registered **by_id[ID_KINDS];
	uint32_t nb_by_id[ID_KINDS]; // room
};

static int
compare(const void *a, const void *b)
{
	const struct registered *left = a, *right = b;

	if (left->kind != right->kind)
		return left->kind < right->kind ? -1 : 1;
	if (left->tenant != right->tenant)
		return left->tenant < right->tenant ? -1 : 1;
	return strcmp(left->name, right->name);
}

struct registry *
registry_create(void)
{
	struct registry *r = calloc(1, sizeof(*r));

	if (r != NULL)
		r->next[ID_CLIENT] = 1;
	return r;
}

void
registry_free(struct registry *r)
{
	if (r == NULL)
		return;
	tdestroy(r->root, free);
	for (unsigned i = 0; i < ID_KINDS; i++)
		free(r->by_id[i]);
	free(r);
}

// Room to find entry `id` again. False without memory.
static bool
make_room(struct registry *r, enum registry_kind kind, uint32_t id)
{
	uint32_t nb = r->nb_by_id[kind];
	struct registered **grown;

	if (id < nb)
		return true;
	nb = nb == 0 ? 64 : nb * 2;
	grown = realloc(r->by_id[kind], nb * sizeof(struct registered *));
	if (grown == NULL)
		return false;
	memset(grown + r->nb_by_id[kind], 0, (nb - r->nb_by_id[kind]) * sizeof(*grown));
	r->by_id[kind] = grown;
	r->nb_by_id[kind] = nb;
	return true;
}

static const struct registered *
at(const struct registry *r, enum registry_kind kind, uint32_t id)
{
	return id < r->nb_by_id[kind] ? r->by_id[kind][id] : NULL;
}

const char *
registry_name(const struct registry *r, enum registry_kind kind, uint32_t id)
{
	const struct registered *e = at(r, kind, id);

	return e == NULL ? NULL : e->name;
}

unsigned
registry_tenant(const struct registry *r, enum registry_kind kind, uint32_t id)
{
	const struct registered *e = at(r, kind, id);

	return e == NULL ? UINT_MAX : e->tenant;
}

uint32_t
registry_id(struct registry *r, enum registry_kind kind, unsigned tenant, const char *name)
{
	struct registered *e = calloc(1, sizeof(*e) + strlen(name) + 1), **found;

	if (e == NULL || !make_room(r, kind, r->next[kind])) {
		free(e);
		return UINT32_MAX;
	}
	e->kind = kind;
	e->tenant = tenant;
	memcpy(e->name, name, strlen(name) + 1);
	found = tsearch(e, &r->root, compare);
	if (found == NULL) {
		free(e);
		return UINT32_MAX;
	}
	if (*found != e) {
		free(e);
	} else {
		e->id = r->next[kind]++;
		r->by_id[kind][e->id] = e;
	}
	return (*found)->id;
}

uint32_t
registry_nb(const struct registry *r, enum registry_kind kind)
{
	return r->next[kind];
}
