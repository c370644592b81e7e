// SPDX-License-Identifier: BSL-1.0
#pragma once
// One measured figure with its reference, as the line of JSON on stdout that scripts/bench collects. What is meant for
// people goes to stderr.
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

namespace bench {

/// `value` and `reference_value` are in `unit` and come from the same run. Without a `reference` there is nothing to
/// compare with.
struct figure {
  std::string name;
  double value = 0;
  std::string unit;
  std::string reference;
  double reference_value = 0;
};

/// Writes the figure's line; the ratio is value / reference. Names must need no escaping.
inline void print(const figure& f) {
  std::printf(R"({"name":"%s","value":%.9g,"unit":"%s","reference":)", f.name.c_str(), f.value, f.unit.c_str());
  if (f.reference.empty())
    std::printf(R"(null,"reference_value":null,"ratio":null})");
  else
    std::printf(R"("%s","reference_value":%.9g,"ratio":%.6g})", f.reference.c_str(), f.reference_value,
                f.value / f.reference_value);
  std::putchar('\n');
  std::fflush(stdout);
}

/// The middle value; of an even count the upper one. 0 for none.
inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace bench
