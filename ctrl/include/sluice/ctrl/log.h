// log: one line per event on stderr.
//
//   2026-05-04T10:20:30.123456Z warning store-failed: the disk is full; ... (12 more suppressed)
//
// sl_log() formats in the caller, puts the line on a bounded queue and returns; the log writer
// thread does the writing. It never blocks: a full queue loses the line and counts it, and the
// writer says how many were lost. Before sl_log_start() and after sl_log_stop() lines are written
// at once. Each place in the source may log SL_LOG_BURST lines per SL_LOG_WINDOW_S seconds; what
// is beyond is counted and the count rides on the next line from that place.
//
// Never log a key, a plaintext or a packet's contents. Not for workers: the datapath counts.
#pragma once

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>

// Falling severity. error: something does not work; warning: it works, somebody should look;
// notice: normal but rare (start, stop, peer up); info: normal; debug: for developers.
enum sl_log_level { SL_LOG_ERROR, SL_LOG_WARNING, SL_LOG_NOTICE, SL_LOG_INFO, SL_LOG_DEBUG };

#define SL_LOG_LINE_BYTES 512u // one line with its time and newline; longer ones are cut
#define SL_LOG_BURST      10u
#define SL_LOG_WINDOW_S   10u

// One per call of sl_log(); zero-initialised, static.
struct sl_log_site {
	atomic_uint_fast64_t window_start_ns;
	atomic_uint nb_in_window;
	atomic_uint nb_suppressed;
};

// Start the writer thread. Lines go to `fd` (normally STDERR_FILENO, not closed). Returns 0 or
// -errno. Call before workers start, after the last fork.
[[nodiscard]] int sl_log_start(int fd);

// Write out what is queued, end the thread. Nothing happens when it does not run.
void sl_log_stop(void);

// Lines above `level` are not even formatted. Default SL_LOG_NOTICE. Any thread.
void sl_log_set_level(enum sl_log_level level);

// Lines lost since the start because the queue was full.
uint64_t sl_log_nb_lost(void);

// The word for `level` as it stands in a line.
const char *sl_log_level_name(enum sl_log_level level);

// Use sl_log(). Control characters in the text are shown as \xNN so that one event is one line.
void sl_log_at(
	struct sl_log_site *site, enum sl_log_level level, const char *event, const char *fmt, ...
) __attribute__((format(printf, 4, 5)));

// `event` is a stable word for programs to look for ("peer-up"); the rest is for people.
#define sl_log(level, event, ...)                                                                  \
	do {                                                                                       \
		static struct sl_log_site sl_log_site_;                                            \
		sl_log_at(&sl_log_site_, (level), (event), __VA_ARGS__);                           \
	} while (0)
