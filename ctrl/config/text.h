// text: the small languages inside strings of the configuration. Nothing here reports errors; a
// verdict names what is wrong and the caller knows the place.
#pragma once

#include <sluice/ctrl/config.h>

enum sl_text {
	SL_TEXT_OK,
	SL_TEXT_BAD, // not of this form at all
	SL_TEXT_HOST_BITS, // a prefix with bits set beyond its length
	SL_TEXT_RANGE, // a number out of its range
	SL_TEXT_DOTLESS, // a name of one label
	SL_TEXT_TOO_LONG, // a name over 253 characters or a label over 63
	SL_TEXT_STARS, // more wildcard characters than a pattern may hold
};

#define SL_PATTERN_WILDCARDS_MAX 16u

enum sl_text sl_text_ip4(const char *text, uint32_t *address);
// "10.0.0.0/8" or a plain address, which is a /32. Host bits are left in and told.
enum sl_text sl_text_prefix(const char *text, struct sl_config_prefix *prefix);
// "192.0.2.1:53"; without a port, `port` is taken (0: a port is required).
enum sl_text sl_text_endpoint(const char *text, uint16_t port, struct sl_config_endpoint *endpoint);
// A DNS name, with `*` and `?` allowed or not; `out` gets it in lower case without trailing dot.
enum sl_text sl_text_name(const char *text, char out[256]);
enum sl_text sl_text_pattern(const char *text, char out[256]);
bool sl_text_has_wildcard(const char *text);
// What names things in this file: letters, digits, '.', '_', '-', '@', at most 63.
bool sl_text_is_identifier(const char *text);
// "80", "80,443", "8000-8100", "all", "none"; appends to at most `room` ranges.
enum sl_text
sl_text_ports(const char *text, struct sl_config_port_range *ranges, unsigned *nb, unsigned room);
// A PCI address, optionally with device arguments.
bool sl_text_is_pci(const char *text);
// A vdev of a network driver: "net_NAMEn,key=value,...".
bool sl_text_is_vdev(const char *text);

// The word of `words` (`nb`) that `text` most likely meant, or NULL.
const char *sl_text_nearest(const char *text, const char *const *words, unsigned nb);

// "a.b.c.d/n" or "a.b.c.d", for messages.
#define SL_TEXT_PREFIX_CHARS 24
const char *sl_text_show_prefix(struct sl_config_prefix prefix, char out[SL_TEXT_PREFIX_CHARS]);

static inline uint32_t
sl_prefix_mask(uint8_t length)
{
	return length == 0 ? 0 : UINT32_MAX << (32 - length);
}

static inline bool
sl_prefix_covers(struct sl_config_prefix prefix, uint32_t address)
{
	return ((prefix.address ^ address) & sl_prefix_mask(prefix.length)) == 0;
}

static inline bool
sl_prefix_overlaps(struct sl_config_prefix a, struct sl_config_prefix b)
{
	return sl_prefix_covers(
		a.length < b.length ? a : b, a.length < b.length ? b.address : a.address
	);
}
