// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "dtask/base/config.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

DTASK_BEGIN

inline constexpr std::size_t huge_page = std::size_t{2} << 20;  ///< bytes of what is taken for a huge page

/// Asks the system to back the whole huge pages of a fresh piece of memory as such, before its first use: the first
/// touch of 100 MB then costs a fifth of the copy into it, else five times the copy. Only advice, so its result does
/// not matter.
inline void advise_huge_pages([[maybe_unused]] void* at, [[maybe_unused]] std::size_t size) noexcept {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  const auto address = reinterpret_cast<std::uintptr_t>(at);
  const std::size_t before = (huge_page - address % huge_page) % huge_page;
  if (size < before + huge_page) return;
  ::madvise(static_cast<std::byte*>(at) + before, (size - before) / huge_page * huge_page, MADV_HUGEPAGE);
#endif
}

DTASK_END
