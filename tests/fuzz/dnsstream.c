// Octets of a stream cut as the input says: messages come out as a plain walk over the whole finds them, and nothing that is
// queued is lost.
#include "fuzz.h"

#include <sluice/dns/stream.h>
#include <sluice/proto/bytes.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX 300u

static uint8_t in[MESSAGE_MAX + 100];

struct walk {
	const uint8_t *data;
	size_t size, at;
};

static void
compare(struct walk *w, const uint8_t *message, size_t nb_bytes)
{
	size_t nb, kept;

	if (w->at + 2 > w->size)
		abort();
	nb = sl_get16(w->data + w->at);
	kept = nb > MESSAGE_MAX ? MESSAGE_MAX : nb;
	if (nb_bytes != kept || w->at + 2 + kept > w->size ||
	    memcmp(message, w->data + w->at + 2, kept) != 0)
		abort();
	w->at += 2 + nb;
}

// What was taken goes back as its own answer, and is written a few octets at a time.
static void
echo(struct sl_stream *s, const uint8_t *message, size_t nb_bytes, size_t step)
{
	struct sl_stream_node *node = malloc(sizeof(*node) + 2 + nb_bytes);
	const uint8_t *bytes;
	size_t nb;

	if (node == NULL)
		abort();
	sl_stream_fill(node, message, (uint16_t)nb_bytes);
	sl_stream_put(s, node, 0);
	while ((nb = sl_stream_pending(s, &bytes)) != 0)
		free(sl_stream_sent(s, nb < step ? nb : step, 0));
	if (s->nb_out_bytes != 0 || s->nb_in_flight != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sl_stream_limits limits = { .message_max = MESSAGE_MAX,
							.in_flight_max = 3,
							.out_bytes_max = 600 };
	struct walk walk;
	struct sl_stream s;
	size_t step, at = 0;

	if (size < 1)
		return 0;
	step = 1u + data[0];
	walk = (struct walk){ .data = data + 1, .size = size - 1 };
	sl_stream_init(&s, &limits, in, sizeof(in), 0);
	while (at < walk.size) {
		const uint8_t *message;
		size_t room, nb, nb_bytes;
		uint8_t *to = sl_stream_room(&s, &room);

		nb = walk.size - at < step ? walk.size - at : step;
		nb = nb < room ? nb : room;
		if (nb == 0)
			abort(); // stuck
		memcpy(to, walk.data + at, nb);
		at += nb;
		sl_stream_received(&s, nb, 0);
		while (sl_stream_next(&s, &message, &nb_bytes, 0)) {
			compare(&walk, message, nb_bytes);
			echo(&s, message, nb_bytes, step);
		}
	}
	return 0;
}
