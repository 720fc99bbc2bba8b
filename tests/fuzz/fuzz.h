// fuzz: what a fuzz target defines. Return 0; a fault is a crash.
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nb_bytes);
