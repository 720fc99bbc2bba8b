// errors: how the loader and its checks complain.
#pragma once

#include <sluice/ctrl/config.h>

// Add one error. `what` and `remedy` are formatted by the caller into the two halves of `fmt`,
// which are parted by '|': "the port '%s' is not defined|define it under ports". Control characters
// in the result are replaced, so that a hostile file cannot draw on a terminal.
void
sl_config_error(struct sl_config_errors *errors, struct sl_config_where where, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

// Order by file (as first met) and line; stable.
void sl_config_errors_sort(struct sl_config_errors *errors, unsigned from);
