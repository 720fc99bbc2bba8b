// The disk is full, fails, is slow. A shim between SQLite and the real file system does it.
#include "sl_test.h"
#include "store_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <sluice/ctrl/clock.h>
#include <sluice/ctrl/log.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <time.h>

static atomic_int fault_write; // SQLite's code for the next writes, 0: none
static atomic_int fault_sync;
static atomic_uint fault_one_in; // 0: each
static atomic_bool gate_shut; // syncs wait
static atomic_uint nb_syncs;

struct shim {
	sqlite3_file base;
	sqlite3_file *real; // behind this struct
};

static sqlite3_file *
real_of(sqlite3_file *file)
{
	return ((struct shim *)file)->real;
}

static int
fault_of(atomic_int *fault)
{
	unsigned one_in = atomic_load(&fault_one_in);
	int code = atomic_load(fault);

	return one_in > 1 && (unsigned)random() % one_in != 0 ? 0 : code;
}

static int
shim_close(sqlite3_file *f)
{
	return real_of(f)->pMethods->xClose(real_of(f));
}

static int
shim_read(sqlite3_file *f, void *data, int nb, sqlite3_int64 at)
{
	return real_of(f)->pMethods->xRead(real_of(f), data, nb, at);
}

static int
shim_write(sqlite3_file *f, const void *data, int nb, sqlite3_int64 at)
{
	int code = fault_of(&fault_write);

	return code != 0 ? code : real_of(f)->pMethods->xWrite(real_of(f), data, nb, at);
}

static int
shim_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	return real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int
shim_sync(sqlite3_file *f, int flags)
{
	int code = fault_of(&fault_sync);

	while (atomic_load(&gate_shut))
		usleep(1000);
	atomic_fetch_add(&nb_syncs, 1);
	return code != 0 ? code : real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int
shim_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return real_of(f)->pMethods->xFileSize(real_of(f), size);
}

static int
shim_lock(sqlite3_file *f, int level)
{
	return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int
shim_unlock(sqlite3_file *f, int level)
{
	return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int
shim_reserved(sqlite3_file *f, int *out)
{
	return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int
shim_control(sqlite3_file *f, int op, void *arg)
{
	return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int
shim_sector(sqlite3_file *f)
{
	return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int
shim_device(sqlite3_file *f)
{
	return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static const sqlite3_io_methods methods = {
	.iVersion = 1,
	.xClose = shim_close,
	.xRead = shim_read,
	.xWrite = shim_write,
	.xTruncate = shim_truncate,
	.xSync = shim_sync,
	.xFileSize = shim_size,
	.xLock = shim_lock,
	.xUnlock = shim_unlock,
	.xCheckReservedLock = shim_reserved,
	.xFileControl = shim_control,
	.xSectorSize = shim_sector,
	.xDeviceCharacteristics = shim_device,
};

static sqlite3_vfs *real_vfs;

static int
shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
	struct shim *shim = (struct shim *)f;
	int rc;

	(void)vfs;
	shim->real = (sqlite3_file *)(void *)(shim + 1);
	rc = real_vfs->xOpen(real_vfs, name, shim->real, flags, out);
	f->pMethods = shim->real->pMethods == NULL ? NULL : &methods;
	return rc;
}

static int
install_shim(void)
{
	static sqlite3_vfs shim;

	real_vfs = sqlite3_vfs_find(NULL);
	shim = *real_vfs;
	shim.zName = "shim";
	shim.szOsFile = (int)sizeof(struct shim) + real_vfs->szOsFile;
	shim.xOpen = shim_open;
	srandom(5);
	return sqlite3_vfs_register(&shim, 1);
}

static void
heal(void)
{
	atomic_store(&fault_write, 0);
	atomic_store(&fault_sync, 0);
	atomic_store(&fault_one_in, 0);
	atomic_store(&gate_shut, false);
}

static bool
recovers_by_itself(struct sl_store *store)
{
	struct sl_store_health health;

	for (unsigned i = 0; i < 200; i++) {
		sl_clock_advance(NS);
		usleep(20000);
		sl_store_health(store, &health);
		if (!health.failing)
			return true;
	}
	return false;
}

static void
fails_and_recovers(atomic_int *fault, int code, const char *words)
{
	struct sl_store_health health;
	struct sl_store_done before, after;
	struct sl_store *store;

	kit_fresh_dir();
	sl_clock_freeze(1000 * NS, 1700000000 * NS);
	store = kit_start(16);
	before = kit_acquire(store, 1, "a.example");
	CU_ASSERT_EQUAL(before.status, SL_STORE_OK);
	atomic_store(fault, code);
	for (unsigned i = 0; i < 30; i++) // more than the pool has: nothing leaks
		CU_ASSERT_EQUAL(kit_acquire(store, 1, "b.example").status, SL_STORE_FAILED);
	sl_store_health(store, &health);
	CU_ASSERT_TRUE(health.failing);
	SL_ASSERT_ROW(strstr(health.reason, words) != NULL, health.reason);
	CU_ASSERT_EQUAL(sl_lease_drain(store, 1, 1, before.address), 0);
	CU_ASSERT_EQUAL(kit_await(store).status, SL_STORE_FAILED);
	heal();
	CU_ASSERT_TRUE(recovers_by_itself(store));
	after = kit_acquire(store, 1, "a.example");
	CU_ASSERT_EQUAL(after.status, SL_STORE_OK);
	CU_ASSERT_EQUAL(after.address, before.address);
	for (unsigned i = 0; i < 13; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%c.example", 'b' + (int)i);
		CU_ASSERT_EQUAL(kit_acquire(store, 1, name).status, SL_STORE_OK);
	}
	CU_ASSERT_EQUAL(kit_acquire(store, 1, "one.more.example").status, SL_STORE_EXHAUSTED);
	sl_store_close(store);
	store = kit_open(16);
	sl_store_health(store, &health);
	CU_ASSERT_EQUAL(health.nb_leases, 14);
	sl_store_close(store);
	sl_clock_thaw();
	kit_clean();
}

static void
test_full(void)
{
	fails_and_recovers(&fault_write, SQLITE_FULL, "make room");
}

static void
test_read_only(void)
{
	fails_and_recovers(&fault_write, SQLITE_READONLY, "mount it writable");
}

static void
test_io_error(void)
{
	fails_and_recovers(&fault_write, SQLITE_IOERR_WRITE, "check the disk");
	fails_and_recovers(&fault_sync, SQLITE_IOERR_FSYNC, "check the disk");
}

// On a full disk, what is on disk already is still told.
static void
test_known_names(void)
{
	struct sl_store_done before;
	struct sl_store *store;

	kit_fresh_dir();
	store = kit_start(16);
	before = kit_acquire(store, 1, "a.example");
	atomic_store(&fault_write, SQLITE_FULL);
	CU_ASSERT_EQUAL(kit_acquire(store, 1, "b.example").status, SL_STORE_FAILED);
	CU_ASSERT_EQUAL(kit_acquire(store, 1, "a.example").address, before.address);
	heal();
	sl_store_close(store);
	kit_clean();
}

static uint64_t
real_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
}

static void
test_slow(void)
{
	struct sl_store_health health;
	struct pollfd pfd;
	struct sl_store *store;
	unsigned before;
	uint64_t began_ns;

	kit_fresh_dir();
	store = kit_start(1024);
	kit_acquire(store, 1, "a.example");
	before = atomic_load(&nb_syncs);
	atomic_store(&gate_shut, true);
	began_ns = real_ns();
	for (unsigned i = 0; i < 500; i++) {
		char name[32];

		snprintf(name, sizeof(name), "slow%u.example", i);
		CU_ASSERT_EQUAL(sl_lease_acquire(store, i + 1, 1, name, "", 0), 0);
	}
	CU_ASSERT(real_ns() - began_ns < NS / 2); // the sender goes on
	pfd = (struct pollfd){ .fd = sl_store_fd(store), .events = POLLIN };
	CU_ASSERT_EQUAL(poll(&pfd, 1, 300), 0); // nobody is told before the sync
	sl_store_health(store, &health);
	CU_ASSERT(health.stuck_ns > NS / 5);
	CU_ASSERT_EQUAL(health.nb_waiting, 500);
	atomic_store(&gate_shut, false);
	for (unsigned i = 0; i < 500; i++)
		CU_ASSERT_EQUAL(kit_await(store).status, SL_STORE_OK);
	// One sync served many.
	CU_ASSERT(atomic_load(&nb_syncs) - before < 50);
	sl_store_close(store);
	kit_clean();
}

static void
check_told(void *arg, const struct sl_lease *lease)
{
	const uint32_t *told = arg;
	unsigned name;

	if (sscanf(lease->name, "n%u.", &name) == 1 && told[name] != 0)
		CU_ASSERT_EQUAL(told[name], lease->address);
}

// Faults at random, of all kinds: what was told stays true, no address has two names.
static void
test_random(void)
{
	static const int codes[] = { SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_READONLY };
	uint32_t told[200] = { 0 }, owner[256] = { 0 };
	unsigned nb_failed = 0, nb_told = 0;
	struct sl_store *store;

	kit_fresh_dir();
	store = kit_start(256);
	for (unsigned step = 0; step < 2000; step++) {
		unsigned name = (unsigned)random() % 200;
		struct sl_store_done done;
		char text[32];

		heal();
		if (random() % 2 == 0) {
			atomic_store(&fault_one_in, 1 + (unsigned)random() % 4);
			atomic_store(&fault_write, codes[random() % 3]);
			atomic_store(&fault_sync, random() % 2 == 0 ? SQLITE_IOERR_FSYNC : 0);
		}
		snprintf(text, sizeof(text), "n%u.example", name);
		done = kit_acquire(store, 1, text);
		nb_failed += done.status == SL_STORE_FAILED;
		if (done.status != SL_STORE_OK)
			continue;
		CU_ASSERT(told[name] == 0 || told[name] == done.address);
		CU_ASSERT(
			owner[done.address - BASE] == 0 || owner[done.address - BASE] == name + 1
		);
		nb_told += told[name] == 0;
		told[name] = done.address;
		owner[done.address - BASE] = name + 1;
	}
	heal();
	sl_store_close(store);
	store = kit_open(256);
	CU_ASSERT(sl_lease_load(store, check_told, told) >= (int64_t)nb_told);
	sl_store_close(store);
	CU_ASSERT(nb_failed > 100);
	CU_ASSERT(nb_told > 100);
	sl_test_note("%u requests failed, %u names were told", nb_failed, nb_told);
	kit_clean();
}

static const struct sl_test_case cases[] = {
	{ "store: a full disk is said and overcome", test_full },
	{ "store: a read-only disk is said and overcome", test_read_only },
	{ "store: input and output errors are said and overcome", test_io_error },
	{ "store: names on disk are told though it is full", test_known_names },
	{ "A11: a lease is told after its sync, and a slow disk holds up no sender", test_slow },
	{ "store: faults at random, and what was told stays true", test_random },
};

int
main(int argc, char **argv)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	// Its many lines about faults made on purpose would hide the test's own.
	if (fd < 0 || sl_log_start(fd) != 0 || install_shim() != SQLITE_OK)
		return EXIT_FAILURE;
	return sl_test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]), NULL, NULL);
}
