// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/payload.hpp"
#include "dtask/wire/message.hpp"
#include "dtask/wire/transfer.hpp"

DTASK_BEGIN
namespace control {

/// A payload on its way through: the blocks that have arrived, shared by the link from which they come and the links to
/// which they go (cut-through: forwarding starts with the first block). Nothing is ever joined.
struct stream {
  wire::chunk_order order;
  wire::pieces held;

  stream() = default;
  /// One that is still to arrive.
  explicit stream(std::vector<std::uint64_t> lengths) : order(lengths) { held.lengths = std::move(lengths); }
  /// One that is all there.
  explicit stream(const payload& whole) : held(wire::pieces_of(whole)) { arrived = held.size(); }

  bool complete() const noexcept { return arrived == held.size(); }
  /// Takes the next chunk: `ok`, or `protocol_error`.
  error accept(wire::chunk&& piece) {
    if (error bad = order.accept(piece)) return bad;
    arrived += piece.data.size();
    owed += piece.data.size();
    held.blocks.push_back(std::move(piece.data));
    return {};
  }
  std::uint64_t arrived = 0;  ///< bytes that are there, or were
  std::uint64_t owed = 0;     ///< bytes for which their sender has not got new credit
};

/// A stream that links share. Not std::make_shared, whose control block takes forty functions more for each type.
inline std::shared_ptr<stream> make_stream(std::vector<std::uint64_t> lengths) {
  return std::shared_ptr<stream>(new stream(std::move(lengths)));
}
inline std::shared_ptr<stream> make_stream(const payload& whole) { return std::shared_ptr<stream>(new stream(whole)); }

}  // namespace control
DTASK_END
