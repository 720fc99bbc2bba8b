// egress: what a finished DNS message shows of addresses. A reader of its own, that shares no code with what
// builds or scrubs messages: the permanent check that no private address leaves in an answer about a
// resource stands on it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SL_EGRESS_UNREADABLE (-1)

// How many records and parameters of all sections hold an address: A, AAAA, A6, APL, WKS, L32, L64, and the
// hints of SVCB and HTTPS. SL_EGRESS_UNREADABLE for octets that are no whole message.
int sl_egress_addresses(const uint8_t *message, size_t nb_bytes);
