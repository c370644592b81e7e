// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN
namespace control {

DTASK_INLINE void held_payload::put(payload&& whole) {
  if (whole.blobs.empty() && whole.body.size() <= inside) {
    small& here = state_.emplace<small>();
    here.size = static_cast<std::uint8_t>(whole.body.size());
    if (here.size != 0) std::memcpy(here.data.data(), whole.body.data(), here.size);
    return;
  }
  auto kept = std::make_unique<payload>(std::move(whole));
  if (kept->body.size() <= copied) kept->body = bytes::copy(kept->body.span());
  for (bytes& blob : kept->blobs)
    if (blob.size() <= copied) blob = bytes::copy(blob.span());
  state_ = std::move(kept);
}
DTASK_INLINE std::shared_ptr<stream> held_payload::as_stream() const {
  if (const auto* s = arriving()) return *s;
  return make_stream(get());
}
DTASK_INLINE payload held_payload::get() const {
  payload out;
  if (const auto* here = state_.get_if<small>())
    out.body = bytes::copy(here->data.data(), here->size);
  else if (const auto* kept = state_.get_if<std::unique_ptr<payload>>())
    out = **kept;
  return out;
}
DTASK_INLINE std::size_t held_payload::blobs() const noexcept {
  if (const auto* kept = state_.get_if<std::unique_ptr<payload>>()) return (*kept)->blobs.size();
  if (const auto* s = arriving()) return (*s)->held.lengths.empty() ? 0 : (*s)->held.lengths.size() - 1;
  return 0;
}
DTASK_INLINE std::size_t held_payload::size() const noexcept {
  if (const auto* here = state_.get_if<small>()) return here->size;
  if (const auto* kept = state_.get_if<std::unique_ptr<payload>>()) return (*kept)->size();
  if (const auto* s = arriving()) return static_cast<std::size_t>((*s)->held.size());
  return 0;
}

}  // namespace control
DTASK_END
