// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <new>

#include "dtask/base/config.hpp"
#include "dtask/task/parts/thread_state.hpp"

DTASK_BEGIN
namespace detail {

/// Free coroutine frames of one thread: lists by size in classes of 64 bytes up to 2 KiB, last in first out, at most
/// 256 KiB kept per class. A frame may be freed on another thread than the one that made it; it then stays there.
class frame_pool {
 public:
  static constexpr std::size_t granule = 64;
  static constexpr std::size_t classes = 33;
  static constexpr std::size_t kept_bytes = std::size_t{256} * 1024;

  frame_pool() noexcept { this_thread().frames = this; }
  frame_pool(const frame_pool&) = delete;
  frame_pool& operator=(const frame_pool&) = delete;
  ~frame_pool() {
    this_thread().frames = nullptr;
    for (node* first : free_) {
      while (first) {
        node* const following = first->following;
        ::operator delete(first);
        first = following;
      }
    }
  }

  void* take(std::size_t size_class) {
    if (node* const first = free_[size_class]) {
      free_[size_class] = first->following;
      ++room_[size_class];
      return first;
    }
    return ::operator new(size_class * granule);
  }
  bool keep(void* frame, std::size_t size_class) noexcept {
    if (room_[size_class] == room_empty)
      room_[size_class] = static_cast<unsigned>(kept_bytes / (size_class * granule)) + 1;
    if (room_[size_class] == 1) return false;
    --room_[size_class];
    free_[size_class] = ::new (frame) node{free_[size_class]};
    return true;
  }

 private:
  struct node {
    node* following;
  };
  static constexpr unsigned room_empty =
      0;  // not used yet: room_ counts one more than the frames that may still be kept
  node* free_[classes] = {};
  unsigned room_[classes] = {};
};

#if DTASK_FRAME_POOL
[[gnu::noinline, gnu::cold]] inline void make_frame_pool() { static thread_local frame_pool pool; }
[[gnu::noinline, gnu::cold]] inline void* first_frame(std::size_t size_class) {
  static thread_local bool made = false;
  // Frames made after the thread's pool was destroyed come from the heap.
  if (!made) {
    made = true;
    make_frame_pool();
  }
  frame_pool* const pool = this_thread().frames;
  return pool ? pool->take(size_class) : ::operator new(size_class * frame_pool::granule);
}
// Out of line for clang like every access to a thread-local.
#if defined(__clang__)
[[gnu::noinline]]
#endif
inline void* allocate_frame(std::size_t size) {
  const std::size_t size_class = (size + frame_pool::granule - 1) / frame_pool::granule;
  if (size_class >= frame_pool::classes) return ::operator new(size);
  frame_pool* const pool = tls_state.frames;
  if (!pool) [[unlikely]]
    return first_frame(size_class);
  return pool->take(size_class);
}
#if defined(__clang__)
[[gnu::noinline]]
#endif
inline void free_frame(void* frame, std::size_t size) noexcept {
  const std::size_t size_class = (size + frame_pool::granule - 1) / frame_pool::granule;
  if (size_class < frame_pool::classes) {
    frame_pool* const pool = tls_state.frames;
    if (pool && pool->keep(frame, size_class)) return;
  }
  ::operator delete(frame);
}
#else
inline void* allocate_frame(std::size_t size) { return ::operator new(size); }
inline void free_frame(void* frame, std::size_t size) noexcept { ::operator delete(frame, size); }
#endif

}  // namespace detail
DTASK_END
