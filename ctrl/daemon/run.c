// run: the daemon from its first signal mask to its last goodbye.
#include "daemon.h"

#include <poll.h>
#include <signal.h>
#include <sluice/ctrl/flowlog.h>
#include <sluice/ctrl/log.h>
#include <sluice/ctrl/notify.h>
#include <sluice/ctrl/privileges.h>
#include <sluice/dp/tables.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define CONTROL_SLEEP_MS  50
#define FLOW_LOG_SLEEP_MS 10 // with a flow log: a worker's ring holds what comes meanwhile
#define STOP_MAX_MS       1200

// Tell workers to say CLOSE for every flow, and wait until none is left.
static void
close_flows(struct daemon *d)
{
	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++) {
		struct sl_worker *w = sl_dp_worker(d->dp, k);

		atomic_store(&w->is_closing, true);
	}
	for (unsigned ms = 0; ms < STOP_MAX_MS; ms += 10) {
		unsigned nb = 0;

		for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++)
			nb += atomic_load(&sl_dp_worker(d->dp, k)->is_closing);
		if (nb == 0)
			break;
		flow_log_drain(d);
		usleep(10000);
	}
	usleep(20000); // the last CLOSE leaves
}

static void
run(struct daemon *d, int signals)
{
	struct pollfd fds[] = { { .fd = signals, .events = POLLIN },
				{ .fd = sl_api_fd(d->api), .events = POLLIN },
				{ .fd = http_fd(d->http), .events = POLLIN } };
	struct signalfd_siginfo info;

	while (!d->drain.is_done) {
		poll(fds,
		     RTE_DIM(fds),
		     d->flow_log_path != NULL ? FLOW_LOG_SLEEP_MS : CONTROL_SLEEP_MS);
		if (read(signals, &info, sizeof(info)) == sizeof(info)) {
			if (info.ssi_signo != SIGHUP)
				return;
			reload_logged(d);
			sl_flowlog_reopen();
		}
		sl_api_process(d->api);
		http_process(d->http);
		control_tick(d);
		flow_log_drain(d);
	}
}

static void
stop(struct daemon *d)
{
	if (d->has_session_thread) {
		close_flows(d);
		atomic_store(&d->stopping, true);
		pthread_join(d->session_thread, NULL);
	}
	sl_streams_free(d->streams);
	sl_stream_close(&d->stream_fds);
	if (d->dp != NULL)
		sl_dp_stop(d->dp);
	flow_log_close(d);
	control_close(d);
	sl_service_free(d->service);
	if (d->store != NULL)
		sl_store_close(d->store);
	snapshot_free(d->trial.before);
	snapshot_free(d->snapshot);
	if (d->snapshot == NULL)
		sl_config_free(d->config);
	registry_free(d->ids);
	if (d->dp != NULL) {
		sl_tables_destroy(d->dp, &d->sessions);
		sl_dp_destroy(d->dp);
	}
	sl_wipe(&d->key, sizeof(d->key));
	sl_wipe(&d->wireguard_key, sizeof(d->wireguard_key));
	sl_log_stop();
}

int
daemon_run(const char *path)
{
	static struct daemon daemon;
	sigset_t set;
	int signals, ret;

	daemon.path = path;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	// Before any thread: all of them leave these to the control thread.
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (signals < 0 || sl_privileges_harden() != 0)
		return EXIT_FAILURE;
	daemon.signals = signals;
	ret = daemon_start(&daemon);
	if (ret == 0) {
		sl_log(SL_LOG_NOTICE, "started", "serving as %s", daemon.config->node.name);
		run(&daemon, signals);
		sl_notify("STOPPING=1");
		sl_log(SL_LOG_NOTICE, "stopping", "saying goodbye to every peer");
	}
	stop(&daemon);
	sl_eal_stop();
	return ret == 0 || ret == -EINTR ? EXIT_SUCCESS : EXIT_FAILURE;
}
