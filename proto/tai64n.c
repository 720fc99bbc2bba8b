#include <sluice/proto/bytes.h>
#include <sluice/proto/limits.h>
#include <sluice/proto/tai64n.h>

// TAI64 labels count from 2^62 at 1970-01-01 00:00:00 TAI, which was 10 s ahead of UTC.
#define TAI64_EPOCH 0x400000000000000aull
#define STEP_NS     (SL_TAI64N_FLOOR_STEP_S * SL_NS_PER_S)

void
sl_tai64n_put(uint8_t out[SL_TAI64N_BYTES], uint64_t wall_ns)
{
	uint64_t s = TAI64_EPOCH + wall_ns / SL_NS_PER_S;
	uint32_t ns = (uint32_t)(wall_ns % SL_NS_PER_S);

	sl_put32(out, (uint32_t)(s >> 32));
	sl_put32(out + 4, (uint32_t)s);
	sl_put32(out + 8, ns);
}

static uint64_t
next_ns(const struct sl_tai64n_clock *c, uint64_t wall_ns)
{
	return wall_ns > c->last_ns ? wall_ns : c->last_ns + 1;
}

// Asked for while half a step is left, so that the disk is never waited for.
uint64_t
sl_tai64n_floor_wanted(const struct sl_tai64n_clock *c, uint64_t wall_ns)
{
	uint64_t next = next_ns(c, wall_ns);

	return next + STEP_NS / 2 > c->floor_ns ? next + STEP_NS : 0;
}

void
sl_tai64n_floor_is(struct sl_tai64n_clock *c, uint64_t floor_ns)
{
	if (floor_ns > c->floor_ns)
		c->floor_ns = floor_ns;
}

bool
sl_tai64n_next(struct sl_tai64n_clock *c, uint64_t wall_ns, uint8_t out[SL_TAI64N_BYTES])
{
	uint64_t next = next_ns(c, wall_ns);

	if (next > c->floor_ns)
		return false;
	c->last_ns = next;
	sl_tai64n_put(out, next);
	return true;
}
