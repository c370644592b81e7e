// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dtask/base/config.hpp"

DTASK_BEGIN

/// Collects the shape of a type in words: kinds, widths, containers and the order of fields, never names of fields or
/// types.
class schema_writer {
 public:
  /// Appends `w` as it is.
  void word(std::string_view w) { text_.append(w); }
  /// What has been written so far, valid until more is.
  const std::string& text() const noexcept { return text_; }
  /// The same, moved out.
  std::string take() && { return std::move(text_); }

  /// Enters a class type, `id` being an address of its own. False: it encloses this place already, and a back reference
  /// was written instead.
  bool enter(const void* id) {
    for (std::size_t i = open_.size(); i-- > 0;) {
      if (open_[i] == id) {
        text_.append("^").append(std::to_string(open_.size() - i));
        return false;
      }
    }
    open_.push_back(id);
    return true;
  }
  /// Leaves the class type that `enter` has entered.
  void leave() { open_.pop_back(); }

 private:
  std::string text_;
  std::vector<const void*> open_;
};

/// FNV-1a over the words with a final mix: the number that both sides of a handshake compare.
constexpr std::uint64_t schema_hash(std::string_view words) noexcept {
  std::uint64_t h = 0xcbf29ce484222325u;
  for (const char c : words) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccdu;
  return h ^ (h >> 33);
}

DTASK_END
