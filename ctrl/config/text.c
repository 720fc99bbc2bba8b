#include "text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <sluice/proto/limits.h>
#include <string.h>

enum sl_text
sl_text_ip4(const char *text, uint32_t *address)
{
	struct in_addr in;

	if (inet_pton(AF_INET, text, &in) != 1)
		return SL_TEXT_BAD;
	*address = ntohl(in.s_addr);
	return SL_TEXT_OK;
}

// Decimal digits alone, at most `max`; `end` is left behind them.
static enum sl_text
number(const char *text, uint32_t max, uint32_t *value, const char **end)
{
	uint32_t v = 0;

	if (!isdigit((unsigned char)*text))
		return SL_TEXT_BAD;
	for (; isdigit((unsigned char)*text); text++) {
		v = v * 10 + (uint32_t)(*text - '0');
		if (v > max)
			return SL_TEXT_RANGE;
	}
	*value = v;
	*end = text;
	return SL_TEXT_OK;
}

enum sl_text
sl_text_prefix(const char *text, struct sl_config_prefix *prefix)
{
	const char *slash = strchr(text, '/');
	char address[16];
	uint32_t length = 32;
	const char *end = "";
	enum sl_text rc;

	if (slash == NULL)
		slash = text + strlen(text);
	if ((size_t)(slash - text) >= sizeof(address))
		return SL_TEXT_BAD;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (*slash == '/') {
		rc = number(slash + 1, 32, &length, &end);
		if (rc != SL_TEXT_OK)
			return rc;
	}
	if (*end != '\0' || sl_text_ip4(address, &prefix->address) != SL_TEXT_OK)
		return SL_TEXT_BAD;
	prefix->length = (uint8_t)length;
	return (prefix->address & ~sl_prefix_mask(prefix->length)) != 0 ? SL_TEXT_HOST_BITS
									: SL_TEXT_OK;
}

enum sl_text
sl_text_endpoint(const char *text, uint16_t port, struct sl_config_endpoint *endpoint)
{
	const char *colon = strchr(text, ':');
	char address[16];
	uint32_t value = port;
	const char *end = "";
	enum sl_text rc;

	if (colon == NULL)
		colon = text + strlen(text);
	if ((size_t)(colon - text) >= sizeof(address))
		return SL_TEXT_BAD;
	memcpy(address, text, (size_t)(colon - text));
	address[colon - text] = '\0';
	if (*colon == ':') {
		rc = number(colon + 1, UINT16_MAX, &value, &end);
		if (rc != SL_TEXT_OK)
			return rc;
	}
	if (*end != '\0' || sl_text_ip4(address, &endpoint->address) != SL_TEXT_OK)
		return SL_TEXT_BAD;
	endpoint->port = (uint16_t)value;
	return value == 0 ? SL_TEXT_RANGE : SL_TEXT_OK;
}

static enum sl_text
name_or_pattern(const char *text, const char *extra, char out[256])
{
	size_t nb = strlen(text);
	size_t label = 0;
	unsigned nb_wild = 0;
	bool dot = false;

	if (nb > 0 && text[nb - 1] == '.')
		nb--;
	if (nb == 0)
		return SL_TEXT_BAD;
	if (nb > SL_NAME_MAX_BYTES)
		return SL_TEXT_TOO_LONG;
	for (size_t i = 0; i < nb; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '.') {
			if (label == 0)
				return SL_TEXT_BAD;
			dot = true;
			label = 0;
		} else if (isalnum(c) || c == '-' || c == '_' || strchr(extra, c) != NULL) {
			if (++label > 63)
				return SL_TEXT_TOO_LONG;
			nb_wild += c == '*' || c == '?';
		} else {
			return SL_TEXT_BAD;
		}
		out[i] = (char)tolower(c);
	}
	out[nb] = '\0';
	if (label == 0)
		return SL_TEXT_BAD;
	if (nb_wild > SL_PATTERN_WILDCARDS_MAX)
		return SL_TEXT_STARS;
	return dot || nb_wild > 0 ? SL_TEXT_OK : SL_TEXT_DOTLESS;
}

enum sl_text
sl_text_name(const char *text, char out[256])
{
	return name_or_pattern(text, "", out);
}

enum sl_text
sl_text_pattern(const char *text, char out[256])
{
	return name_or_pattern(text, "*?", out);
}

bool
sl_text_has_wildcard(const char *text)
{
	return strpbrk(text, "*?") != NULL;
}

bool
sl_text_is_identifier(const char *text)
{
	size_t nb = strlen(text);

	if (nb == 0 || nb > 63 || !isalnum((unsigned char)text[0]))
		return false;
	for (size_t i = 0; i < nb; i++)
		if (!isalnum((unsigned char)text[i]) && strchr("._-@", text[i]) == NULL)
			return false;
	return true;
}

enum sl_text
sl_text_ports(const char *text, struct sl_config_port_range *ranges, unsigned *nb, unsigned room)
{
	if (strcmp(text, "none") == 0)
		return SL_TEXT_OK;
	if (strcmp(text, "all") == 0)
		text = "0-65535";
	for (;;) {
		uint32_t low;
		uint32_t high;
		enum sl_text rc;

		text += strspn(text, " \t");
		rc = number(text, UINT16_MAX, &low, &text);
		if (rc != SL_TEXT_OK)
			return rc;
		high = low;
		if (*text == '-')
			rc = number(text + 1, UINT16_MAX, &high, &text);
		if (rc != SL_TEXT_OK)
			return rc;
		if (high < low || *nb == room)
			return SL_TEXT_RANGE;
		ranges[(*nb)++] = (struct sl_config_port_range){ (uint16_t)low, (uint16_t)high };
		text += strspn(text, " \t");
		if (*text == '\0')
			return SL_TEXT_OK;
		if (*text++ != ',')
			return SL_TEXT_BAD;
	}
}

// Device arguments: ",key=value,..." in characters that EAL takes as they are.
static bool
is_arguments(const char *text)
{
	for (; *text != '\0'; text++)
		if (!isalnum((unsigned char)*text) && strchr(",=._:/-@+[]", *text) == NULL)
			return false;
	return true;
}

static const char *
hex_digits(const char *text, unsigned nb)
{
	for (; nb > 0; nb--, text++)
		if (!isxdigit((unsigned char)*text))
			return NULL;
	return text;
}

bool
sl_text_is_pci(const char *text)
{
	const char *at = hex_digits(text, 4);

	if (at != NULL && *at == ':')
		text = at + 1;
	at = hex_digits(text, 2);
	if (at == NULL || *at != ':')
		return false;
	at = hex_digits(at + 1, 2);
	if (at == NULL || at[0] != '.' || at[1] < '0' || at[1] > '7')
		return false;
	return at[2] == '\0' || (at[2] == ',' && is_arguments(at + 2));
}

bool
sl_text_is_vdev(const char *text)
{
	const char *at = text;

	if (strncmp(text, "net_", 4) != 0 && strncmp(text, "eth_", 4) != 0)
		return false;
	for (; islower((unsigned char)*at) || isdigit((unsigned char)*at) || *at == '_'; at++)
		;
	return at - text > 4 && at - text < 32 && (*at == '\0' || (*at == ',' && is_arguments(at)));
}

// Edit distance, up to `worst`; words here are short.
static unsigned
distance(const char *a, const char *b, unsigned worst)
{
	unsigned row[65];
	size_t nb_a = strlen(a);
	size_t nb_b = strlen(b);

	if (nb_a > 64 || nb_b > 64)
		return worst;
	for (unsigned j = 0; j <= nb_b; j++)
		row[j] = j;
	for (unsigned i = 1; i <= nb_a; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= nb_b; j++) {
			unsigned change = diagonal + (a[i - 1] != b[j - 1]);
			unsigned drop = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;

			diagonal = row[j];
			row[j] = change < drop ? change : drop;
		}
	}
	return row[nb_b];
}

const char *
sl_text_nearest(const char *text, const char *const *words, unsigned nb)
{
	// A third of the letters may be wrong, and at least one.
	size_t third = strlen(text) / 3;
	unsigned best = third < 1 ? 2 : third > 3 ? 4 : (unsigned)third + 1;
	const char *nearest = NULL;

	for (unsigned i = 0; i < nb; i++) {
		unsigned d = distance(text, words[i], best);

		if (d < best) {
			best = d;
			nearest = words[i];
		}
	}
	return nearest;
}

const char *
sl_text_show_prefix(struct sl_config_prefix prefix, char out[SL_TEXT_PREFIX_CHARS])
{
	uint32_t a = prefix.address;
	int nb = snprintf(
		out,
		SL_TEXT_PREFIX_CHARS,
		"%u.%u.%u.%u",
		a >> 24,
		a >> 16 & 0xff,
		a >> 8 & 0xff,
		a & 0xff
	);

	if (prefix.length < 32)
		(void)snprintf(out + nb, SL_TEXT_PREFIX_CHARS - (size_t)nb, "/%u", prefix.length);
	return out;
}
