// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>

// Counts what `operator new` hands out in this test program (allocations.test.cpp replaces it).
namespace test {

/// Bytes that are allocated now, and the most since the last `reset_peak`.
std::size_t live_bytes();
std::size_t peak_bytes();
void reset_peak();
/// The next `operator new` of this thread throws. Nothing happens under a sanitizer.
void fail_next();

}  // namespace test
