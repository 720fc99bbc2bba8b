// names_world: the naive model of names.c: who sees which name under which policy, what the world believes of
// addresses, and the flows it has. It outlives every PoP.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define POOL          0x64600000u // 100.96.0.0
#define POOL_NB       256u
#define NAMES         10000u
#define CLIENTS       100u
#define FLOWS         40u
#define QUARANTINE_S  6000u
#define GROUP(n)      (1ull << (n))
#define NAME_TEXT_MAX 64u

// A row of policy, most specific first within each of the two policies.
struct rule {
	const char *pattern; // exact, or "*" and a suffix
	uint64_t groups;
	bool inherit;
	uint32_t ttl_s;
};

#define RULES 8u
extern const struct rule rules[2][RULES];

bool sees(unsigned policy, const char *name, uint64_t groups);
void name_of(uint32_t n, char text[NAME_TEXT_MAX]);
// Index of a name from its text; UINT32_MAX: of none.
uint32_t index_of(const char *text);

// What the world last believed of an address.
struct belief {
	uint32_t name; // 1 + index; 0: never heard of
	uint32_t until_s; // an answer is cached, or a flow was last seen
};

struct flow {
	bool is_live;
	uint32_t client, name, address;
};

struct world {
	uint32_t now_s;
	uint64_t random;
	unsigned policy;
	uint32_t generation;
	struct belief beliefs[POOL_NB];
	struct flow flows[FLOWS];
	unsigned nb_answers, nb_moved, nb_hidden, nb_flows, nb_full, nb_busy, nb_killed_waiting;
	unsigned nb_wrong;
	char why[512]; // the first thing that was wrong
};
extern struct world *world; // shared with the child
extern uint64_t client_groups[CLIENTS];

uint32_t pick(uint32_t nb);
// Unless `is_right`, the test has failed; the first reason is kept.
__attribute__((format(printf, 2, 3))) void check(bool is_right, const char *fmt, ...);
// `name` is what the PoP delivers packets to `address` as, or says in an answer good until `until_s`.
void believe(uint32_t address, uint32_t name, uint32_t until_s, const char *how);
// Is an answer that leads this client to `address` still good, and the name one that it sees?
bool is_owed(uint32_t client, uint32_t address);
