// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "dtask/base/config.hpp"
#include "dtask/base/number.hpp"

DTASK_BEGIN
namespace detail {

/// Reads the JSON that safetensors headers and checkpoint records consist of: objects, arrays, strings and numbers,
/// strictly (RFC 8259). Anything else is a failure, after which every further call fails too. It neither recurses nor
/// allocates more than the text it returns.
class json_reader {
 public:
  explicit json_reader(std::string_view text) noexcept : text_(text) {}

  bool failed() const noexcept { return failed_; }
  /// What was read makes no sense: a failure from here on, so that nothing more is read.
  void refuse() noexcept { failed_ = true; }
  /// Whether only white space is left.
  bool at_end() noexcept {
    skip_space();
    return !failed_ && at_ == text_.size();
  }
  /// Takes `c` where it is next.
  bool take(char c) noexcept {
    skip_space();
    if (failed_ || at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) noexcept {
    if (!take(c)) failed_ = true;
  }

  /// The members of an object or the elements of an array: calls `each` at the start of every one.
  template <class Each>
  void members(char open, char close, Each each) {
    expect(open);
    if (failed_ || take(close)) return;
    do {
      each();
    } while (!failed_ && take(','));
    expect(close);
  }

  std::uint64_t number() noexcept {
    skip_space();
    const std::size_t start = at_;
    std::uint64_t value = 0;
    while (!failed_ && at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      const auto digit = static_cast<std::uint64_t>(text_[at_++] - '0');
      if (value > (UINT64_MAX - digit) / 10) failed_ = true;
      value = value * 10 + digit;
    }
    const std::size_t digits = at_ - start;
    if (digits == 0 || (digits > 1 && text_[start] == '0')) failed_ = true;
    return failed_ ? 0 : value;
  }

  /// Any number, as the nearest double; one beyond their range is a failure.
  double real() noexcept {
    skip_space();
    const std::size_t start = at_;
    const auto digits = [this] {
      const std::size_t first = at_;
      while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
      return at_ - first;
    };
    const auto next_is = [this](char c) { return at_ < text_.size() && text_[at_] == c; };
    if (next_is('-')) ++at_;
    const bool zero = next_is('0');
    const std::size_t whole = digits();
    if (whole == 0 || (zero && whole > 1)) failed_ = true;
    if (next_is('.')) {
      ++at_;
      if (digits() == 0) failed_ = true;
    }
    if (next_is('e') || next_is('E')) {
      ++at_;
      if (next_is('+') || next_is('-')) ++at_;
      if (digits() == 0) failed_ = true;
    }
    if (failed_) return 0;
    const std::optional<double> value = read_number<double>(text_.substr(start, at_ - start));
    if (!value) failed_ = true;
    return value.value_or(0);
  }

  std::string string() {
    std::string out;
    expect('"');
    while (!failed_) {
      if (at_ == text_.size()) return fail();
      const char c = text_[at_++];
      if (c == '"') return out;
      if (static_cast<unsigned char>(c) < 0x20) return fail();
      if (c != '\\') {
        out.push_back(c);
        continue;
      }
      if (at_ == text_.size()) return fail();
      switch (text_[at_++]) {
        case '"':
          out.push_back('"');
          break;
        case '\\':
          out.push_back('\\');
          break;
        case '/':
          out.push_back('/');
          break;
        case 'b':
          out.push_back('\b');
          break;
        case 'f':
          out.push_back('\f');
          break;
        case 'n':
          out.push_back('\n');
          break;
        case 'r':
          out.push_back('\r');
          break;
        case 't':
          out.push_back('\t');
          break;
        case 'u':
          append_code_point(out);
          break;
        default:
          return fail();
      }
    }
    return {};
  }

 private:
  std::string fail() {
    failed_ = true;
    return {};
  }
  void skip_space() noexcept {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
  }
  std::uint32_t hex4() noexcept {
    std::uint32_t value = 0;
    if (text_.size() - at_ < 4) {
      failed_ = true;
      return 0;
    }
    for (int i = 0; i < 4; ++i) {
      const char c = text_[at_++];
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) failed_ = true;
      value = value * 16 + static_cast<std::uint32_t>(digit & 15);
    }
    return value;
  }
  void append_code_point(std::string& out) {
    std::uint32_t code = hex4();
    if (code >= 0xd800 && code < 0xdc00) {
      if (text_.substr(at_).starts_with("\\u")) {
        at_ += 2;
        const std::uint32_t low = hex4();
        if (low < 0xdc00 || low > 0xdfff) failed_ = true;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      } else {
        failed_ = true;
      }
    } else if (code >= 0xdc00 && code < 0xe000) {
      failed_ = true;
    }
    if (failed_) return;
    const auto push = [&out](std::uint32_t byte) {
      out.push_back(static_cast<char>(static_cast<unsigned char>(byte)));
    };
    if (code < 0x80) {
      push(code);
    } else if (code < 0x800) {
      push(0xc0 | (code >> 6));
      push(0x80 | (code & 63));
    } else if (code < 0x10000) {
      push(0xe0 | (code >> 12));
      push(0x80 | ((code >> 6) & 63));
      push(0x80 | (code & 63));
    } else {
      push(0xf0 | (code >> 18));
      push(0x80 | ((code >> 12) & 63));
      push(0x80 | ((code >> 6) & 63));
      push(0x80 | (code & 63));
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool failed_ = false;
};

}  // namespace detail
DTASK_END
