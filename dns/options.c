// options: EDNS options of queries, and those added to answers on their way out by a connection.
#include <sluice/dns/message.h>
#include <string.h>

#define OPTION_HEAD_BYTES 4u

bool
sl_query_has_option(const struct sl_query *query, enum sl_dns_option option)
{
	const uint8_t *p, *end;

	if (!query->has_edns)
		return false;
	p = query->message + query->options_at;
	end = p + query->nb_options_bytes;
	for (; end - p >= (int)OPTION_HEAD_BYTES; p += OPTION_HEAD_BYTES + sl_get16(p + 2))
		if (sl_get16(p) == option)
			return true;
	return false;
}

// Where the length of the OPT's data stands, when the message ends with an OPT; 0: it does not.
static size_t
opt_length_at(const uint8_t *message, size_t nb_bytes)
{
	struct sl_response response;
	struct sl_record rec = { .type = 0 };

	if (!sl_response_parse(&response, message, nb_bytes))
		return 0;
	while (sl_records_next(&response.records, &rec))
		;
	if (response.records.failed || rec.type != SL_DNS_OPT || response.records.at != nb_bytes)
		return 0;
	return rec.data_at - 2u;
}

size_t
sl_answer_add_option(
	uint8_t *message,
	size_t nb_bytes,
	size_t room,
	enum sl_dns_option option,
	const void *data,
	size_t nb_data
)
{
	const size_t at = opt_length_at(message, nb_bytes),
		     nb_new = nb_bytes + OPTION_HEAD_BYTES + nb_data;

	if (at == 0 || nb_new > room || nb_new > SL_DNS_MESSAGE_MAX)
		return nb_bytes;
	sl_put16(message + nb_bytes, (uint16_t)option);
	sl_put16(message + nb_bytes + 2, (uint16_t)nb_data);
	if (data != NULL)
		memcpy(message + nb_bytes + OPTION_HEAD_BYTES, data, nb_data);
	else
		memset(message + nb_bytes + OPTION_HEAD_BYTES, 0, nb_data);
	sl_put16(message + at, (uint16_t)(sl_get16(message + at) + OPTION_HEAD_BYTES + nb_data));
	return nb_new;
}

size_t
sl_answer_pad(uint8_t *message, size_t nb_bytes, size_t room, size_t block)
{
	const size_t nb_wanted = (nb_bytes + OPTION_HEAD_BYTES + block - 1) / block * block;

	if (nb_wanted > room || nb_wanted > SL_DNS_MESSAGE_MAX)
		return nb_bytes;
	return sl_answer_add_option(
		message,
		nb_bytes,
		room,
		SL_DNS_OPTION_PADDING,
		NULL,
		nb_wanted - nb_bytes - OPTION_HEAD_BYTES
	);
}
