// cookie: DNS cookies for clients that send one (RFC 7873, with the server cookie of RFC 9018). None is asked for:
// clients are known by their port and address, or by their key. A stub that knows cookies takes an answer that has
// its own for one that nobody else wrote.
#pragma once

#include <sluice/dns/message.h>
#include <stdint.h>

struct sl_cookie_for {
	const struct sl_name_key *key; // of the process; its first two words make the hash
	uint32_t address; // of the client, host order
	uint32_t now_s; // of one clock; where it begins does not matter
};

// The answer to `query`, if that has a cookie, shall have one too: the client's own half, and the server's half it
// came with while that is good and young, else a new one.
void sl_cookie_answer(struct sl_query *query, const struct sl_cookie_for *who);
