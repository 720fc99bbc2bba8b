// flowlog: the audit line of each flow, JSON lines in a file.
//
//   {"time":"2026-05-04T10:20:30.123456Z","event":"end","client":"laptop","client_address":...}
//
// The control code that drains the workers' flow events fills a record and hands it over; the log
// writer thread turns it into a line. The queue is bounded: a full one loses the record and counts
// it. sl_flowlog_reopen() makes the writer close and open the path again (for logrotate). A file
// that cannot be written is said once in the log, its records are counted as lost, and it is tried
// again every few seconds.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum sl_flowlog_event { SL_FLOWLOG_START, SL_FLOWLOG_INTERIM, SL_FLOWLOG_END, SL_FLOWLOG_DENY };

// Plain data, copied. Strings are NUL-terminated, empty when not known. IPv4 addresses are mapped.
struct sl_flowlog_record {
	uint64_t time_ns; // wall clock; 0: now
	uint64_t duration_ns; // 0 for start; deny: in how long the packets came
	uint64_t up_bytes, up_pkts; // from the client
	uint64_t down_bytes, down_pkts; // to the client
	uint8_t client_address[16]; // of a connector: its own, toward the host
	uint8_t address[16]; // the destination as the client sees it; of a connector: the host
	uint16_t client_port; // echo id for ICMP; of a connector: its own port
	uint16_t port; // 0 for ICMP
	uint8_t protocol; // IP protocol number
	uint8_t event; // enum sl_flowlog_event
	bool is_connector; // a connector's line: client and name are not known to it
	bool is_merged; // a denial of several kinds: addresses, ports and resource are not said
	uint32_t nb_denials; // packets that a deny line stands for
	char tenant[64];
	char client[64];
	char name[256]; // the name asked for; empty for a resource by address
	char resource[64]; // deny: the rule that refused
	char connector[64]; // of a connector: the PoP
	char reason[64]; // why it ended or was denied: "fin", "idle", "policy", ...
};

// Start writing to `path`, made with mode 0640 if it is not there. The log writer must run
// (sl_log_start). Returns 0, or -errno when it cannot be opened.
[[nodiscard]] int sl_flowlog_start(const char *path);

// Write out what is queued and close. Before sl_log_stop().
void sl_flowlog_stop(void);

// Hand a record over; any thread but the workers; never blocks. A no-op when not started.
void sl_flowlog(const struct sl_flowlog_record *record);

// Records that fit the queue at present, for the one thread that hands them over.
unsigned sl_flowlog_room(void);

// Ask the writer to open the path anew.
void sl_flowlog_reopen(void);

// Records written, and lost because the queue was full or the file could not be written.
uint64_t sl_flowlog_nb_written(void);
uint64_t sl_flowlog_nb_lost(void);

// The line for `record`, with its newline, into `line`; returns its length, 0 when it does not fit.
// 2,048 bytes always fit unless strings hold control characters.
unsigned sl_flowlog_format(const struct sl_flowlog_record *record, char *line, unsigned nb_bytes);
