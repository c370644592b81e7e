// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/payload.hpp"
#include "dtask/control/stream.hpp"
#include "dtask/wire/frame.hpp"
#include "dtask/wire/one_of.hpp"

DTASK_BEGIN
namespace control {

/// A payload at rest in a record: a few bytes inside the record itself, up to a few KiB in a block of their own, so
/// that a waiting job pins no receive buffer; large ones in the blocks in which they arrived.
class held_payload {
 public:
  /// Bodies up to this size lie inside the record.
  static constexpr std::size_t inside = 31;
  /// Bodies up to this size are copied out of the block in which they arrived.
  static constexpr std::size_t copied = 4096;

  bool empty() const noexcept { return state_.get_if<nothing>() != nullptr; }
  void clear() noexcept { state_ = nothing{}; }

  void put(payload&& whole);
  void put(std::shared_ptr<stream> arriving) { state_ = std::move(arriving); }

  /// Whether it is a stream, or large enough to be sent as one.
  bool is_large(std::size_t small_limit) const noexcept {
    return arriving() != nullptr || size() > small_limit || blobs() > wire::blobs_in_frame;
  }
  /// The stream, or nullptr.
  const std::shared_ptr<stream>* arriving() const noexcept { return state_.get_if<std::shared_ptr<stream>>(); }
  /// As a stream, whatever it is.
  std::shared_ptr<stream> as_stream() const;
  /// The whole payload. Precondition: not a stream.
  payload get() const;
  /// Its blocks besides the body.
  std::size_t blobs() const noexcept;
  /// All of it, whether it has arrived or not.
  std::size_t size() const noexcept;

 private:
  struct nothing {};
  struct small {
    std::uint8_t size = 0;
    std::array<std::byte, inside> data;
  };
  wire::one_of<nothing, small, std::unique_ptr<payload>, std::shared_ptr<stream>> state_;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/held_payload.ipp"
#endif
