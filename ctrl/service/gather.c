// gather: answers of the private DNS that exceed a record come in pieces, any of which may be lost; then the question
// that waits runs out of time as after any loss.
#include "internal.h"

#include <sluice/proto/record.h>
#include <stdlib.h>
#include <string.h>

// The gather of a hold; a new one in the place of the oldest if there is none. NULL: no memory.
static struct gather *
find(struct sl_service *s, uint32_t session, uint32_t hold)
{
	struct gather *g, *oldest = &s->gathers[0];

	for (unsigned i = 0; i < NB_GATHERS; i++) {
		g = &s->gathers[i];
		if (g->is_used && g->hold == hold && g->session == session &&
		    s->now_ns - g->started_ns < HOLD_NS)
			return g;
		if (!g->is_used || (oldest->is_used && g->started_ns < oldest->started_ns))
			oldest = g;
	}
	g = oldest;
	if (g->bytes == NULL)
		g->bytes = malloc(SL_DNS_MESSAGE_MAX);
	if (g->bytes == NULL)
		return NULL;
	*g = (struct gather){ .hold = hold,
			      .session = session,
			      .started_ns = s->now_ns,
			      .is_used = true,
			      .bytes = g->bytes };
	return g;
}

const uint8_t *
gather_piece(
	struct sl_service *s, uint32_t session, const struct sl_resolve *piece, size_t *nb_bytes
)
{
	struct gather *g = find(s, session, piece->token);

	if (g == NULL || piece->offset + piece->nb_bytes > SL_DNS_MESSAGE_MAX)
		return NULL;
	memcpy(g->bytes + piece->offset, piece->message, piece->nb_bytes);
	g->nb_got += piece->nb_bytes;
	if (!piece->has_more)
		g->nb_bytes = piece->offset + piece->nb_bytes;
	if (g->nb_bytes == 0 || g->nb_got != g->nb_bytes)
		return NULL;
	g->is_used = false;
	*nb_bytes = g->nb_bytes;
	return g->bytes;
}

void
gather_free(struct sl_service *s)
{
	for (unsigned i = 0; i < NB_GATHERS; i++)
		free(s->gathers[i].bytes);
}
