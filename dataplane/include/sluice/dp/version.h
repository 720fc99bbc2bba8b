// version: what `sluice --version` prints.
#pragma once

// Static string, e.g. "0.1.0".
const char *sl_version(void);
