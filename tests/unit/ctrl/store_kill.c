// The daemon is killed at random while it commits. What it had been told is on disk must be there.
#include "sl_test.h"
#include "store_kit.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define ROUNDS 25u
#define NAMES  4000u
#define POOL   8192u
#define FLYING 128u

struct ack {
	uint32_t name;
	uint32_t address; // 0: it rests from now on
};

static uint32_t told[NAMES]; // address that each name was told; 0: none
static uint32_t owner[POOL]; // 1 + name that was last told this address

static void
name_of(char *text, size_t size, uint32_t name)
{
	snprintf(text, size, "host%u.dev.corp.example", name);
}

// The child: asks for random names, many at once, and tells what it was told.
static void
daemon_body(int fd, unsigned seed)
{
	struct sl_store *store;
	struct sl_store_config config = { .dir = dir, .pool = { BASE, POOL } };
	char why[300], text[64];
	unsigned nb_flying = 0;

	srandom(seed);
	if (sl_store_open(&store, &config, why, sizeof(why)) != 0 || sl_store_start(store) != 0)
		_exit(1);
	for (;;) {
		struct pollfd pfd = { .fd = sl_store_fd(store), .events = POLLIN };
		struct sl_store_done done[FLYING];
		unsigned nb;

		while (nb_flying < FLYING) {
			uint32_t name = (uint32_t)random() % NAMES;

			name_of(text, sizeof(text), name);
			if (sl_lease_acquire(store, name + 1, 1, text, "laptop", 1) != 0)
				_exit(2);
			nb_flying++;
		}
		poll(&pfd, 1, 1000);
		nb = sl_store_take(store, done, FLYING);
		nb_flying -= nb;
		for (unsigned i = 0; i < nb; i++) {
			struct ack ack = { (uint32_t)done[i].cookie - 1, done[i].address };

			if (done[i].status != SL_STORE_OK)
				_exit(3);
			if (write(fd, &ack, sizeof(ack)) != sizeof(ack))
				_exit(4);
		}
	}
}

static unsigned nb_acks, nb_moved, nb_doubled;

static void
note(const struct ack *ack)
{
	uint32_t idx = ack->address - BASE;

	nb_acks++;
	if (told[ack->name] != 0 && told[ack->name] != ack->address)
		nb_moved++;
	if (idx >= POOL || (owner[idx] != 0 && owner[idx] != ack->name + 1))
		nb_doubled++;
	else
		owner[idx] = ack->name + 1;
	told[ack->name] = ack->address;
}

// Let a child run for a while after its first word, kill it, hear what it still had to say.
static void
one_round(unsigned seed)
{
	struct timespec pause = { 0, (long)(random() % 60) * 1000000 + 1000000 };
	struct ack ack;
	int fds[2], status;
	pid_t pid;

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		daemon_body(fds[1], seed);
	}
	close(fds[1]);
	if (read(fds[0], &ack, sizeof(ack)) == sizeof(ack))
		note(&ack);
	// The pipe holds 8,192 words: the child is not held up before it is killed.
	nanosleep(&pause, NULL);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	while (read(fds[0], &ack, sizeof(ack)) == sizeof(ack))
		note(&ack);
	close(fds[0]);
}

static unsigned nb_kept;

static void
check_lease(void *arg, const struct sl_lease *lease)
{
	uint32_t name;

	(void)arg;
	if (sscanf(lease->name, "host%u.", &name) == 1 && name < NAMES &&
	    told[name] == lease->address && lease->state == SL_LEASE_ACTIVE)
		nb_kept++;
}

static void
test_kill(void)
{
	unsigned nb_told = 0;

	srandom(11);
	kit_fresh_dir();
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct sl_store *store;

		one_round(1000 + i);
		store = kit_open(POOL);
		nb_kept = nb_told = 0;
		CU_ASSERT(sl_lease_load(store, check_lease, NULL) >= 0);
		for (unsigned k = 0; k < NAMES; k++)
			nb_told += told[k] != 0;
		CU_ASSERT_EQUAL(nb_kept, nb_told);
		sl_store_close(store);
	}
	CU_ASSERT_EQUAL(nb_moved, 0);
	CU_ASSERT_EQUAL(nb_doubled, 0);
	CU_ASSERT(nb_told >= 1000);
	sl_test_note("%u answers about %u names over %u kills", nb_acks, nb_told, ROUNDS);
	kit_clean();
}

static const struct sl_test_case cases[] = {
	{ "A11: killed at random during group commits, every lease that was told is kept",
	  test_kill },
};

SL_TEST_MAIN(cases)
