// DNS over a byte stream: framing, limits and deadlines, against octets cut anywhere.
#include "sl_test.h"

#include <sluice/dns/stream.h>
#include <sluice/proto/limits.h>
#include <stdlib.h>
#include <string.h>

static struct sl_stream stream;
static uint8_t in[4096];
static const struct sl_stream_limits limits = {
	.message_max = 1400,
	.in_flight_max = 4,
	.out_bytes_max = 1000,
	.idle_ns = 10 * SL_NS_PER_S,
	.message_ns = 5 * SL_NS_PER_S,
	.write_ns = 3 * SL_NS_PER_S,
};

static void
begin(void)
{
	sl_stream_init(&stream, &limits, in, sizeof(in), 0);
}

static void
feed(const void *bytes, size_t nb, uint64_t now_ns)
{
	size_t room;
	uint8_t *to = sl_stream_room(&stream, &room);

	CU_ASSERT_FATAL(room >= nb);
	memcpy(to, bytes, nb);
	sl_stream_received(&stream, nb, now_ns);
}

// The next message is `text`.
static void
expect(const char *text)
{
	const uint8_t *message;
	size_t nb = 0;

	CU_ASSERT_FATAL(sl_stream_next(&stream, &message, &nb, 0));
	CU_ASSERT_EQUAL(nb, strlen(text));
	CU_ASSERT_EQUAL(memcmp(message, text, nb), 0);
}

static void
expect_none(void)
{
	const uint8_t *message;
	size_t nb;

	CU_ASSERT_FALSE(sl_stream_next(&stream, &message, &nb, 0));
}

static struct sl_stream_node *
node_of(const char *text)
{
	struct sl_stream_node *node = malloc(sizeof(*node) + 2 + strlen(text));

	CU_ASSERT_PTR_NOT_NULL_FATAL(node);
	sl_stream_fill(node, (const uint8_t *)text, (uint16_t)strlen(text));
	return node;
}

static void
test_pieces(void)
{
	static const char two[] = "\0\5hello\0\3all";

	for (size_t cut = 0; cut <= sizeof(two) - 1; cut++) {
		begin();
		feed(two, cut, 0);
		if (cut < 7)
			expect_none();
		feed(two + cut, sizeof(two) - 1 - cut, 0);
		expect("hello");
		expect("all");
		expect_none();
	}
	begin();
	for (size_t i = 0; i < sizeof(two) - 1; i++) {
		expect_none();
		feed(two + i, 1, 0);
		if (i == 6)
			expect("hello");
	}
	expect("all");
}

static void
test_empty(void)
{
	const uint8_t *message;
	size_t nb = 1;

	begin();
	feed("\0\0\0\1x", 5, 0);
	CU_ASSERT_TRUE(sl_stream_next(&stream, &message, &nb, 0));
	CU_ASSERT_EQUAL(nb, 0);
	expect("x");
}

static void
test_cut(void)
{
	static uint8_t zeros[8192];
	const uint8_t *message;
	size_t nb = 0, left = 65535, room;

	begin();
	feed("\xff\xff", 2, 0);
	sl_stream_room(&stream, &room);
	CU_ASSERT_FATAL(room <= sizeof(zeros));
	feed(zeros, room, 0);
	left -= room;
	CU_ASSERT_TRUE(sl_stream_next(&stream, &message, &nb, 0));
	CU_ASSERT_EQUAL(nb, 1400);
	CU_ASSERT_TRUE(stream.is_cut);
	while (left != 0) {
		size_t piece = left < 4000 ? left : 4000;

		expect_none();
		feed(zeros, piece, 0);
		left -= piece;
	}
	feed("\0\2ok", 4, 0);
	expect("ok");
	CU_ASSERT_FALSE(stream.is_cut);
}

static void
test_in_flight(void)
{
	begin();
	feed("\0\1a\0\1b\0\1c\0\1d\0\1e", 15, 0);
	expect("a");
	expect("b");
	expect("c");
	expect("d");
	CU_ASSERT_TRUE(sl_stream_is_full(&stream));
	expect_none();
	sl_stream_forget(&stream, 0);
	expect("e");
	CU_ASSERT_TRUE(sl_stream_is_full(&stream));
}

static void
test_out(void)
{
	static char text[991];
	const uint8_t *bytes;
	struct sl_stream_node *done;

	begin();
	memset(text, 'y', sizeof(text) - 1);
	CU_ASSERT_EQUAL(sl_stream_pending(&stream, &bytes), 0);
	feed("\0\1a\0\1b\0\1c", 9, 0);
	expect("a");
	expect("b");
	sl_stream_put(&stream, node_of("answer"), 0);
	CU_ASSERT_FALSE(sl_stream_is_full(&stream));
	sl_stream_put(&stream, node_of(text), 0); // 8 and 992 octets: no more questions
	CU_ASSERT_TRUE(sl_stream_is_full(&stream));
	expect_none();
	CU_ASSERT_EQUAL(sl_stream_pending(&stream, &bytes), 8);
	CU_ASSERT_EQUAL(memcmp(bytes, "\0\6answer", 8), 0);
	CU_ASSERT_PTR_NULL(sl_stream_sent(&stream, 3, 0));
	CU_ASSERT_EQUAL(sl_stream_pending(&stream, &bytes), 5);
	CU_ASSERT_EQUAL(memcmp(bytes, "nswer", 5), 0);
	done = sl_stream_sent(&stream, 5, 0);
	CU_ASSERT_PTR_NOT_NULL(done);
	free(done);
	CU_ASSERT_FALSE(sl_stream_is_full(&stream));
	expect("c");
	CU_ASSERT_EQUAL(sl_stream_pending(&stream, &bytes), 992);
	free(sl_stream_drain(&stream));
	CU_ASSERT_EQUAL(stream.nb_out_bytes, 0);
	CU_ASSERT_PTR_NULL(sl_stream_drain(&stream));
}

static void
test_deadlines(void)
{
	begin();
	CU_ASSERT_EQUAL(sl_stream_deadline_ns(&stream), 10 * SL_NS_PER_S); // idle
	feed("\0", 1, SL_NS_PER_S);
	CU_ASSERT_EQUAL(sl_stream_deadline_ns(&stream), 6 * SL_NS_PER_S); // half a message
	feed("\1", 1, 4 * SL_NS_PER_S);
	CU_ASSERT_EQUAL(sl_stream_deadline_ns(&stream), 6 * SL_NS_PER_S); // an octet buys no time
	feed("a", 1, 5 * SL_NS_PER_S);
	expect("a");
	CU_ASSERT_EQUAL(sl_stream_deadline_ns(&stream), UINT64_MAX); // it is ours to answer
	sl_stream_put(&stream, node_of("x"), 7 * SL_NS_PER_S);
	CU_ASSERT_PTR_NULL(sl_stream_sent(&stream, 0, 8 * SL_NS_PER_S));
	CU_ASSERT_PTR_NULL(sl_stream_sent(&stream, 0, 9 * SL_NS_PER_S));
	CU_ASSERT_EQUAL(sl_stream_deadline_ns(&stream), 11 * SL_NS_PER_S); // it does not read
	free(sl_stream_sent(&stream, 3, 10 * SL_NS_PER_S));
	CU_ASSERT_EQUAL(sl_stream_deadline_ns(&stream), 20 * SL_NS_PER_S);
}

static const struct sl_test_case cases[] = {
	{ "stream: messages cut anywhere come out whole and in order", test_pieces },
	{ "stream: a message of no octets is one", test_empty },
	{ "stream: of a long message the start is kept, the rest passed over", test_cut },
	{ "stream: too many questions without an answer, and no more are taken", test_in_flight },
	{ "stream: who does not read answers is not heard", test_out },
	{ "stream: idle, slow and stuck peers each have their time", test_deadlines },
};
SL_TEST_MAIN(cases)
