// ipsec_mb_copy: why every engine but the first loads the library anew.
//
// Each direct entry of ipsec-mb begins by storing 0 to one process-global error variable. With two
// workers its cache line travels between their cores once a packet. AES-256-GCM at 64 octets, one
// hot key, two cores, only stretches in which both ran (cycles per packet, median):
//
//   two processes   78       two threads   134
//
// and 35 against 78 at no octets at all. Nothing in the interface avoids the store: the job
// interface calls the same entries. So each engine gets the library's data for itself, by loading
// a copy of its file under another inode: the loader takes it for another library. RTLD_DEEPBIND
// makes the copy's own references stay within it.
#include "ipsec_mb_copy.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_uint nb_opened;

// The sanitizer's runtime refuses RTLD_DEEPBIND. gcc and clang say in two ways that it is there.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CAN_COPY false
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define CAN_COPY false
#endif
#ifndef CAN_COPY
#define CAN_COPY true
#endif

// The library's file in memory; -1 when the system does not let us.
static int
copy_file(void)
{
	Dl_info info;
	struct stat st;
	off_t at = 0;
	int from = -1, to = -1;

	if (!dladdr((void *)(uintptr_t)alloc_mb_mgr, &info) || !info.dli_fname)
		return -1;
	from = open(info.dli_fname, O_RDONLY | O_CLOEXEC);
	if (from < 0 || fstat(from, &st) != 0)
		goto fail;
	to = memfd_create("ipsec-mb", MFD_CLOEXEC);
	if (to < 0)
		goto fail;
	while (at < st.st_size)
		if (sendfile(to, from, &at, (size_t)(st.st_size - at)) <= 0)
			goto fail;
	close(from);
	return to;
fail:
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return -1;
}

static void *
load_copy(int *kept_fd)
{
	char path[40];
	void *handle;
	int fd = copy_file();

	if (fd < 0)
		return NULL;
	// The loader knows libraries by name too, so a number must not come back while the copy lives.
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
	if (!handle) {
		close(fd);
		return NULL;
	}
	*kept_fd = fd;
	return handle;
}

static bool
find(struct sl_ipsec_mb *copy)
{
	*(void **)(void *)&copy->alloc = dlsym(copy->handle, "alloc_mb_mgr");
	*(void **)(void *)&copy->init = dlsym(copy->handle, "init_mb_mgr_auto");
	*(void **)(void *)&copy->get_errno = dlsym(copy->handle, "imb_get_errno");
	*(void **)(void *)&copy->release = dlsym(copy->handle, "free_mb_mgr");
	return copy->alloc && copy->init && copy->get_errno && copy->release;
}

void
sl_ipsec_mb_open(struct sl_ipsec_mb *library)
{
	struct sl_ipsec_mb copy = { 0 };

	*library = (struct sl_ipsec_mb){
		.alloc = alloc_mb_mgr,
		.init = init_mb_mgr_auto,
		.get_errno = imb_get_errno,
		.release = free_mb_mgr,
	};
	if (atomic_fetch_add(&nb_opened, 1) == 0 || !CAN_COPY)
		return;
	copy.handle = load_copy(&copy.fd);
	if (copy.handle && find(&copy))
		*library = copy;
	else
		sl_ipsec_mb_close(&copy);
}

void
sl_ipsec_mb_close(struct sl_ipsec_mb *library)
{
	if (!library->handle)
		return;
	dlclose(library->handle);
	close(library->fd);
}
