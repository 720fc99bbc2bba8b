#include "upstream_private.h"

#include <sluice/proto/limits.h>
#include <string.h>

#define RETRY_MIN_NS   (50 * SL_NS_PER_MS)
#define RETRY_FIRST_NS (400 * SL_NS_PER_MS) // before any round trip is known
#define RETRY_MAX_NS   SL_NS_PER_S
#define DOWN_AFTER     3u
#define PROBE_MIN_NS   SL_NS_PER_S
#define PROBE_MAX_NS   (30 * SL_NS_PER_S)
#define PLAIN_NS       (900 * SL_NS_PER_S)

uint64_t
sl_upstream_retry_ns(const struct sl_upstream *u)
{
	uint64_t ns;

	if (!u->is_measured)
		return RETRY_FIRST_NS;
	ns = u->srtt_ns + 4 * u->rttvar_ns;
	// Each silence doubles it, as a congested path asks for.
	ns <<= u->nb_silent < 3 ? u->nb_silent : 3;
	if (ns < RETRY_MIN_NS)
		return RETRY_MIN_NS;
	return ns > RETRY_MAX_NS ? RETRY_MAX_NS : ns;
}

void
sl_upstream_answered(struct sl_upstream *u, uint64_t rtt_ns)
{
	if (!u->is_measured) {
		u->srtt_ns = rtt_ns;
		u->rttvar_ns = rtt_ns / 2;
		u->is_measured = true;
	} else {
		uint64_t off = rtt_ns > u->srtt_ns ? rtt_ns - u->srtt_ns : u->srtt_ns - rtt_ns;

		u->rttvar_ns = (3 * u->rttvar_ns + off) / 4;
		u->srtt_ns = (7 * u->srtt_ns + rtt_ns) / 8;
	}
	u->nb_answers++;
	u->nb_silent = 0;
	u->is_down = false;
	u->probe_interval_ns = 0;
}

void
sl_upstream_silent(struct sl_upstream *u, uint64_t now_ns)
{
	u->nb_timeouts++;
	if (u->nb_silent < UINT8_MAX)
		u->nb_silent++;
	if (u->nb_silent < DOWN_AFTER)
		return;
	u->is_down = true;
	u->probe_interval_ns = u->probe_interval_ns == 0 ? PROBE_MIN_NS : u->probe_interval_ns * 2;
	if (u->probe_interval_ns > PROBE_MAX_NS)
		u->probe_interval_ns = PROBE_MAX_NS;
	u->probe_ns = now_ns + u->probe_interval_ns;
}

void
sl_upstream_replace(
	struct sl_upstream list[SL_UPSTREAMS_MAX], const struct sl_upstream_address *at, unsigned nb
)
{
	struct sl_upstream old[SL_UPSTREAMS_MAX];

	memcpy(old, list, sizeof(old));
	for (unsigned i = 0; i < SL_UPSTREAMS_MAX; i++) {
		list[i] = (struct sl_upstream){ 0 };
		if (i >= nb)
			continue;
		for (unsigned k = 0; k < SL_UPSTREAMS_MAX; k++)
			if (sl_upstream_same(old[k].at, at[i]))
				list[i] = old[k];
		list[i].at = at[i];
	}
}

int
sl_upstream_pick(
	struct sl_upstream *list, unsigned nb, unsigned first, uint32_t tried, uint64_t now_ns
)
{
	int down = -1;

	for (unsigned k = 0; k < nb; k++) {
		unsigned i = (first + k) % nb;
		struct sl_upstream *u = &list[i];

		if ((tried >> i & 1) != 0)
			continue;
		if (!u->is_down)
			return (int)i;
		if (now_ns >= u->probe_ns) {
			u->probe_ns = now_ns + u->probe_interval_ns;
			return (int)i;
		}
		if (down < 0)
			down = (int)i;
	}
	return down;
}

static bool
may_refuse_edns(uint16_t flags)
{
	unsigned rcode = flags & SL_DNS_RCODE;

	return rcode == SL_RCODE_FORMERR || rcode == SL_RCODE_NOTIMP;
}

bool
sl_upstream_refused_edns(const struct sl_asked *asked, const struct sl_response *response)
{
	struct sl_records records = response->records;
	struct sl_record rec;

	if (asked->is_plain || !may_refuse_edns(response->flags))
		return false;
	while (sl_records_next(&records, &rec))
		if (rec.type == SL_DNS_OPT) // it is something else that it refuses
			return false;
	return true;
}

void
sl_upstream_plain_answered(
	struct sl_upstream *u, const struct sl_response *response, uint64_t now_ns
)
{
	if (!may_refuse_edns(response->flags))
		u->plain_until_ns = now_ns + PLAIN_NS;
}

// A refusal of EDNS by who did not even read the question: header and no more.
static bool
bare_refusal(struct sl_response *response, const uint8_t *message, size_t nb_bytes)
{
	static const uint8_t nothing[8];

	if (nb_bytes != SL_DNS_HEADER_BYTES || memcmp(message + 4, nothing, 8) != 0)
		return false;
	*response = (struct sl_response){ .id = sl_get16(message), .flags = sl_get16(message + 2) };
	return (response->flags & SL_DNS_QR) != 0 && (response->flags & SL_DNS_OPCODE) == 0 &&
		may_refuse_edns(response->flags);
}

enum sl_receive_verdict
sl_upstream_match(
	const struct sl_asked *asked,
	const uint8_t *message,
	size_t nb_bytes,
	struct sl_response *response
)
{
	const struct sl_name *name = asked->name;
	uint8_t wire[SL_NAME_WIRE_MAX];

	if (!asked->is_plain && bare_refusal(response, message, nb_bytes))
		return response->id == asked->id ? SL_RECEIVE_ACCEPTED : SL_RECEIVE_ID;
	if (!sl_response_parse(response, message, nb_bytes))
		return SL_RECEIVE_MALFORMED;
	if (response->id != asked->id)
		return SL_RECEIVE_ID;
	memcpy(wire, name->wire, name->nb_bytes);
	sl_name_mix_case(wire, name->nb_bytes, asked->mix);
	if (response->type != asked->type || response->class_ != SL_DNS_IN ||
	    response->name.nb_bytes != name->nb_bytes ||
	    memcmp(message + SL_DNS_HEADER_BYTES, wire, name->nb_bytes) != 0)
		return SL_RECEIVE_QUESTION;
	return SL_RECEIVE_ACCEPTED;
}
