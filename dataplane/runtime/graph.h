// graph: makes an instance's packet graphs out of the registered nodes and a role's table.
#pragma once

#include <sluice/dp/dp.h>
#include <sluice/dp/node.h>
#include <sluice/dp/worker.h>

// The role tables: where each named edge of each node leads. A node of "*" speaks of that edge on
// every node that has it and no row of its own.
extern const struct sl_wiring sl_role_pop[];
extern const unsigned sl_role_pop_rows;
extern const struct sl_wiring sl_role_connector[];
extern const unsigned sl_role_connector_rows;

// Clone and wire all nodes for `instance`. `extra` rows go before the role's. 0 or -errno.
[[nodiscard]] int sl_graph_wire(
	const char *instance, enum sl_dp_role role, const struct sl_wiring *extra, unsigned nb_extra
);

// Make w->graph, "<instance>_w<k>", from the clones of sl_graph_wire(). 0 or -errno.
[[nodiscard]] int sl_graph_create(const char *instance, struct sl_worker *w);
void sl_graph_destroy(struct sl_worker *w);

// One pass over the graph. The number of packets its sources brought.
unsigned sl_graph_walk(struct sl_worker *w);

// Position of a node in the registration list, what trails are made of.
const struct sl_node *sl_node_by_number(unsigned number);
