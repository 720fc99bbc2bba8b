#include "sl_test.h"

#include <errno.h>
#include <sluice/ctrl/health.h>
#include <sluice/ctrl/log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int fd;
static struct sockaddr_un addr;

static void
listen_as_manager(void)
{
	addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/lease-health-%d", getpid());
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	setenv("NOTIFY_SOCKET", addr.sun_path, 1);
}

static const char *
heard(void)
{
	static char text[300];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static void
test_publish(void)
{
	struct sl_health *health = sl_health_new();
	int underlay, session;

	sl_log_set_level(SL_LOG_ERROR);
	listen_as_manager();
	underlay = sl_health_add(health, "underlay", "the underlay has no link yet");
	session = sl_health_add(health, "session", "no session is up yet");
	sl_health_publish(health);
	CU_ASSERT_STRING_EQUAL(heard(), "STATUS=not ready: the underlay has no link yet");
	sl_health_publish(health);
	CU_ASSERT_STRING_EQUAL(heard(), ""); // nothing new
	sl_health_ok(health, underlay);
	sl_health_publish(health);
	CU_ASSERT_STRING_EQUAL(heard(), "STATUS=not ready: no session is up yet");
	sl_health_ok(health, session);
	sl_health_publish(health);
	CU_ASSERT_STRING_EQUAL(heard(), "READY=1\nSTATUS=ready");
	sl_health_fault(health, session, "%s is dead", "site1");
	sl_health_publish(health);
	CU_ASSERT_STRING_EQUAL(heard(), "STATUS=not ready: site1 is dead");
	sl_health_ok(health, session);
	sl_health_publish(health);
	CU_ASSERT_STRING_EQUAL(heard(), "STATUS=ready"); // and not READY a second time
	unsetenv("NOTIFY_SOCKET");
	unlink(addr.sun_path);
	close(fd);
	sl_health_free(health);
}

static void
test_reasons(void)
{
	struct sl_health *health = sl_health_new();
	char reason[100] = "";
	char *text;
	json_t *json;
	int a, b;

	CU_ASSERT_TRUE(sl_health_ready(health, reason, sizeof(reason)));
	a = sl_health_add(health, "a", "a is not yet");
	b = sl_health_add(health, "b", "b is not yet");
	sl_health_ok(health, a);
	CU_ASSERT_FALSE(sl_health_ready(health, reason, sizeof(reason)));
	CU_ASSERT_STRING_EQUAL(reason, "b is not yet");
	sl_health_fault(health, a, "a broke");
	CU_ASSERT_FALSE(sl_health_ready(health, reason, sizeof(reason)));
	CU_ASSERT_STRING_EQUAL(reason, "a broke");
	sl_health_ok(health, b);
	json = sl_health_json(health);
	text = json_dumps(json, JSON_COMPACT);
	CU_ASSERT_STRING_EQUAL(
		text,
		"{\"healthy\":false,\"reasons\":[\"a broke\"],\"conditions\":[{\"name\":\"a\","
		"\"met\":false,\"reason\":\"a broke\"},{\"name\":\"b\",\"met\":true,\"reason\":"
		"null}]}"
	);
	free(text);
	json_decref(json);
	for (unsigned i = 2; i < SL_HEALTH_CONDITIONS_MAX; i++)
		CU_ASSERT_EQUAL(sl_health_add(health, "c", "c"), (int)i);
	CU_ASSERT_EQUAL(sl_health_add(health, "d", "d"), -ENOSPC);
	sl_health_fault(health, -ENOSPC, "no such condition");
	sl_health_free(health);
}

static const struct sl_test_case cases[] = {
	{ "E3: the service manager hears READY once, and then only what is missing", test_publish },
	{ "C7 E6: health gives the first reason in words", test_reasons },
};

SL_TEST_MAIN(cases)
