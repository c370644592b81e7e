#pragma once
// One measured figure with its reference, and the two ways to show it: a table for people, lines of JSON for machines.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bench {

/// `value` and `reference_value` are in `unit`, measured in the same run; `ratio` is value / reference. A figure without a reference leaves `reference` empty.
struct figure {
  std::string name;
  double value = 0;
  std::string unit;
  std::string reference;
  double reference_value = 0;
  std::string target;  ///< for people: what is to be reached, `>= 0.8 x`

  double ratio() const { return reference_value != 0 ? value / reference_value : 0; }
};

/// The middle value; of an even count the upper one. 0 for none.
inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

inline std::string shown(double value) {
  char text[48];
  const double size = std::fabs(value);
  std::snprintf(text, sizeof text, size >= 1000 ? "%.0f" : size >= 10 ? "%.1f" : "%.3f", value);
  return text;
}

inline void print_table(const std::vector<figure>& figures) {
  std::printf("%-44s %14s %-8s %-38s %14s %8s  %s\n", "figure", "value", "unit", "reference", "its value", "ratio", "target");
  for (const figure& f : figures) {
    const bool compared = !f.reference.empty();
    std::printf("%-44s %14s %-8s %-38s %14s %8s  %s\n", f.name.c_str(), shown(f.value).c_str(), f.unit.c_str(), f.reference.c_str(),
                compared ? shown(f.reference_value).c_str() : "", compared ? shown(f.ratio()).c_str() : "", f.target.c_str());
  }
  std::fflush(stdout);
}

/// Appends one line per figure to `path`. False, with a line on stderr, when the file cannot be written.
inline bool append_json(const std::string& path, const std::vector<figure>& figures) {
  std::FILE* file = std::fopen(path.c_str(), "a");
  if (file == nullptr) {
    std::fprintf(stderr, "cannot write %s: give --json a file in a folder that can be written\n", path.c_str());
    return false;
  }
  for (const figure& f : figures) {
    const bool compared = !f.reference.empty();
    std::fprintf(file, R"({"name":"%s","value":%.9g,"unit":"%s","reference":)", f.name.c_str(), f.value, f.unit.c_str());
    if (compared)
      std::fprintf(file, R"("%s","reference_value":%.9g,"ratio":%.6g})", f.reference.c_str(), f.reference_value, f.ratio());
    else
      std::fprintf(file, R"(null,"reference_value":null,"ratio":null})");
    std::fputc('\n', file);
  }
  return std::fclose(file) == 0;
}

}  // namespace bench
