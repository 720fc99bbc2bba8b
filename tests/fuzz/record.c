// A decrypted datagram of any octets: every record is walked and every body parsed by its type, and
// what is handed out lies inside the datagram.
#include "fuzz.h"

#include <sluice/proto/record.h>
#include <stdlib.h>

static void
expect_inside(const uint8_t *data, size_t size, const uint8_t *p, size_t nb)
{
	if (p < data || nb > size || (size_t)(p - data) > size - nb)
		abort();
}

static void
parse_body(const uint8_t *data, size_t size, const struct sl_rec *rec)
{
	enum sl_close_reason reason;
	struct sl_accept accept;
	struct sl_error error;
	struct sl_resolve resolve;
	struct sl_heartbeat beat;
	struct sl_lane_report lane;
	struct sl_open open;
	struct sl_reopen reopen;
	const uint8_t *ticket;

	if (sl_open_parse(rec, &open) == SL_BODY_OK)
		expect_inside(data, size, open.transport, open.nb_transport_bytes);
	if (sl_error_parse(rec, &error) == SL_BODY_OK)
		expect_inside(data, size, error.quoted, error.quoted_bytes);
	if (sl_resolve_parse(rec, &resolve) == SL_BODY_OK)
		expect_inside(data, size, resolve.message, resolve.nb_bytes);
	if (sl_ticket_record_parse(rec, &ticket) == SL_BODY_OK)
		expect_inside(data, size, ticket, SL_WIRE_TICKET_BYTES);
	if (sl_reopen_parse(rec, &reopen) == SL_BODY_OK) {
		expect_inside(data, size, reopen.ticket, SL_WIRE_TICKET_BYTES);
		expect_inside(data, size, reopen.transport, reopen.nb_transport_bytes);
	}
	(void)sl_accept_parse(rec, &accept);
	(void)sl_close_parse(rec, &reason);
	(void)sl_heartbeat_parse(rec, &beat);
	(void)sl_lane_report_parse(rec, &lane);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_recs recs = sl_recs_begin(data, size);
	enum sl_rec_verdict verdict, again;
	struct sl_rec rec;

	while ((verdict = sl_recs_next(&recs, &rec)) == SL_REC_OK || verdict == SL_REC_SKIP) {
		if (verdict == SL_REC_SKIP)
			continue;
		expect_inside(data, size, rec.body, rec.nb_bytes);
		parse_body(data, size, &rec);
	}
	again = sl_recs_next(&recs, &rec);
	if (again != verdict)
		abort();
	return 0;
}
