// reload: another configuration while running: at once, or on trial until it is confirmed. What is on
// trial goes back to the one before by itself, so that a change that cuts off whoever made it mends
// itself. The control thread.
#include "daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <sluice/ctrl/clock.h>
#include <sluice/ctrl/log.h>
#include <stdlib.h>
#include <string.h>

#define TRIAL_MAX_S 86400u

static void
first_error(const struct sl_config_errors *errors, char *why, size_t why_bytes)
{
	const struct sl_config_error *e = errors->list;

	if (errors->nb == 0)
		return;
	snprintf(
		why,
		why_bytes,
		"%s:%u: %s; %s%s",
		e->file == NULL ? "" : e->file,
		e->line,
		e->what,
		e->remedy,
		errors->nb > 1 ? " (and more: sluice -c FILE --check)" : ""
	);
}

// Build and adopt what the file says. The snapshot before is kept when `d->trial.before` is it. What is wrong stands in
// `errors`, or else in `why`.
static int
take(struct daemon *d, struct sl_config_errors *errors, char *why, size_t why_bytes)
{
	struct sl_config *config = NULL;
	struct snapshot *next;
	int ret = sl_config_reload(d->path, &config, errors);

	if (ret == 0 && sl_config_diff(d->config, config, errors) == SL_CHANGE_RESTART)
		ret = -EINVAL;
	if (ret == 0)
		ret = streams_reload(d, config, why, why_bytes);
	if (ret == 0) {
		if (sl_config_policy_differs(d->config, config))
			d->generation++;
		next = snapshot_build(d, config, d->generation, errors);
		config = NULL;
		ret = next == NULL ? -EINVAL : daemon_adopt(d, next);
	}
	sl_config_free(config);
	return ret;
}

int
reload_file(struct daemon *d, unsigned trial_s, char *why, size_t why_bytes)
{
	struct sl_config_errors errors = { 0 };
	int ret;

	if (d->trial.before != NULL) {
		snprintf(
			why,
			why_bytes,
			"a configuration on trial waits: sluicectl confirm, or sluicectl rollback"
		);
		return -EBUSY;
	}
	if (trial_s != 0)
		d->trial.before = d->snapshot;
	*why = '\0';
	ret = take(d, &errors, why, why_bytes);
	if (ret != 0)
		d->trial.before = NULL;
	else if (trial_s != 0)
		d->trial.until_ns = sl_clock_now_ns() + trial_s * SL_NS_PER_S;
	if (ret == 0)
		flow_log_apply(d);
	if (*why == '\0')
		snprintf(why, why_bytes, "%s", strerror(-ret));
	first_error(&errors, why, why_bytes);
	snprintf(d->refused, sizeof(d->refused), "%s", ret == 0 ? "" : why);
	sl_config_errors_free(&errors);
	return ret;
}

void
reload_logged(struct daemon *d)
{
	char why[512];

	if (reload_file(d, 0, why, sizeof(why)) == 0)
		sl_log(SL_LOG_NOTICE, "reloaded", "%s is in force", d->path);
	else
		sl_log(SL_LOG_ERROR, "reload-refused", "nothing has changed: %s", why);
}

static int
roll_back(struct daemon *d, const char *because)
{
	struct snapshot *before = d->trial.before;
	char why[256] = "";
	int ret = snapshot_return(d, before, ++d->generation);

	if (ret != 0) {
		sl_log(SL_LOG_ERROR,
		       "rollback-failed",
		       "the configuration on trial stays: %s",
		       strerror(-ret));
		d->trial.until_ns = sl_clock_now_ns() + 10 * SL_NS_PER_S; // another try
		return ret;
	}
	d->trial.before = NULL;
	snapshot_free(before);
	flow_log_apply(d);
	if (streams_reload(d, d->config, why, sizeof(why)) != 0)
		sl_log(SL_LOG_WARNING, "certificate-kept", "%s", why);
	snprintf(
		d->refused,
		sizeof(d->refused),
		"%s; %s still has it, and a restart would take it",
		because,
		d->path
	);
	sl_log(SL_LOG_WARNING, "rolled-back", "%s", d->refused);
	return 0;
}

void
reload_tick(struct daemon *d)
{
	if (d->trial.before != NULL && sl_clock_now_ns() >= d->trial.until_ns)
		(void)roll_back(d, "the configuration on trial was not confirmed in time");
}

// ---- Commands ---------------------------------------------------------------------------------------

// "" or "--confirm SECONDS".
static bool
parse_trial(unsigned nb_words, const char *const *words, unsigned *trial_s)
{
	char *end;
	unsigned long s;

	*trial_s = 0;
	if (nb_words == 0)
		return true;
	if (nb_words != 2 || strcmp(words[0], "--confirm") != 0 || *words[1] < '0' ||
	    *words[1] > '9')
		return false;
	s = strtoul(words[1], &end, 10);
	*trial_s = (unsigned)s;
	return *end == '\0' && s != 0 && s <= TRIAL_MAX_S;
}

static void
serve_reload(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	struct daemon *d = arg;
	char why[512], text[160] = "the configuration is in force";
	unsigned trial_s;
	int ret;

	if (!parse_trial(nb_words, words, &trial_s)) {
		sl_api_fail(
			request,
			"say reload, or reload --confirm SECONDS (1 to 86400)",
			"reload does not know what follows it"
		);
		return;
	}
	ret = reload_file(d, trial_s, why, sizeof(why));
	if (ret != 0) {
		sl_api_fail(
			request,
			ret == -EBUSY ? NULL : "correct the file, then reload again",
			"nothing has changed: %s",
			why
		);
		return;
	}
	if (trial_s != 0)
		snprintf(
			text,
			sizeof(text),
			"the configuration is on trial: sluicectl confirm within %u s, or the one "
			"before "
			"comes back",
			trial_s
		);
	sl_log(SL_LOG_NOTICE, trial_s == 0 ? "reloaded" : "on-trial", "%s", text);
	sl_api_reply(request, json_pack("{s:s}", "text", text));
}

static bool
is_on_trial(const struct daemon *d, struct sl_api_request *request)
{
	if (d->trial.before == NULL)
		sl_api_fail(
			request,
			"sluicectl reload --confirm SECONDS begins one",
			"no configuration is on trial"
		);
	return d->trial.before != NULL;
}

static void
serve_confirm(
	void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words
)
{
	struct daemon *d = arg;

	(void)nb_words;
	(void)words;
	if (!is_on_trial(d, request))
		return;
	snapshot_free(d->trial.before);
	d->trial.before = NULL;
	sl_log(SL_LOG_NOTICE, "confirmed", "the configuration on trial stays");
	sl_api_reply(request, json_pack("{s:s}", "text", "the configuration stays"));
}

static void
serve_rollback(
	void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words
)
{
	struct daemon *d = arg;
	int ret;

	(void)nb_words;
	(void)words;
	if (!is_on_trial(d, request))
		return;
	ret = roll_back(d, "the configuration on trial was taken back");
	if (ret != 0)
		sl_api_fail(request, NULL, "it stays: %s", strerror(-ret));
	else
		sl_api_reply(
			request,
			json_pack("{s:s}", "text", "the configuration before is in force again")
		);
}

int
reload_register(struct daemon *d)
{
	int ret = sl_api_register(
		d->api,
		"reload",
		"[--confirm SECONDS]",
		"Read the configuration again; on trial, until it is confirmed.",
		serve_reload,
		d
	);

	if (ret == 0)
		ret = sl_api_register(
			d->api,
			"confirm",
			"",
			"Keep the configuration that is on trial.",
			serve_confirm,
			d
		);
	if (ret == 0)
		ret = sl_api_register(
			d->api,
			"rollback",
			"",
			"Take the configuration that is on trial back at once.",
			serve_rollback,
			d
		);
	return ret;
}
