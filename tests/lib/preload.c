// preload: a slow disk, a wrong wall clock and a lack of packet buffers for a daemon of the lab, by
// LD_PRELOAD. The file named in SLUICE_FAULT holds three numbers that a case may change at any time:
// seconds that the wall clock is ahead, milliseconds that a sync of the disk takes longer, and whether
// all free packet buffers are taken away.
#include <rte_mempool.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *ts);
int fsync(int fd);
int fdatasync(int fd);

static const char
	*page; // the file, mapped: a daemon held to its system calls reads it all the same

__attribute__((constructor)) static void
open_page(void)
{
	const char *path = getenv("SLUICE_FAULT");
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 64, PROT_READ, MAP_SHARED, fd, 0);

	if (p != MAP_FAILED)
		page = p;
	if (fd >= 0)
		close(fd);
}

static void
read_page(long *wall_s, long *sync_ms, long *buffers)
{
	char text[65] = "", *end;

	*wall_s = 0;
	*sync_ms = 0;
	*buffers = 0;
	if (page == NULL)
		return;
	for (unsigned i = 0; i < 64; i++)
		text[i] = ((const volatile char *)page)[i];
	*wall_s = strtol(text, &end, 10);
	*sync_ms = strtol(end, &end, 10);
	*buffers = strtol(end, NULL, 10);
}

// Takes what is free as often as somebody asks for the time, and gives all back when it is told.
static void
hoard(long is_wanted)
{
	static void *taken[1u << 16];
	static unsigned nb;
	static atomic_flag busy = ATOMIC_FLAG_INIT;
	struct rte_mempool *pool;

	if ((!is_wanted && nb == 0) || atomic_flag_test_and_set(&busy))
		return;
	pool = rte_mempool_lookup("main_p");
	if (pool != NULL && is_wanted)
		while (nb < RTE_DIM(taken) && rte_mempool_get(pool, &taken[nb]) == 0)
			nb++;
	while (pool != NULL && !is_wanted && nb > 0)
		rte_mempool_put(pool, taken[--nb]);
	atomic_flag_clear(&busy);
}

int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	static int (*next)(clockid_t, struct timespec *);
	long wall_s, sync_ms, buffers;
	int ret;

	if (next == NULL)
		next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	ret = next(clock, ts);
	read_page(&wall_s, &sync_ms, &buffers);
	hoard(buffers);
	if (ret == 0 && clock == CLOCK_REALTIME)
		ts->tv_sec += wall_s;
	return ret;
}

static void
wait_for_disk(void)
{
	long wall_s, sync_ms, buffers;

	read_page(&wall_s, &sync_ms, &buffers);
	if (sync_ms > 0)
		usleep((useconds_t)sync_ms * 1000);
}

int
fsync(int fd)
{
	static int (*next)(int);

	if (next == NULL)
		next = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
	wait_for_disk();
	return next(fd);
}

int
fdatasync(int fd)
{
	static int (*next)(int);

	if (next == NULL)
		next = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	wait_for_disk();
	return next(fd);
}
