#include <sluice/dns/egress.h>
#include <sluice/dns/message.h>
#include <sluice/proto/bytes.h>
#include <stdbool.h>

// The octet behind the name that begins at `at`; 0 when it does not end within the message.
static size_t
skip_name(const uint8_t *p, size_t nb_bytes, size_t at)
{
	while (at < nb_bytes) {
		if (p[at] == 0)
			return at + 1;
		if (p[at] >= 0xc0)
			return at + 2 <= nb_bytes ? at + 2 : 0;
		if (p[at] > 63)
			return 0;
		at += p[at] + 1u;
	}
	return 0;
}

// Hints among the parameters of an SVCB or HTTPS record (RFC 9460 section 2.2).
static int
hints(const uint8_t *p, size_t from, size_t end)
{
	size_t at = from + 2 < end ? skip_name(p, end, from + 2) : 0;
	int nb = 0;

	if (at == 0)
		return SL_EGRESS_UNREADABLE;
	while (at + 4 <= end) {
		uint16_t key = sl_get16(p + at);

		nb += key == SL_DNS_SVC_IPV4HINT || key == SL_DNS_SVC_IPV6HINT;
		at += 4u + sl_get16(p + at + 2);
	}
	return at == end ? nb : SL_EGRESS_UNREADABLE;
}

static int
of_record(const uint8_t *p, uint16_t type, size_t from, size_t end)
{
	switch (type) {
	case SL_DNS_A:
	case SL_DNS_AAAA:
	case SL_DNS_WKS:
	case SL_DNS_A6:
	case SL_DNS_APL:
	case SL_DNS_L32:
	case SL_DNS_L64:
		return 1;
	case SL_DNS_SVCB:
	case SL_DNS_HTTPS:
		return hints(p, from, end);
	default:
		return 0;
	}
}

int
sl_egress_addresses(const uint8_t *message, size_t nb_bytes)
{
	unsigned nb_questions, nb_records;
	size_t at = SL_DNS_HEADER_BYTES;
	int nb = 0;

	if (nb_bytes < SL_DNS_HEADER_BYTES)
		return SL_EGRESS_UNREADABLE;
	nb_questions = sl_get16(message + 4);
	nb_records = (unsigned)sl_get16(message + 6) + sl_get16(message + 8) +
		sl_get16(message + 10);
	for (unsigned i = 0; i < nb_questions; i++) {
		at = skip_name(message, nb_bytes, at);
		if (at == 0 || at + 4 > nb_bytes)
			return SL_EGRESS_UNREADABLE;
		at += 4;
	}
	for (unsigned i = 0; i < nb_records; i++) {
		int found;

		at = skip_name(message, nb_bytes, at);
		if (at == 0 || at + 10 > nb_bytes ||
		    at + 10 + sl_get16(message + at + 8) > nb_bytes)
			return SL_EGRESS_UNREADABLE;
		found = of_record(
			message,
			sl_get16(message + at),
			at + 10,
			at + 10 + sl_get16(message + at + 8)
		);
		if (found < 0)
			return SL_EGRESS_UNREADABLE;
		nb += found;
		at += 10u + sl_get16(message + at + 8);
	}
	return at == nb_bytes ? nb : SL_EGRESS_UNREADABLE;
}
