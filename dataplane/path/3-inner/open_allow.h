// open_allow: the connector's own judgement of where a flow may go.
#pragma once

#include "flow_common.h"

// May this connector reach what `open` names, at `address`, which it resolved to or is?
bool sl_open_allowed(const struct sl_worker *w, const struct sl_open *open, rte_be32_t address);
