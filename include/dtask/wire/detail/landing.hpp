// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "dtask/base/block_pool.hpp"
#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/wire/message.hpp"
#include "dtask/wire/row.hpp"

DTASK_BEGIN
namespace wire::detail {

/// Where the chunks of large parts are received: side by side in one block, so that the whole part needs no copy to be
/// in one piece.
///
/// Such a run begins with the first chunk of a part and ends with its last, so it holds no block beyond that. Only a
/// block that the pool has idle is used for it: a chunk's word about the length of its part allocates nothing.
class landing {
 public:
  /// Where the `size` bytes of this chunk go.
  mutable_bytes place(const chunk& piece, std::size_t size, std::size_t most, block_pool& pool) {
    run* const at = runs_.find_if([&piece](const run& r) { return r.transfer == piece.transfer; });
    if (at != nullptr) {
      if (at->next == piece.offset && piece.part - piece.within == at->left && size <= at->left) {
        mutable_bytes here(at->owner, at->free, size);
        advance(*at, size);
        if (at->left == 0) runs_.erase(at);
        return here;
      }
      runs_.erase(at);
    }
    if (piece.within == 0 && piece.part > size && runs_.size() < most) {
      if (std::shared_ptr<void> idle = pool.take_idle(piece.part)) {
        auto* const first = static_cast<std::byte*>(idle.get());
        runs_.push_back({piece.transfer, piece.offset, static_cast<std::size_t>(piece.part), std::move(idle), first});
        run& r = runs_.back();
        mutable_bytes here(r.owner, r.free, size);
        advance(r, size);
        return here;
      }
    }
    return mutable_bytes(size, pool);
  }
  void forget(std::uint64_t transfer) {
    runs_.erase_if([transfer](const run& r) { return r.transfer == transfer; });
  }

 private:
  struct run {
    std::uint64_t transfer;
    std::uint64_t next;  // offset of the chunk that continues it
    std::size_t left;    // bytes of the part that are still to come
    std::shared_ptr<void> owner;
    std::byte* free;
  };
  static void advance(run& r, std::size_t size) noexcept {
    r.next += size;
    r.left -= size;
    r.free += size;
  }
  row<run> runs_;
};

}  // namespace wire::detail
DTASK_END
