// preload: a slow disk and a wrong wall clock for a daemon of the lab, by LD_PRELOAD. The file named in
// SLUICE_FAULT holds two numbers that a case may change at any time: seconds that the wall clock is
// ahead, and milliseconds that a sync of the disk takes longer.
#include <dlfcn.h>
#include <fcntl.h>
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
read_page(long *wall_s, long *sync_ms)
{
	char text[65] = "", *end;

	*wall_s = 0;
	*sync_ms = 0;
	if (page == NULL)
		return;
	for (unsigned i = 0; i < 64; i++)
		text[i] = ((const volatile char *)page)[i];
	*wall_s = strtol(text, &end, 10);
	*sync_ms = strtol(end, NULL, 10);
}

int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	static int (*next)(clockid_t, struct timespec *);
	long wall_s, sync_ms;
	int ret;

	if (next == NULL)
		next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	ret = next(clock, ts);
	if (ret == 0 && clock == CLOCK_REALTIME) {
		read_page(&wall_s, &sync_ms);
		ts->tv_sec += wall_s;
	}
	return ret;
}

static void
wait_for_disk(void)
{
	long wall_s, sync_ms;

	read_page(&wall_s, &sync_ms);
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
