// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/control/options.hpp"
#include "dtask/control/stream.hpp"
#include "dtask/wire/message.hpp"
#include "dtask/wire/row.hpp"

DTASK_BEGIN
namespace control {

/// A broadcast value as the coordinator keeps it.
struct cached_value {
  std::uint64_t number = 0;
  std::uint64_t order = 0;  ///< position among the session's verified values, from 1
  std::string name;
  wire::digest hash{};
  std::shared_ptr<stream> value;
};

/// The broadcast values of one session: the newest verified one of each name, in the order in which they were verified.
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
  std::uint64_t bytes() const noexcept;

 private:
  wire::row<cached_value> values_;
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
