// node: how a graph node, its exits and its drop reasons are declared.
//
// A node is one file: an enum of edges (edge 0 drops: a forgotten verdict fails closed), a pure
// verdict function, a process function, and SL_NODE. Edges whose name is that of a SL_DROP are
// wired there by themselves; all others are wired by the role's table (runtime/role_pop.c,
// runtime/role_connector.c). An edge nobody wires drops with OUR_FAULT.
//
//	static const char *const edges[] = { [BAD_TYPE] = "eth_input_bad_type", [IP4] = "ip4" };
//	SL_NODE(eth_input, eth_input_process, edges);
//	SL_DROP(eth_input_bad_type, SL_PEER_FAULT, "EtherType is not one we handle.")
#pragma once

#include <rte_common.h>
#include <rte_graph.h>
#include <rte_graph_worker.h>

#include <sluice/dp/meta.h>
#include <stdbool.h>
#include <string.h>

enum sl_severity {
	SL_EXPECTED, // policy did its job
	SL_PEER_FAULT, // somebody sent what they should not
	SL_OUR_FAULT, // no memory, queue full: alert
};

// One drop reason; the CLI, the metrics and docs/drops.md are made from these.
struct sl_drop {
	const char *name;
	enum sl_severity severity;
	const char *sentence;
	const struct sl_drop *next;
};

// A packet that reaches such a node has arrived: a trace ends there.
#define SL_NODE_FINAL_F (1ull << 32)

struct sl_node {
	const char *name;
	rte_node_process_t process;
	const rte_node_process_t *variants[2]; // by enum sl_node_variant; NULL: built once
	const char *const *edges; // names, see above
	unsigned nb_edges;
	uint64_t flags; // RTE_NODE_SOURCE_F for sources, SL_NODE_FINAL_F for outputs
	const struct sl_node *next;
};

// Constructors call these; the lists are complete before main().
void sl_drop_register(struct sl_drop *drop);
void sl_node_register(struct sl_node *node);
const struct sl_drop *sl_drop_first(void);
const struct sl_node *sl_node_first(void);

// The build of the node that suits this processor.
rte_node_process_t sl_node_process(const struct sl_node *node);

// Hot nodes are built several times, for x86-64-v2 and for what newer processors have beside it. In the
// second and third build (SL_VARIANT is v3, v4) a node's file yields nothing but its process function,
// as data: no constructor runs code that this machine may not have. sl_node_process() chooses.
enum sl_node_variant { SL_NODE_V3, SL_NODE_V4, SL_NODE_VARIANTS };
#define SL_VARIANT_OF_(id, variant) sl_node_##variant##_##id
#define SL_VARIANT_OF(id, variant)  SL_VARIANT_OF_(id, variant)

#ifdef SL_VARIANT

#define SL_DROP(id, sev, text)
#define SL_NODE_FLAGS(id, fn, edge_names, node_flags)                                              \
	extern const rte_node_process_t SL_VARIANT_OF(id, SL_VARIANT);                             \
	const rte_node_process_t SL_VARIANT_OF(id, SL_VARIANT) = (fn);                             \
	static const void *const sl_node_edges_of_##id __rte_unused = (edge_names);

#else

#define SL_DROP(id, sev, text)                                                                     \
	static struct sl_drop sl_drop_##id = { .name = #id,                                        \
					       .severity = (sev),                                  \
					       .sentence = (text) };                               \
	RTE_INIT(sl_drop_init_##id)                                                                \
	{                                                                                          \
		sl_drop_register(&sl_drop_##id);                                                   \
	}

#define SL_NODE_FLAGS(id, fn, edge_names, node_flags)                                              \
	extern const rte_node_process_t SL_VARIANT_OF(id, v3) __rte_weak;                          \
	extern const rte_node_process_t SL_VARIANT_OF(id, v4) __rte_weak;                          \
	static struct sl_node sl_node_##id = { .name = #id,                                        \
					       .process = (fn),                                    \
					       .variants = { &SL_VARIANT_OF(id, v3),               \
							     &SL_VARIANT_OF(id, v4) },             \
					       .edges = (edge_names),                              \
					       .nb_edges = RTE_DIM(edge_names),                    \
					       .flags = (node_flags) };                            \
	RTE_INIT(sl_node_init_##id)                                                                \
	{                                                                                          \
		sl_node_register(&sl_node_##id);                                                   \
	}

#endif

#define SL_NODE(id, fn, edge_names) SL_NODE_FLAGS(id, fn, edge_names, 0)

struct sl_worker;

// What a node instance carries in rte_node.ctx (control: written when the graph is made).
struct sl_node_ctx {
	struct sl_worker *worker;
	uint16_t number; // position in the list of nodes, or of drops
	bool is_drop;
	bool is_final; // a drop, or SL_NODE_FINAL_F
};
static_assert(sizeof(struct sl_node_ctx) <= RTE_NODE_CTX_SZ, "fits rte_graph's room");

// The worker whose graph this node instance belongs to.
static inline struct sl_worker *
sl_node_worker(const struct rte_node *node)
{
	struct sl_worker *w;

	memcpy(&w, node->ctx, sizeof(w));
	return w;
}

// Hand every object of a node to the edge its verdict names. Runs of the predicted edge move as a
// whole stream: the common case costs no per-packet enqueue. `verdict(w, m)` is inlined. A node
// behind one that makes packets may see more than a burst; those go in pieces.
#define SL_FOREACH_VERDICT(graph, node, objs, nb_objs, predicted, verdict)                         \
	__extension__({                                                                            \
		struct sl_worker *w_ = sl_node_worker(node);                                       \
		rte_edge_t edge_[RTE_GRAPH_BURST_SIZE];                                            \
		unsigned left_ = (nb_objs);                                                        \
		void **at_ = (objs);                                                               \
		while (left_ != 0) {                                                               \
			struct rte_mbuf **m_ = (struct rte_mbuf **)at_;                            \
			unsigned nb_ = RTE_MIN(left_, (unsigned)RTE_GRAPH_BURST_SIZE);             \
			unsigned same_ = 0;                                                        \
			for (unsigned i_ = 0; i_ < nb_; i_++) {                                    \
				edge_[i_] = (rte_edge_t)verdict(w_, m_[i_]);                       \
				same_ += edge_[i_] == (predicted);                                 \
			}                                                                          \
			if (likely(same_ == (nb_objs)))                                            \
				rte_node_next_stream_move((graph), (node), (predicted));           \
			else                                                                       \
				sl_node_dispatch((graph), (node), at_, (uint16_t)nb_, edge_);      \
			at_ += nb_;                                                                \
			left_ -= nb_;                                                              \
		}                                                                                  \
		(nb_objs);                                                                         \
	})

// Enqueue objs[i] on edge[i], run by run.
static inline void
sl_node_dispatch(
	struct rte_graph *graph,
	struct rte_node *node,
	void **objs,
	uint16_t nb,
	const rte_edge_t *edge
)
{
	unsigned i = 0;

	while (i < nb) {
		unsigned run = i + 1;

		while (run < nb && edge[run] == edge[i])
			run++;
		rte_node_enqueue(graph, node, edge[i], objs + i, (uint16_t)(run - i));
		i = run;
	}
}

// For nodes that keep an array a burst: call `burst` on pieces of at most RTE_GRAPH_BURST_SIZE.
static __rte_always_inline uint16_t
sl_node_bursts(
	struct rte_graph *graph,
	struct rte_node *node,
	void **objs,
	uint16_t nb,
	void (*burst)(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
)
{
	for (unsigned at = 0; at < nb; at += RTE_GRAPH_BURST_SIZE)
		burst(graph,
		      node,
		      objs + at,
		      (uint16_t)RTE_MIN(nb - at, (unsigned)RTE_GRAPH_BURST_SIZE));
	return nb;
}
