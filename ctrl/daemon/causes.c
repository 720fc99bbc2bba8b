#include "causes.h"

#include <sluice/dp/quota.h>
#include <sluice/dp/reject.h>
#include <sluice/proto/wire.h>
#include <stdio.h>

const char *
cause_text(uint8_t reason)
{
	switch (reason) {
	case SL_CLOSE_POLICY:
		return "policy";
	case SL_CLOSE_NO_NAME:
		return "no-such-name";
	case SL_CLOSE_RESOLVER:
		return "resolver-silent";
	case SL_CLOSE_NO_PORT:
		return "no-nat-port";
	case SL_CLOSE_TABLE_FULL:
		return "table-full";
	case SL_CLOSE_NO_FLOW:
	case SL_CLOSE_UNKNOWN:
		return "connector-forgot";
	case SL_CLOSE_UNREACHABLE:
		return "unreachable";
	case SL_CLOSE_SHUTDOWN:
		return "connector-lost";
	case SL_LOCAL_UNKNOWN_ADDRESS:
		return "unknown-address";
	case SL_LOCAL_PROTOCOL:
		return "protocol";
	case SL_LOCAL_NO_CONNECTOR:
		return "no-connector";
	case SL_LOCAL_TTL:
		return "ttl-spent";
	case SL_LOCAL_TOO_BIG:
		return "too-big";
	case SL_LOCAL_NO_ROUTE:
		return "no-route";
	case SL_LOCAL_NO_NEIGHBOUR:
		return "host-silent";
	case SL_LOCAL_REASSEMBLY:
		return "fragments-missing";
	case SL_CLOSE_QUOTA:
		return "limit";
	default:
		return "?";
	}
}

void
cause_put(char *text, size_t nb_bytes, uint8_t reason, uint8_t quota)
{
	if (reason == SL_CLOSE_QUOTA && quota != SL_QUOTA_FREE)
		snprintf(text, nb_bytes, "limit %s", sl_quota_text((enum sl_quota_verdict)quota));
	else
		snprintf(text, nb_bytes, "%s", cause_text(reason));
}
