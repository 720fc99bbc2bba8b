// health: whether the daemon does what it is there for, and if not, the first reason in words.
//
// Each part adds the conditions it answers for ("underlay", "session", "store") and says when one is
// met or not. sluicectl health, the service manager and the HTTP endpoint all read the same list,
// so they never disagree. The order of adding is the order of reasons: what others hang on comes
// first. Conditions are added at start by one thread; everything else may be called by any thread
// but the workers, and holds a lock only for a copy.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct sl_api;
struct sl_health;

#define SL_HEALTH_CONDITIONS_MAX 32u
#define SL_HEALTH_REASON_BYTES   200u

// No conditions yet. NULL when out of memory.
struct sl_health *sl_health_new(void);
void sl_health_free(struct sl_health *health);

// Add a condition that is not met yet because of `reason` ("no session is up yet"). `name` is one
// word and must outlive `health`. Returns its id, or -ENOSPC.
[[nodiscard]] int sl_health_add(struct sl_health *health, const char *name, const char *reason);

// The condition is met.
void sl_health_ok(struct sl_health *health, int id);

// It is not, and why: a sentence that names what is wrong and, where there is one, the remedy.
void sl_health_fault(struct sl_health *health, int id, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

// Whether all are met. If not, the first reason goes to `reason` (may be NULL).
bool sl_health_ready(struct sl_health *health, char *reason, size_t nb_bytes);

// {"healthy": bool, "reasons": [sentence, ...],
//  "conditions": [{"name": ..., "met": bool, "reason": ...}, ...]}
json_t *sl_health_json(struct sl_health *health);

// Tell the service manager and the log what has changed since the last call: READY=1 when all
// conditions are met for the first time (losing readiness is told by STATUS= alone, so it never
// restarts the daemon), STATUS= with the first reason. One thread; call about once a second.
void sl_health_publish(struct sl_health *health);

// Answer "health" on the control socket. Returns 0 or -errno.
[[nodiscard]] int sl_health_serve(struct sl_health *health, struct sl_api *api);
