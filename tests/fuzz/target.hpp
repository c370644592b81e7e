// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <type_traits>

// The fuzz targets: functions that are given any bytes and complain where the library does not do with them what it
// says. libfuzzer.cpp makes a program of each; corpus.test.cpp runs all of them over tests/fuzz/corpus in every tree.
namespace fuzz {

using input = std::span<const std::byte>;

/// What the library says does not hold for this input.
struct finding : std::logic_error {
  using std::logic_error::logic_error;
};
inline void require(bool holds, const char* what) {
  if (!holds) throw finding(what);
}

/// Takes numbers and runs of bytes off the front of an input; numbers behind its end are 0, runs are shorter.
class cursor {
 public:
  explicit cursor(input from) : left_(from) {}
  bool empty() const { return left_.empty(); }
  template <class Number>
    requires std::is_unsigned_v<Number>
  Number take() {
    Number value = 0;
    const input raw = take(sizeof value);
    if (!raw.empty()) std::memcpy(&value, raw.data(), raw.size());
    return value;
  }
  input take(std::size_t count) {
    const input front = left_.first(std::min(count, left_.size()));
    left_ = left_.subspan(front.size());
    return front;
  }
  input rest() { return take(left_.size()); }

 private:
  input left_;
};

// Each says whether the library took the input for a right one. Throws `finding`.

/// The decoder of a link on any stream: pieces of given lengths.
bool frames(input in);
/// The hello of a stranger: the body of one.
bool hello(input in);
/// Each message: number, head, body; the blocks behind it are made up.
bool message(input in);
/// The archive of jobs: a type, sizes of blocks out of band, a body.
bool archive(input in);
bool safetensors(input in);
bool json(input in);
bool jpeg(input in);
bool png(input in);
bool idx(input in);
bool url(input in);

struct target {
  const char* name;
  bool (*run)(input);
};
inline constexpr target targets[] = {
    {"frames", &frames}, {"hello", &hello}, {"message", &message}, {"archive", &archive}, {"safetensors", &safetensors},
    {"json", &json},     {"jpeg", &jpeg},   {"png", &png},         {"idx", &idx},         {"url", &url},
};

}  // namespace fuzz
