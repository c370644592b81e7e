// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/job/registry.hpp"
#include "dtask/job/worker_context.hpp"

DTASK_BEGIN
namespace detail {

/// The job objects of one slot: one per job type and client session, the least recently used dropped beyond `limit`
/// sessions per type.
///
/// Thread safety: all members; a slot runs one job at a time, but sessions end meanwhile.
class object_cache {
 public:
  static constexpr std::size_t limit = 4;

  /// The object for this type and session; made (or made anew, where a broadcast that its constructor read has changed)
  /// on the calling thread. Throws what the constructor throws.
  std::shared_ptr<job_object> obtain(const job_entry& entry, std::uint32_t type, std::uint64_t session,
                                     const blob_source& blobs, shared_objects& shared, std::string_view worker,
                                     std::uint32_t slot, std::uint32_t slots, std::string_view device) {
    std::shared_ptr<job_object> stale;
    {
      const std::lock_guard hold(guard_);
      for (std::size_t i = 0; i < cached_.size(); ++i) {
        if (cached_[i].type != type || cached_[i].session != session) continue;
        if (up_to_date(cached_[i], blobs)) {
          cached_[i].used = ++clock_;
          return cached_[i].object;
        }
        // Destroyed before its successor is made: two models may not fit.
        stale = std::move(cached_[i].object);
        drop(i);
        break;
      }
    }
    stale.reset();
    worker_context context(blobs, shared, worker, slot, slots, device);
    std::shared_ptr<job_object> made = entry.make(context);
    std::shared_ptr<job_object> oldest;
    const std::lock_guard hold(guard_);
    oldest = evict(type);
    cached_.push_back({type, session, ++clock_, made, std::move(context).take_read()});
    return made;
  }
  /// Drops the objects of a session; one that is in use lives until its job ends.
  void end_session(std::uint64_t session) {
    std::vector<std::shared_ptr<job_object>> gone;
    const std::lock_guard hold(guard_);
    for (std::size_t i = cached_.size(); i-- > 0;) {
      if (cached_[i].session != session) continue;
      gone.push_back(std::move(cached_[i].object));
      drop(i);
    }
  }
  /// Drops all.
  void clear() {
    std::vector<cached> gone;
    const std::lock_guard hold(guard_);
    gone.swap(cached_);
  }

 private:
  struct cached {
    std::uint32_t type = 0;
    std::uint64_t session = 0;
    std::uint64_t used = 0;
    std::shared_ptr<job_object> object;
    std::vector<std::pair<std::string, std::uint64_t>> read;
  };
  static bool up_to_date(const cached& c, const blob_source& blobs) {
    for (const auto& [name, version] : c.read)
      if (blobs.find(name).version != version) return false;
    return true;
  }
  void drop(std::size_t i) {
    if (i + 1 != cached_.size()) cached_[i] = std::move(cached_.back());
    cached_.pop_back();
  }
  std::shared_ptr<job_object> evict(std::uint32_t type) {
    std::size_t count = 0, oldest = 0;
    for (std::size_t i = 0; i < cached_.size(); ++i) {
      if (cached_[i].type != type) continue;
      if (count++ == 0 || cached_[i].used < cached_[oldest].used) oldest = i;
    }
    if (count < limit) return nullptr;
    std::shared_ptr<job_object> gone = std::move(cached_[oldest].object);
    drop(oldest);
    return gone;
  }

  std::mutex guard_;
  std::uint64_t clock_ = 0;
  std::vector<cached> cached_;
};

}  // namespace detail
DTASK_END
