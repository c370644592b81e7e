// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN
namespace control {

DTASK_INLINE std::uint32_t worker_record::position_of(std::uint16_t type) const noexcept {
  const auto at = std::lower_bound(positions.begin(), positions.end(), type,
                                   [](const auto& p, std::uint16_t t) { return p.first < t; });
  return at != positions.end() && at->first == type ? at->second : none;
}
DTASK_INLINE served_session* worker_record::serving(std::uint64_t session) noexcept {
  for (served_session& s : serves)
    if (s.session == session) return &s;
  return nullptr;
}
DTASK_INLINE std::uint32_t worker_class::least(std::uint16_t& level) const noexcept {
  for (std::size_t word = 0; word < map_.size(); ++word)
    if (map_[word] != 0) {
      level = static_cast<std::uint16_t>(word * 64 + static_cast<std::size_t>(std::countr_zero(map_[word])));
      return lists_[level].front();
    }
  level = 0xffff;
  return none;
}
DTASK_INLINE void worker_class::place(worker_table& workers, std::uint32_t w, std::uint16_t level) noexcept {
  worker_record& r = workers[w];
  if (r.level == level) return;
  if (r.level != 0xffff) {
    lists_[r.level].erase(workers, w);
    if (lists_[r.level].empty()) map_[r.level / 64] &= ~(std::uint64_t{1} << (r.level % 64));
  }
  r.level = level;
  if (level != 0xffff) {
    lists_[level].push_back(workers, w);
    map_[level / 64] |= std::uint64_t{1} << (level % 64);
  }
}
DTASK_INLINE worker_class* worker_classes::acquire(std::vector<std::uint16_t> types) {
  const auto* known = kinds_.find_if([&](const auto& kind) { return kind->types == types; });
  if (known == nullptr) {
    auto made = std::make_unique<worker_class>();
    made->types = std::move(types);
    kinds_.push_back(std::move(made));
    known = &kinds_.back();
  }
  ++(*known)->refs;
  return known->get();
}
DTASK_INLINE void worker_classes::forget(const worker_class& kind) {
  if (auto* const at = kinds_.find_if([&](const auto& k) { return k.get() == &kind; })) kinds_.erase(at);
}

}  // namespace control
DTASK_END
