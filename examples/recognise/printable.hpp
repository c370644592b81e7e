// SPDX-License-Identifier: BSL-1.0
#pragma once
/// Text as a terminal that reads UTF-8 shows it.
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace recognise {

/// The length of the UTF-8 sequence at the start of `text`; 0 where there is none (RFC 3629).
std::size_t utf8_length(std::string_view text) noexcept;

/// Characters that print stand as they are; controls, malformed bytes, what turns the direction of writing or shows
/// nothing, and backslashes are escaped as `dtask::escaped` does. It knows how many columns it takes: two for East
/// Asian wide characters and most emoji, none for the usual combining marks. What follows the first 4096 bytes is left
/// out.
class printable {
 public:
  explicit printable(std::string_view text);

  std::size_t columns() const noexcept { return columns_; }
  std::string text() const;
  /// The text, with spaces behind it up to `width` columns.
  std::string filled(std::size_t width) const;
  /// Its beginning, or its end, in at most `width` columns, with "..." in place of what is left out.
  printable beginning(std::size_t width) const;
  printable ending(std::size_t width) const;

 private:
  struct piece {
    std::string text;
    std::size_t columns;
  };
  printable() = default;
  void add(std::string text, std::size_t columns);
  std::vector<piece> pieces_;
  std::size_t columns_ = 0;
};

}  // namespace recognise
