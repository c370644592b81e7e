// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE void switchboard::send(peer& to, wire::message&& what) {
  if (to.role == peer_role::closing) return;
  actions_.emplace_back(std::in_place_type<control::send>, to.link, std::move(what));
  peers_.sent(to);
}
DTASK_INLINE void switchboard::say(log_level level, std::string_view event, std::string text) {
  actions_.push_back(note{level, event, std::move(text)});
}
DTASK_INLINE void switchboard::close(peer& p, const error& why, bool at_once) {
  if (p.role == peer_role::closing) return;
  say(p.role == peer_role::stranger ? log_level::warning : log_level::info,
      p.role == peer_role::stranger ? "refused" : "closing", why.what());
  actions_.push_back(close_link{p.link, why, at_once});
  peers_.set_role(p, peer_role::closing, p.index);
}
DTASK_INLINE void switchboard::refuse(peer& p, errc code, std::string text) {
  send(p, wire::refuse{code, text});
  close(p, error(code, std::move(text), p.address), false);
}

}  // namespace control
DTASK_END
