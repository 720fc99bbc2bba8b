#include "fixture.h"

// Naive matcher: all ways a wildcard may end, by recursion.
static bool
naive(const char *p, const char *t, enum sl_glob_dialect d)
{
	if (*p == '\0')
		return *t == '\0';
	if (*p == '*') {
		bool crosses = d == SL_GLOB_ANY || p[1] == '*';
		const char *rest = p + 1;

		while (*rest == '*')
			rest++;
		for (;; t++) {
			if (naive(rest, t, d))
				return true;
			if (*t == '\0' || (*t == '.' && !crosses))
				return false;
		}
	}
	if (*t == '\0')
		return false;
	if (*p == '?' ? (d == SL_GLOB_ANY || *t != '.') : *p == *t)
		return naive(p + 1, t + 1, d);
	return false;
}

static uint32_t rng = 1;

static uint32_t
rnd(uint32_t n)
{
	rng = rng * 1664525u + 1013904223u;
	return (rng >> 8) % n;
}

static void
random_text(char *to, const char *alphabet, unsigned nb_max)
{
	unsigned n = 1 + rnd(nb_max), k = (unsigned)strlen(alphabet);

	for (unsigned i = 0; i < n; i++)
		to[i] = alphabet[rnd(k)];
	to[n] = '\0';
}

static void
test_glob_model(void)
{
	unsigned nb_matches = 0, nb_bad = 0;

	for (unsigned i = 0; i < 400000; i++) {
		enum sl_glob_dialect d = i & 1 ? SL_GLOB_LABEL : SL_GLOB_ANY;
		char p[16], t[16];
		bool want;

		random_text(p, "aab.*?*", 8);
		random_text(t, "aaab.", 9);
		want = naive(p, t, d);
		nb_matches += want;
		if (sl_glob_match(p, t, d) != want && nb_bad++ < 5)
			sl_test_note("%s against %s, dialect %d: want %d", p, t, d, want);
	}
	CU_ASSERT_EQUAL(nb_bad, 0);
	CU_ASSERT(nb_matches > 10000);
}

// Whatever both patterns match proves that they intersect.
static void
test_intersect_model(void)
{
	unsigned nb_bad = 0, nb_no = 0;

	for (unsigned i = 0; i < 300000; i++) {
		enum sl_glob_dialect da = i & 1 ? SL_GLOB_LABEL : SL_GLOB_ANY;
		enum sl_glob_dialect db = i & 2 ? SL_GLOB_LABEL : SL_GLOB_ANY;
		char a[16], b[16], t[16];
		bool meet;

		random_text(a, "aab.*?*", 5);
		random_text(b, "aab.*?*", 5);
		random_text(t, "aab.", 5);
		meet = sl_glob_intersect(a, da, b, db);
		nb_no += !meet;
		nb_bad += !meet && naive(a, t, da) && naive(b, t, db);
		nb_bad += meet != sl_glob_intersect(b, db, a, da);
	}
	CU_ASSERT_EQUAL(nb_bad, 0);
	CU_ASSERT(nb_no > 10000); // it does say no
}

static void
test_glob_rows(void)
{
	static const struct {
		const char *pattern, *text;
		bool any, label;
	} rows[] = {
		{ "*.corp.example", "git.corp.example", true, true },
		{ "*.corp.example", "a.b.corp.example", true, false },
		{ "**.corp.example", "a.b.corp.example", true, true },
		{ "*.corp.example", "corp.example", false, false },
		{ "**.corp.example", "corp.example", false, false },
		{ "*corp.example", "corp.example", true, true },
		{ "db?.corp", "db1.corp", true, true },
		{ "db?.corp", "db.corp", false, false },
		{ "db?.corp", "db12.corp", false, false },
		{ "a?b", "a.b", true, false },
		{ "w*.*.corp", "web.x.corp", true, true },
		{ "*", "anything.at.all", true, false },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		SL_ASSERT_ROW(
			sl_glob_match(rows[i].pattern, rows[i].text, SL_GLOB_ANY) == rows[i].any,
			rows[i].pattern
		);
		SL_ASSERT_ROW(
			sl_glob_match(rows[i].pattern, rows[i].text, SL_GLOB_LABEL) ==
				rows[i].label,
			rows[i].pattern
		);
	}
}

static void
match_text(const struct sl_policy *policy, const char *text, struct sl_matches *m)
{
	struct sl_name name;

	CU_ASSERT_EQUAL_FATAL(sl_name_from_text(&name, text), SL_NAME_OK);
	sl_policy_match(policy, &name, sl_name_hash(&name, &fixture_key), m);
}

// Random policies against a scan of all patterns: the same set, in the order of specificity.
static void
test_index_model(void)
{
	unsigned nb_bad = 0, nb_hits = 0;

	for (unsigned round = 0; round < 300; round++) {
		static char text[20][40];
		const char *pattern[20];
		struct sl_policy_resource list[20];
		struct sl_policy *policy;
		unsigned nb = 1 + rnd(20);

		for (unsigned i = 0; i < nb; i++) {
			static const char *const heads[] = { "*.", "**.", "",  "a.",
							     "?.", "a*.", "*", "b" };
			static const char *const tails[] = {
				"a.b", "b", "a.a.b", "b.b", "ab", "?b"
			};

			snprintf(text[i], sizeof(text[i]), "%s%s", heads[rnd(8)], tails[rnd(6)]);
			pattern[i] = text[i];
			list[i] = open_resource(i, &pattern[i], 1);
			list[i].dialect = rnd(2) ? SL_GLOB_LABEL : SL_GLOB_ANY;
			list[i].nb_tcp = list[i].nb_udp = 0; // nothing to tie
			list[i].icmp = false;
		}
		policy = build_policy(list, nb, 1);
		CU_ASSERT_PTR_NOT_NULL_FATAL(policy);
		for (unsigned k = 0; k < 50; k++) {
			struct sl_matches m;
			unsigned want = 0, got = 0, last = UINT32_MAX;
			char name[16];

			random_text(name, "ab.", 6);
			if (name[0] == '.' || name[strlen(name) - 1] == '.' ||
			    strstr(name, "..") != NULL)
				continue;
			for (unsigned i = 0; i < nb; i++)
				want += naive(pattern[i], name, list[i].dialect);
			match_text(policy, name, &m);
			for (unsigned i = 0; i < m.nb; i++) {
				const char *labels[20];
				const char *p = sl_policy_class_pattern(policy, m.classes[i]);
				unsigned rank = strpbrk(p, "*?") == NULL ? 1000
									 : sl_glob_literals(p);

				got += sl_policy_class_labels(policy, m.classes[i], labels, 20);
				nb_bad += rank > last;
				last = rank;
			}
			nb_hits += got;
			nb_bad += got != want;
		}
		sl_policy_free(policy);
	}
	CU_ASSERT_EQUAL(nb_bad, 0);
	CU_ASSERT(nb_hits > 1000);
}

// Of git.dev.corp below, whatever inherits: groups, protocol and ports must all admit it (port 80 is resource 1's, 22
// is 2's), and the wildcard takes what the exact ones do not admit, once the name is seen.
static void
expect_choices(const struct sl_policy *policy, const struct sl_matches *m)
{
	static const struct {
		uint64_t groups;
		uint8_t protocol;
		uint16_t port;
		enum sl_choice_verdict verdict;
		uint32_t resource;
	} rows[] = {
		{ 1 | 2, IPPROTO_TCP, 22, SL_CHOICE_ADMITTED, 2 },
		{ 1, IPPROTO_TCP, 22, SL_CHOICE_DENIED, 1 },
		{ 1 | 4, IPPROTO_UDP, 9, SL_CHOICE_ADMITTED, 3 },
		{ 8, IPPROTO_TCP, 80, SL_CHOICE_UNKNOWN, UINT32_MAX },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sl_choice c;

		CU_ASSERT_EQUAL(
			sl_policy_choose(
				policy, m, rows[i].groups, rows[i].protocol, rows[i].port, &c
			),
			rows[i].verdict
		);
		CU_ASSERT_EQUAL(c.resource, rows[i].resource);
		CU_ASSERT(c.verdict != SL_CHOICE_ADMITTED || c.network == c.resource + 1000);
	}
}

static void
test_visibility(void)
{
	static const char *const exact[] = { "git.dev.corp" }, *const wild[] = { "*.dev.corp" };
	static const struct {
		const char *what;
		bool inherit[2]; // of the two exact resources
		uint64_t groups;
	} rows[] = {
		{ "same pattern counts as one, the wildcard is shut out", { false, false }, 1 | 2 },
		{ "one that does not inherit is enough", { true, false }, 1 | 2 },
		{ "all inherit: the wildcard opens it too", { true, true }, 1 | 2 | 4 },
	};
	static const struct sl_policy_range http[] = { { 80, 80 } }, ssh[] = { { 22, 22 } };

	for (unsigned i = 0; i < 3; i++) {
		struct sl_policy_resource list[] = { open_resource(1, exact, 1),
						     open_resource(2, exact, 2),
						     open_resource(3, wild, 4) };
		struct sl_policy *policy;
		struct sl_visibility v;
		struct sl_matches m;
		struct sl_choice c;

		for (int k = 0; k < 2; k++) {
			list[k].tcp = k == 0 ? http : ssh;
			list[k].nb_udp = 0;
			list[k].icmp = false;
			list[k].inherit = rows[i].inherit[k];
		}
		list[0].ttl_s = 30;
		policy = build_policy(list, 3, 1);
		CU_ASSERT_PTR_NOT_NULL_FATAL(policy);
		match_text(policy, "git.dev.corp", &m);
		sl_policy_visibility(policy, &m, &v);
		SL_ASSERT_ROW(v.groups == rows[i].groups, rows[i].what);
		SL_ASSERT_ROW(!v.is_wildcard && v.ttl_varies, rows[i].what);
		CU_ASSERT_EQUAL(sl_policy_ttl(policy, &m, 1), 30);
		CU_ASSERT_EQUAL(sl_policy_ttl(policy, &m, 2), 60);
		// A client of group 4 alone sees nothing unless all inherit.
		CU_ASSERT_EQUAL(
			sl_policy_choose(policy, &m, 4, IPPROTO_TCP, 80, &c),
			i == 2 ? SL_CHOICE_ADMITTED : SL_CHOICE_UNKNOWN
		);
		expect_choices(policy, &m);
		sl_policy_free(policy);
	}
}

static void
test_ties(void)
{
	static const struct {
		const char *what, *a, *b;
		enum sl_glob_dialect dialect_b;
		uint16_t low, high; // TCP ports of b; a has 80-90
		bool is_tie;
	} rows[] = {
		{ "same name", "git.corp", "git.corp", SL_GLOB_ANY, 85, 100, true },
		{ "same name, other ports", "git.corp", "git.corp", SL_GLOB_ANY, 91, 100, false },
		{ "other name", "git.corp", "gut.corp", SL_GLOB_ANY, 80, 80, false },
		{ "exact before wildcard", "git.corp", "*.corp", SL_GLOB_ANY, 80, 80, false },
		{ "same wildcard", "*.corp", "*.corp", SL_GLOB_ANY, 80, 80, true },
		{ "dialects", "*.corp", "**.corp", SL_GLOB_LABEL, 80, 80, true },
		{ "dialects, one label", "*.corp", "*.corp", SL_GLOB_LABEL, 80, 80, true },
		{ "more literals", "*.a.corp", "*.corp", SL_GLOB_ANY, 80, 80, false },
		{ "globs that meet", "a*.corp", "*a.corp", SL_GLOB_ANY, 80, 80, true },
		{ "globs that do not", "a*.corp", "b*.corp", SL_GLOB_ANY, 80, 80, false },
		{ "glob and zone", "a*.corp", "*.acorp", SL_GLOB_ANY, 80, 80, false },
		{ "glob and zone, other ends", "*x.corp", "*.corpx", SL_GLOB_ANY, 80, 80, false },
		{ "unanchored globs", "git*", "*hub", SL_GLOB_ANY, 80, 80, true },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sl_policy_range pa = { 80, 90 }, pb = { rows[i].low, rows[i].high };
		struct sl_policy_resource list[] = { open_resource(1, &rows[i].a, 1),
						     open_resource(2, &rows[i].b, 2) };
		struct sl_policy_spec spec = { .generation = 1,
					       .name_key = fixture_key,
					       .resources = list,
					       .nb_resources = 2 };
		struct sl_policy_error error;
		struct sl_policy *policy;
		int rc;

		for (int k = 0; k < 2; k++) {
			list[k].tcp = k == 0 ? &pa : &pb;
			list[k].nb_udp = 0;
			list[k].icmp = false;
			list[k].label = k == 0 ? "first one" : "second one";
		}
		list[1].dialect = rows[i].dialect_b;
		rc = sl_policy_build(&spec, &policy, &error);
		SL_ASSERT_ROW((rc != 0) == rows[i].is_tie, rows[i].what);
		if (rc != 0) {
			SL_ASSERT_ROW(strstr(error.what, "first one") != NULL, error.what);
			SL_ASSERT_ROW(strstr(error.what, "second one") != NULL, error.what);
		}
		sl_policy_free(policy);
	}
}

// A prefix of which TCP is granted.
static struct sl_policy_resource
open_prefix(uint32_t id, const struct sl_policy_prefix *prefix, uint64_t groups)
{
	return (struct sl_policy_resource){ .id = id,
					    .label = "prefix",
					    .prefixes = prefix,
					    .nb_prefixes = 1,
					    .tcp = fixture_all,
					    .nb_tcp = 1,
					    .groups = groups };
}

static void
test_addresses(void)
{
	static const struct sl_policy_prefix wide[] = { { 0x0a000000, 8 } },
					     narrow[] = { { 0x0a010000, 16 } },
					     one[] = { { 0x0a010203, 32 } },
					     away[] = { { 0x0a0a0000, 16 } };
	struct sl_policy_resource list[] = { open_prefix(1, wide, 1),
					     open_prefix(2, narrow, 2),
					     open_prefix(3, one, 1) };
	struct sl_policy_spec spec = { .generation = 1,
				       .name_key = fixture_key,
				       .resources = list,
				       .nb_resources = 3,
				       .bypass_prefixes = away,
				       .nb_bypass_prefixes = 1 };
	static const struct {
		uint32_t address;
		uint64_t groups;
		enum sl_choice_verdict verdict;
		uint32_t resource;
	} rows[] = {
		{ 0x0a020304, 1, SL_CHOICE_ADMITTED, 1 },
		{ 0x0a010304, 1, SL_CHOICE_UNKNOWN, UINT32_MAX }, // the narrower one withholds
		{ 0x0a010304, 2, SL_CHOICE_ADMITTED, 2 },
		{ 0x0a010203, 1, SL_CHOICE_ADMITTED, 3 },
		{ 0x0a010203, 2, SL_CHOICE_ADMITTED, 2 }, // inherited
		{ 0x0a0a0001, 1, SL_CHOICE_UNKNOWN, UINT32_MAX }, // bypassed
		{ 0x0b000001, 1, SL_CHOICE_UNKNOWN, UINT32_MAX },
	};
	struct sl_policy_error error;
	struct sl_policy *policy;

	list[2].inherit = true;
	CU_ASSERT_EQUAL_FATAL(sl_policy_build(&spec, &policy, &error), 0);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sl_matches m;
		struct sl_choice c;

		sl_policy_match_address(policy, rows[i].address, &m);
		CU_ASSERT_EQUAL(
			sl_policy_choose(policy, &m, rows[i].groups, IPPROTO_TCP, 22, &c),
			rows[i].verdict
		);
		CU_ASSERT_EQUAL(c.resource, rows[i].resource);
	}
	sl_policy_free(policy);
}

static void
test_aliases_and_bypass(void)
{
	static const char *const git[] = { "git.corp" }, *const alias[] = { "code.lan" },
				 *const wild[] = { "*.corp" }, *const bypass[] = { "public.corp" };
	struct sl_policy_resource list[] = { open_resource(1, git, 1), open_resource(2, wild, 1) };
	struct sl_policy_spec spec = { .generation = 1,
				       .name_key = fixture_key,
				       .resources = list,
				       .nb_resources = 2,
				       .bypass = bypass,
				       .nb_bypass = 1 };
	struct sl_policy_error error;
	struct sl_policy *policy;
	struct sl_matches m;
	struct sl_choice c;

	list[0].aliases = alias;
	list[0].nb_aliases = 1;
	CU_ASSERT_EQUAL_FATAL(sl_policy_build(&spec, &policy, &error), 0);
	match_text(policy, "CODE.lan", &m);
	CU_ASSERT_EQUAL(sl_policy_choose(policy, &m, 1, IPPROTO_TCP, 80, &c), SL_CHOICE_ADMITTED);
	CU_ASSERT_EQUAL(c.target, SL_TARGET_NAME);
	CU_ASSERT_STRING_EQUAL(c.target_name, "git.corp");
	match_text(policy, "git.corp", &m);
	CU_ASSERT_EQUAL(sl_policy_choose(policy, &m, 1, IPPROTO_TCP, 80, &c), SL_CHOICE_ADMITTED);
	CU_ASSERT_EQUAL(c.target, SL_TARGET_SELF);
	match_text(policy, "public.corp", &m);
	CU_ASSERT_EQUAL(m.nb, 0);
	sl_policy_free(policy);
	// An alias needs a dot, and one thing to stand for.
	list[0].aliases = (const char *const[]){ "code" };
	CU_ASSERT(sl_policy_build(&spec, &policy, &error) != 0);
	list[0].nb_aliases = 0;
	list[1].aliases = alias;
	list[1].nb_aliases = 1;
	CU_ASSERT(sl_policy_build(&spec, &policy, &error) != 0);
	CU_ASSERT_EQUAL(error.resource, 1);
}

static const struct sl_test_case cases[] = {
	{ "A6: wildcards by example, in both dialects", test_glob_rows },
	{ "A6: the matcher agrees with a naive one on random patterns", test_glob_model },
	{ "policy: patterns that share a name are known to", test_intersect_model },
	{ "A6 A7: the index finds what a scan finds, most specific first", test_index_model },
	{ "A7 A8: visibility by the most specific pattern, choice by groups, protocol and ports",
	  test_visibility },
	{ "A7: true ties are refused and both named", test_ties },
	{ "A10: addresses by longest prefix, held to visibility", test_addresses },
	{ "A9: aliases lead to their target, bypass names match nothing", test_aliases_and_bypass },
};

SL_TEST_MAIN(cases)
