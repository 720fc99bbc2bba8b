// privileges: what the daemon keeps once it has started.
//
// It starts as root to reserve huge pages, bind devices and read its keys. sl_privileges_harden()
// comes first in main(), before any thread; sl_privileges_drop() when ports, files and sockets are
// open. Afterwards every thread runs under the configured user with the capabilities asked for and
// no others, cannot gain any, and leaves no core dump (keys are in memory).
#pragma once

#include <stdint.h>

// The capabilities of docs/operations.md that a daemon may need after start, as bits.
enum sl_privilege {
	SL_PRIVILEGE_NET_ADMIN = 1 << 0, // tap and AF_XDP ports, interface flags
	SL_PRIVILEGE_NET_RAW = 1 << 1, // AF_PACKET ports that are opened again after a link loss
	SL_PRIVILEGE_IPC_LOCK = 1 << 2, // memory registered with devices
	SL_PRIVILEGE_SYS_RAWIO = 1 << 3, // NICs without IOMMU
};

// No core dumps (RLIMIT_CORE 0, not dumpable), no new privileges by exec. Threads made later
// inherit it. Needs no rights. Returns 0 or -errno.
[[nodiscard]] int sl_privileges_harden(void);

// Become `user` (a name of the password database) with `keep` (bits of enum sl_privilege) in every
// thread of the process and no supplementary groups; the caller's bounding set is emptied. A process that is not
// root already is left as it is. Returns 0, or -errno with a sentence and its remedy in `why`
// (constant): -ENOENT no such user, -EPERM no right to change.
// Threads other than the caller's lose all capabilities at once (the kernel clears them with the
// uid), so the caller must be the thread that needs those it keeps.
[[nodiscard]] int sl_privileges_drop(const char *user, uint32_t keep, const char **why);

// Check what E4 promises over every thread: uid not 0, no effective or permitted capability beyond
// `keep`, core dumps off. Returns 0, or -EPERM with a sentence in `why` (constant).
[[nodiscard]] int sl_privileges_check(uint32_t keep, const char **why);
