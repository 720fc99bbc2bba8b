#include <netinet/in.h>
#include <sluice/proto/carry.h>
#include <sluice/proto/limits.h>
#include <sluice/proto/record.h>

bool
sl_rec_fragment(struct sl_rec *rec)
{
	uint16_t word;

	if (rec->nb_bytes < SL_REC_FRAGMENT_BYTES)
		return false;
	word = sl_get16(rec->body + 2);
	rec->fragment_id = sl_get16(rec->body);
	rec->fragment_offset_bytes = word & 0xfff8u;
	rec->more = (word & 1) != 0;
	rec->body += SL_REC_FRAGMENT_BYTES;
	rec->nb_bytes -= SL_REC_FRAGMENT_BYTES;
	return true;
}

const char *
sl_body_verdict_text(enum sl_body_verdict verdict)
{
	switch (verdict) {
	case SL_BODY_OK:
		return "well-formed";
	case SL_BODY_SHORT:
		return "cut short";
	case SL_BODY_HEADER:
		return "flow id or generation in a record that has none, or none where one is "
		       "needed";
	case SL_BODY_VALUE:
		return "value unknown to this version";
	case SL_BODY_PROTOCOL:
		return "protocol is not TCP, UDP or ICMP";
	case SL_BODY_DESTINATION:
		return "destination does not fit its kind or protocol";
	case SL_BODY_NAME:
		return "destination is not a lower-case host name";
	case SL_BODY_FLOW_KEY:
		return "flow key is all zero";
	case SL_BODY_TRANSPORT:
		return "too few transport octets";
	}
	return "?";
}

static bool
is_name_octet(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool
sl_open_name_ok(const uint8_t *name, size_t nb_bytes)
{
	unsigned nb_label_bytes = 0;

	if (nb_bytes == 0 || nb_bytes > SL_NAME_MAX_BYTES)
		return false;
	for (size_t i = 0; i < nb_bytes; i++) {
		if (name[i] == '.') {
			if (nb_label_bytes == 0)
				return false;
			nb_label_bytes = 0;
		} else if (!is_name_octet(name[i]) || ++nb_label_bytes > 63) {
			return false;
		}
	}
	return nb_label_bytes != 0;
}

static enum sl_body_verdict
check_destination(const struct sl_open *open)
{
	if ((open->port == 0) != (open->protocol == IPPROTO_ICMP))
		return SL_BODY_DESTINATION;
	switch (open->destination_kind) {
	case SL_DESTINATION_NAME:
		return sl_open_name_ok(open->destination, open->destination_bytes) ? SL_BODY_OK
										   : SL_BODY_NAME;
	case SL_DESTINATION_IP4:
		return open->destination_bytes == 4 ? SL_BODY_OK : SL_BODY_DESTINATION;
	case SL_DESTINATION_IP6:
		return open->destination_bytes == 16 ? SL_BODY_OK : SL_BODY_DESTINATION;
	default:
		return SL_BODY_VALUE;
	}
}

enum sl_body_verdict
sl_open_parse(const struct sl_rec *rec, struct sl_open *open)
{
	static const uint8_t zero[16];
	struct sl_reader r = sl_reader(rec->body, rec->nb_bytes);
	enum sl_body_verdict verdict;

	open->flow = sl_read32(&r);
	open->generation = sl_read8(&r);
	open->open_flags = sl_read8(&r);
	open->protocol = sl_read8(&r);
	open->destination_kind = sl_read8(&r);
	open->port = sl_read16(&r);
	open->destination_bytes = sl_read8(&r);
	(void)sl_read8(&r); // reserved
	open->flow_key = sl_read(&r, 16);
	open->destination = sl_read(&r, open->destination_bytes);
	if (r.failed)
		return SL_BODY_SHORT;
	open->transport = r.at;
	open->nb_transport_bytes = (uint32_t)sl_reader_left(&r);
	if (rec->flow != 0 || rec->generation != 0)
		return SL_BODY_HEADER;
	if (open->generation == 0 || (open->open_flags & ~SL_OPEN_RESUME) != 0)
		return SL_BODY_VALUE;
	if (sl_carry_skip_bytes(open->protocol) == 0)
		return SL_BODY_PROTOCOL;
	verdict = check_destination(open);
	if (verdict != SL_BODY_OK)
		return verdict;
	if (memcmp(open->flow_key, zero, sizeof(zero)) == 0)
		return SL_BODY_FLOW_KEY;
	if (open->nb_transport_bytes < sl_carry_min_bytes(open->protocol))
		return SL_BODY_TRANSPORT;
	return SL_BODY_OK;
}

unsigned
sl_open_put(uint8_t *p, const struct sl_open *open)
{
	struct sl_wire_open *w = (struct sl_wire_open *)p;

	sl_put32(w->flow_be, open->flow);
	w->generation = open->generation;
	w->open_flags = open->open_flags;
	w->protocol = open->protocol;
	w->destination_kind = open->destination_kind;
	sl_put16(w->port_be, open->port);
	w->destination_bytes = open->destination_bytes;
	w->reserved = 0;
	memcpy(w->flow_key, open->flow_key, sizeof(w->flow_key));
	memcpy(p + sizeof(*w), open->destination, open->destination_bytes);
	return sl_open_bytes(open->destination_bytes);
}

void
sl_accept_put(
	uint8_t p[SL_REC_ACCEPT_BYTES],
	uint32_t flow,
	uint8_t generation,
	uint32_t own_flow,
	uint8_t own_generation
)
{
	struct sl_wire_accept *w = (struct sl_wire_accept *)(p + SL_REC_HEAD_BYTES);

	sl_rec_put_fixed(p, SL_RECORD_ACCEPT, 0, generation, flow, sizeof(*w));
	*w = (struct sl_wire_accept){ .generation = own_generation };
	sl_put32(w->flow_be, own_flow);
}

enum sl_body_verdict
sl_accept_parse(const struct sl_rec *rec, struct sl_accept *accept)
{
	const struct sl_wire_accept *w = (const struct sl_wire_accept *)rec->body;

	if (rec->nb_bytes < sizeof(*w))
		return SL_BODY_SHORT;
	if (rec->generation == 0)
		return SL_BODY_HEADER;
	accept->flow = sl_get32(w->flow_be);
	accept->generation = w->generation;
	return w->generation == 0 ? SL_BODY_VALUE : SL_BODY_OK;
}

void
sl_close_put(
	uint8_t p[SL_REC_CLOSE_BYTES],
	enum sl_record_type type,
	uint32_t flow,
	uint8_t generation,
	enum sl_close_reason reason
)
{
	sl_rec_put_fixed(p, (uint8_t)type, 0, generation, flow, 1);
	p[SL_REC_HEAD_BYTES] = (uint8_t)reason;
}

enum sl_body_verdict
sl_close_parse(const struct sl_rec *rec, enum sl_close_reason *reason)
{
	if (rec->nb_bytes < 1)
		return SL_BODY_SHORT;
	if (rec->generation == 0)
		return SL_BODY_HEADER;
	*reason = rec->body[0] <= SL_CLOSE_QUOTA ? (enum sl_close_reason)rec->body[0]
						 : SL_CLOSE_DONE;
	return SL_BODY_OK;
}

unsigned
sl_error_put(
	uint8_t *p, size_t room, uint32_t flow, uint8_t generation, const struct sl_error *error
)
{
	unsigned length = (unsigned)sizeof(struct sl_wire_error) + error->quoted_bytes;
	struct sl_wire_error *w = (struct sl_wire_error *)(p + SL_REC_HEAD_BYTES);

	if (error->quoted_bytes > SL_ERROR_QUOTED_MAX_BYTES || room < SL_REC_HEAD_BYTES + length)
		return 0;
	sl_rec_put_fixed(p, SL_RECORD_ERROR, 0, generation, flow, (uint16_t)length);
	*w = (struct sl_wire_error){
		.icmp_type = error->icmp_type,
		.icmp_code = error->icmp_code,
		.quoted_bytes = error->quoted_bytes,
	};
	sl_put16(w->mtu_be, error->mtu);
	sl_put16(w->l4_bytes_be, error->l4_bytes);
	memcpy(p + SL_REC_HEAD_BYTES + sizeof(*w), error->quoted, error->quoted_bytes);
	return SL_REC_HEAD_BYTES + length;
}

enum sl_body_verdict
sl_error_parse(const struct sl_rec *rec, struct sl_error *error)
{
	const struct sl_wire_error *w = (const struct sl_wire_error *)rec->body;

	if (rec->nb_bytes < sizeof(*w) || rec->nb_bytes - sizeof(*w) < w->quoted_bytes)
		return SL_BODY_SHORT;
	if (rec->generation == 0)
		return SL_BODY_HEADER;
	if (w->icmp_type != 3 && w->icmp_type != 11 && w->icmp_type != 12)
		return SL_BODY_VALUE;
	if (w->quoted_bytes > SL_ERROR_QUOTED_MAX_BYTES)
		return SL_BODY_VALUE;
	*error = (struct sl_error){
		.icmp_type = w->icmp_type,
		.icmp_code = w->icmp_code,
		.mtu = sl_get16(w->mtu_be),
		.l4_bytes = sl_get16(w->l4_bytes_be),
		.quoted_bytes = w->quoted_bytes,
		.quoted = rec->body + sizeof(*w),
	};
	return SL_BODY_OK;
}

unsigned
sl_resolve_put(uint8_t *p, const struct sl_resolve *resolve)
{
	struct sl_wire_resolve *w = (struct sl_wire_resolve *)(p + SL_REC_HEAD_BYTES);
	uint16_t length = (uint16_t)(sizeof(*w) + resolve->nb_bytes);

	sl_rec_put_fixed(p, SL_RECORD_RESOLVE, 0, 0, 0, length);
	*w = (struct sl_wire_resolve){ .is_answer = resolve->is_answer,
				       .has_more = resolve->has_more };
	sl_put16(w->offset_be, resolve->offset);
	sl_put32(w->token_be, resolve->token);
	return SL_RESOLVE_HEAD_BYTES;
}

enum sl_body_verdict
sl_resolve_parse(const struct sl_rec *rec, struct sl_resolve *resolve)
{
	const struct sl_wire_resolve *w = (const struct sl_wire_resolve *)rec->body;

	if (rec->nb_bytes <= sizeof(*w))
		return SL_BODY_SHORT;
	if (sl_get16(w->offset_be) == 0 && rec->nb_bytes < sizeof(*w) + 12)
		return SL_BODY_SHORT;
	if (rec->flow != 0 || rec->generation != 0)
		return SL_BODY_HEADER;
	// A question is always whole, and nothing stands beyond what a message can be long.
	if (w->is_answer > 1 || w->has_more > 1 ||
	    (!w->is_answer && (w->has_more != 0 || sl_get16(w->offset_be) != 0)) ||
	    sl_get16(w->offset_be) + (rec->nb_bytes - sizeof(*w)) > UINT16_MAX)
		return SL_BODY_VALUE;
	*resolve = (struct sl_resolve){
		.token = sl_get32(w->token_be),
		.is_answer = w->is_answer != 0,
		.has_more = w->has_more != 0,
		.offset = sl_get16(w->offset_be),
		.message = rec->body + sizeof(*w),
		.nb_bytes = rec->nb_bytes - (uint32_t)sizeof(*w),
	};
	return SL_BODY_OK;
}

void
sl_heartbeat_put(uint8_t p[SL_REC_HEARTBEAT_BYTES], const struct sl_heartbeat *beat)
{
	struct sl_wire_heartbeat *w = (struct sl_wire_heartbeat *)(p + SL_REC_HEAD_BYTES);

	sl_rec_put_fixed(p, SL_RECORD_HEARTBEAT, 0, 0, 0, sizeof(*w));
	w->is_pong = beat->is_pong;
	w->state = beat->state;
	sl_put16(w->load_be, beat->load);
	sl_put32(w->sequence_be, beat->sequence);
	sl_put64(w->timestamp_ns_be, beat->timestamp_ns);
}

enum sl_body_verdict
sl_heartbeat_parse(const struct sl_rec *rec, struct sl_heartbeat *beat)
{
	const struct sl_wire_heartbeat *w = (const struct sl_wire_heartbeat *)rec->body;

	if (rec->nb_bytes < sizeof(*w))
		return SL_BODY_SHORT;
	if (rec->flow != 0 || rec->generation != 0)
		return SL_BODY_HEADER;
	if (w->is_pong > 1)
		return SL_BODY_VALUE;
	*beat = (struct sl_heartbeat){
		.is_pong = w->is_pong != 0,
		.state = w->state,
		.load = sl_get16(w->load_be),
		.sequence = sl_get32(w->sequence_be),
		.timestamp_ns = sl_get64(w->timestamp_ns_be),
	};
	return SL_BODY_OK;
}

void
sl_lane_report_put(uint8_t p[SL_REC_LANE_BYTES], const struct sl_lane_report *report)
{
	struct sl_wire_lane *w = (struct sl_wire_lane *)(p + SL_REC_HEAD_BYTES);

	sl_rec_put_fixed(p, SL_RECORD_LANE, 0, 0, 0, sizeof(*w));
	sl_put16(w->lane_be, report->lane);
	w->worker = report->worker;
	w->owner = report->owner;
}

enum sl_body_verdict
sl_lane_report_parse(const struct sl_rec *rec, struct sl_lane_report *report)
{
	const struct sl_wire_lane *w = (const struct sl_wire_lane *)rec->body;

	if (rec->nb_bytes < sizeof(*w))
		return SL_BODY_SHORT;
	if (rec->flow != 0 || rec->generation != 0)
		return SL_BODY_HEADER;
	report->lane = sl_get16(w->lane_be);
	report->worker = w->worker;
	report->owner = w->owner;
	return report->lane < SL_WIRE_MAX_LANES ? SL_BODY_OK : SL_BODY_VALUE;
}

uint8_t *
sl_ticket_record_put(uint8_t p[SL_REC_TICKET_BYTES], uint32_t flow, uint8_t generation)
{
	sl_rec_put_fixed(p, SL_RECORD_TICKET, 0, generation, flow, SL_WIRE_TICKET_BYTES);
	return p + SL_REC_HEAD_BYTES;
}

enum sl_body_verdict
sl_ticket_record_parse(const struct sl_rec *rec, const uint8_t **ticket)
{
	if (rec->nb_bytes < SL_WIRE_TICKET_BYTES)
		return SL_BODY_SHORT;
	if (rec->generation == 0)
		return SL_BODY_HEADER;
	*ticket = rec->body;
	return SL_BODY_OK;
}

void
sl_reopen_put(uint8_t p[SL_REOPEN_BODY_BYTES], const struct sl_reopen *reopen)
{
	struct sl_wire_reopen *w = (struct sl_wire_reopen *)p;

	*w = (struct sl_wire_reopen){ .generation = reopen->generation };
	sl_put32(w->flow_be, reopen->flow);
	memcpy(w->ticket, reopen->ticket, sizeof(w->ticket));
}

enum sl_body_verdict
sl_reopen_parse(const struct sl_rec *rec, struct sl_reopen *reopen)
{
	const struct sl_wire_reopen *w = (const struct sl_wire_reopen *)rec->body;

	if (rec->nb_bytes < sizeof(*w))
		return SL_BODY_SHORT;
	if (rec->flow != 0 || rec->generation != 0)
		return SL_BODY_HEADER;
	*reopen = (struct sl_reopen){
		.flow = sl_get32(w->flow_be),
		.generation = w->generation,
		.ticket = w->ticket,
		.transport = rec->body + sizeof(*w),
		.nb_transport_bytes = rec->nb_bytes - (uint32_t)sizeof(*w),
	};
	return w->generation == 0 ? SL_BODY_VALUE : SL_BODY_OK;
}
