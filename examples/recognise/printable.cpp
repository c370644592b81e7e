// SPDX-License-Identifier: BSL-1.0
#include "printable.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "dtask/base/log.hpp"

namespace recognise {

namespace {

struct range {
  char32_t first, last;
};
template <std::size_t N>
bool within(const range (&ranges)[N], char32_t c) {
  const auto at = std::upper_bound(std::begin(ranges), std::end(ranges), c,
                                   [](char32_t value, const range& r) { return value < r.first; });
  return at != std::begin(ranges) && c <= std::prev(at)->last;
}

// Unicode's categories Cc, Cf, Zl, Zp, Cs and Co, each range up to the next character that is none of them.
constexpr range unprintable[] = {
    {0x0, 0x1f},        {0x7f, 0x9f},       {0xad, 0xad},       {0x600, 0x605},     {0x61c, 0x61c},
    {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x890, 0x891},     {0x8e2, 0x8e2},     {0x180e, 0x180e},
    {0x200b, 0x200f},   {0x2028, 0x202e},   {0x2060, 0x206f},   {0xd800, 0xf8ff},   {0xfdd0, 0xfdef},
    {0xfeff, 0xfeff},   {0xfff0, 0xfffb},   {0xfffe, 0xffff},   {0x110bd, 0x110bd}, {0x110cd, 0x110cd},
    {0x13430, 0x1343f}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe00ff}, {0xe01f0, 0x10ffff},
};
// The blocks that are wide (UAX #11), without the single symbols among narrow ones.
constexpr range wide[] = {
    {0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4c6},   {0xa960, 0xa97c},
    {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe10, 0xfe19},   {0xfe30, 0xfe6b},
    {0xff01, 0xff60},   {0xffe0, 0xffe6},   {0x16fe0, 0x1b2fb}, {0x1f200, 0x1f64f},
    {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
};
// Marks of Latin, Greek, Cyrillic, Hebrew, Arabic, Devanagari, Thai, Korean and Japanese, and selectors of variants.
constexpr range marks[] = {
    {0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x5bf, 0x5bf},     {0x5c1, 0x5c2},   {0x5c4, 0x5c5},
    {0x5c7, 0x5c7},   {0x610, 0x61a},   {0x64b, 0x65f},   {0x670, 0x670},     {0x6d6, 0x6dc},   {0x900, 0x902},
    {0x93a, 0x93a},   {0x93c, 0x93c},   {0x941, 0x948},   {0x94d, 0x94d},     {0xe31, 0xe31},   {0xe34, 0xe3a},
    {0xe47, 0xe4e},   {0x1160, 0x11ff}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff},   {0x20d0, 0x20ff}, {0x302a, 0x302d},
    {0x3099, 0x309a}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xe0100, 0xe01ef},
};

char32_t character(std::string_view sequence) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(sequence[i]); };
  if (sequence.size() == 1) return byte(0);
  char32_t c = byte(0) & (0x7fU >> sequence.size());
  for (std::size_t i = 1; i < sequence.size(); ++i) c = c << 6 | (byte(i) & 0x3fU);
  return c;
}

}  // namespace

std::size_t utf8_length(std::string_view text) noexcept {
  const auto byte = [&text](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned first = byte(0);
  const std::size_t length = text.empty()                     ? 0
                             : first < 0x80                   ? 1
                             : first >= 0xc2 && first <= 0xdf ? 2
                             : first >= 0xe0 && first <= 0xef ? 3
                             : first >= 0xf0 && first <= 0xf4 ? 4
                                                              : 0;
  for (std::size_t i = 1; i < length; ++i)
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool beyond = (first == 0xed && byte(1) > 0x9f) || (first == 0xf4 && byte(1) > 0x8f);
  return overlong || beyond ? 0 : length;
}

printable::printable(std::string_view text) {
  text = text.substr(0, 4096);
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const std::string_view sequence = text.substr(0, std::max<std::size_t>(length, 1));
    text.remove_prefix(sequence.size());
    const char32_t c = length == 0 ? 0 : character(sequence);
    const bool mark = within(marks, c);
    // A mark without a character before it would go to whatever stands to the left.
    if (within(unprintable, c) || c == '\\' || (mark && pieces_.empty())) {
      std::string escape = dtask::escaped(sequence);
      const std::size_t columns = escape.size();
      add(std::move(escape), columns);
    } else {
      add(std::string(sequence), mark ? 0 : within(wide, c) ? 2 : 1);
    }
  }
}

void printable::add(std::string text, std::size_t columns) {
  pieces_.push_back({std::move(text), columns});
  columns_ += columns;
}

std::string printable::text() const {
  std::string out;
  for (const piece& p : pieces_) out += p.text;
  return out;
}

std::string printable::filled(std::size_t width) const {
  return text() + std::string(columns_ < width ? width - columns_ : 0, ' ');
}

printable printable::beginning(std::size_t width) const {
  if (columns_ <= width) return *this;
  const std::size_t dots = std::min<std::size_t>(width, 3);
  printable out;
  for (const piece& p : pieces_) {
    if (out.columns_ + p.columns > width - dots) break;
    out.add(p.text, p.columns);
  }
  out.add(std::string(dots, '.'), dots);
  return out;
}

printable printable::ending(std::size_t width) const {
  if (columns_ <= width) return *this;
  const std::size_t dots = std::min<std::size_t>(width, 3);
  std::size_t begin = pieces_.size();
  for (std::size_t used = 0; begin > 0 && used + pieces_[begin - 1].columns <= width - dots; --begin)
    used += pieces_[begin - 1].columns;
  // Not the marks of a character that is left out.
  while (begin < pieces_.size() && pieces_[begin].columns == 0) ++begin;
  printable out;
  out.add(std::string(dots, '.'), dots);
  for (; begin < pieces_.size(); ++begin) out.add(pieces_[begin].text, pieces_[begin].columns);
  return out;
}

}  // namespace recognise
