// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN

DTASK_INLINE offload_pool::~offload_pool() {
  {
    const std::lock_guard hold(guard_);
    ending_ = true;
  }
  wake_.notify_all();
  for (auto& t : threads_) t.join();
}
DTASK_INLINE bool offload_pool::post(work_item& item) {
  const std::lock_guard hold(guard_);
  if (queue_.size() >= most_queued_) return false;
  if (idle_ <= queue_.size() && threads_.size() < most_threads_ && !start_one() && threads_.empty()) return false;
  queue_.push(item);
  wake_.notify_one();
  return true;
}
DTASK_INLINE bool offload_pool::start_one() {
  try {
    threads_.emplace_back([this] { run(); });
    return true;
  } catch (const std::system_error&) {
    return false;
  }
}
DTASK_INLINE void offload_pool::run() noexcept {
  std::unique_lock hold(guard_);
  for (;;) {
    if (work_item* const item = queue_.pop()) {
      hold.unlock();
      item->run(*item);
      hold.lock();
      continue;
    }
    if (ending_) return;
    ++idle_;
    wake_.wait(hold, [this] { return !queue_.empty() || ending_; });
    --idle_;
  }
}

DTASK_END
