#include "daemon.h"

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
	free(r);
}

uint32_t
registry_id(struct registry *r, enum registry_kind kind, unsigned tenant, const char *name)
{
	struct registered *e = calloc(1, sizeof(*e) + strlen(name) + 1), **found;

	if (e == NULL)
		return UINT32_MAX;
	e->kind = kind;
	e->tenant = tenant;
	memcpy(e->name, name, strlen(name) + 1);
	found = tsearch(e, &r->root, compare);
	if (found == NULL) {
		free(e);
		return UINT32_MAX;
	}
	if (*found != e)
		free(e);
	else
		e->id = r->next[kind]++;
	return (*found)->id;
}

uint32_t
registry_nb(const struct registry *r, enum registry_kind kind)
{
	return r->next[kind];
}
