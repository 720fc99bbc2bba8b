// replay: the sliding window of RFC 6479: a ring of 64-bit words one longer than the window, so that
// moving on clears whole words and never shifts. The newest word is kept beside the counter until the
// window moves past it: what comes in order touches no other. Counters run from 0. Private to one thread.
#pragma once

#include <sluice/proto/limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SL_REPLAY_WORDS(window) ((window) / 64u + 1u)

// A window of `nb_words - 1` words; the words follow in the enclosing struct.
struct sl_replay {
	uint64_t next; // one more than the highest counter accepted
	uint64_t newest; // the word of that counter; what the ring holds in its place is void
};

enum sl_replay_verdict { SL_REPLAY_FRESH = 0, SL_REPLAY_OLD, SL_REPLAY_SEEN };

// Would `counter` be accepted? Changes nothing: asked before the tag is checked, to spare the work.
static inline enum sl_replay_verdict
sl_replay_check(
	const struct sl_replay *r, const uint64_t *words, uint32_t nb_words, uint64_t counter
)
{
	uint64_t window = (uint64_t)(nb_words - 1) * 64;
	uint64_t word;

	// Also keeps `next` from coming round.
	if (counter >= SL_REJECT_AFTER_MESSAGES)
		return SL_REPLAY_OLD;
	if (counter >= r->next)
		return SL_REPLAY_FRESH;
	if (r->next - counter > window)
		return SL_REPLAY_OLD;
	word = counter / 64 == (r->next - 1) / 64 ? r->newest : words[(counter / 64) % nb_words];
	return (word >> (counter % 64) & 1) != 0 ? SL_REPLAY_SEEN : SL_REPLAY_FRESH;
}

// Go on to the word of `counter`, the highest so far.
static inline void
sl_replay_advance(struct sl_replay *r, uint64_t *words, uint32_t nb_words, uint64_t counter)
{
	uint64_t from = r->next == 0 ? 0 : (r->next - 1) / 64, to = counter / 64;

	r->next = counter + 1;
	if (to == from)
		return;
	words[from % nb_words] = r->newest;
	r->newest = 0;
	if (to - from >= nb_words)
		memset(words, 0, nb_words * sizeof(*words));
	else
		for (uint64_t word = from + 1; word < to; word++)
			words[word % nb_words] = 0;
}

// Note an authentic counter. Call only after the tag was found right; a batch may hold one counter
// twice, so the verdict is given again.
static inline enum sl_replay_verdict
sl_replay_commit(struct sl_replay *r, uint64_t *words, uint32_t nb_words, uint64_t counter)
{
	enum sl_replay_verdict verdict = sl_replay_check(r, words, nb_words, counter);

	if (verdict != SL_REPLAY_FRESH)
		return verdict;
	if (counter >= r->next)
		sl_replay_advance(r, words, nb_words, counter);
	if (counter / 64 == (r->next - 1) / 64)
		r->newest |= 1ull << (counter % 64);
	else
		words[(counter / 64) % nb_words] |= 1ull << (counter % 64);
	return SL_REPLAY_FRESH;
}
