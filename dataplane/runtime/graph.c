// graph: every registered node is cloned once per instance as "<node>-<instance>", its edges are
// wired by name, and each worker gets an rte_graph of those clones. rte_graph pulls in what the
// sources reach, so a role's graph holds only that role's nodes.
#include "graph.h"

#include <rte_errno.h>
#include <rte_graph.h>
#include <rte_lcore.h>

#include <errno.h>
#include <sluice/dp/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

SL_DROP(edge_not_wired, SL_OUR_FAULT, "The role has no use for this exit of the node.")

static uint16_t
drop_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	(void)graph;
	(void)node;
	sl_buffers_free((struct rte_mbuf *const *)objs, nb);
	return nb;
}

static const struct sl_drop *
find_drop(const char *name)
{
	for (const struct sl_drop *d = sl_drop_first(); d != NULL; d = d->next)
		if (strcmp(d->name, name) == 0)
			return d;
	return NULL;
}

static const struct sl_node *
find_node(const char *name)
{
	for (const struct sl_node *n = sl_node_first(); n != NULL; n = n->next)
		if (strcmp(n->name, name) == 0)
			return n;
	return NULL;
}

// Register a node with rte_graph, its edges unnamed yet.
static int
register_base(const char *name, rte_node_process_t process, uint64_t flags, unsigned nb_edges)
{
	struct rte_node_register *reg;
	rte_node_t id;

	if (rte_node_from_name(name) != RTE_NODE_ID_INVALID)
		return 0;
	reg = calloc(1, sizeof(*reg) + nb_edges * sizeof(reg->next_nodes[0]));
	if (reg == NULL)
		return -ENOMEM;
	snprintf(reg->name, sizeof(reg->name), "%s", name);
	reg->parent_id = RTE_NODE_ID_INVALID;
	reg->process = process;
	reg->flags = flags & RTE_NODE_SOURCE_F;
	reg->nb_edges = (rte_edge_t)nb_edges;
	for (unsigned i = 0; i < nb_edges; i++)
		reg->next_nodes[i] = "none";
	id = __rte_node_register(reg);
	free(reg);
	return id == RTE_NODE_ID_INVALID ? -rte_errno : 0;
}

// The clone's id; made if this instance name was never used before (nodes cannot be unregistered).
static rte_node_t
clone_node(const char *node, const char *instance)
{
	char name[RTE_NODE_NAMESIZE];
	rte_node_t id;

	snprintf(name, sizeof(name), "%s-%s", node, instance);
	id = rte_node_from_name(name);
	return id != RTE_NODE_ID_INVALID ? id : rte_node_clone(rte_node_from_name(node), instance);
}

static const char *
look_up_row(const struct sl_wiring *rows, unsigned nb, const char *node, const char *edge)
{
	const char *any = NULL;

	for (unsigned i = 0; i < nb; i++) {
		if (strcmp(rows[i].edge, edge) != 0)
			continue;
		if (strcmp(rows[i].node, node) == 0)
			return rows[i].target;
		if (strcmp(rows[i].node, "*") == 0 && any == NULL)
			any = rows[i].target;
	}
	return any;
}

struct tables {
	const struct sl_wiring *rows[2];
	unsigned nb[2];
};

static const char *
edge_target(const struct tables *t, const char *node, const char *edge)
{
	if (edge == NULL)
		return "edge_not_wired";
	if (find_drop(edge) != NULL)
		return edge;
	for (unsigned i = 0; i < 2; i++) {
		const char *target = look_up_row(t->rows[i], t->nb[i], node, edge);

		if (target != NULL && (find_node(target) != NULL || find_drop(target) != NULL))
			return target;
	}
	return "edge_not_wired";
}

static int
wire_node(const struct sl_node *n, const char *instance, const struct tables *t)
{
	char(*names)[RTE_NODE_NAMESIZE];
	const char **next;
	rte_node_t id = clone_node(n->name, instance);
	rte_edge_t updated;

	if (id == RTE_NODE_ID_INVALID)
		return -rte_errno;
	names = calloc(n->nb_edges + 1, sizeof(*names));
	next = calloc(n->nb_edges + 1, sizeof(*next));
	if (names == NULL || next == NULL) {
		free(names);
		free(next);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < n->nb_edges; i++) {
		const char *target = edge_target(t, n->name, n->edges[i]);

		snprintf(names[i], sizeof(names[i]), "%s-%s", target, instance);
		next[i] = names[i];
	}
	updated = rte_node_edge_update(id, 0, next, (uint16_t)n->nb_edges);
	free(names);
	free(next);
	return updated == n->nb_edges ? 0 : -EINVAL;
}

static int
register_all(void)
{
	int rc = 0;

	for (const struct sl_drop *d = sl_drop_first(); d != NULL && rc == 0; d = d->next)
		rc = register_base(d->name, drop_process, 0, 0);
	for (const struct sl_node *n = sl_node_first(); n != NULL && rc == 0; n = n->next)
		rc = register_base(n->name, sl_node_process(n), n->flags, n->nb_edges);
	return rc;
}

int
sl_graph_wire(
	const char *instance, enum sl_dp_role role, const struct sl_wiring *extra, unsigned nb_extra
)
{
	struct tables t = { .rows = { extra, sl_role_pop }, .nb = { nb_extra, sl_role_pop_rows } };
	int rc = register_all();

	if (role == SL_DP_CONNECTOR) {
		t.rows[1] = sl_role_connector;
		t.nb[1] = sl_role_connector_rows;
	}
	for (const struct sl_drop *d = sl_drop_first(); d != NULL && rc == 0; d = d->next)
		if (clone_node(d->name, instance) == RTE_NODE_ID_INVALID)
			rc = -rte_errno;
	for (const struct sl_node *n = sl_node_first(); n != NULL && rc == 0; n = n->next)
		rc = wire_node(n, instance, &t);
	return rc;
}

static struct sl_node_ctx
context_of(const char *name, size_t name_len, struct sl_worker *w)
{
	struct sl_node_ctx ctx = { .worker = w };

	for (const struct sl_node *n = sl_node_first(); n != NULL; n = n->next, ctx.number++) {
		if (strncmp(n->name, name, name_len) != 0 || n->name[name_len] != '\0')
			continue;
		ctx.is_final = (n->flags & SL_NODE_FINAL_F) != 0;
		return ctx;
	}
	ctx.number = 0;
	ctx.is_drop = true;
	ctx.is_final = true;
	for (const struct sl_drop *d = sl_drop_first(); d != NULL; d = d->next, ctx.number++)
		if (strncmp(d->name, name, name_len) == 0 && d->name[name_len] == '\0')
			break;
	return ctx;
}

// Tell each node of a new graph whose it is.
static void
fill_contexts(struct sl_worker *w)
{
	struct rte_node *node;
	rte_graph_off_t off;
	rte_node_t i;

	rte_graph_foreach_node(i, off, w->graph, node)
	{
		struct sl_node_ctx ctx = context_of(node->name, strcspn(node->name, "-"), w);

		memcpy(node->ctx, &ctx, sizeof(ctx));
	}
}

int
sl_graph_create(const char *instance, struct sl_worker *w)
{
	char sources[16][RTE_NODE_NAMESIZE];
	const char *patterns[16];
	char name[RTE_GRAPH_NAMESIZE];
	struct rte_graph_param prm = { .node_patterns = patterns };
	uint16_t nb = 0;

	for (const struct sl_node *n = sl_node_first(); n != NULL; n = n->next) {
		if ((n->flags & RTE_NODE_SOURCE_F) == 0 || nb == RTE_DIM(sources))
			continue;
		snprintf(sources[nb], sizeof(sources[nb]), "%s-%s", n->name, instance);
		patterns[nb] = sources[nb];
		nb++;
	}
	prm.socket_id = SOCKET_ID_ANY;
	prm.nb_node_patterns = nb;
	snprintf(name, sizeof(name), "%s_w%u", instance, w->idx);
	if (rte_graph_create(name, &prm) == RTE_GRAPH_ID_INVALID)
		return -rte_errno;
	w->graph = rte_graph_lookup(name);
	fill_contexts(w);
	return 0;
}

void
sl_graph_destroy(struct sl_worker *w)
{
	if (w->graph != NULL)
		rte_graph_destroy(w->graph->id);
	w->graph = NULL;
}
