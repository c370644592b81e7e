#pragma once
#include <cstddef>

// Counts what `operator new` hands out in this test program (allocations.test.cpp replaces it).
namespace test {

/// Bytes that are allocated now, and the most since the last `reset_peak`.
std::size_t live_bytes();
std::size_t peak_bytes();
void reset_peak();

}  // namespace test
