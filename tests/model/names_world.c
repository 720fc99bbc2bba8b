#include "names_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct rule rules[2][RULES] = {
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

bool
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

struct world *world;
uint64_t client_groups[CLIENTS];

uint32_t
pick(uint32_t nb)
{
	world->random ^= world->random << 13;
	world->random ^= world->random >> 7;
	world->random ^= world->random << 17;
	return (uint32_t)((world->random >> 16) % nb);
}

void
check(bool is_right, const char *fmt, ...)
{
	va_list args;

	if (is_right || world->nb_wrong++ != 0)
		return;
	va_start(args, fmt);
	vsnprintf(world->why, sizeof(world->why), fmt, args);
	va_end(args);
}

void
name_of(uint32_t n, char text[NAME_TEXT_MAX])
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
		snprintf(text, NAME_TEXT_MAX, "n%u.%s", n, zones[n % 6]);
}

uint32_t
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

void
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

bool
is_owed(uint32_t client, uint32_t address)
{
	const struct belief *b = &world->beliefs[address - POOL];
	char text[NAME_TEXT_MAX];

	if (b->name == 0 || b->until_s <= world->now_s)
		return false;
	name_of(b->name - 1, text);
	return sees(world->policy, text, client_groups[client]);
}
