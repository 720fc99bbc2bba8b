// log_writer: what the flow log needs of the log's thread. Not for others.
#pragma once

// Have the writer thread call `drain` at each wake and about once a second. Returns 0, or -EBUSY
// when one is attached or the thread does not run.
[[nodiscard]] int sl_log_writer_attach(void (*drain)(void));

// After this returns, `drain` does not run and will not.
void sl_log_writer_detach(void);

// Let the writer look at its queues soon; any thread, never blocks.
void sl_log_writer_wake(void);
