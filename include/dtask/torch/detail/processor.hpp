// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/Version.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace detail {

/// The kind of CPU on which this process computes, and the instructions that LibTorch uses there: where it differs,
/// the same operations may round differently.
inline std::string processor_name() {
  static const std::string name = [] {
    std::string model;
    if (std::FILE* const file = std::fopen("/proc/cpuinfo", "re")) {
      char line[512];
      while (model.empty() && std::fgets(line, sizeof line, file) != nullptr) {
        const std::string_view text(line);
        const std::size_t colon = text.find(':');
        if (text.starts_with("model name") && colon != std::string_view::npos)
          model = std::string(text.substr(colon + 2, text.find('\n') - colon - 2));
      }
      std::fclose(file);
    }
    return (model.empty() ? std::string("unknown CPU") : model) + ", " + at::get_cpu_capability();
  }();
  return name;
}

}  // namespace detail
DTASK_END
