// af_packet: DPDK's driver for software ports asks the kernel to put IPv4 fragments together
// (PACKET_FANOUT_FLAG_DEFRAG), and then cuts what does not fit a frame of its ring: every fragmented
// packet above 2 KB would be lost. The driver has no option for it, so the option is taken out of its
// request here, where this program's setsockopt() stands before the C library's. Fragments then come
// in as on any other port.
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FLAGS_SHIFT 16 // the request: group, then mode and flags

int
setsockopt(int fd, int level, int name, const void *value, socklen_t nb_bytes)
{
	unsigned fanout;

	if (level == SOL_PACKET && name == PACKET_FANOUT && value != NULL &&
	    nb_bytes == sizeof(fanout)) {
		memcpy(&fanout, value, sizeof(fanout));
		fanout &= ~((unsigned)PACKET_FANOUT_FLAG_DEFRAG << FLAGS_SHIFT);
		return (int)syscall(SYS_setsockopt, fd, level, name, &fanout, nb_bytes);
	}
	return (int)syscall(SYS_setsockopt, fd, level, name, value, nb_bytes);
}
