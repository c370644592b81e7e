// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <new>

#include "dtask/base/config.hpp"
#include "dtask/base/huge_pages.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define DTASK_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DTASK_ADDRESS_SANITIZER 1
#endif
#endif
#if DTASK_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif
#if defined(__linux__) && !DTASK_ADDRESS_SANITIZER
#define DTASK_PAGES_FROM_SYSTEM 1
#include <sys/mman.h>
#else
#define DTASK_PAGES_FROM_SYSTEM 0
#endif

DTASK_BEGIN

/// From this size on it is worth a call to the system.
inline constexpr std::size_t pages_from = std::size_t{256} << 10;

namespace detail {
inline constexpr std::size_t huge_from = std::size_t{4} << 20;
/// To pages of any system.
constexpr std::size_t whole_pages(std::size_t size) noexcept { return (size + 0xffff) & ~std::size_t{0xffff}; }
constexpr std::size_t page_alignment(std::size_t size) noexcept { return size >= huge_from ? huge_page : 64; }
}  // namespace detail

/// Takes `size` bytes from the system itself, uninitialised to the caller, aligned to a page, and to a huge page from 4
/// MiB on. Throws std::bad_alloc.
///
/// `new` would do, but glibc keeps what is freed: its threshold for mapping blocks one by one climbs to 32 MiB with the
/// first that is freed, and from then on a payload of 20 MB leaves a hole in a heap instead of memory for others. Under
/// AddressSanitizer, which watches heap blocks only, and on other systems it is `new`.
inline void* take_pages(std::size_t size) {
#if DTASK_PAGES_FROM_SYSTEM
  if (size > static_cast<std::size_t>(-1) / 2) throw std::bad_alloc();
  const std::size_t used = detail::whole_pages(size), spare = size >= detail::huge_from ? huge_page : 0;
  void* const mapped = ::mmap(nullptr, used + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  auto* at = static_cast<std::byte*>(mapped);
  if (spare != 0) {
    const std::size_t before = (huge_page - reinterpret_cast<std::uintptr_t>(at) % huge_page) % huge_page;
    if (before != 0) ::munmap(at, before);
    at += before;
    if (before != spare) ::munmap(at + used, spare - before);
  }
#else
  void* const at = ::operator new(size, std::align_val_t{detail::page_alignment(size)});
#endif
  // Such a block is kept for long: fewer and larger page faults on its first use.
  if (size >= detail::huge_from) advise_huge_pages(at, size);
  return at;
}

/// Gives back what `take_pages` returned for this `size`.
inline void give_back_pages(void* at, std::size_t size) noexcept {
#if DTASK_PAGES_FROM_SYSTEM
  ::munmap(at, detail::whole_pages(size));
#else
  ::operator delete(at, std::align_val_t{detail::page_alignment(size)});
#endif
}

DTASK_END
