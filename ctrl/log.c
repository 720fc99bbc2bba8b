#include "log_writer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sluice/ctrl/clock.h>
#include <sluice/ctrl/json.h>
#include <sluice/ctrl/log.h>
#include <sluice/ctrl/mpsc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define QUEUE_LINES 1024u
#define IDLE_MS     1000
#define STUCK_MS    200 // a reader that takes nothing for so long costs a line

struct line {
	uint16_t len;
	char text[SL_LOG_LINE_BYTES];
};

static struct {
	struct sl_mpsc queue;
	pthread_t thread;
	pthread_mutex_t drain_lock; // writer while draining; attach and detach
	void (*drain)(void);
	int out_fd;
	int wake_fd;
	atomic_bool running;
	atomic_bool awake; // a wake is on its way
	atomic_int level;
	atomic_uint_fast64_t nb_lost;
	uint64_t nb_lost_said;
} log_state = {
	.drain_lock = PTHREAD_MUTEX_INITIALIZER,
	.out_fd = STDERR_FILENO,
	.wake_fd = -1,
	.level = SL_LOG_NOTICE,
};

const char *
sl_log_level_name(enum sl_log_level level)
{
	static const char *const names[] = { "error", "warning", "notice", "info", "debug" };

	return (unsigned)level < sizeof(names) / sizeof(names[0]) ? names[level] : "?";
}

void
sl_log_set_level(enum sl_log_level level)
{
	atomic_store(&log_state.level, (int)level);
}

uint64_t
sl_log_nb_lost(void)
{
	return atomic_load(&log_state.nb_lost);
}

// Whether this line may be written; *nb_suppressed is what was swallowed before it.
static bool
site_admits(struct sl_log_site *site, unsigned *nb_suppressed)
{
	uint64_t now_ns = sl_clock_now_ns();
	uint64_t start_ns = atomic_load(&site->window_start_ns);

	if (start_ns == 0 || (int64_t)(now_ns - start_ns) >= SL_LOG_WINDOW_S * 1000000000ll) {
		// The loser of this race counts in the winner's window.
		if (atomic_compare_exchange_strong(&site->window_start_ns, &start_ns, now_ns | 1))
			atomic_store(&site->nb_in_window, 0);
	}
	if (atomic_fetch_add(&site->nb_in_window, 1) >= SL_LOG_BURST) {
		atomic_fetch_add(&site->nb_suppressed, 1);
		return false;
	}
	*nb_suppressed = atomic_exchange(&site->nb_suppressed, 0);
	return true;
}

// Append `from` with control characters made visible, leaving `room` octets at the end.
static size_t
append_clean(char *text, size_t len, size_t size, const char *from)
{
	for (; *from != '\0' && len + 5 < size; from++) {
		unsigned char c = (unsigned char)*from;

		if (c < 0x20 || c == 0x7f)
			len += (size_t)snprintf(text + len, 5, "\\x%02x", c);
		else
			text[len++] = (char)c;
	}
	return len;
}

static void
compose(struct line *line,
	enum sl_log_level level,
	const char *event,
	const char *message,
	unsigned nb_suppressed)
{
	char tail[40] = "\n";
	char time[SL_TIME_CHARS + 1];
	size_t len, tail_len;

	if (nb_suppressed != 0)
		snprintf(tail, sizeof(tail), " (%u more suppressed)\n", nb_suppressed);
	tail_len = strlen(tail);
	sl_time_format(sl_clock_wall_ns(), time);
	len = (size_t
	)snprintf(line->text, 128, "%s %s %.64s: ", time, sl_log_level_name(level), event);
	len = append_clean(line->text, len, sizeof(line->text) - tail_len, message);
	memcpy(line->text + len, tail, tail_len);
	line->len = (uint16_t)(len + tail_len);
}

// Write the whole line. False when whoever reads our stderr is stuck.
static bool
write_out(const struct line *line)
{
	unsigned done = 0;

	while (done < line->len) {
		struct pollfd pfd = { .fd = log_state.out_fd, .events = POLLOUT };
		ssize_t n;

		if (poll(&pfd, 1, STUCK_MS) == 0)
			return false;
		n = write(log_state.out_fd, line->text + done, line->len - done);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return true; // closed: there is nobody to tell
		if (n > 0)
			done += (unsigned)n;
	}
	return true;
}

static void
say_lost(void)
{
	uint64_t nb_lost = sl_log_nb_lost();
	struct line line;
	char message[80];

	if (nb_lost == log_state.nb_lost_said)
		return;
	snprintf(
		message,
		sizeof(message),
		"%llu log lines were lost because their reader was slow",
		(unsigned long long)(nb_lost - log_state.nb_lost_said)
	);
	compose(&line, SL_LOG_WARNING, "log-lost", message, 0);
	if (write_out(&line))
		log_state.nb_lost_said = nb_lost;
}

static void
drain_all(void)
{
	struct line line;

	bool stuck = false;

	// A stuck reader holds up this thread for one line; the others wait, and the flow log goes on.
	while (!stuck && sl_mpsc_pop(&log_state.queue, &line))
		stuck = !write_out(&line);
	if (stuck)
		atomic_fetch_add(&log_state.nb_lost, 1);
	else
		say_lost();
	pthread_mutex_lock(&log_state.drain_lock);
	if (log_state.drain != NULL)
		log_state.drain();
	pthread_mutex_unlock(&log_state.drain_lock);
}

static void *
writer(void *arg)
{
	(void)arg;
	while (atomic_load(&log_state.running)) {
		struct pollfd pfd = { .fd = log_state.wake_fd, .events = POLLIN };
		uint64_t nb;

		if (poll(&pfd, 1, IDLE_MS) > 0)
			(void)!read(log_state.wake_fd, &nb, sizeof(nb));
		// Cleared before the queues are read: what is pushed after the read wakes again.
		atomic_store(&log_state.awake, false);
		drain_all();
	}
	drain_all();
	return NULL;
}

int
sl_log_start(int fd)
{
	int rc;

	if (atomic_load(&log_state.running))
		return -EALREADY;
	rc = sl_mpsc_init(&log_state.queue, QUEUE_LINES, sizeof(struct line));
	if (rc != 0)
		return rc;
	log_state.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (log_state.wake_fd < 0) {
		rc = -errno;
		goto fail;
	}
	log_state.out_fd = fd;
	atomic_store(&log_state.running, true);
	rc = -pthread_create(&log_state.thread, NULL, writer, NULL);
	if (rc == 0) {
		pthread_setname_np(log_state.thread, "sl-log");
		return 0;
	}
	atomic_store(&log_state.running, false);
	close(log_state.wake_fd);
fail:
	sl_mpsc_free(&log_state.queue);
	return rc;
}

void
sl_log_stop(void)
{
	if (!atomic_exchange(&log_state.running, false))
		return;
	atomic_store(&log_state.awake, false);
	sl_log_writer_wake();
	pthread_join(log_state.thread, NULL);
	close(log_state.wake_fd);
	log_state.wake_fd = -1;
	sl_mpsc_free(&log_state.queue);
	log_state.out_fd = STDERR_FILENO;
}

void
sl_log_writer_wake(void)
{
	uint64_t one = 1;

	if (!atomic_exchange(&log_state.awake, true))
		(void)!write(log_state.wake_fd, &one, sizeof(one));
}

int
sl_log_writer_attach(void (*drain)(void))
{
	int rc = 0;

	pthread_mutex_lock(&log_state.drain_lock);
	if (log_state.drain != NULL || !atomic_load(&log_state.running))
		rc = -EBUSY;
	else
		log_state.drain = drain;
	pthread_mutex_unlock(&log_state.drain_lock);
	return rc;
}

void
sl_log_writer_detach(void)
{
	pthread_mutex_lock(&log_state.drain_lock);
	log_state.drain = NULL;
	pthread_mutex_unlock(&log_state.drain_lock);
}

void
sl_log_at(
	struct sl_log_site *site, enum sl_log_level level, const char *event, const char *fmt, ...
)
{
	unsigned nb_suppressed = 0;
	char message[SL_LOG_LINE_BYTES];
	struct line line;
	va_list ap;

	if ((int)level > atomic_load(&log_state.level) || !site_admits(site, &nb_suppressed))
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	compose(&line, level, event, message, nb_suppressed);
	if (!atomic_load(&log_state.running)) {
		write_out(&line);
		return;
	}
	if (!sl_mpsc_push(&log_state.queue, &line))
		atomic_fetch_add(&log_state.nb_lost, 1);
	sl_log_writer_wake();
}
