// store_kit: what the tests of the store share.
#pragma once

#include "sl_test.h"

#include <ftw.h>
#include <poll.h>
#include <sluice/ctrl/store.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BASE 0x64600000u // 100.96.0.0
#define NS   1000000000ull

static char dir[64];

static inline int
kit_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline void
kit_clean(void)
{
	nftw(dir, kit_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void
kit_fresh_dir(void)
{
	strcpy(dir, "/tmp/lease-store-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
}

static inline struct sl_store *
kit_open(uint32_t nb)
{
	struct sl_store_config config = { .dir = dir,
					  .pool = { BASE, nb },
					  .linger_us = UINT32_MAX };
	struct sl_store *store = NULL;
	char why[300] = "";
	int rc = sl_store_open(&store, &config, why, sizeof(why));

	if (rc != 0)
		sl_test_note("%s", why);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	return store;
}

static inline struct sl_store *
kit_start(uint32_t nb)
{
	struct sl_store *store = kit_open(nb);

	CU_ASSERT_EQUAL_FATAL(sl_store_start(store), 0);
	return store;
}

// The one completion that is under way.
static inline struct sl_store_done
kit_await(struct sl_store *store)
{
	struct pollfd pfd = { .fd = sl_store_fd(store), .events = POLLIN };
	struct sl_store_done done = { .status = 99 };

	while (poll(&pfd, 1, 20000) == 1)
		if (sl_store_take(store, &done, 1) == 1)
			return done;
	CU_FAIL("no completion within 20 s");
	return done;
}

static inline struct sl_store_done
kit_acquire(struct sl_store *store, uint16_t tenant, const char *name)
{
	CU_ASSERT_EQUAL(sl_lease_acquire(store, 7, tenant, name, "", 0), 0);
	return kit_await(store);
}
