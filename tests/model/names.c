// The lifetime and visibility of assigned addresses: the name table, the lease store and the answer
// policy against a naive model. A PoP with a /24 pool is asked for 10,000 names by 100 clients whose
// grants overlap, its disk is slow, its policy changes, and it is killed again and again (a child
// process that ends by SIGKILL in the middle of commits). What clients remember outlives it: answers until
// their TTL is over, and flows.
//
// Time is handed in. The seed is printed; set SEED to repeat a run (threads make it similar, not equal).
#include "names_pop.h"
#include "sl_test.h"

#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <sluice/ctrl/clock.h>
#include <sluice/ctrl/log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIVES     16u
#define STEPS_MAX 5000u

// ---- What the world sees of it -----------------------------------------------------------------

// The answer to a hidden name is that to a name of no resource, but for the name.
static void
check_hidden(uint32_t client, const char *name, const struct sl_answer *answer, uint8_t *message)
{
	static const uint16_t types[] = { SL_DNS_AAAA, SL_DNS_TXT, SL_DNS_ANY };
	uint8_t nothing[2048], other[2048];
	char text[64];
	struct sl_answer is;
	uint16_t type = types[pick(3)];

	for (unsigned i = 0; i < 2; i++) {
		strcpy(text, name);
		for (char *c = text; *c != '\0'; c++)
			if (*c != '.')
				*c = 'q';
		is = ask(client, text, i == 0 ? SL_DNS_A : type, nothing);
		memcpy(nothing + 12, message + 12, strlen(name) + 2);
		check(is.verdict == answer->verdict && is.rcode == answer->rcode &&
			      is.nb_bytes == answer->nb_bytes && is.name_id == answer->name_id &&
			      memcmp(nothing, message, 2048) == 0,
		      "%s type %u is answered otherwise than what is no resource",
		      name,
		      is.type);
		is = ask(client, name, type, other);
		answer = &is;
		message = other;
	}
	world->nb_hidden++;
}

// The client's query when the name is live, or none of its business. True when it was answered.
static bool
query(uint32_t client, uint32_t name)
{
	uint8_t message[2048];
	char text[64];
	struct sl_answer answer;
	const uint8_t *record;

	name_of(name, text);
	answer = ask(client, text, SL_DNS_A, message);
	if (!sees(world->policy, text, client_groups[client])) {
		check(answer.verdict == (world->policy == 0 ? SL_ANSWER_SEND : SL_ANSWER_FORWARD),
		      "%s is hidden, and verdict %d",
		      text,
		      answer.verdict);
		check_hidden(client, text, &answer, message);
		return true;
	}
	if (answer.verdict == SL_ANSWER_NEED_NAME)
		return false;
	check(answer.verdict == SL_ANSWER_SEND && answer.rcode == SL_RCODE_NOERROR,
	      "%s is granted, and verdict %d",
	      text,
	      answer.verdict);
	record = message + 12 + strlen(text) + 2 + 4;
	believe(sl_get32(record + 12), name, world->now_s + sl_get32(record + 6), "answer");
	world->nb_answers++;
	return true;
}

static void
first_sight(uint32_t client, uint32_t name)
{
	struct sl_claim claim = { policy(), client_groups[client], client, world->now_s };
	struct sl_name parsed;
	char text[64];
	uint32_t id;

	name_of(name, text);
	if (query(client, name) || sl_name_from_text(&parsed, text) != SL_NAME_OK)
		return;
	switch (sl_addresses_claim(pop.table, &claim, &parsed, &id)) {
	case SL_CLAIM_LIVE:
		check(query(client, name), "%s was claimed and is not answered", text);
		return;
	case SL_CLAIM_PENDING:
		if (pop.nb_waiting < WAITING) {
			pop.waiting[pop.nb_waiting].name_id = id;
			pop.waiting[pop.nb_waiting].name = name;
			pop.waiting[pop.nb_waiting++].client = client;
		}
		return;
	case SL_CLAIM_NOT_A_RESOURCE:
		check(false, "%s is granted, and no resource when claimed", text);
		return;
	case SL_CLAIM_BUSY:
		world->nb_busy++;
		return;
	case SL_CLAIM_FULL:
	case SL_CLAIM_CLIENT_QUOTA:
	case SL_CLAIM_RESOURCE_QUOTA:
	default:
		world->nb_full++;
	}
}

static void
completions(void)
{
	struct sl_store_done done[64];
	unsigned nb = sl_store_take(pop.store, done, 64);

	for (unsigned i = 0; i < nb; i++) {
		uint32_t id = (uint32_t)done[i].cookie;
		enum sl_claim_verdict verdict;

		check(done[i].status != SL_STORE_FAILED, "the disk failed");
		if (done[i].cookie >> 32 != 1)
			continue;
		verdict = sl_addresses_bound(
			pop.table,
			id,
			done[i].status == SL_STORE_OK ? SL_LEASE_BOUND : SL_LEASE_EXHAUSTED,
			done[i].address,
			world->now_s
		);
		world->nb_full += verdict == SL_CLAIM_FULL;
		world->nb_busy += verdict == SL_CLAIM_BUSY;
		for (unsigned k = 0; k < pop.nb_waiting;) {
			if (pop.waiting[k].name_id != id) {
				k++;
				continue;
			}
			if (verdict == SL_CLAIM_LIVE)
				check(query(pop.waiting[k].client, pop.waiting[k].name),
				      "a name that is on disk is not answered");
			pop.waiting[k] = pop.waiting[--pop.nb_waiting];
		}
	}
}

static void
claim_exact(void)
{
	struct sl_claim claim = { policy(), UINT64_MAX, UINT32_MAX, world->now_s };
	struct sl_name name;
	uint32_t id;

	for (unsigned i = 0; i < sl_policy_nb_exact(policy()); i++) {
		sl_policy_exact(policy(), i, &name);
		(void)sl_addresses_claim(pop.table, &claim, &name, &id);
	}
}

// ---- Packets -----------------------------------------------------------------------------------

// A packet to an address: who takes it? UINT32_MAX: nobody, exactly as for an unassigned address.
static uint32_t
packet(uint32_t client, uint32_t address)
{
	struct sl_choice choice, none;
	enum sl_choice_verdict verdict, unassigned;
	char text[SL_NAME_MAX_BYTES + 1] = "";
	uint32_t id, name;

	memset(&choice, 0, sizeof(choice));
	memset(&none, 0, sizeof(none));
	verdict = sl_addresses_choose(
		pop.table,
		policy(),
		address,
		client_groups[client],
		IPPROTO_TCP,
		443,
		world->now_s,
		&choice,
		&id
	);
	if (verdict == SL_CHOICE_ADMITTED) {
		sl_addresses_text(pop.table, id, text);
		name = index_of(text);
		check(name < NAMES && sees(world->policy, text, client_groups[client]),
		      "a packet to hidden %s is admitted",
		      text);
		believe(address, name, world->now_s, "packet");
		return name;
	}
	unassigned = sl_addresses_choose(
		pop.table,
		policy(),
		POOL,
		client_groups[client],
		IPPROTO_TCP,
		443,
		world->now_s,
		&none,
		&name
	);
	check(verdict == unassigned && id == name && memcmp(&choice, &none, sizeof(none)) == 0,
	      "a refused packet shows that its address is assigned");
	return UINT32_MAX;
}

// A new flow: of one to whom an answer is still good, or of anybody to anything.
static void
begin_flow(void)
{
	struct flow *f = &world->flows[pick(FLOWS)];
	uint32_t client = pick(CLIENTS), address = POOL + pick(POOL_NB), name;
	const struct belief *b;
	bool is_cached;

	for (unsigned i = 0; i < 50 && !is_owed(client, address); i++) {
		client = pick(CLIENTS);
		address = POOL + pick(POOL_NB);
	}
	b = &world->beliefs[address - POOL];
	is_cached = b->until_s > world->now_s;
	name = is_owed(client, address) ? b->name - 1 : UINT32_MAX;
	if (name != UINT32_MAX)
		check(packet(client, address) == name, "a good answer leads nowhere");
	name = packet(client, address);
	check(name == UINT32_MAX || !is_cached || b->name == name + 1,
	      "a cached answer leads to another name");
	if (name != UINT32_MAX && !f->is_live) {
		*f = (struct flow){ true, client, name, address };
		world->nb_flows++;
	}
}

// What the sweep of flows does, at least every DRAIN_S / 2: end what is not admitted any more.
static void
sweep(void)
{
	for (unsigned i = 0; i < FLOWS; i++) {
		struct flow *f = &world->flows[i];
		char text[NAME_TEXT_MAX];
		uint32_t name;

		if (!f->is_live)
			continue;
		name_of(f->name, text);
		name = packet(f->client, f->address);
		check(name == UINT32_MAX || name == f->name, "a flow is delivered as another name");
		check(name != UINT32_MAX || !sees(world->policy, text, client_groups[f->client]),
		      "the address of %s is taken from a flow that lives",
		      text);
		f->is_live = name == f->name;
	}
}

static void
reverse(uint32_t client, uint32_t address)
{
	uint8_t message[2048], nothing[2048];
	char text[64], name_text[SL_NAME_MAX_BYTES + 1];
	struct sl_answer answer, is;
	struct sl_name name;
	size_t n;

	snprintf(text, sizeof(text), "%u.0.96.100.in-addr.arpa", address - POOL);
	answer = ask(client, text, SL_DNS_PTR, message);
	check(answer.verdict == SL_ANSWER_SEND, "PTR is not answered");
	if (answer.rcode == SL_RCODE_NOERROR) {
		n = 12 + strlen(text) + 2 + 4 + 12;
		check(sl_name_parse_plain(&name, message, answer.nb_bytes, n, NULL) == SL_NAME_OK &&
			      sl_name_to_text(&name, name_text, sizeof(name_text)) != 0 &&
			      sees(world->policy, name_text, client_groups[client]),
		      "PTR names what is hidden");
		return;
	}
	// .0 of the pool is never assigned; its question is a few octets shorter.
	is = ask(client, "0.0.96.100.in-addr.arpa", SL_DNS_PTR, nothing);
	n = strlen(text) - strlen("0.0.96.100.in-addr.arpa");
	check(is.rcode == answer.rcode && is.nb_bytes + n == answer.nb_bytes &&
		      memcmp(nothing, message, 12) == 0,
	      "PTR of a hidden address is not that of an unassigned one");
}

// ---- Life and death ----------------------------------------------------------------------------

static void
advance(uint32_t by_s)
{
	while (by_s != 0) {
		uint32_t step_s = by_s < SWEEP_S ? by_s : SWEEP_S;

		by_s -= step_s;
		world->now_s += step_s;
		sl_clock_advance(step_s * NS);
		sweep();
		sl_addresses_poll(pop.table, 512, world->now_s);
		if (pick(2) == 0)
			completions();
	}
}

static void
change_policy(void)
{
	world->policy ^= 1;
	build_policy(world->policy, ++world->generation);
	pop.is_compiled = false;
	claim_exact();
	sweep();
}

// Nothing that the world still counts on was lost with the one before.
static void
check_memory(void)
{
	char text[SL_NAME_MAX_BYTES + 1], known[64];

	for (uint32_t i = 0; i < POOL_NB; i++) {
		const struct belief *b = &world->beliefs[i];
		uint32_t id = sl_addresses_at(pop.table, POOL + i);

		if (b->name == 0 || b->until_s < world->now_s)
			continue;
		name_of(b->name - 1, known);
		check(id != SL_NO_NAME && sl_addresses_text(pop.table, id, text) != 0 &&
			      strcmp(text, known) == 0,
		      "killed: the address of %s is not its own any more",
		      known);
	}
}

// Four clients ask for new names again and again, most for those that all ask for.
static void
somebody_asks(void)
{
	if (pick(4) == 0)
		first_sight(pick(4), pick(NAMES));
	else
		first_sight(pick(CLIENTS), pick(8) == 0 ? pick(NAMES) : pick(120));
}

static void
step(void)
{
	uint32_t what = pick(1000);

	if (what < 450)
		somebody_asks();
	else if (what < 600)
		begin_flow();
	else if (what < 700)
		reverse(pick(CLIENTS), POOL + pick(POOL_NB));
	else if (what < 750)
		world->flows[pick(FLOWS)].is_live = false;
	else if (what < 900)
		completions();
	else if (what < 992)
		advance(1 + pick(12));
	else if (what < 994)
		advance(300 + pick(600));
	else if (what < 996)
		change_policy();
	else
		usleep(2000); // let the disk catch up
	if (!pop.is_compiled && pick(4) == 0)
		pop.is_compiled = sl_addresses_compile(pop.table, policy(), 64, world->now_s);
}

static void
live(void)
{
	unsigned nb = 1 + pick(STEPS_MAX), day = nb / 8;

	be_born();
	check_memory();
	claim_exact();
	for (unsigned i = 0; i < nb && world->nb_wrong == 0; i++) {
		if (i == day) // a restored name may have been answered with a TTL of a day
			advance(90000 + pick(600));
		step();
	}
	world->nb_killed_waiting += pop.nb_waiting;
	kill(getpid(), SIGKILL);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void
test_names(void)
{
	const char *seed = getenv("SEED");
	uint8_t material[32] = { 1, 2, 3 };

	world = mmap(
		NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0
	);
	CU_ASSERT_FATAL(world != MAP_FAILED);
	world->random = seed != NULL ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;
	sl_test_note("SEED=%llu", (unsigned long long)world->random);
	world->now_s = 1000;
	sl_name_key_init(&name_key, material);
	for (unsigned i = 0; i < CLIENTS; i++)
		client_groups[i] = GROUP(pick(8)) | GROUP(pick(8));
	sl_log_set_level(SL_LOG_ERROR); // the clock makes every commit a slow one
	strcpy(store_dir, "/tmp/model-names-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(store_dir));
	for (unsigned i = 0; i < LIVES && world->nb_wrong == 0; i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			live();
		waitpid(pid, &status, 0);
		check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		      "the PoP ended with %#x",
		      status);
	}
	if (world->nb_wrong != 0)
		sl_test_note("%s", world->why);
	CU_ASSERT_EQUAL(world->nb_wrong, 0);
	sl_test_note(
		"%u answers, %u hidden, %u flows; %u addresses changed hands; %u full, %u busy; %u "
		"kills "
		"(%u queries waiting); %u s",
		world->nb_answers,
		world->nb_hidden,
		world->nb_flows,
		world->nb_moved,
		world->nb_full,
		world->nb_busy,
		LIVES,
		world->nb_killed_waiting,
		world->now_s
	);
	// Else nothing was shown.
	CU_ASSERT(world->nb_moved >= 100 && world->nb_hidden >= 1000 && world->nb_answers >= 1000);
	CU_ASSERT(world->nb_flows >= 100);
	nftw(store_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	munmap(world, sizeof(*world));
}

static const struct sl_test_case cases[] = {
	{ "A5 A7 A11 A13: names, addresses and leases under kills are what a naive model says",
	  test_names },
};

SL_TEST_MAIN(cases)
