// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN
namespace control {

DTASK_INLINE std::uint32_t call_index::at(std::uint32_t position) const noexcept {
  const std::uint32_t p = position / page;
  return p < pages_.size() && pages_[p] ? pages_[p][position % page] : none;
}
DTASK_INLINE void call_index::set(std::uint32_t position, std::uint32_t job) {
  const std::uint32_t p = position / page;
  while (p >= pages_.size()) pages_.push_back(nullptr);
  if (!pages_[p]) {
    pages_[p] = std::make_unique<std::uint32_t[]>(page);
    std::fill_n(pages_[p].get(), page, none);
  }
  pages_[p][position % page] = job;
}
DTASK_INLINE std::vector<std::uint32_t> call_index::jobs() const {
  std::vector<std::uint32_t> out;
  for (const auto& p : pages_)
    for (std::uint32_t i = 0; p && i < page; ++i)
      if (p[i] != none) out.push_back(p[i]);
  return out;
}

}  // namespace control
DTASK_END
