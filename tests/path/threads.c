// Worker threads on a real device: a veth pair in a network namespace of the test's own, whose other
// end is the kernel. Here time is the machine's and things are waited for, not walked.
#include "packet.h"
#include "sl_test.h"

#include <rte_ip.h>
#include <rte_udp.h>

#include <arpa/inet.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sched.h>
#include <sluice/dp/dp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define SELF    "10.9.0.1"
#define HOST    "10.9.0.2"
#define WAIT_MS 3000

static struct sl_dp *dp;
static struct sl_clock clock_;
static atomic_uint nb_mails;

static void
count_mail(struct sl_worker *w, struct sl_mail *mail)
{
	(void)w;
	(void)mail;
	atomic_fetch_add(&nb_mails, 1);
}

static int
run(const char *command)
{
	return system(command) == 0 ? 0 : -1;
}

static int
setup(void)
{
	static const struct sl_eal_conf eal = { .name = "sl_threads", .memory_mb = 128 };
	static struct sl_net net = {
		.nb_ports = 1,
		.ports = { { .name = "veth", .prefix_bits = 24, .mtu_bytes = 1500 } },
		.nb_routes = 1,
		.routes = { { .prefix_bits = 24 } },
		.tunnel_port_first = 4500,
		.tunnel_port_last = 4500,
	};
	static struct sl_dp_conf conf = {
		.name = "threads",
		.role = SL_DP_POP,
		.net = &net,
		.devices = { "net_af_packet0,iface=slv0,blocksz=65536,framesz=2048,framecnt=512" },
		.cores = { -1, -1 },
		.nb_workers = 2,
		.idle = SL_DP_IDLE_ADAPTIVE,
		.nb_mbufs = 4095,
		.on_mail = count_mail,
	};

	if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		return -1;
	if (run("ip link set lo up && ip link add slv0 type veth peer name slv1 &&"
		" ip addr add " HOST "/24 dev slv1 && ip link set slv0 up && ip link set slv1 up"
	    ) != 0)
		return -1;
	net.ports[0].address = inet_addr(SELF);
	net.routes[0].prefix = inet_addr("10.9.0.0");
	conf.cores[1] = sched_getcpu();
	if (sl_eal_start(&eal) != 0)
		return -1;
	dp = sl_dp_create(&conf);
	return dp == NULL || sl_dp_start(dp) != 0 ? -1 : 0;
}

static int
teardown(void)
{
	sl_dp_destroy(dp);
	sl_eal_stop();
	return 0;
}

// Send an echo request from the kernel's end; milliseconds until the reply, or -1.
static int
ping(uint16_t sequence)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = packet_ip(SELF) };
	struct icmphdr echo = { .type = ICMP_ECHO, .un.echo = { .id = 7, .sequence = sequence } };
	uint64_t start = sl_clock_ns(&clock_);
	uint8_t reply[256];
	struct pollfd p = { .events = POLLIN };
	int ms = -1;

	p.fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	echo.checksum = (uint16_t)~rte_raw_cksum(&echo, sizeof(echo));
	if (sendto(p.fd, &echo, sizeof(echo), 0, (struct sockaddr *)&to, sizeof(to)) !=
	    (ssize_t)sizeof(echo))
		sl_test_note("the kernel does not send");
	while (ms < 0 && poll(&p, 1, WAIT_MS) == 1) {
		const struct icmphdr *icmp = (const void *)(reply + 20);

		if (recv(p.fd, reply, sizeof(reply), 0) >= 28 && icmp->type == ICMP_ECHOREPLY &&
		    icmp->un.echo.sequence == sequence)
			ms = (int)((sl_clock_ns(&clock_) - start) / SL_NS_PER_MS);
	}
	close(p.fd);
	return ms;
}

static void
test_ping(void)
{
	for (uint16_t i = 0; i < 20; i++)
		CU_ASSERT(ping(i) >= 0);
}

static uint64_t
sum_of_sleeps(void)
{
	struct sl_worker_stats s;

	sl_dp_worker_stats(dp, &s);
	return s.sleeps;
}

static uint64_t
cpu_ns(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (uint64_t)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * SL_NS_PER_S +
		(uint64_t)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1000;
}

static void
test_idle(void)
{
	uint64_t sleeps = sum_of_sleeps(), cpu = cpu_ns();

	usleep(1000000); // the time whose cost is measured
	cpu = cpu_ns() - cpu;
	sl_test_note("%.2f %% of a core", (double)cpu / 1e7);
	CU_ASSERT(sum_of_sleeps() > sleeps);
	CU_ASSERT(cpu < SL_NS_PER_S * 2 / 100);
	CU_ASSERT(ping(100) >= 0); // and a packet wakes it
}

static void
test_mail(void)
{
	uint64_t start = sl_clock_ns(&clock_);
	unsigned late = 0;

	for (unsigned i = 1; i <= 50; i++) {
		struct sl_mail *mail = sl_dp_alloc_mail(dp);
		uint64_t deadline = sl_clock_ns(&clock_) + WAIT_MS * SL_NS_PER_MS;

		CU_ASSERT_PTR_NOT_NULL_FATAL(mail);
		CU_ASSERT_EQUAL(sl_dp_send_mail(dp, i % 2, mail), 0);
		while (atomic_load(&nb_mails) < i && sl_clock_ns(&clock_) < deadline)
			sched_yield();
		late += atomic_load(&nb_mails) < i;
	}
	CU_ASSERT_EQUAL(late, 0);
	// Each would wait 10 ms on average for the end of a sleep that nobody interrupts.
	CU_ASSERT((sl_clock_ns(&clock_) - start) / SL_NS_PER_MS < 300);
}

static void
test_punt(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_addr.s_addr = packet_ip(SELF),
				  .sin_port = htons(4500) };
	struct pollfd p = { .fd = sl_dp_session_fd(dp), .events = POLLIN };
	uint8_t payload[40] = { 5 };
	struct rte_mbuf *m = NULL;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	CU_ASSERT(sl_dp_session_sleeps(dp));
	// The kernel leaves checksums to the device and a veth has none, so none is asked for.
	CU_ASSERT_EQUAL(setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, &(int){ 1 }, sizeof(int)), 0);
	CU_ASSERT_EQUAL(
		sendto(fd, payload, sizeof(payload), 0, (struct sockaddr *)&to, sizeof(to)),
		sizeof(payload)
	);
	CU_ASSERT_EQUAL(poll(&p, 1, WAIT_MS), 1);
	sl_dp_session_woke(dp);
	CU_ASSERT_EQUAL_FATAL(sl_dp_poll_punts(dp, &m, 1), 1);
	CU_ASSERT_EQUAL(sl_meta(m)->punt, SL_PUNT_HANDSHAKE);
	rte_pktmbuf_free(m);
	CU_ASSERT(sl_dp_session_sleeps(dp));
	sl_dp_session_woke(dp);
	close(fd);
}

static void
test_snapshot(void)
{
	static const struct sl_snapshot *first, *second;
	uint64_t start = sl_clock_ns(&clock_);
	static uint64_t a[64], b[64];

	first = (const struct sl_snapshot *)(const void *)a;
	second = (const struct sl_snapshot *)(const void *)b;
	CU_ASSERT_PTR_NULL(sl_dp_swap_snapshot(dp, first));
	CU_ASSERT_PTR_EQUAL(sl_dp_swap_snapshot(dp, second), first);
	CU_ASSERT_PTR_EQUAL(sl_dp_swap_snapshot(dp, NULL), second);
	CU_ASSERT((sl_clock_ns(&clock_) - start) / SL_NS_PER_MS < 1000);
}

static const struct sl_test_case cases[] = {
	{ "threads: the kernel's echo requests are answered over a packet socket", test_ping },
	{ "threads: idle workers sleep, cost under 2 % of a core, and a packet wakes them",
	  test_idle },
	{ "threads: mail wakes a sleeping worker at once", test_mail },
	{ "threads: a punted handshake wakes the session thread", test_punt },
	{ "threads: a snapshot is swapped while workers run and sleep", test_snapshot },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, RTE_DIM(cases), setup, teardown);
}
