// causes: why something was refused or ended, in one word: the same in the flow log, show flows and trace.
#pragma once

#include <stddef.h>
#include <stdint.h>

// "no-such-name" for an enum sl_close_reason or sl_local_reason; "?" for one that has no word.
const char *cause_text(uint8_t reason);

// The same into `text`, with the limit's key for SL_CLOSE_QUOTA: "limit client_flows".
void cause_put(char *text, size_t nb_bytes, uint8_t reason, uint8_t quota);
