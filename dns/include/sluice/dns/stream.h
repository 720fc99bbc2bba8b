// stream: DNS over a byte stream, TCP or TLS, as a server and as a client see it (RFC 1035 section 4.2.2, RFC 7766):
// messages behind two octets of length, many at once, answered in any order. Sans-IO.
//
//	sl_stream_room(), sl_stream_received()   octets came
//	sl_stream_next()                         the next whole message
//	sl_stream_put()                          a message to send, in a node of the caller's
//	sl_stream_pending(), sl_stream_sent()    octets to write, and how many were
//	sl_stream_deadline_ns()                  when the other side has been idle, slow or stuck for too long
//
// What a peer can make this hold is bounded: the caller's buffer of input, `in_flight_max` messages without an
// answer, and once `out_bytes_max` octets wait to be written, no message is taken. So a peer that does not read
// its answers is not heard either. A message longer than `message_max` is cut there and what follows is passed
// over: of a question nothing that is read stands behind SL_STREAM_QUESTION_MAX.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_STREAM_LENGTH_BYTES 2u
#define SL_STREAM_QUESTION_MAX 1400u

struct sl_stream_limits {
	uint32_t message_max; // octets kept of a message that comes; input buffer: 2 more at least
	uint32_t in_flight_max; // messages taken and not answered
	uint32_t out_bytes_max; // answers waiting to be written beyond which no message is taken
	uint64_t idle_ns; // nothing in flight, nothing to write and nothing heard
	uint64_t message_ns; // from the first octet of a message to its last
	uint64_t write_ns; // octets wait and the peer takes none
};

// A message to be written, behind its length. The caller allocates it with `nb_bytes` for the whole
// and gets it back from sl_stream_sent().
struct sl_stream_node {
	struct sl_stream_node *next;
	uint32_t nb_bytes; // length and message
	uint8_t bytes[];
};

struct sl_stream {
	struct sl_stream_limits limits;
	struct sl_stream_node *first, *last;
	uint32_t nb_out_bytes; // that wait, those of `first` already written included
	uint32_t written; // of `first`
	uint32_t nb_in_flight;
	uint32_t skip_bytes; // of a message that is cut
	uint32_t in_bytes; // of `in`
	uint32_t at, end; // input: from the next message to the last octet
	bool is_cut; // the message last returned was longer
	uint64_t heard_ns; // last octet in, or last answer written
	uint64_t message_ns; // first octet of the message under way; 0: none
	uint64_t blocked_ns; // since when nothing could be written; 0: all is well
	uint8_t *in; // the caller's
};

void sl_stream_init(
	struct sl_stream *s,
	const struct sl_stream_limits *limits,
	uint8_t *in,
	uint32_t in_bytes,
	uint64_t now_ns
);

// Where the next octets go; `room` 0: messages have to be taken first.
uint8_t *sl_stream_room(struct sl_stream *s, size_t *room);
void sl_stream_received(struct sl_stream *s, size_t nb_bytes, uint64_t now_ns);

// Are there limits that forbid reading more now?
bool sl_stream_is_full(const struct sl_stream *s);

// The next whole message, valid until sl_stream_room(); it counts as in flight. False when there is
// none, or a limit is reached.
bool
sl_stream_next(struct sl_stream *s, const uint8_t **message, size_t *nb_bytes, uint64_t now_ns);

// A message will not be answered.
void sl_stream_forget(struct sl_stream *s, uint64_t now_ns);

// Fill a node with a message (`node->nb_bytes` becomes its length and two; the node has room for it).
void sl_stream_fill(struct sl_stream_node *node, const uint8_t *message, uint16_t nb_bytes);
// The message in the node has become this long.
void sl_stream_set_length(struct sl_stream_node *node, uint16_t nb_bytes);
// Queue a filled node, the answer to one of the messages in flight.
void sl_stream_put(struct sl_stream *s, struct sl_stream_node *node, uint64_t now_ns);

// The octets to write next; 0: none.
size_t sl_stream_pending(const struct sl_stream *s, const uint8_t **bytes);
// So many of them were written, 0 when the peer takes none now. A node that is done, for the caller to free, or NULL.
struct sl_stream_node *sl_stream_sent(struct sl_stream *s, size_t nb_bytes, uint64_t now_ns);
// Take out what was not written; for the end of a stream.
struct sl_stream_node *sl_stream_drain(struct sl_stream *s);

// When the stream is to be closed unless something happens before.
uint64_t sl_stream_deadline_ns(const struct sl_stream *s);
