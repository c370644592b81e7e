// SPDX-License-Identifier: BSL-1.0
#include <charconv>
#include <string>
#include <string_view>

#include "dtask/data/safetensors.hpp"
#include "fuzz/memory.hpp"
#include "fuzz/target.hpp"

// The JSON of safetensors headers. The input's first byte says what is to be read: a string comes back when it is
// written, a number is what std::from_chars reads, members are bounded by their text.
bool fuzz::json(input in) {
  using dtask::detail::json_reader;
  cursor from(in);
  const auto what = from.take<std::uint8_t>() % 4;
  const input rest = from.rest();
  const std::string_view text(reinterpret_cast<const char*>(rest.data()), rest.size());
  json_reader reader(text);
  std::size_t members = 0;
  if (what == 0) {
    std::string value;
    const std::size_t peak = peak_of([&] { value = reader.string(); });
    require(peak <= 4 * text.size() + 64, "a string takes more than its text");
    if (!reader.at_end()) return false;
    std::string written;
    dtask::detail::append_json_string(written, value);
    json_reader second(written);
    require(second.string() == value && second.at_end(), "a string changes when it is written");
  } else if (what == 1) {
    const std::uint64_t value = reader.number();
    if (!reader.at_end()) return false;
    const std::size_t start = text.find_first_not_of(" \n\r\t");
    std::uint64_t expected = 0;
    const auto [end, bad] = std::from_chars(text.data() + start, text.data() + text.size(), expected);
    require(bad == std::errc() && value == expected, "a number is read as another");
    require(text.find_first_not_of(" \n\r\t", static_cast<std::size_t>(end - text.data())) == std::string_view::npos,
            "something after a number is not seen");
  } else if (what == 2) {
    reader.members('[', ']', [&] { ++members, static_cast<void>(reader.string()); });
  } else {
    reader.members('{', '}', [&] {
      ++members, static_cast<void>(reader.string());
      reader.expect(':');
      reader.members('[', ']', [&] { static_cast<void>(reader.number()); });
    });
  }
  require(members <= text.size(), "more members than text");
  return reader.at_end();
}
