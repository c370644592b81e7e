// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN

DTASK_INLINE void work_pool::post(work_item& item) noexcept {
  work_list one;
  one.push(item);
  post_all(one);
}
DTASK_INLINE void work_pool::post_all(work_list items) noexcept {
  const std::size_t count = items.size();
  if (count == 0) return;
  // Until the end under the lock, which the destructor takes once more: what is posted may end the pool's last user
  // while we are still in here.
  const detail::short_guard hold(queue_lock_);
  queue_.append(std::move(items));
  queued_.store(queue_.size(), std::memory_order_relaxed);
  // A thread that counts itself as idle looks into the queue under its lock afterwards, so either it sees these items
  // or we see it.
  for (std::size_t i = 0; i < count && idle_.load(std::memory_order_relaxed) != 0; ++i) wake_one();
}
DTASK_INLINE work_item* work_pool::take_queued() noexcept {
  if (queued_.load(std::memory_order_relaxed) == 0) return nullptr;
  const detail::short_guard hold(queue_lock_);
  work_item* const item = queue_.pop();
  queued_.store(queue_.size(), std::memory_order_relaxed);
  return item;
}
DTASK_INLINE work_pool::work_pool(unsigned threads) : work_pool(threads, nullptr) {}
DTASK_INLINE work_pool::work_pool(unsigned threads, void (*begin)() noexcept) : asio_scheduler(false), begin_(begin) {
  if (threads == 0) threads = usable_cores();
  for (unsigned i = 0; i < threads; ++i) {
    workers_.push_back(std::make_unique<worker>(*this));
    workers_.back()->lane.idle = &idle_;
    workers_.back()->lane.wake = [](detail::fork_lane& lane) noexcept {
      static_cast<work_pool*>(lane.where)->wake_one();
    };
  }
  try {
    for (unsigned i = 0; i < threads; ++i) workers_[i]->thread = std::thread([this, i] { run(i); });
  } catch (...) {
    join();
    throw;
  }
}
DTASK_INLINE void work_pool::join() noexcept {
  ending_.store(true);
  {
    const std::lock_guard hold(sleep_guard_);
    awake_.notify_all();
  }
  for (auto& w : workers_) {
    // A task that calls std::exit destroys the shared pool on one of its own threads, which never comes back here.
    if (w->thread.get_id() == std::this_thread::get_id())
      w->thread.detach();
    else if (w->thread.joinable())
      w->thread.join();
  }
}
DTASK_INLINE work_pool::~work_pool() {
  join();
  {
    const detail::short_guard last_poster_has_left(queue_lock_);
  }
  shutdown();
  destroy();
}
DTASK_INLINE void work_pool::run(std::size_t index) noexcept {
  if (begin_) begin_();
  detail::thread_state& thread = detail::this_thread();
  thread.current = this;
  thread.lane = &workers_[index]->lane;
  auto random = static_cast<std::uint32_t>(index * 7919 + 1);
  for (unsigned turn = 1;; ++turn) {
    // Now and then the queue first, so that a task that keeps forking does not starve what was posted.
    work_item* item = turn % 64 == 0 ? take_queued() : nullptr;
    if (!item) item = thread.lane->pop();
    for (int look = 0; !item && look < 32; ++look) {
      item = find(index, random);
      if (!item && look >= 8) std::this_thread::yield();
    }
    if (item) {
      item->run(*item);
      continue;
    }
    if (ending_.load() && !anything_left()) break;
    sleep();
  }
  thread.lane = nullptr;
  thread.current = nullptr;
}
DTASK_INLINE work_item* work_pool::find(std::size_t index, std::uint32_t& random) noexcept {
  if (work_item* const item = take_queued()) return item;
  const std::size_t n = workers_.size();
  if (n == 1) return nullptr;
  random = random * 1664525u + 1013904223u;
  const std::size_t start = (random >> 8) % n;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t victim = (start + i) % n;
    if (victim == index) continue;
    if (work_item* const item = workers_[victim]->lane.items.steal()) return item;
  }
  return nullptr;
}
DTASK_INLINE bool work_pool::anything_left() noexcept {
  {
    const detail::short_guard hold(queue_lock_);
    if (!queue_.empty()) return true;
  }
  for (const auto& w : workers_) {
    if (!w->lane.items.looks_empty()) return true;
  }
  return false;
}
DTASK_INLINE void work_pool::sleep() noexcept {
  {
    const std::lock_guard hold(sleep_guard_);
    idle_.store(++sleepers_, std::memory_order_seq_cst);
  }
  const bool barrier = detail::thread_barrier::available();
  if (barrier) detail::thread_barrier::pass();
  const bool found = anything_left();
  std::unique_lock hold(sleep_guard_);
  if (!found && !ending_.load()) {
    const auto signalled = [this] { return signals_ > 0 || ending_.load(); };
    if (barrier) awake_.wait(hold, signalled);
    // Without the barrier a push could have missed us: look again soon.
    else
      awake_.wait_for(hold, std::chrono::milliseconds(1), signalled);
  }
  // Leave by the signal that was meant for us, or take ourselves off the list.
  if (signals_ > 0)
    --signals_;
  else if (sleepers_ > 0)
    idle_.store(--sleepers_, std::memory_order_relaxed);
}
DTASK_INLINE void work_pool::wake_one() noexcept {
  const std::lock_guard hold(sleep_guard_);
  if (sleepers_ == 0) return;
  idle_.store(--sleepers_, std::memory_order_relaxed);
  ++signals_;
  awake_.notify_one();
}

DTASK_END
