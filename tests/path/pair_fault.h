// pair_fault: faults in what no call of a table's own would break.
#pragma once

#include <stdint.h>

struct sl_addresses;

// A name that was assigned `from` is assigned `to`, both in host order.
void pair_misassign(struct sl_addresses *addresses, uint32_t from, uint32_t to);
