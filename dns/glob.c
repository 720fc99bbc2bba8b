// glob: wildcards on names in presentation form, in two dialects; see policy.h.
#include <sluice/dns/policy.h>
#include <string.h>

// What a pattern position asks for.
enum glob_kind { GLOB_END, GLOB_CHAR, GLOB_ONE, GLOB_RUN, GLOB_LABEL_RUN };

static inline enum glob_kind
glob_at(const char *p, enum sl_glob_dialect dialect, unsigned *nb)
{
	*nb = 1;
	switch (*p) {
	case '\0':
		return GLOB_END;
	case '?':
		return GLOB_ONE;
	case '*':
		while (p[*nb] == '*')
			(*nb)++;
		return dialect == SL_GLOB_LABEL && *nb == 1 ? GLOB_LABEL_RUN : GLOB_RUN;
	default:
		return GLOB_CHAR;
	}
}

// Greedy with two places to come back to: the last run within a label, which cannot grow across a dot, and the
// last run across dots. Earlier ones need not be retried: what stands between was matched at
// its leftmost place, and a later place leaves no more room to what follows.
bool
sl_glob_match(const char *pattern, const char *text, enum sl_glob_dialect dialect)
{
	const char *p = pattern, *t = text;
	const char *run_p = NULL, *run_t = NULL; // GLOB_RUN: pattern after it, text it ended at
	const char *label_p = NULL, *label_t = NULL; // GLOB_LABEL_RUN, after the last GLOB_RUN
	unsigned nb;

	for (;;) {
		enum glob_kind kind = glob_at(p, dialect, &nb);

		if (kind == GLOB_RUN) {
			p += nb;
			if (*p == '\0')
				return true;
			run_p = p;
			run_t = t;
			label_p = NULL;
			continue;
		}
		if (kind == GLOB_LABEL_RUN) {
			p += nb;
			label_p = p;
			label_t = t;
			continue;
		}
		if (kind == GLOB_END && *t == '\0')
			return true;
		if ((kind == GLOB_CHAR && *t == *p) ||
		    (kind == GLOB_ONE && *t != '\0' && (dialect == SL_GLOB_ANY || *t != '.'))) {
			p++;
			t++;
			continue;
		}
		if (label_p != NULL && *label_t != '\0' && *label_t != '.') {
			p = label_p;
			t = ++label_t;
			continue;
		}
		if (run_p == NULL || *run_t == '\0')
			return false;
		p = run_p;
		t = ++run_t;
		label_p = NULL;
	}
}

// Can a single position of one pattern stand for the same character as one of the other?
static bool
single_compatible(enum glob_kind a, char ca, enum sl_glob_dialect da, enum glob_kind b, char cb)
{
	if (a == GLOB_CHAR && b == GLOB_CHAR)
		return ca == cb;
	if (a == GLOB_ONE && b == GLOB_CHAR)
		return da == SL_GLOB_ANY || cb != '.';
	return true;
}

static bool
run_takes(enum glob_kind run, enum glob_kind single, char c)
{
	return run == GLOB_RUN || single == GLOB_ONE || c != '.';
}

// Walks pairs of positions that some common beginning leads to. Row by row: from (i, j) one only
// goes to greater i or j.
bool
sl_glob_intersect(
	const char *a, enum sl_glob_dialect dialect_a, const char *b, enum sl_glob_dialect dialect_b
)
{
	bool row[2][SL_NAME_MAX_BYTES + 2] = { { true } };
	size_t nb_a = strlen(a), nb_b = strlen(b);

	if (nb_a > SL_NAME_MAX_BYTES || nb_b > SL_NAME_MAX_BYTES)
		return true;
	for (size_t i = 0; i <= nb_a; i++) {
		bool *here = row[i & 1], *below = row[(i + 1) & 1];
		unsigned na;
		// Inside "**" each star counts by itself; the first already is the whole run.
		enum glob_kind ka = glob_at(a + i, dialect_a, &na);

		if (i > 0 && a[i] == '*' && a[i - 1] == '*')
			ka = GLOB_RUN;
		memset(below, 0, nb_b + 1);
		for (size_t j = 0; j <= nb_b; j++) {
			unsigned nb;
			enum glob_kind kb = glob_at(b + j, dialect_b, &nb);
			bool run_a, run_b;

			if (j > 0 && b[j] == '*' && b[j - 1] == '*')
				kb = GLOB_RUN;
			if (!here[j])
				continue;
			if (ka == GLOB_END && kb == GLOB_END)
				return true;
			run_a = ka == GLOB_RUN || ka == GLOB_LABEL_RUN;
			run_b = kb == GLOB_RUN || kb == GLOB_LABEL_RUN;
			if (run_a) // takes nothing (more)
				below[j] = true;
			if (run_b)
				here[j + 1] = true;
			if (run_a && !run_b && kb != GLOB_END && run_takes(ka, kb, b[j]))
				here[j + 1] = true;
			if (run_b && !run_a && ka != GLOB_END && run_takes(kb, ka, a[i]))
				below[j] = true;
			if (!run_a && !run_b && ka != GLOB_END && kb != GLOB_END &&
			    (kb == GLOB_ONE ? single_compatible(kb, b[j], dialect_b, ka, a[i])
					    : single_compatible(ka, a[i], dialect_a, kb, b[j])))
				below[j + 1] = true;
		}
	}
	return false;
}

unsigned
sl_glob_literals(const char *pattern)
{
	unsigned nb = 0;

	for (; *pattern != '\0'; pattern++)
		nb += *pattern != '*' && *pattern != '?';
	return nb;
}
