// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE peer& peer_table::insert(link_id link, std::string address, bool trusted, time_point now) {
  auto made = std::make_unique<peer>();
  made->link = link;
  made->address = std::move(address);
  made->trusted = trusted;
  made->opened = made->heard = now;
  peer& p = *made;
  peers_.emplace(link, std::move(made));
  ++strangers_;
  return p;
}
DTASK_INLINE peer* peer_table::find(link_id link) noexcept {
  if (link == 0) return nullptr;
  if (last_ != nullptr && last_->link == link) return last_;
  const auto found = peers_.find(link);
  if (found == peers_.end()) return nullptr;
  return last_ = found->second.get();
}
DTASK_INLINE const peer* peer_table::find(link_id link) const noexcept {
  const auto found = peers_.find(link);
  return found == peers_.end() ? nullptr : found->second.get();
}
DTASK_INLINE std::unique_ptr<peer> peer_table::take(link_id link) {
  const auto found = peers_.find(link);
  if (found == peers_.end()) return nullptr;
  std::unique_ptr<peer> p = std::move(found->second);
  peers_.erase(found);
  last_ = nullptr;
  if (p->role == peer_role::stranger) --strangers_;
  return p;
}
DTASK_INLINE void peer_table::set_role(peer& p, peer_role role, std::uint32_t index) noexcept {
  if (p.role == peer_role::stranger) --strangers_;
  if (role == peer_role::stranger) ++strangers_;
  p.role = role;
  p.index = index;
}
DTASK_INLINE void peer_table::touch(peer& p) {
  if (p.dirty) return;
  p.dirty = true;
  dirty_.push_back(p.link);
}
DTASK_INLINE void peer_table::sent(peer& p) {
  p.sent_in = turn_;
  if (!p.acks.empty()) touch(p);
}
DTASK_INLINE std::uint64_t peer_table::arriving_broadcasts() const noexcept {
  std::uint64_t bytes = 0;
  for (const auto& [link, p] : peers_)
    for (const incoming& i : p->in)
      if (i.what == payload_of::broadcast) bytes += i.from->held.size();
  return bytes;
}

DTASK_INLINE std::string peer_table::check() const {
  std::uint32_t strangers = 0;
  for (const auto& [link, p] : peers_) {
    strangers += p->role == peer_role::stranger;
    if (p->link != link) return "a peer has another link: " + p->address;
    if ((p->role == peer_role::client || p->role == peer_role::worker) && p->index == none)
      return "a peer is nobody's: " + p->address;
    if (p->dirty && std::find(dirty_.begin(), dirty_.end(), link) == dirty_.end())
      return "a peer that has something to send is forgotten: " + p->address;
  }
  if (strangers != strangers_)
    return "strangers: counted " + std::to_string(strangers_) + ", found " + std::to_string(strangers);
  return {};
}

}  // namespace control
DTASK_END
