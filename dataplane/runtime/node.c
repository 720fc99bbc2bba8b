// node: the lists of all nodes and drop reasons, filled by constructors before main().
#include <sluice/dp/cpu.h>
#include <sluice/dp/node.h>

static const struct sl_drop *first_drop;
static const struct sl_drop **last_drop = &first_drop;
static const struct sl_node *first_node;
static const struct sl_node **last_node = &first_node;

void
sl_drop_register(struct sl_drop *drop)
{
	*last_drop = drop;
	last_drop = &drop->next;
}

void
sl_node_register(struct sl_node *node)
{
	*last_node = node;
	last_node = &node->next;
}

const struct sl_drop *
sl_drop_first(void)
{
	return first_drop;
}

const struct sl_node *
sl_node_first(void)
{
	return first_node;
}

rte_node_process_t
sl_node_process(const struct sl_node *node)
{
	static_assert(RTE_DIM(node->variants) == SL_NODE_VARIANTS);
	enum sl_cpu_level level = sl_cpu_node_level();

	if (level >= SL_CPU_V4 && node->variants[SL_NODE_V4] != NULL)
		return *node->variants[SL_NODE_V4];
	if (level >= SL_CPU_V3 && node->variants[SL_NODE_V3] != NULL)
		return *node->variants[SL_NODE_V3];
	return node->process;
}
