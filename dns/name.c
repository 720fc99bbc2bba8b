#include <ctype.h>
#include <sluice/dns/name.h>
#include <stdio.h>
#include <string.h>

#define ONES 0x0101010101010101ull

static inline uint64_t
load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t
load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

// Lower-case eight octets at once; octets above 0x7f stay.
static inline uint64_t
lower8(uint64_t x)
{
	uint64_t low = x & (0x7f * ONES);
	uint64_t from_a = low + (0x80 - 'A') * ONES;
	uint64_t above_z = low + (0x80 - 'Z' - 1) * ONES;
	uint64_t upper = from_a & ~above_z & ~x & (0x80 * ONES);

	return x | (upper >> 2);
}

static inline uint8_t
lower1(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

// Copy `n` octets lower-cased. Reads eight at a time only while that stays inside the source.
static inline void
copy_lower(uint8_t *to, const uint8_t *from, size_t n)
{
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		uint64_t v = lower8(load64(from + i));

		memcpy(to + i, &v, sizeof(v));
	}
	for (; i < n; i++)
		to[i] = lower1(from[i]);
}

enum sl_name_verdict
sl_name_parse_plain(
	struct sl_name *name, const uint8_t *message, size_t nb_bytes, size_t offset, size_t *next
)
{
	const uint8_t *begin = message + offset;
	size_t left, at = 0;
	unsigned nb_labels = 0;

	if (offset >= nb_bytes)
		return SL_NAME_CUT;
	left = nb_bytes - offset;
	for (;;) {
		uint8_t length;

		if (at >= left)
			return SL_NAME_CUT;
		length = begin[at];
		name->label_at[nb_labels] = (uint8_t)at;
		if (length == 0)
			break;
		if (length > 63)
			return SL_NAME_BAD_LABEL;
		at += 1u + length;
		if (at >= SL_NAME_WIRE_MAX)
			return SL_NAME_TOO_LONG;
		nb_labels++;
	}
	at++;
	name->nb_labels = (uint8_t)nb_labels;
	name->nb_bytes = (uint16_t)at;
	// Most names end well before the message does: then whole words may be copied.
	if (at + 7 <= left)
		for (size_t i = 0; i < at; i += 8) {
			uint64_t v = lower8(load64(begin + i));

			memcpy(name->wire + i, &v, sizeof(v));
		}
	else
		copy_lower(name->wire, begin, at);
	if (next != NULL)
		*next = offset + at;
	return SL_NAME_OK;
}

enum sl_name_verdict
sl_name_parse(
	struct sl_name *name, const uint8_t *message, size_t nb_bytes, size_t offset, size_t *next
)
{
	size_t at = offset, limit = offset, end = 0, out = 0;
	unsigned nb_labels = 0;

	for (;;) {
		uint8_t length;

		if (at >= nb_bytes)
			return SL_NAME_CUT;
		length = message[at];
		if ((length & 0xc0) == 0xc0) {
			size_t to;

			if (at + 2 > nb_bytes)
				return SL_NAME_CUT;
			to = (size_t)(length & 0x3f) << 8 | message[at + 1];
			// Each jump lands before all octets read so far: no loop can be.
			if (to >= limit)
				return SL_NAME_LOOP;
			if (end == 0)
				end = at + 2;
			at = limit = to;
			continue;
		}
		if (length > 63)
			return SL_NAME_BAD_LABEL;
		if (at + 1 + length > nb_bytes)
			return SL_NAME_CUT;
		if (out + 1 + length + (length != 0) > SL_NAME_WIRE_MAX)
			return SL_NAME_TOO_LONG;
		name->label_at[nb_labels] = (uint8_t)out;
		copy_lower(name->wire + out, message + at, 1u + length);
		out += 1u + length;
		at += 1u + length;
		if (length == 0)
			break;
		nb_labels++;
	}
	name->nb_labels = (uint8_t)nb_labels;
	name->nb_bytes = (uint16_t)out;
	if (next != NULL)
		*next = end != 0 ? end : at;
	return SL_NAME_OK;
}

// One octet of presentation form at *text, escapes resolved; false at a malformed escape.
static bool
take_octet(const char **text, uint8_t *octet, bool *is_dot)
{
	const char *t = *text;

	*is_dot = false;
	if (*t != '\\') {
		*octet = (uint8_t)*t;
		*is_dot = *t == '.';
		*text = t + 1;
		return true;
	}
	if (isdigit((unsigned char)t[1])) {
		unsigned v = 0;

		for (int i = 1; i <= 3; i++) {
			if (!isdigit((unsigned char)t[i]))
				return false;
			v = v * 10 + (unsigned)(t[i] - '0');
		}
		if (v > 255)
			return false;
		*octet = (uint8_t)v;
		*text = t + 4;
		return true;
	}
	if (t[1] == '\0')
		return false;
	*octet = (uint8_t)t[1];
	*text = t + 2;
	return true;
}

enum sl_name_verdict
sl_name_from_text(struct sl_name *name, const char *text)
{
	size_t out = 0, length = 0; // length octet of the label being read is at out - length - 1

	name->nb_labels = 0;
	if (strcmp(text, ".") == 0)
		text = "";
	while (*text != '\0') {
		uint8_t octet;
		bool is_dot;

		if (!take_octet(&text, &octet, &is_dot))
			return SL_NAME_BAD_LABEL;
		if (is_dot) {
			if (length == 0)
				return SL_NAME_BAD_LABEL;
			length = 0;
			continue;
		}
		if (length == 0) {
			if (out + 3 > SL_NAME_WIRE_MAX)
				return SL_NAME_TOO_LONG;
			name->label_at[name->nb_labels++] = (uint8_t)out++;
		}
		if (++length > 63)
			return SL_NAME_BAD_LABEL;
		if (out + 2 > SL_NAME_WIRE_MAX)
			return SL_NAME_TOO_LONG;
		name->wire[out++] = lower1(octet);
		name->wire[out - length - 1] = (uint8_t)length;
	}
	name->label_at[name->nb_labels] = (uint8_t)out;
	name->wire[out++] = 0;
	name->nb_bytes = (uint16_t)out;
	return SL_NAME_OK;
}

size_t
sl_name_to_text(const struct sl_name *name, char *text, size_t room)
{
	size_t out = 0;

	for (unsigned l = 0; l < name->nb_labels; l++) {
		const uint8_t *label = name->wire + name->label_at[l];

		if (l != 0 && out + 1 < room)
			text[out++] = '.';
		for (unsigned i = 1; i <= label[0]; i++) {
			uint8_t c = label[i];

			if (out + 5 > room && (c <= ' ' || c >= 0x7f || c == '.' || c == '\\'))
				return 0;
			if (out + 2 > room)
				return 0;
			if (c <= ' ' || c >= 0x7f) {
				snprintf(text + out, 5, "\\%03u", c);
				out += 4;
				continue;
			}
			if (c == '.' || c == '\\')
				text[out++] = '\\';
			text[out++] = (char)c;
		}
	}
	if (out == 0 && room > 1)
		text[out++] = '.';
	if (out >= room)
		return 0;
	text[out] = '\0';
	return out;
}

// The 128-bit product of two words, folded: multiply-based hashing as in wyhash. With secret words
// an outsider cannot tell which operands cancel.
static inline uint64_t
fold(uint64_t a, uint64_t b)
{
	__uint128_t p = (__uint128_t)a * b;

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static inline uint64_t
hash(const uint8_t *p, size_t n, const struct sl_name_key *key)
{
	uint64_t seed = key->word[0], a, b;
	size_t left = n;

	for (; left > 16; left -= 16, p += 16)
		seed = fold(load64(p) ^ key->word[1], load64(p + 8) ^ seed);
	if (left >= 8) {
		a = load64(p);
		b = load64(p + left - 8);
	} else if (left >= 4) {
		a = load32(p);
		b = load32(p + left - 4);
	} else { // the root is one octet, the shortest other name is three
		a = (uint64_t)p[0] << 16 | (uint64_t)p[left >> 1] << 8 | p[left - 1];
		b = 0;
	}
	return fold(key->word[3] ^ n, fold(a ^ key->word[2], b ^ seed));
}

uint64_t
sl_name_hash(const struct sl_name *name, const struct sl_name_key *key)
{
	return hash(name->wire, name->nb_bytes, key);
}

uint64_t
sl_name_hash_from(const struct sl_name *name, unsigned label, const struct sl_name_key *key)
{
	size_t at = name->label_at[label];

	return hash(name->wire + at, name->nb_bytes - at, key);
}

void
sl_name_key_init(struct sl_name_key *key, const uint8_t random[32])
{
	memcpy(key->word, random, sizeof(key->word));
	for (int i = 0; i < 4; i++)
		key->word[i] |= 1; // a zero word would fold everything to zero
}

bool
sl_name_is_host(const struct sl_name *name)
{
	for (unsigned l = 0; l < name->nb_labels; l++) {
		const uint8_t *label = name->wire + name->label_at[l];

		for (unsigned i = 1; i <= label[0]; i++)
			if (!(label[i] >= 'a' && label[i] <= 'z') &&
			    !(label[i] >= '0' && label[i] <= '9') && label[i] != '-' &&
			    label[i] != '_')
				return false;
	}
	return name->nb_labels != 0;
}

bool
sl_name_equal(const struct sl_name *a, const struct sl_name *b)
{
	return a->nb_bytes == b->nb_bytes && memcmp(a->wire, b->wire, a->nb_bytes) == 0;
}

bool
sl_name_is_under(const struct sl_name *name, const struct sl_name *zone)
{
	size_t at;

	if (name->nb_labels < zone->nb_labels)
		return false;
	at = name->label_at[name->nb_labels - zone->nb_labels];
	return name->nb_bytes - at == zone->nb_bytes &&
		memcmp(name->wire + at, zone->wire, zone->nb_bytes) == 0;
}

bool
sl_name_wire_equal(const uint8_t *a, const uint8_t *b, size_t nb_bytes)
{
	for (size_t i = 0; i < nb_bytes; i++)
		if (lower1(a[i]) != lower1(b[i]))
			return false;
	return true;
}

// A label that is a decimal octet without leading zeros.
static bool
label_octet(const uint8_t *label, uint32_t *octet)
{
	uint32_t v = 0;

	if (label[0] == 0 || label[0] > 3 || (label[0] > 1 && label[1] == '0'))
		return false;
	for (unsigned i = 1; i <= label[0]; i++) {
		if (label[i] < '0' || label[i] > '9')
			return false;
		v = v * 10 + (label[i] - '0');
	}
	*octet = v;
	return v <= 255;
}

bool
sl_name_reverse4(const struct sl_name *name, uint32_t *address, unsigned *nb_bits)
{
	static const uint8_t zone[] = "\7in-addr\4arpa";
	unsigned nb;

	if (name->nb_labels < 2 || name->nb_labels > 6)
		return false;
	nb = name->nb_labels - 2u;
	if (name->nb_bytes - name->label_at[nb] != sizeof(zone) ||
	    memcmp(name->wire + name->label_at[nb], zone, sizeof(zone)) != 0)
		return false;
	*address = 0;
	*nb_bits = nb * 8;
	for (unsigned i = 0; i < nb; i++) { // the last label before the zone is the first octet
		uint32_t octet;

		if (!label_octet(name->wire + name->label_at[nb - 1 - i], &octet))
			return false;
		*address |= octet << (24 - 8 * i);
	}
	return true;
}

bool
sl_name_is_ptr4(const struct sl_name *name, uint32_t *address)
{
	unsigned nb_bits;

	return sl_name_reverse4(name, address, &nb_bits) && nb_bits == 32;
}
