#include <errno.h>
#include <pthread.h>
#include <sluice/ctrl/api.h>
#include <sluice/ctrl/health.h>
#include <sluice/ctrl/json.h>
#include <sluice/ctrl/log.h>
#include <sluice/ctrl/notify.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct condition {
	const char *name;
	bool met;
	char reason[SL_HEALTH_REASON_BYTES];
};

struct sl_health {
	pthread_mutex_t lock; // conditions
	unsigned nb;
	struct condition conditions[SL_HEALTH_CONDITIONS_MAX];
	// What was published last.
	bool was_ready; // ever
	bool said;
	char last[SL_HEALTH_REASON_BYTES]; // "" for ready
};

struct sl_health *
sl_health_new(void)
{
	struct sl_health *health = calloc(1, sizeof(*health));

	if (health != NULL)
		pthread_mutex_init(&health->lock, NULL);
	return health;
}

void
sl_health_free(struct sl_health *health)
{
	if (health == NULL)
		return;
	pthread_mutex_destroy(&health->lock);
	free(health);
}

int
sl_health_add(struct sl_health *health, const char *name, const char *reason)
{
	int id = -ENOSPC;

	pthread_mutex_lock(&health->lock);
	if (health->nb < SL_HEALTH_CONDITIONS_MAX) {
		struct condition *condition = &health->conditions[health->nb];

		condition->name = name;
		snprintf(condition->reason, sizeof(condition->reason), "%s", reason);
		id = (int)health->nb++;
	}
	pthread_mutex_unlock(&health->lock);
	return id;
}

static void
set(struct sl_health *health, int id, bool met, const char *reason)
{
	pthread_mutex_lock(&health->lock);
	if (id >= 0 && (unsigned)id < health->nb) {
		struct condition *condition = &health->conditions[id];

		condition->met = met;
		snprintf(condition->reason, sizeof(condition->reason), "%s", reason);
	}
	pthread_mutex_unlock(&health->lock);
}

void
sl_health_ok(struct sl_health *health, int id)
{
	set(health, id, true, "");
}

void
sl_health_fault(struct sl_health *health, int id, const char *fmt, ...)
{
	char reason[SL_HEALTH_REASON_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	set(health, id, false, reason);
}

bool
sl_health_ready(struct sl_health *health, char *reason, size_t nb_bytes)
{
	bool ready = true;

	pthread_mutex_lock(&health->lock);
	for (unsigned i = 0; i < health->nb && ready; i++) {
		ready = health->conditions[i].met;
		if (!ready && reason != NULL)
			snprintf(reason, nb_bytes, "%s", health->conditions[i].reason);
	}
	pthread_mutex_unlock(&health->lock);
	return ready;
}

json_t *
sl_health_json(struct sl_health *health)
{
	json_t *reasons = json_array(), *conditions = json_array();
	bool ready = true;

	pthread_mutex_lock(&health->lock);
	for (unsigned i = 0; i < health->nb; i++) {
		const struct condition *c = &health->conditions[i];

		json_array_append_new(
			conditions,
			json_pack(
				"{s:s, s:b, s:o}",
				"name",
				c->name,
				"met",
				c->met,
				"reason",
				c->met ? json_null() : sl_json_str(c->reason)
			)
		);
		if (!c->met)
			json_array_append_new(reasons, sl_json_str(c->reason));
		ready = ready && c->met;
	}
	pthread_mutex_unlock(&health->lock);
	return json_pack(
		"{s:b, s:o, s:o}", "healthy", ready, "reasons", reasons, "conditions", conditions
	);
}

void
sl_health_publish(struct sl_health *health)
{
	char reason[SL_HEALTH_REASON_BYTES] = "";
	bool ready = sl_health_ready(health, reason, sizeof(reason));

	if (health->said && strcmp(reason, health->last) == 0)
		return;
	health->said = true;
	strcpy(health->last, reason);
	if (ready) {
		sl_log(SL_LOG_NOTICE, "ready", "all conditions are met");
		(void)sl_notify(health->was_ready ? "STATUS=ready" : "READY=1\nSTATUS=ready");
		health->was_ready = true;
	} else {
		sl_log(health->was_ready ? SL_LOG_WARNING : SL_LOG_NOTICE, "not-ready", "%s", reason
		);
		(void)sl_notify_status("not ready: %s", reason);
	}
}

static void
answer(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	(void)nb_words, (void)words;
	sl_api_reply(request, sl_health_json(arg));
}

int
sl_health_serve(struct sl_health *health, struct sl_api *api)
{
	return sl_api_register(
		api, "health", "", "Whether all is well, and if not, why.", answer, health
	);
}
