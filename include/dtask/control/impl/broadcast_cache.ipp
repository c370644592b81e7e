// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN
namespace control {

DTASK_INLINE std::uint64_t broadcast_cache::insert(cached_value value) {
  std::uint64_t freed = 0;
  values_.erase_if([&](const cached_value& v) {
    if (v.name != value.name) return false;
    freed += v.size();
    marks_ -= v.value == nullptr;
    return true;
  });
  value.order = ++order_;
  marks_ += value.value == nullptr;
  values_.push_back(std::move(value));
  return freed;
}
DTASK_INLINE bool broadcast_cache::holds(std::uint64_t number) const noexcept {
  for (const cached_value& v : values_)
    if (v.number == number) return true;
  return false;
}
DTASK_INLINE const cached_value* broadcast_cache::find(std::string_view name) const noexcept {
  for (const cached_value& v : values_)
    if (v.name == name) return &v;
  return nullptr;
}
DTASK_INLINE std::size_t broadcast_cache::after(std::uint64_t upto) const noexcept {
  std::size_t at = values_.size();
  while (at != 0 && values_[at - 1].order > upto) --at;
  return at;
}
DTASK_INLINE std::uint64_t broadcast_cache::bytes() const noexcept {
  std::uint64_t total = 0;
  for (const cached_value& v : values_) total += v.size();
  return total;
}
DTASK_INLINE wire::digest digest_of(digest_function digest, const stream& from) {
  std::vector<std::span<const std::byte>> runs;
  runs.reserve(from.held.blocks.size());
  for (const bytes& block : from.held.blocks) runs.push_back(block.span());
  return digest(runs);
}

}  // namespace control
DTASK_END
