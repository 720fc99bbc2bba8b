// explain_limits: the limits that a new flow is held to, for sluicectl explain.
#pragma once

#include "daemon.h"

#include <jansson.h>

// Notes that say what the client and its tenant use of what they may. The key of the limit that would refuse
// a new flow of `protocol` now; NULL: none.
const char *explain_limits(struct daemon *d, uint32_t client, uint8_t protocol, json_t *notes);
