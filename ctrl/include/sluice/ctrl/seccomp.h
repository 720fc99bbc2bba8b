// seccomp: the system calls a started daemon may make, as an allow-list.
//
// Everything else fails with EPERM, is counted and is reported by the control thread, so that a
// driver or library that wants something unforeseen costs that call and a line in the log, and
// whoever has taken over a thread gains neither new privileges nor another program. Running a
// program or looking into another process ends the daemon at once: nothing of ours does.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sl_seccomp_conf {
	bool has_bpf; // AF_XDP ports load and drop their program by bpf()
};

// Hold every thread of the process, and all that it will make, to the list. Comes last in the start:
// it cannot be undone. Needs no rights after sl_privileges_harden(). Returns 0, or -errno with a
// sentence and its remedy in `why` (constant): then nothing is in force.
[[nodiscard]] int sl_seccomp_install(const struct sl_seccomp_conf *conf, const char **why);

// Calls refused so far, and the name of the latest in `name` (when there was one). Any thread.
uint64_t sl_seccomp_nb_refused(char *name, unsigned name_bytes);
