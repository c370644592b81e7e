// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/cuda/event_watch.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace cuda {

/// Where the slabs of a ring come from.
template <class M>
concept slab_memory = requires(M& m, std::size_t bytes, void* p) {
  /// Throws where there is none.
  { m.allocate(bytes) } -> std::same_as<void*>;
  { m.release(p) } noexcept;
};

/// A fixed number of slabs of host memory through which data goes to a device. A slab is handed out again once the
/// device has read it: the memory never grows, and who is ahead of the device waits.
///
/// One task at a time uses it. The destructor blocks until the device has read what is under way.
template <event_backend Backend, slab_memory Memory>
class slab_ring {
 public:
  using stream = typename Backend::stream;  ///< the backend's

  /// `slabs` of `bytes` each, allocated here: pinning memory is slow. `watch` outlives this. Throws
  /// `error(invalid_argument)` for a ring of nothing, and what the memory throws.
  slab_ring(event_watch<Backend>& watch, std::size_t slabs, std::size_t bytes, Memory memory = {})
      : watch_(watch), backend_(watch.backend()), memory_(std::move(memory)), bytes_(bytes) {
    if (slabs == 0 || bytes == 0)
      throw error(errc::invalid_argument,
                  "a ring of " + std::to_string(slabs) + " slabs of " + std::to_string(bytes) + " bytes",
                  "cuda::slab_ring", "both are at least 1");
    slabs_.reserve(slabs);
    try {
      for (std::size_t i = 0; i < slabs; ++i) slabs_.push_back({memory_.allocate(bytes), std::nullopt});
    } catch (...) {
      release();
      throw;
    }
  }
  slab_ring(const slab_ring&) = delete;
  slab_ring& operator=(const slab_ring&) = delete;
  ~slab_ring() {
    for (slab& s : slabs_) {
      if (!s.read) continue;
      while (backend_.query(*s.read) == event_status::pending) std::this_thread::yield();
      backend_.recycle(*std::exchange(s.read, std::nullopt));
    }
    release();
  }

  std::size_t slabs() const noexcept { return slabs_.size(); }  ///< how many there are
  std::size_t slab_bytes() const noexcept { return bytes_; }    ///< of each

  /// The next slab, its first `bytes`, to be written to: valid until the call of `next` that hands it out again. Waits
  /// until the device has read what was in it. Throws `error(too_large)` for more bytes than a slab has; the device's
  /// error; under stop, after the wait.
  task<std::span<std::byte>> next(std::size_t bytes) { return next_of(this, bytes); }

  /// What was enqueued in `s` until now reads the slab that was handed out last. To be called after each use, without
  /// an await between: a slab for which it is not called counts as free. Throws what the device throws.
  void in_use(stream s) {
    slab& last = slabs_[(at_ + slabs_.size() - 1) % slabs_.size()];
    if (last.read) backend_.recycle(*std::exchange(last.read, std::nullopt));
    last.read.emplace(backend_.record(s));
  }

 private:
  using event = typename Backend::event;
  struct slab {
    void* data;
    std::optional<event> read;  ///< has come when the device has read it
  };
  static task<std::span<std::byte>> next_of(slab_ring* self, std::size_t bytes) {
    if (bytes > self->bytes_)
      throw error(errc::too_large, std::to_string(bytes) + " bytes for a slab of " + std::to_string(self->bytes_),
                  "cuda::slab_ring", "larger slabs, or smaller batches");
    slab& s = self->slabs_[self->at_];
    if (s.read) {
      co_await self->watch_.event_done(*s.read);
      self->backend_.recycle(*std::exchange(s.read, std::nullopt));
    }
    self->at_ = (self->at_ + 1) % self->slabs_.size();
    co_return std::span(static_cast<std::byte*>(s.data), bytes);
  }
  void release() noexcept {
    for (slab& s : slabs_) memory_.release(s.data);
    slabs_.clear();
  }

  event_watch<Backend>& watch_;
  Backend& backend_;
  Memory memory_;
  std::size_t bytes_;
  std::vector<slab> slabs_;
  std::size_t at_ = 0;  ///< the next to hand out
};

}  // namespace cuda
DTASK_END
