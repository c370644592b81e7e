// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/wire/huge_pages.hpp"

DTASK_BEGIN
namespace wire {

/// Reusable, uninitialised blocks for payload bytes, in size classes a quarter of a power of two apart (at most 25 %
/// slack).
///
/// Touching fresh memory costs more than moving the bytes: a receive buffer over 32 MiB that is new each time has a
/// third of the bandwidth of one that is used again. Blocks that nobody refers to any more stay here, up to `cap`
/// bytes; what exceeds it goes back to the system. Thread safety: all functions may be called from any thread; blocks
/// may be released on any thread and outlive the pool object.
class block_pool {
 public:
  /// Blocks below this size are ordinary allocations: pooling them costs more than it saves.
  static constexpr std::size_t smallest = std::size_t{16} << 10;
  /// Blocks above this size are ordinary allocations too.
  static constexpr std::size_t largest = std::size_t{1} << 30;
  static constexpr std::size_t default_cap = std::size_t{256} << 20;

  explicit block_pool(std::size_t cap = default_cap) : core_(new core(cap)) {}

  /// The pool that links of this process use unless told otherwise.
  static block_pool& shared() {
    static block_pool pool;
    return pool;
  }

  /// A block of `size` bytes with undefined contents. From `smallest` to `largest` it is 64-byte aligned, else as `new`
  /// aligns. Throws std::bad_alloc.
  mutable_bytes take(std::size_t size) {
    if (size < smallest || size > largest) return mutable_bytes(size);
    const unsigned index = class_of(size);
    void* block = core_->pop(index);
    if (block == nullptr) block = allocate(index);
    std::shared_ptr<void> owner(block, give_back{core_, index});  // calls the deleter itself if it cannot be made
    return mutable_bytes(std::move(owner), static_cast<std::byte*>(block), size);
  }

  /// A block of at least `size` bytes if one is idle, else a null owner. Allocates no block.
  std::pair<std::shared_ptr<void>, std::byte*> take_idle(std::uint64_t size) {
    if (size < smallest || size > largest) return {};
    const unsigned index = class_of(static_cast<std::size_t>(size));
    void* block = core_->pop(index);
    if (block == nullptr) return {};
    return {std::shared_ptr<void>(block, give_back{core_, index}), static_cast<std::byte*>(block)};
  }

  /// Bytes kept for reuse.
  std::size_t idle_bytes() const {
    const std::lock_guard hold(core_->guard);
    return core_->idle;
  }
  /// Changes how many idle bytes are kept; what exceeds it is released at once.
  void set_cap(std::size_t cap) {
    const std::lock_guard hold(core_->guard);
    core_->cap = cap;
    core_->shrink();
  }

 private:
  static constexpr unsigned first_octave = 14;  // 16 KiB
  static constexpr unsigned classes = (30 - first_octave) * 4 + 1;
  static constexpr std::size_t huge_from = std::size_t{4} << 20;

  static constexpr std::size_t bytes_of(unsigned index) noexcept {
    return (std::size_t{4} + index % 4) << (first_octave - 2 + index / 4);
  }
  static constexpr unsigned class_of(std::size_t size) noexcept {
    const auto octave = static_cast<unsigned>(std::bit_width(size - 1)) - 1;  // 2^octave <= size - 1
    if (octave < first_octave) return 0;
    const auto quarter = static_cast<unsigned>((size - 1) >> (octave - 2)) & 3;
    return (octave - first_octave) * 4 + quarter + 1;
  }
  static constexpr std::align_val_t alignment_of(unsigned index) noexcept {
    return std::align_val_t{bytes_of(index) >= huge_from ? huge_page : 64};
  }
  static void* allocate(unsigned index) {
    void* block = ::operator new(bytes_of(index), alignment_of(index));
    // Such a block is kept for long: fewer and larger page faults on its first use.
    if (bytes_of(index) >= huge_from) advise_huge_pages(block, bytes_of(index));
    return block;
  }
  static void release(void* block, unsigned index) noexcept { ::operator delete(block, alignment_of(index)); }

  struct core {
    explicit core(std::size_t limit) : cap(limit) {}
    core(const core&) = delete;
    core& operator=(const core&) = delete;
    ~core() {
      cap = 0;
      shrink();
    }
    void* pop(unsigned index) noexcept {
      const std::lock_guard hold(guard);
      if (free[index].empty()) return nullptr;
      void* block = free[index].back();
      free[index].pop_back();
      idle -= bytes_of(index);
      return block;
    }
    void push(void* block, unsigned index) noexcept {
      {
        const std::lock_guard hold(guard);
        if (idle + bytes_of(index) <= cap) {
          try {
            free[index].push_back(block);
            idle += bytes_of(index);
            return;
          } catch (const std::bad_alloc&) {
            // No room in the list: give the block itself back.
          }
        }
      }
      release(block, index);
    }
    void shrink() noexcept {
      for (unsigned index = classes; index-- > 0 && idle > cap;) {
        while (idle > cap && !free[index].empty()) {
          release(free[index].back(), index);
          free[index].pop_back();
          idle -= bytes_of(index);
        }
      }
    }
    std::mutex guard;
    std::size_t idle = 0;
    std::size_t cap;
    std::array<std::vector<void*>, classes> free;
  };
  struct give_back {
    std::shared_ptr<core> to;
    unsigned index;
    void operator()(void* block) const noexcept { to->push(block, index); }
  };

  std::shared_ptr<core> core_;
};

}  // namespace wire
DTASK_END
