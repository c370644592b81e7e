// SPDX-License-Identifier: BSL-1.0
#include "fuzz/target.hpp"

// What libFuzzer calls. A finding ends the program as any exception does, and libFuzzer keeps the input.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::DTASK_FUZZ_TARGET({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
