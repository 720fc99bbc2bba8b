// policy: what may be reached, by whom, and where it lives: the model DNS and packets share.
//
// A policy belongs to one tenant and one configuration. It is built once, by the control thread, from
// a spec it does not keep, and never changes; any thread may read it. Ids (resource, network) are
// the caller's and stable across policies; groups are bits of a word. All IPv4 addresses here are
// in host order.
//
// Rules (behaviours A6, A7):
//  - A *pattern* is an exact name, a wildcard or an address prefix. Resources with the same pattern
//    share one *class*. The classes that match a name or address are totally ordered, most specific
//    first: exact before wildcard, more literal characters before fewer, longer prefix before
//    shorter; what is left is ordered by the text of the pattern.
//  - Visibility: the first class decides, granted or not. It is seen by the groups of any of its
//    resources. Only if all its resources say `inherit` does the next class add its groups.
//  - Choice, for a flow: a client that may not see it gets SL_CHOICE_UNKNOWN, the same as for what is
//    no resource at all. Else the first resource in order whose groups, protocol and ports all admit
//    the flow takes it; if none does, SL_CHOICE_DENIED.
//  - Two resources of equal specificity whose patterns can match one name and whose protocols and
//    ports overlap are a tie, whatever their groups: building fails and names both.
//
// Wildcards, dialect SL_GLOB_ANY: `*` is any run of characters, none included, across dots; `?` is
// exactly one character. SL_GLOB_LABEL: `*` a run within a label, `?` one character but no dot, `**` any run
// across dots. In both, `*.corp.example` does not match `corp.example`.
#pragma once

#include <sluice/dns/name.h>
#include <stdbool.h>
#include <stdint.h>

#define SL_POLICY_MATCHES_MAX 32u // classes considered for one name; the most specific are kept
#define SL_POLICY_GLOBS_MAX   256u // wildcards whose last label is not literal ("git*"), per tenant
#define SL_POLICY_TTL_MAX_S   86400u

enum sl_glob_dialect { SL_GLOB_ANY, SL_GLOB_LABEL };
enum sl_policy_deny { SL_POLICY_RESET, SL_POLICY_SILENT };

// ---- Building ----------------------------------------------------------------------------------

struct sl_policy_range {
	uint16_t low, high; // both included
};

struct sl_policy_prefix {
	uint32_t address; // without host bits
	uint8_t nb_bits; // 0 to 32
};

// A resource as configured. Nothing of it is kept after building.
struct sl_policy_resource {
	uint32_t id; // stable; comes back in choices
	uint32_t network; // stable id of the remote network
	const char *label; // what the operator calls it, for errors and explanations
	const char *const *patterns; // names and wildcards, presentation form
	unsigned nb_patterns;
	const struct sl_policy_prefix *prefixes;
	unsigned nb_prefixes;
	// Other names of it. It must then have exactly one exact name (the target) or exactly one /32.
	const char *const *aliases;
	unsigned nb_aliases;
	const struct sl_policy_range *tcp; // ranges may overlap and be in any order
	unsigned nb_tcp;
	const struct sl_policy_range *udp;
	unsigned nb_udp;
	bool icmp; // echo
	bool inherit;
	uint64_t groups; // that may reach it
	enum sl_policy_deny deny;
	enum sl_glob_dialect dialect;
	uint32_t ttl_s; // of its A answers, at most SL_POLICY_TTL_MAX_S
	uint32_t names_max; // wildcard names it may have assigned; 0: no limit of its own
};

struct sl_policy_spec {
	uint32_t generation; // not 0, different from that of the policy before
	struct sl_name_key name_key; // of the process: the one of sl_addresses_config too
	const struct sl_policy_resource *resources;
	unsigned nb_resources;
	const char *const *bypass; // exact names never intercepted
	unsigned nb_bypass;
	const struct sl_policy_prefix *bypass_prefixes; // addresses never intercepted
	unsigned nb_bypass_prefixes;
	bool canary; // use-application-dns.net is NXDOMAIN
	bool refuse_other; // names that are no resource are REFUSED, not forwarded
};

struct sl_policy_error {
	char what[640]; // one sentence, names the resources by label
	unsigned resource; // index in spec->resources of the (first) culprit; UINT32_MAX if none
	unsigned other; // the second of a tie; UINT32_MAX if none
};

struct sl_policy;

// Build. Returns 0, -EINVAL (`error` says what) or -ENOMEM. Control thread.
[[nodiscard]] int sl_policy_build(
	const struct sl_policy_spec *spec, struct sl_policy **policy, struct sl_policy_error *error
);
// After the last reader is gone. NULL is allowed.
void sl_policy_free(struct sl_policy *policy);
// Octets the policy occupies.
uint64_t sl_policy_bytes(const struct sl_policy *policy);

// ---- Reading (any thread, no allocation) -------------------------------------------------------

uint32_t sl_policy_generation(const struct sl_policy *policy);
const struct sl_name_key *sl_policy_name_key(const struct sl_policy *policy);
bool sl_policy_refuses_other(const struct sl_policy *policy);

// The exact names of the policy, aliases included, in a fixed order: those that get an address at
// load. NULL at the end. `resource` (may be NULL) becomes the id of the first resource of the name.
unsigned sl_policy_nb_exact(const struct sl_policy *policy);
void sl_policy_exact(const struct sl_policy *policy, unsigned idx, struct sl_name *name);

// Classes that match, most specific first. Valid with the policy that gave it, and no other.
struct sl_matches {
	uint32_t nb;
	uint32_t classes[SL_POLICY_MATCHES_MAX];
};

// Bring the line that matching a name of this hash reads first.
void sl_policy_prefetch(const struct sl_policy *policy, uint64_t hash);
// Match a name. `hash` is sl_name_hash() of it under the policy's key. Bypass names match nothing.
void sl_policy_match(
	const struct sl_policy *policy,
	const struct sl_name *name,
	uint64_t hash,
	struct sl_matches *matches
);
// Match an address that is not of the pool (IP and CIDR resources). Bypass prefixes match nothing.
void sl_policy_match_address(
	const struct sl_policy *policy, uint32_t address, struct sl_matches *matches
);
// True for a bypass name, or the canary when it is to be NXDOMAIN.
bool sl_policy_is_bypass(const struct sl_policy *policy, const struct sl_name *name, uint64_t hash);
bool sl_policy_is_canary(const struct sl_policy *policy, const struct sl_name *name, uint64_t hash);

// Who sees what matched, and for how long an A answer may be kept.
struct sl_visibility {
	uint64_t groups; // a client sees the name when it shares a bit with this
	uint32_t ttl_s; // for all of them, unless ttl_varies
	uint32_t ttl_max_s; // largest of the classes that decide
	bool ttl_varies; // resources differ: ask sl_policy_ttl()
	bool is_wildcard; // no exact class among the matches: the address is assigned at first sight
};
void sl_policy_visibility(
	const struct sl_policy *policy,
	const struct sl_matches *matches,
	struct sl_visibility *visibility
);
// TTL for a client: the first resource in order that lets it see the name.
uint32_t sl_policy_ttl(
	const struct sl_policy *policy, const struct sl_matches *matches, uint64_t client_groups
);

enum sl_choice_verdict {
	SL_CHOICE_UNKNOWN = 0, // no resource, or hidden from this client: as an unassigned address
	SL_CHOICE_DENIED, // seen, but nothing admits this protocol and port
	SL_CHOICE_ADMITTED,
};

enum sl_target_kind {
	SL_TARGET_SELF, // what was matched: the name itself, or the address itself
	SL_TARGET_NAME, // an alias: open `target_name`
	SL_TARGET_IP4, // an alias of an address: open `target_address`
};

struct sl_choice {
	enum sl_choice_verdict verdict;
	enum sl_policy_deny deny; // how to refuse, unless ADMITTED
	uint32_t
		resource; // id; ADMITTED: who takes it; DENIED: the first that shows it; else UINT32_MAX
	uint32_t network; // id
	uint32_t names_max; // quota of the resource
	enum sl_target_kind target;
	uint32_t target_address;
	const char *target_name; // presentation form, owned by the policy
	const char *label; // of the resource, owned by the policy; NULL when UNKNOWN
};

// Choose for a flow of a client. `protocol` is IPPROTO_TCP, _UDP or _ICMP (echo; port ignored).
enum sl_choice_verdict sl_policy_choose(
	const struct sl_policy *policy,
	const struct sl_matches *matches,
	uint64_t client_groups,
	uint8_t protocol,
	uint16_t port,
	struct sl_choice *choice
);

// Pattern text of a class ("*.dev.corp.example", "10.0.0.0/24") and the labels of its resources, for
// explanations. Returns the pattern; owned by the policy.
const char *sl_policy_class_pattern(const struct sl_policy *policy, uint32_t class_idx);
unsigned sl_policy_class_labels(
	const struct sl_policy *policy, uint32_t class_idx, const char **labels, unsigned nb_max
);

// ---- Wildcards on their own --------------------------------------------------------------------

// Does `pattern` (lower case) match `text` (lower case, presentation form without trailing dot)?
// Nothing is allocated; time is bounded by the lengths, linear for patterns of one run.
bool sl_glob_match(const char *pattern, const char *text, enum sl_glob_dialect dialect);
// Can one name match both? May say yes for patterns of different dialects that share no name, never no for
// two that do.
bool sl_glob_intersect(
	const char *a, enum sl_glob_dialect dialect_a, const char *b, enum sl_glob_dialect dialect_b
);
// Characters that are neither `*` nor `?`.
unsigned sl_glob_literals(const char *pattern);
