// SPDX-License-Identifier: BSL-1.0
#pragma once
// A small dataset in the files of Fashion-MNIST.
#include <cstdint>
#include <fstream>
#include <string>

#include "data/folder.hpp"
#include "faults/scratch.hpp"

namespace dtask_test {

/// Pictures of ten kinds, each bright in another place, a little different each time.
inline void write_pictures(const faults::scratch& to, const std::string& prefix, unsigned count) {
  std::string pixels, labels;
  std::uint32_t noise = 12345;
  for (unsigned i = 0; i < count; ++i) {
    const unsigned kind = i % 10;
    for (unsigned at = 0; at < 28 * 28; ++at) {
      noise = noise * 1664525 + 1013904223;
      const bool bright = at / 28 / 6 == kind / 3 && at % 28 / 9 == kind % 3;
      pixels.push_back(static_cast<char>((bright ? 120 : 0) + (noise >> 24) / 2));
    }
    labels.push_back(static_cast<char>(kind));
  }
  const auto write = [&to](const std::string& name, const std::string& text) {
    std::ofstream(to.file(name), std::ios::binary) << text;
  };
  write(prefix + "-images-idx3-ubyte", idx_file({count, 28, 28}, pixels));
  write(prefix + "-labels-idx1-ubyte", idx_file({count}, labels));
}

}  // namespace dtask_test
