// ipsec_mb_copy: a copy of ipsec-mb for one engine alone.
#pragma once

#include <intel-ipsec-mb.h>

struct sl_ipsec_mb {
	void *handle; // NULL: the library this program is linked with
	int fd; // of the copy, when there is a handle
	IMB_MGR *(*alloc)(uint64_t flags);
	void (*init)(IMB_MGR *mgr, IMB_ARCH *arch);
	int (*get_errno)(IMB_MGR *mgr);
	void (*release)(IMB_MGR *mgr);
};

// The first caller gets the linked library, every other one a private copy, or the linked library
// too where the system allows no copy. Never fails. Any thread.
void sl_ipsec_mb_open(struct sl_ipsec_mb *library);
void sl_ipsec_mb_close(struct sl_ipsec_mb *library);
