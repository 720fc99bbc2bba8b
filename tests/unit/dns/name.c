#include "fixture.h"

static void
test_round_trip(void)
{
	static const struct {
		const char *text, *back;
		bool is_host;
	} rows[] = {
		{ "Git.Corp.Example.", "git.corp.example", true },
		{ ".", ".", false },
		{ "_srv._tcp.corp", "_srv._tcp.corp", true },
		{ "a\\.b.corp", "a\\.b.corp", false },
		{ "a\\000b", "a\\000b", false },
		{ "sp\\032ace", "sp\\032ace", false },
		{ "x", "x", true },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[SL_NAME_TEXT_MAX];
		struct sl_name name, parsed;
		size_t next;

		SL_ASSERT_ROW(sl_name_from_text(&name, rows[i].text) == SL_NAME_OK, rows[i].text);
		SL_ASSERT_ROW(
			sl_name_to_text(&name, text, sizeof(text)) == strlen(rows[i].back), text
		);
		SL_ASSERT_ROW(strcmp(text, rows[i].back) == 0, text);
		SL_ASSERT_ROW(sl_name_is_host(&name) == rows[i].is_host, rows[i].text);
		SL_ASSERT_ROW(
			sl_name_parse(&parsed, name.wire, name.nb_bytes, 0, &next) == SL_NAME_OK &&
				next == name.nb_bytes && sl_name_equal(&parsed, &name),
			rows[i].text
		);
		for (size_t room = 0; room <= strlen(rows[i].back); room++)
			SL_ASSERT_ROW(sl_name_to_text(&name, text, room) == 0, rows[i].text);
	}
}

static void
test_faults(void)
{
	static const struct {
		const char *what;
		const char *bytes;
		size_t nb, offset;
		enum sl_name_verdict verdict;
	} rows[] = {
		{ "pointer to itself", "\xc0\x00", 2, 0, SL_NAME_LOOP },
		{ "pointer forward", "\xc0\x02\0", 3, 0, SL_NAME_LOOP },
		{ "two that point at each other", "\1a\xc0\x04\1b\xc0\x00", 8, 4, SL_NAME_LOOP },
		{ "half a pointer", "\1a\xc0", 3, 0, SL_NAME_CUT },
		{ "label past the end", "\5abc", 4, 0, SL_NAME_CUT },
		{ "no root", "\1a", 2, 0, SL_NAME_CUT },
		{ "label type 0x40", "\x41x", 2, 0, SL_NAME_BAD_LABEL },
		{ "label type 0x80", "\x81x", 2, 0, SL_NAME_BAD_LABEL },
		{ "pointer back", "\1a\0\1b\xc0\x00", 7, 3, SL_NAME_OK },
		{ "nothing", "", 0, 0, SL_NAME_CUT },
	};
	uint8_t m[300];
	struct sl_name name;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		SL_ASSERT_ROW(
			sl_name_parse(
				&name,
				(const uint8_t *)rows[i].bytes,
				rows[i].nb,
				rows[i].offset,
				NULL
			) == rows[i].verdict,
			rows[i].what
		);
	// 127 labels of one octet are 255 octets: the longest there is. One more is too long.
	for (unsigned i = 0; i < 300; i++)
		m[i] = i % 2 == 0 ? 1 : 'x';
	m[254] = 0;
	CU_ASSERT_EQUAL(sl_name_parse(&name, m, 255, 0, NULL), SL_NAME_OK);
	CU_ASSERT_EQUAL(sl_name_parse_plain(&name, m, 255, 0, NULL), SL_NAME_OK);
	CU_ASSERT_EQUAL(name.nb_labels, 127);
	m[254] = 1;
	m[256] = 0;
	CU_ASSERT_EQUAL(sl_name_parse(&name, m, 257, 0, NULL), SL_NAME_TOO_LONG);
	CU_ASSERT_EQUAL(sl_name_parse_plain(&name, m, 257, 0, NULL), SL_NAME_TOO_LONG);
}

static void
test_hash(void)
{
	struct sl_name a, b;

	for (unsigned n = 1; n < 60; n++) {
		char text[80] = { 0 };

		memset(text, 'Q', n);
		snprintf(text + n, sizeof(text) - n, ".Corp");
		CU_ASSERT_EQUAL(sl_name_from_text(&a, text), SL_NAME_OK);
		for (char *c = text; *c != '\0'; c++)
			*c = *c == 'Q' ? 'q' : *c;
		CU_ASSERT_EQUAL(sl_name_from_text(&b, text), SL_NAME_OK);
		CU_ASSERT_EQUAL(sl_name_hash(&a, &fixture_key), sl_name_hash(&b, &fixture_key));
		b.wire[n] ^= 1;
		CU_ASSERT_NOT_EQUAL(sl_name_hash(&a, &fixture_key), sl_name_hash(&b, &fixture_key));
		CU_ASSERT_EQUAL(sl_name_from_text(&b, "corp"), SL_NAME_OK);
		CU_ASSERT_EQUAL(
			sl_name_hash_from(&a, 1, &fixture_key), sl_name_hash(&b, &fixture_key)
		);
		CU_ASSERT_TRUE(sl_name_is_under(&a, &b));
		CU_ASSERT_FALSE(sl_name_is_under(&b, &a));
	}
}

static const struct sl_test_case cases[] = {
	{ "name: presentation form and back, lower case, escapes", test_round_trip },
	{ "A17: compression loops, cut and over-long names are refused", test_faults },
	{ "name: the hash is that of the octets in lower case, and of suffixes", test_hash },
};

SL_TEST_MAIN(cases)
