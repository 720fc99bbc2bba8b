#include <sluice/dns/stream.h>
#include <sluice/proto/bytes.h>
#include <string.h>

void
sl_stream_init(
	struct sl_stream *s,
	const struct sl_stream_limits *limits,
	uint8_t *in,
	uint32_t in_bytes,
	uint64_t now_ns
)
{
	*s = (struct sl_stream){
		.limits = *limits,
		.in = in,
		.in_bytes = in_bytes,
		.heard_ns = now_ns,
	};
}

// What remains moves to the front: whole messages have been taken, so it is little.
uint8_t *
sl_stream_room(struct sl_stream *s, size_t *room)
{
	if (s->at != 0) {
		memmove(s->in, s->in + s->at, s->end - s->at);
		s->end -= s->at;
		s->at = 0;
	}
	*room = s->in_bytes - s->end;
	return s->in + s->end;
}

// Pass over what belongs to a message that was cut.
static void
skip(struct sl_stream *s)
{
	uint32_t nb = s->end - s->at;

	if (nb > s->skip_bytes)
		nb = s->skip_bytes;
	s->at += nb;
	s->skip_bytes -= nb;
}

static void
note_message(struct sl_stream *s, uint64_t now_ns)
{
	if (s->at == s->end && s->skip_bytes == 0)
		s->message_ns = 0;
	else if (s->message_ns == 0)
		s->message_ns = now_ns;
}

void
sl_stream_received(struct sl_stream *s, size_t nb_bytes, uint64_t now_ns)
{
	s->end += (uint32_t)nb_bytes;
	s->heard_ns = now_ns;
	skip(s);
	note_message(s, now_ns);
}

bool
sl_stream_is_full(const struct sl_stream *s)
{
	return s->nb_in_flight >= s->limits.in_flight_max ||
		s->nb_out_bytes >= s->limits.out_bytes_max;
}

bool
sl_stream_next(struct sl_stream *s, const uint8_t **message, size_t *nb_bytes, uint64_t now_ns)
{
	size_t nb_in = s->end - s->at, nb, kept;

	if (sl_stream_is_full(s) || nb_in < SL_STREAM_LENGTH_BYTES)
		return false;
	nb = sl_get16(s->in + s->at);
	kept = nb > s->limits.message_max ? s->limits.message_max : nb;
	if (nb_in < SL_STREAM_LENGTH_BYTES + kept)
		return false;
	*message = s->in + s->at + SL_STREAM_LENGTH_BYTES;
	*nb_bytes = kept;
	s->at += (uint32_t)(SL_STREAM_LENGTH_BYTES + kept);
	s->is_cut = kept != nb;
	s->skip_bytes = (uint32_t)(nb - kept);
	skip(s);
	s->nb_in_flight++;
	s->message_ns = 0;
	note_message(s, now_ns);
	return true;
}

void
sl_stream_forget(struct sl_stream *s, uint64_t now_ns)
{
	if (s->nb_in_flight != 0)
		s->nb_in_flight--;
	s->heard_ns = now_ns;
}

void
sl_stream_fill(struct sl_stream_node *node, const uint8_t *message, uint16_t nb_bytes)
{
	node->next = NULL;
	node->nb_bytes = SL_STREAM_LENGTH_BYTES + (uint32_t)nb_bytes;
	sl_put16(node->bytes, nb_bytes);
	memcpy(node->bytes + SL_STREAM_LENGTH_BYTES, message, nb_bytes);
}

void
sl_stream_set_length(struct sl_stream_node *node, uint16_t nb_bytes)
{
	node->nb_bytes = SL_STREAM_LENGTH_BYTES + (uint32_t)nb_bytes;
	sl_put16(node->bytes, nb_bytes);
}

void
sl_stream_put(struct sl_stream *s, struct sl_stream_node *node, uint64_t now_ns)
{
	sl_stream_forget(s, now_ns);
	if (s->first == NULL)
		s->first = node;
	else
		s->last->next = node;
	s->last = node;
	s->nb_out_bytes += node->nb_bytes;
}

size_t
sl_stream_pending(const struct sl_stream *s, const uint8_t **bytes)
{
	if (s->first == NULL)
		return 0;
	*bytes = s->first->bytes + s->written;
	return s->first->nb_bytes - s->written;
}

struct sl_stream_node *
sl_stream_sent(struct sl_stream *s, size_t nb_bytes, uint64_t now_ns)
{
	struct sl_stream_node *node = s->first;

	if (nb_bytes == 0) {
		if (s->blocked_ns == 0)
			s->blocked_ns = now_ns;
		return NULL;
	}
	s->blocked_ns = 0;
	s->heard_ns = now_ns;
	s->written += (uint32_t)nb_bytes;
	if (s->written < node->nb_bytes)
		return NULL;
	s->written = 0;
	s->nb_out_bytes -= node->nb_bytes;
	s->first = node->next;
	return node;
}

struct sl_stream_node *
sl_stream_drain(struct sl_stream *s)
{
	struct sl_stream_node *node = s->first;

	if (node == NULL)
		return NULL;
	s->written = 0;
	s->first = node->next;
	s->nb_out_bytes -= node->nb_bytes;
	return node;
}

uint64_t
sl_stream_deadline_ns(const struct sl_stream *s)
{
	uint64_t ns = UINT64_MAX;

	if (s->blocked_ns != 0)
		ns = s->blocked_ns + s->limits.write_ns;
	// While a limit forbids reading, the peer cannot go on with its message.
	if (s->message_ns != 0 && !sl_stream_is_full(s) &&
	    s->message_ns + s->limits.message_ns < ns)
		ns = s->message_ns + s->limits.message_ns;
	if (s->nb_in_flight == 0 && s->first == NULL && s->heard_ns + s->limits.idle_ns < ns)
		ns = s->heard_ns + s->limits.idle_ns;
	return ns;
}
