// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/page_memory.hpp"

DTASK_BEGIN

/// Reusable, uninitialised blocks for payload bytes, in size classes a quarter of a power of two apart (at most 25 %
/// slack).
///
/// Touching fresh memory costs more than moving the bytes: a receive buffer over 32 MiB that is new each time has a
/// third of the bandwidth of one that is used again. Blocks that nobody refers to any more stay here, up to `cap`
/// bytes; what exceeds it goes back to the system, and so does what nobody has used for a whole period: `age` says that
/// one is over. Thread safety: all functions may be called from any thread; blocks may be released on any thread and
/// outlive the pool object.
class block_pool {
 public:
  /// Smaller blocks are better made otherwise: pooling them costs more than it saves.
  static constexpr std::size_t smallest = std::size_t{16} << 10;
  /// Blocks above this size go back to the system at once.
  static constexpr std::size_t largest = std::size_t{1} << 30;
  /// Idle bytes that are kept unless told otherwise.
  static constexpr std::size_t default_cap = std::size_t{256} << 20;

  /// Keeps at most `cap` bytes of idle blocks. Throws std::bad_alloc.
  explicit block_pool(std::size_t cap = default_cap) : core_(new core(cap)) {}

  /// The pool of the process: what links receive, and the larger `mutable_bytes`, come from it. It lives until the end
  /// of the process, so that blocks can be made in destructors of statics too.
  static block_pool& shared() {
    static block_pool* const pool = new block_pool;
    return *pool;
  }

  /// A block of at least `size` bytes with undefined contents, 64-byte aligned, which comes back here when nobody
  /// refers to it any more. Throws std::bad_alloc.
  std::shared_ptr<void> take(std::size_t size) {
    if (size > largest) {
      void* const block = take_pages(size);
      core_->lend(size);
      return std::shared_ptr<void>(block, give_back_whole{core_, size});
    }
    const unsigned index = class_of(std::max(size, smallest));
    void* block = core_->pop(index);
    if (block == nullptr) {
      block = allocate(index);
      core_->lend(bytes_of(index));
    }
    return std::shared_ptr<void>(block, give_back{core_, index});  // calls the deleter itself if it cannot be made
  }

  /// The same if such a block is idle, else nullptr. Allocates no block.
  std::shared_ptr<void> take_idle(std::uint64_t size) {
    if (size < smallest || size > largest) return {};
    const unsigned index = class_of(static_cast<std::size_t>(size));
    void* const block = core_->pop(index);
    return block == nullptr ? nullptr : std::shared_ptr<void>(block, give_back{core_, index});
  }

  /// Bytes kept for reuse.
  std::size_t idle_bytes() const {
    const std::lock_guard hold(core_->guard);
    return core_->idle;
  }
  /// Bytes of the blocks that are in use.
  std::size_t lent_bytes() const {
    const std::lock_guard hold(core_->guard);
    return core_->lent;
  }
  /// Bytes of all blocks that were let go so far.
  std::uint64_t returned_bytes() const {
    const std::lock_guard hold(core_->guard);
    return core_->returned;
  }
  /// A period is over: blocks that were idle all through it go back to the system.
  void age() noexcept {
    std::uint64_t last = 0;
    {
      const std::lock_guard hold(core_->guard);
      last = core_->period++;
    }
    core_->release_before(last);
  }
  /// All idle blocks go back to the system.
  void release_idle() noexcept { core_->release_before(std::numeric_limits<std::uint64_t>::max()); }
  /// Changes how many idle bytes are kept; what exceeds it is released at once.
  void set_cap(std::size_t cap) {
    const std::lock_guard hold(core_->guard);
    core_->cap = cap;
    core_->shrink();
  }

 private:
  static constexpr unsigned first_octave = 14;  // 16 KiB
  static constexpr unsigned classes = (30 - first_octave) * 4 + 1;

  static constexpr std::size_t bytes_of(unsigned index) noexcept {
    return (std::size_t{4} + index % 4) << (first_octave - 2 + index / 4);
  }
  static constexpr unsigned class_of(std::size_t size) noexcept {
    const auto octave = static_cast<unsigned>(std::bit_width(size - 1)) - 1;  // 2^octave <= size - 1
    if (octave < first_octave) return 0;
    const auto quarter = static_cast<unsigned>((size - 1) >> (octave - 2)) & 3;
    return (octave - first_octave) * 4 + quarter + 1;
  }
  static void* allocate(unsigned index) {
    const std::size_t size = bytes_of(index);
    return size >= pages_from ? take_pages(size) : ::operator new(size, std::align_val_t{64});
  }
  static void release(void* block, unsigned index) noexcept {
    const std::size_t size = bytes_of(index);
    allow_use(block, size);
    if (size >= pages_from)
      give_back_pages(block, size);
    else
      ::operator delete(block, std::align_val_t{64});
  }

  // AddressSanitizer sees who uses a block that came back.
  static void forbid_use([[maybe_unused]] void* block, [[maybe_unused]] std::size_t size) noexcept {
#if DTASK_ADDRESS_SANITIZER
    __asan_poison_memory_region(block, size);
#endif
  }
  static void allow_use([[maybe_unused]] void* block, [[maybe_unused]] std::size_t size) noexcept {
#if DTASK_ADDRESS_SANITIZER
    __asan_unpoison_memory_region(block, size);
#endif
  }

  struct idle_block {
    void* at;
    std::uint64_t since;  // the period
  };

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
      void* const block = free[index].back().at;
      free[index].pop_back();
      idle -= bytes_of(index);
      lent += bytes_of(index);
      allow_use(block, bytes_of(index));
      return block;
    }
    void lend(std::size_t size) noexcept {
      const std::lock_guard hold(guard);
      lent += size;
    }
    void take_back(std::size_t size) noexcept {
      const std::lock_guard hold(guard);
      lent -= size;
      returned += size;
    }
    void push(void* block, unsigned index) noexcept {
      {
        const std::lock_guard hold(guard);
        lent -= bytes_of(index);
        returned += bytes_of(index);
        if (idle + bytes_of(index) <= cap) {
          try {
            free[index].push_back({block, period});
            idle += bytes_of(index);
            forbid_use(block, bytes_of(index));
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
          release(free[index].back().at, index);
          free[index].pop_back();
          idle -= bytes_of(index);
        }
      }
    }
    /// The last that came is the first that goes out, so those that have lain longest stand in front. The system is
    /// called without the lock, some at a time: it takes milliseconds for many large ones.
    void release_before(std::uint64_t when) noexcept {
      for (unsigned index = 0; index < classes; ++index) {
        std::array<void*, 16> gone;
        std::size_t count = 0;
        do {
          count = 0;
          {
            const std::lock_guard hold(guard);
            std::vector<idle_block>& all = free[index];
            while (count < gone.size() && count < all.size() && all[count].since < when) {
              gone[count] = all[count].at;
              ++count;
            }
            all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count));
            idle -= count * bytes_of(index);
          }
          for (std::size_t i = 0; i < count; ++i) release(gone[i], index);
        } while (count == gone.size());
      }
    }
    std::mutex guard;
    std::size_t idle = 0;
    std::size_t lent = 0;
    std::uint64_t returned = 0;
    std::size_t cap;
    std::uint64_t period = 1;
    std::array<std::vector<idle_block>, classes> free;
  };
  struct give_back {
    std::shared_ptr<core> to;
    unsigned index;
    void operator()(void* block) const noexcept { to->push(block, index); }
  };
  struct give_back_whole {
    std::shared_ptr<core> to;
    std::size_t size;
    void operator()(void* block) const noexcept {
      give_back_pages(block, size);
      to->take_back(size);
    }
  };

  std::shared_ptr<core> core_;
};

DTASK_END
