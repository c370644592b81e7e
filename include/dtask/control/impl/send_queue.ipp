// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN
namespace control {

DTASK_INLINE void send_queue::push(wire::message head, std::shared_ptr<stream> from, std::uint64_t key,
                                   std::uint64_t group) {
  waiting_.push_back({std::move(head), std::move(from), key, group, {}, 0, 0});
}
DTASK_INLINE void send_queue::push_whole(wire::message head, std::size_t size, std::uint64_t key, std::uint64_t group) {
  waiting_.push_back({std::move(head), nullptr, key, group, {}, 0, size});
}
DTASK_INLINE void send_queue::erase_active(std::size_t i) {
  active_.erase(active_.begin() + i);
  if (turn_ >= i && turn_ > 0) --turn_;
}

}  // namespace control
DTASK_END
