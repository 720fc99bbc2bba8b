// The lifetime and visibility of assigned addresses: the name table, the lease store and the answer
// policy against a naive model. A PoP with a /24 pool is asked for 10,000 names by 100 clients whose
// grants overlap, its disk is slow, its policy changes, and it is killed again and again (a child
// process that ends by SIGKILL in the middle of commits). What clients remember outlives it: answers until
// their TTL is over, and flows.
//
// Time is handed in. The seed is printed; set SEED to repeat a run (threads make it similar, not equal).
#include "sl_test.h"

#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <sluice/ctrl/clock.h>
#include <sluice/ctrl/log.h>
#include <sluice/ctrl/store.h>
#include <sluice/dns/addresses.h>
#include <sluice/dns/answer.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS           1000000000ull
#define POOL         0x64600000u // 100.96.0.0
#define POOL_NB      256u
#define TENANT       7u
#define NAMES        10000u
#define CLIENTS      100u
#define FLOWS        40u
#define WAITING      64u
#define LIVES        16u
#define STEPS_MAX    5000u
#define QUARANTINE_S 600u
#define DRAIN_S      30u
#define SWEEP_S      15u // DRAIN_S / 2
#define RETIRE       (1ull << 40)
#define GROUP(n)     (1ull << (n))

// ---- The naive model: who sees what ------------------------------------------------------------

// A row of policy, most specific first within each of the two policies.
struct rule {
	const char *pattern; // exact, or "*" and a suffix
	uint64_t groups;
	bool inherit;
	uint32_t ttl_s;
};

#define RULES 8u
static const struct rule rules[2][RULES] = {
	{
		{ "payroll.dev.corp.example", GROUP(6), false, 60 }, // withheld from all of dev
		{ "shared.dev.corp.example", GROUP(6), true, 60 },
		{ "git.corp.example", GROUP(5) | GROUP(0), false, 60 },
		{ "*.secret.dev.corp.example", GROUP(3), false, 30 },
		{ "*.open.dev.corp.example", GROUP(4), true, 300 },
		{ "*.dev.corp.example", GROUP(2), false, 300 },
		{ "*.hidden.example", GROUP(7), false, 60 },
		{ "*.corp.example", GROUP(0) | GROUP(1), false, 60 },
	},
	{
		{ "payroll.dev.corp.example", GROUP(2), false, 60 },
		{ "shared.dev.corp.example", GROUP(6), false, 60 },
		{ "git.corp.example", GROUP(5), true, 60 },
		{ "*.secret.dev.corp.example", GROUP(3), true, 600 },
		{ "*.open.dev.corp.example", GROUP(4), false, 60 },
		{ "*.dev.corp.example", GROUP(2) | GROUP(1), true, 60 },
		{ "*.hidden.example", GROUP(7), false, 60 },
		{ "*.corp.example", GROUP(0), false, 0 },
	},
};

static bool
rule_matches(const struct rule *rule, const char *name)
{
	size_t n = strlen(name), k = strlen(rule->pattern) - 1;

	if (rule->pattern[0] != '*')
		return strcmp(rule->pattern, name) == 0;
	return n >= k && strcmp(name + n - k, rule->pattern + 1) == 0;
}

static bool
sees(unsigned policy, const char *name, uint64_t groups)
{
	for (unsigned i = 0; i < RULES; i++) {
		const struct rule *rule = &rules[policy][i];

		if (!rule_matches(rule, name))
			continue;
		if ((rule->groups & groups) != 0)
			return true;
		if (!rule->inherit)
			return false;
	}
	return false;
}

// ---- What outlives a PoP -----------------------------------------------------------------------

// What the world last believed of an address.
struct belief {
	uint32_t name; // 1 + index; 0: never heard of
	uint32_t until_s; // an answer is cached, or a flow was last seen
};

struct flow {
	bool is_live;
	uint32_t client, name, address;
};

static struct world {
	uint32_t now_s;
	uint64_t random;
	unsigned policy;
	uint32_t generation;
	struct belief beliefs[POOL_NB];
	struct flow flows[FLOWS];
	unsigned nb_answers, nb_moved, nb_hidden, nb_flows, nb_full, nb_busy, nb_killed_waiting;
	unsigned nb_wrong;
	char why[512]; // the first thing that was wrong
} * world; // shared with the child

static uint64_t client_groups[CLIENTS];
static struct sl_name_key name_key;
static char dir[64];

static uint32_t
pick(uint32_t nb)
{
	world->random ^= world->random << 13;
	world->random ^= world->random >> 7;
	world->random ^= world->random << 17;
	return (uint32_t)((world->random >> 16) % nb);
}

__attribute__((format(printf, 2, 3))) static void
check(bool is_right, const char *fmt, ...)
{
	va_list args;

	if (is_right || world->nb_wrong++ != 0)
		return;
	va_start(args, fmt);
	vsnprintf(world->why, sizeof(world->why), fmt, args);
	va_end(args);
}

static void
name_of(uint32_t n, char text[64])
{
	static const char *const zones[] = {
		"corp.example",          "dev.corp.example", "secret.dev.corp.example",
		"open.dev.corp.example", "hidden.example",   "other.example"
	};
	static const char *const exact[] = { "payroll.dev.corp.example",
					     "shared.dev.corp.example",
					     "git.corp.example" };

	if (n < 3)
		strcpy(text, exact[n]);
	else
		snprintf(text, 64, "n%u.%s", n, zones[n % 6]);
}

// ---- A PoP -------------------------------------------------------------------------------------

static struct pop {
	struct sl_store *store;
	struct sl_addresses *table;
	struct sl_policy *policies[2];
	bool is_compiled;
	struct {
		uint32_t name_id, name, client;
	} waiting[WAITING];
	unsigned nb_waiting;
} pop;

static struct sl_policy *
policy(void)
{
	return pop.policies[world->policy];
}

static void
build_policy(unsigned which, uint32_t generation)
{
	static const struct sl_policy_range all = { 0, 65535 };
	struct sl_policy_resource resources[RULES];
	struct sl_policy_error error;
	struct sl_policy_spec spec = { .generation = generation,
				       .name_key = name_key,
				       .resources = resources,
				       .nb_resources = RULES,
				       .canary = true,
				       .refuse_other = which == 0 };

	for (unsigned i = 0; i < RULES; i++)
		resources[i] = (struct sl_policy_resource){ .id = i,
							    .label = rules[which][i].pattern,
							    .patterns = &rules[which][i].pattern,
							    .nb_patterns = 1,
							    .tcp = &all,
							    .nb_tcp = 1,
							    .groups = rules[which][i].groups,
							    .inherit = rules[which][i].inherit,
							    .ttl_s = rules[which][i].ttl_s };
	sl_policy_free(pop.policies[which]);
	if (sl_policy_build(&spec, &pop.policies[which], &error) != 0) {
		check(false, "policy: %s", error.what);
		_exit(1);
	}
}

static bool
bind_lease(void *arg, uint32_t name_id, const char *name, uint32_t address)
{
	(void)arg, (void)address;
	return sl_lease_acquire(pop.store, 1ull << 32 | name_id, TENANT, name, "", 1) == 0;
}

static bool
retire_lease(void *arg, uint32_t name_id, const char *name, uint32_t address, bool is_released)
{
	(void)arg, (void)name;
	if (is_released)
		return sl_lease_reclaim(pop.store, UINT64_MAX, TENANT, address) == 0;
	return sl_lease_rest(pop.store, RETIRE | name_id, TENANT, address, QUARANTINE_S * NS) == 0;
}

static const struct sl_lease_ops lease_ops = { bind_lease, retire_lease };

static void
restore(void *arg, const struct sl_lease *lease)
{
	uint64_t retired_ns = lease->until_ns - QUARANTINE_S * NS;
	bool rests = lease->state == SL_LEASE_RESTING;
	uint32_t age_s = rests ? (uint32_t)((sl_store_wall_ns(pop.store) - retired_ns) / NS) : 0;

	(void)arg;
	check(sl_addresses_restore(
		      pop.table, lease->name, lease->address, rests, age_s, world->now_s
	      ) == 0,
	      "%s cannot be restored",
	      lease->name);
}

// ---- What the world sees of it -----------------------------------------------------------------

// `name` is what the PoP delivers packets to `address` as, or says in an answer good until `until_s`.
static void
believe(uint32_t address, uint32_t name, uint32_t until_s, const char *how)
{
	struct belief *b = &world->beliefs[address - POOL];
	char is[64], was[64];

	if (b->name != 0 && b->name != name + 1) {
		name_of(b->name - 1, was);
		name_of(name, is);
		for (unsigned i = 0; i < FLOWS; i++)
			check(!world->flows[i].is_live || world->flows[i].address != address,
			      "%s: a flow of %s lives, its address is %s's",
			      how,
			      was,
			      is);
		check(world->now_s + 1 >= b->until_s + QUARANTINE_S,
		      "%s at %u: address %u of %s, last known of at %u, is %s's",
		      how,
		      world->now_s,
		      address - POOL,
		      was,
		      b->until_s,
		      is);
		world->nb_moved++;
		b->until_s = 0;
	}
	b->name = name + 1;
	if (until_s > b->until_s)
		b->until_s = until_s;
}

static size_t
question(uint8_t *to, const char *name, uint16_t type, uint16_t id)
{
	uint8_t *p = to + 12;

	memset(to, 0, 12);
	sl_put16(to, id);
	sl_put16(to + 2, 0x0100);
	sl_put16(to + 4, 1);
	while (*name != '\0') {
		size_t n = strcspn(name, ".");

		*p++ = (uint8_t)n;
		memcpy(p, name, n);
		p += n;
		name += n + (name[n] == '.');
	}
	*p++ = 0;
	sl_put16(p, type);
	sl_put16(p + 2, 1);
	return (size_t)(p + 4 - to);
}

static struct sl_answer
ask(uint32_t client, const char *name, uint16_t type, uint8_t message[2048])
{
	struct sl_answer_context context = { .policy = policy(),
					     .addresses = pop.table,
					     .groups = client_groups[client],
					     .now_s = world->now_s,
					     .budget_bytes = UINT32_MAX };
	struct sl_answer answer;

	memset(message, 0, 2048);
	sl_answer(&answer, &context, message, question(message, name, type, 0), 2048);
	return answer;
}

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

// Index of a name from its text.
static uint32_t
index_of(const char *text)
{
	char known[64];
	unsigned n;

	for (n = 0; n < 3; n++) {
		name_of(n, known);
		if (strcmp(known, text) == 0)
			return n;
	}
	return sscanf(text, "n%u.", &n) == 1 ? n : UINT32_MAX;
}

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

static void
begin_flow(void)
{
	struct flow *f = &world->flows[pick(FLOWS)];
	uint32_t client = pick(CLIENTS), address = POOL + pick(POOL_NB);
	const struct belief *b = &world->beliefs[address - POOL];
	uint32_t name = packet(client, address);

	check(name == UINT32_MAX || b->until_s < world->now_s || b->name == name + 1,
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
		uint32_t name;

		if (!f->is_live)
			continue;
		name = packet(f->client, f->address);
		check(name == UINT32_MAX || name == f->name, "a flow is delivered as another name");
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

static void
be_born(void)
{
	struct sl_store_config store = { .dir = dir,
					 .pool = { POOL, POOL_NB },
					 .linger_us = UINT32_MAX };
	struct sl_addresses_config config = { .pool = POOL,
					      .pool_bits = 24,
					      .names_max = 400,
					      .client_names_max = 30,
					      .quarantine_s = QUARANTINE_S,
					      .drain_s = DRAIN_S,
					      .idle_s = 60,
					      .name_key = name_key,
					      .lease = &lease_ops };
	char why[300] = "";

	sl_clock_freeze(world->now_s * NS, (1700000000ull + world->now_s) * NS);
	build_policy(0, ++world->generation);
	build_policy(1, ++world->generation);
	if (sl_store_open(&pop.store, &store, why, sizeof(why)) != 0 ||
	    (pop.table = sl_addresses_create(&config)) == NULL ||
	    sl_lease_load(pop.store, restore, NULL) < 0 || sl_store_start(pop.store) != 0) {
		check(false, "start: %s", why);
		_exit(1);
	}
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

static void
step(void)
{
	uint32_t what = pick(1000);

	if (what < 450)
		first_sight(pick(CLIENTS), pick(4) == 0 ? pick(NAMES) : pick(300));
	else if (what < 600)
		begin_flow();
	else if (what < 700)
		reverse(pick(CLIENTS), POOL + pick(POOL_NB));
	else if (what < 750)
		world->flows[pick(FLOWS)].is_live = false;
	else if (what < 900)
		completions();
	else if (what < 990)
		advance(1 + pick(12));
	else if (what < 994)
		advance(300 + pick(600));
	else if (what < 996)
		change_policy();
	else if (what < 998)
		advance(90000 + pick(600)
		); // a restored name may have been answered with a TTL of a day
	else
		usleep(2000); // let the disk catch up
	if (!pop.is_compiled && pick(4) == 0)
		pop.is_compiled = sl_addresses_compile(pop.table, policy(), 64, world->now_s);
}

static void
live(void)
{
	unsigned nb = 1 + pick(STEPS_MAX);

	be_born();
	check_memory();
	claim_exact();
	for (unsigned i = 0; i < nb && world->nb_wrong == 0; i++)
		step();
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
	strcpy(dir, "/tmp/model-names-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
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
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	munmap(world, sizeof(*world));
}

static const struct sl_test_case cases[] = {
	{ "A5 A7 A11 A13: names, addresses and leases under kills are what a naive model says",
	  test_names },
};

SL_TEST_MAIN(cases)
