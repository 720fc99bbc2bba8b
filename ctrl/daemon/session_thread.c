// session_thread: turns of the session thread, and how it and the workers go over to a configuration.
#include "daemon.h"

#include <errno.h>
#include <poll.h>
#include <sluice/dp/nat.h>
#include <time.h>
#include <unistd.h>

#define SESSION_SLEEP_MAX_MS 100

static void
adopt(struct daemon *d)
{
	struct snapshot *next = atomic_exchange(&d->next, NULL);

	if (next == NULL)
		return;
	sl_service_config(d->service, next->config, &next->dp, next->peers, next->nb_peers);
	atomic_store(&d->adopted, next);
}

static void
sleep_until_work(struct daemon *d)
{
	struct pollfd fds[] = {
		{ .fd = sl_dp_session_fd(d->dp), .events = POLLIN },
		{ .fd = sl_store_fd(d->store), .events = POLLIN },
		{ .fd = d->session_wake, .events = POLLIN },
		{ .fd = d->streams == NULL ? -1 : sl_streams_fd(d->streams), .events = POLLIN },
	};
	uint64_t now_ns = sl_clock_ns(&d->clock), wake_ns = sl_service_wake_ns(d->service);
	struct timespec timeout = { 0 };
	uint64_t wait_ns = wake_ns > now_ns ? wake_ns - now_ns : 0;

	if (wait_ns > SESSION_SLEEP_MAX_MS * SL_NS_PER_MS)
		wait_ns = SESSION_SLEEP_MAX_MS * SL_NS_PER_MS;
	timeout.tv_nsec = (long)wait_ns;
	if (wait_ns != 0 && sl_dp_session_sleeps(d->dp)) {
		uint64_t count;

		ppoll(fds, RTE_DIM(fds), &timeout, NULL);
		if (fds[2].revents != 0 && read(d->session_wake, &count, sizeof(count)) < 0)
			return; // somebody else's wake-up: nothing is lost
	}
	sl_dp_session_woke(d->dp);
}

void *
session_thread_main(void *arg)
{
	struct daemon *d = arg;

	while (!atomic_load(&d->stopping)) {
		adopt(d);
		if (sl_service_turn(d->service) == 0)
			sleep_until_work(d);
		atomic_store(&d->names_ready, sl_service_names_ready(d->service));
	}
	return NULL;
}

// Let the session thread, then the workers, go over to `next`; free the one before, unless it is kept
// for the end of a trial.
int
daemon_adopt(struct daemon *d, struct snapshot *next)
{
	static const uint64_t one = 1;
	struct snapshot *before = d->snapshot;

	atomic_store(&d->next, next);
	if (write(d->session_wake, &one, sizeof(one)) < 0)
		return -errno;
	while (atomic_load(&d->adopted) != next)
		usleep(200);
	(void)!sl_dp_swap_snapshot(d->dp, &next->dp);
	d->snapshot = next;
	d->config = next->config;
	// Each is one word, so that a worker reads the old or the new one.
	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++) {
		struct sl_worker *w = sl_dp_worker(d->dp, k);

		w->timeouts = daemon_timeouts(d->config);
		w->nat->rest_ds = d->config->timers.tcp_time_wait_s * 10;
	}
	sl_log_set_level(d->config->system.log_level);
	if (before != d->trial.before)
		snapshot_free(before);
	return 0;
}
