// message: DNS messages as Sluice reads and builds them (RFC 1035 section 4, RFC 6891 EDNS, RFC 8914
// extended errors, RFC 8906 hygiene). Parsing never writes, building never reads beyond what the
// parse has checked; neither allocates.
#pragma once

#include <sluice/dns/name.h>
#include <sluice/proto/bytes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_DNS_HEADER_BYTES 12u
#define SL_DNS_UDP_BYTES    512u // without EDNS
#define SL_DNS_EDNS_BYTES   1232u // what we offer and accept as a ceiling over UDP
#define SL_DNS_MESSAGE_MAX  65535u
#define SL_DNS_OPT_BYTES    11u
#define SL_DNS_ANSWER_ROOM  64u // octets an in-place answer may grow beyond the query, at most
#define SL_DNS_PORT         53u
#define SL_DNS_COOKIE_BYTES 24u // of an answer: the client's half of 8, the server's of 16

enum sl_dns_type {
	SL_DNS_A = 1,
	SL_DNS_NS = 2,
	SL_DNS_CNAME = 5,
	SL_DNS_SOA = 6,
	SL_DNS_WKS = 11,
	SL_DNS_PTR = 12,
	SL_DNS_HINFO = 13,
	SL_DNS_MX = 15,
	SL_DNS_TXT = 16,
	SL_DNS_AAAA = 28,
	SL_DNS_SRV = 33,
	SL_DNS_A6 = 38,
	SL_DNS_DNAME = 39,
	SL_DNS_OPT = 41,
	SL_DNS_APL = 42,
	SL_DNS_RRSIG = 46,
	SL_DNS_NSEC = 47,
	SL_DNS_SVCB = 64,
	SL_DNS_HTTPS = 65,
	SL_DNS_L32 = 105,
	SL_DNS_L64 = 106,
	SL_DNS_TKEY = 249,
	SL_DNS_TSIG = 250,
	SL_DNS_IXFR = 251,
	SL_DNS_AXFR = 252,
	SL_DNS_ANY = 255,
};

// Keys of SVCB and HTTPS parameters that hold addresses (RFC 9460 section 14.3.2).
enum sl_dns_svc_key { SL_DNS_SVC_IPV4HINT = 4, SL_DNS_SVC_IPV6HINT = 6 };

enum sl_dns_class { SL_DNS_IN = 1, SL_DNS_CH = 3, SL_DNS_CLASS_ANY = 255 };

enum sl_dns_rcode {
	SL_RCODE_NOERROR = 0,
	SL_RCODE_FORMERR = 1,
	SL_RCODE_SERVFAIL = 2,
	SL_RCODE_NXDOMAIN = 3,
	SL_RCODE_NOTIMP = 4,
	SL_RCODE_REFUSED = 5,
	SL_RCODE_BADVERS = 16, // extended: needs an OPT
};

// EDNS options (RFC 6891 section 6.1.2) that Sluice knows.
enum sl_dns_option {
	SL_DNS_OPTION_COOKIE = 10, // RFC 7873
	SL_DNS_OPTION_KEEPALIVE = 11, // RFC 7828
	SL_DNS_OPTION_PADDING = 12, // RFC 7830
	SL_DNS_OPTION_EDE = 15,
};

// Extended error codes (RFC 8914) that Sluice sends.
enum sl_dns_ede {
	SL_EDE_NONE = 0xffff,
	SL_EDE_OTHER = 0,
	SL_EDE_STALE_ANSWER = 3,
	SL_EDE_NOT_READY = 14,
	SL_EDE_PROHIBITED = 18,
	SL_EDE_NO_REACHABLE_AUTHORITY = 22,
	SL_EDE_NETWORK_ERROR = 23,
};

// Bits of octets 2 and 3 of the header, as one 16-bit word.
enum sl_dns_flag {
	SL_DNS_QR = 0x8000,
	SL_DNS_OPCODE = 0x7800,
	SL_DNS_AA = 0x0400,
	SL_DNS_TC = 0x0200,
	SL_DNS_RD = 0x0100,
	SL_DNS_RA = 0x0080,
	SL_DNS_AD = 0x0020,
	SL_DNS_CD = 0x0010,
	SL_DNS_RCODE = 0x000f,
};

// What to do with a query, from its bytes alone (A17).
enum sl_query_verdict {
	SL_QUERY_OK = 0,
	SL_QUERY_DROP, // no header, or a response: no byte goes out
	SL_QUERY_FORMERR,
	SL_QUERY_NOTIMP, // opcode other than QUERY
	SL_QUERY_BADVERS, // EDNS version other than 0
	SL_QUERY_REFUSED, // class other than IN, zone transfer, meta type
};

// A query taken apart. Pointers are into the message.
struct sl_query {
	const uint8_t *message;
	uint16_t nb_bytes; // of message
	uint16_t question_end; // offset after the question; 12 when there is none to echo
	uint16_t id;
	uint16_t flags; // enum sl_dns_flag, as asked
	uint16_t type;
	uint16_t class_;
	uint16_t edns_bytes; // client's UDP size, at least 512; 512 without EDNS
	bool has_edns;
	bool dnssec_ok; // DO
	uint8_t edns_version;
	uint16_t options_at; // of the OPT's data, and its length; valid with EDNS
	uint16_t nb_options_bytes;
	bool has_cookie;
	bool says_cookie; // the answer has `cookie` too, see sl_cookie_answer()
	uint8_t cookie[SL_DNS_COOKIE_BYTES]; // as it came; zeros where it was shorter
	struct sl_name name; // valid when question_end > 12
};

// Parse a query. Whatever the verdict but DROP, `query` is good enough for sl_error_build().
// QDCOUNT other than 1, records in answer or authority, a second OPT, an OPT that is not at the
// root or whose options are cut, a cookie of a wrong length, and octets after the last record are FORMERR; other additional records are passed
// over.
enum sl_query_verdict
sl_query_parse(struct sl_query *query, const uint8_t *message, size_t nb_bytes);

// Does the query have this EDNS option?
bool sl_query_has_option(const struct sl_query *query, enum sl_dns_option option);

// ---- Building in place -------------------------------------------------------------------------
//
// An answer is made in the query's own buffer: the header is rewritten, the question stays as it
// came (so its letter case comes back), what followed it is overwritten. `room` is how many octets
// the buffer has from the start of the message.

// A writer after the question, for an answer to `query` in its own buffer or in another of `room`
// octets, into which header and question are then copied. Answer counts are zero.
struct sl_writer sl_answer_begin(const struct sl_query *query, uint8_t *buffer, size_t room);

// One record owned by the question's name (compressed to 0xc00c).
void sl_answer_record(
	struct sl_writer *w, uint16_t type, uint32_t ttl_s, const void *data, uint16_t nb_bytes
);

// Finish: sets the header (QR, AA and RA as given in `flags`, RD and CD as asked, AD if asked by AD),
// counts, and the OPT with an extended error (SL_EDE_NONE: none) if the query had one; extended rcodes go
// into the OPT. An answer longer than the client takes (`max_bytes`; 0: what its EDNS says, at most
// SL_DNS_EDNS_BYTES) becomes header, question and OPT with TC. Returns its length, 0 if there is no
// room even for that.
struct sl_answer_counts {
	uint16_t nb_answers;
	uint16_t nb_authority;
	uint16_t nb_additional; // without the OPT
};
size_t sl_answer_end(
	struct sl_writer *w,
	const struct sl_query *query,
	struct sl_answer_counts counts,
	uint16_t flags,
	enum sl_dns_rcode rcode,
	enum sl_dns_ede ede,
	size_t max_bytes
);

// The whole of the commonest answer at once: one A record for `query` in its own buffer, NOERROR, AA, RA, and
// AD if asked. The same octets as by the calls above. Its length, 0 if there is no room; it is at most 298
// octets, so it never needs TC for size. Hot.
size_t sl_answer_address(
	const struct sl_query *query, uint8_t *buffer, size_t room, uint32_t address, uint32_t ttl_s
);

// Put another option into the OPT at the end of a finished answer. Its new length; the old one when the answer ends with
// no OPT, or has no room.
size_t sl_answer_add_option(
	uint8_t *message,
	size_t nb_bytes,
	size_t room,
	enum sl_dns_option option,
	const void *data,
	size_t nb_data
);
// The same with a padding option that makes the whole a multiple of `block` octets (RFC 8467), if there is room for it.
size_t sl_answer_pad(uint8_t *message, size_t nb_bytes, size_t room, size_t block);

// An answer without records: error, NODATA or truncated (`flags` SL_DNS_TC). Never longer than the
// query plus an OPT with extended error. Returns its length, 0 if there is no room.
size_t sl_error_build(
	const struct sl_query *query,
	uint8_t *buffer,
	size_t room,
	uint16_t flags,
	enum sl_dns_rcode rcode,
	enum sl_dns_ede ede
);

// Build a query of our own: RD set, EDNS with SL_DNS_EDNS_BYTES. `name` is sent as it stands in
// name->wire, so mix its case before (sl_name_mix_case). Returns its length, 0 if there is no room.
size_t sl_query_build(
	uint8_t *buffer,
	size_t room,
	uint16_t id,
	const uint8_t *wire_name,
	size_t wire_bytes,
	uint16_t type,
	uint16_t flags
);

// Set DO in a query that sl_query_build() made.
static inline void
sl_query_set_dnssec_ok(uint8_t *message, size_t nb_bytes)
{
	if (nb_bytes > SL_DNS_HEADER_BYTES)
		message[nb_bytes - 4] |= 0x80; // of the OPT's flags, at the end
}

// Take EDNS from a query that sl_query_build() made; its new length.
static inline size_t
sl_query_drop_edns(uint8_t *message, size_t nb_bytes)
{
	if (nb_bytes <= SL_DNS_HEADER_BYTES)
		return nb_bytes;
	message[10] = message[11] = 0; // ARCOUNT
	return nb_bytes - SL_DNS_OPT_BYTES;
}

// Flip letters of a lower-case wire name by the bits of `random` (0x20). Same length.
void sl_name_mix_case(uint8_t *wire, size_t nb_bytes, uint64_t random);

// ---- Reading answers ---------------------------------------------------------------------------

enum sl_section { SL_SECTION_ANSWER, SL_SECTION_AUTHORITY, SL_SECTION_ADDITIONAL };

// One record of a response. Offsets are into the message.
struct sl_record {
	enum sl_section section;
	uint16_t owner_at;
	uint16_t type;
	uint16_t class_; // OPT: the sender's UDP size
	uint32_t ttl_s; // bit 31 set counts as 0 (RFC 2181 section 8)
	uint16_t ttl_at; // offset of the TTL
	uint16_t data_at;
	uint16_t nb_bytes; // of data
};

// Walks the records of a response. Zero-initialise by sl_records_begin().
struct sl_records {
	const uint8_t *message;
	size_t nb_bytes;
	size_t at;
	uint16_t left[3]; // per section
	bool failed; // a record is cut, or a name in it is malformed
};

// A response's header and question, checked; `records` stands before the first record.
struct sl_response {
	uint16_t id;
	uint16_t flags;
	uint16_t type; // of the question
	uint16_t class_;
	uint16_t question_end;
	struct sl_name name; // of the question, lower case; its case as sent is at message + 12
	struct sl_records records;
};

// False when it is no response with exactly one parsable question.
bool sl_response_parse(struct sl_response *response, const uint8_t *message, size_t nb_bytes);
// The next record; false at the end or when malformed (`failed`).
bool sl_records_next(struct sl_records *records, struct sl_record *record);
