// capture: what crossed the wires of a test, kept in memory and written as pcap when the test fails.
#pragma once

#include <stddef.h>
#include <stdint.h>

void capture_frame(unsigned port, uint64_t now_ns, const void *frame, size_t nb_bytes);

// Write build/test-logs/<title>.pcap, seen from the top folder where tests run, and say so.
void capture_write(const char *title);
void capture_clear(void);

// Frames captured so far, oldest first; NULL past the last.
const uint8_t *capture_get(unsigned i, size_t *nb_bytes);
