// node: the lists of all nodes and drop reasons, filled by constructors before main().
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
