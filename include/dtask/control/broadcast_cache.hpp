// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/control/options.hpp"
#include "dtask/control/stream.hpp"
#include "dtask/wire/message.hpp"
#include "dtask/wire/row.hpp"

DTASK_BEGIN
namespace control {

/// A value of a session as the coordinator keeps it, or the mark of one that was withdrawn.
struct cached_value {
  std::uint64_t number = 0;
  wire::blob_kind kind = wire::blob_kind::broadcast;
  std::uint64_t order = 0;  ///< position among the session's verified values, from 1
  std::string name;
  wire::digest hash{};
  std::shared_ptr<stream> value;  ///< null: withdrawn

  std::uint64_t size() const noexcept { return value ? value->held.size() : 0; }
};

/// The values of one session that were broadcast or published: the newest verified one of each name, in the order in
/// which they were verified. Marks of withdrawn ones stay until every worker that may hold a value has heard of it.
class broadcast_cache {
 public:
  /// Numbers up to this one have ended, held or failed. A client sends one broadcast after the other, so a job that was
  /// submitted after number n may start once this is n.
  std::uint64_t settled() const noexcept { return settled_; }
  void settle(std::uint64_t number) noexcept {
    if (number > settled_) settled_ = number;
  }
  /// Values verified so far.
  std::uint64_t verified() const noexcept { return order_; }
  const wire::row<cached_value>& values() const noexcept { return values_; }
  /// Takes a verified value in; an older one of the name goes. Returns the bytes that were freed by that.
  std::uint64_t insert(cached_value value);
  bool holds(std::uint64_t number) const noexcept;
  /// The value, or the mark, of this name; nullptr: there was none.
  const cached_value* find(std::string_view name) const noexcept;
  /// The position in `values()` of the first that is newer than the first `upto` ones that were verified.
  std::size_t after(std::uint64_t upto) const noexcept;
  /// Whether it is time to look which marks can go, and what takes those that `unneeded` names away.
  bool many_marks() const noexcept { return marks_ >= look_at_; }
  template <class Unneeded>
  void drop_marks(Unneeded&& unneeded) {
    values_.erase_if([&](const cached_value& v) { return v.value == nullptr && unneeded(v); });
    marks_ = 0;
    for (const cached_value& v : values_) marks_ += v.value == nullptr;
    look_at_ = std::max<std::size_t>(fewest_marks, 2 * marks_);
  }
  std::uint64_t bytes() const noexcept;

 private:
  static constexpr std::size_t fewest_marks = 64;
  wire::row<cached_value> values_;
  std::size_t marks_ = 0;
  std::size_t look_at_ = fewest_marks;
  std::uint64_t order_ = 0;
  std::uint64_t settled_ = 0;
};

/// The hash of a complete stream's content.
wire::digest digest_of(digest_function digest, const stream& from);

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/broadcast_cache.ipp"
#endif
