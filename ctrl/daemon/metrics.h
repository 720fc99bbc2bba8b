// metrics: what the daemon tells Prometheus, and the endpoint it tells it on; the control thread.
#pragma once

#include "daemon.h"

#include <sluice/ctrl/metrics.h>

// Put every sample there is; `start_ns` is the wall time of the start.
void metrics_collect(struct daemon *d, uint64_t start_ns, struct sl_metric_text *text);

// A part of it: tenants, clients, resources, names, and times.
void metrics_collect_flows(struct daemon *d, struct sl_metric_text *text);
