// SPDX-License-Identifier: BSL-1.0
#pragma once
/// Every DTASK_ macro that a user may set, with its default, and the namespace markers.
///
/// - `DTASK_SYMMETRIC_TRANSFER` (0 or 1): how a coroutine hands over to the next. 1: the compiler's symmetric transfer.
///   0: a loop at every entry point. g++ 12 overflows the stack with symmetric transfer below -O2 and under sanitizers
///   and gives no macro to tell -O1 from -O2, so the default is the loop on g++ and symmetric transfer on clang.
/// - `DTASK_DEBUG` (0 or 1): a registry of live tasks with parent links, `dump_tasks`, and async backtraces. Default 0.
/// - `DTASK_FRAME_POOL` (0 or 1): recycle coroutine frames per thread. Default 1, and 0 under AddressSanitizer and
///   ThreadSanitizer, which could not see into the pool.
/// - `DTASK_SEPARATE_COMPILATION` (defined or not): the headers of control/, runtime/, net/, node/ and cli/ declare
///   only, and the program links what src/*.cpp define (the CMake targets `dtask::compiled` and `dtask::main_compiled`
///   do both). Not defined: everything is in the headers.
///
/// Objects built with different values of the first three, or with different versions of the library, must not share
/// its types: the inline namespace and its ABI tag carry both, so such a link fails instead of the program. The last
/// one may differ from unit to unit: bodies and layouts are the same.
#include <version>

#include "dtask/base/version.hpp"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DTASK_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define DTASK_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(DTASK_ASAN)
#define DTASK_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__) && !defined(DTASK_TSAN)
#define DTASK_TSAN 1
#endif
#ifndef DTASK_ASAN
#define DTASK_ASAN 0
#endif
#ifndef DTASK_TSAN
#define DTASK_TSAN 0
#endif

#ifndef DTASK_SYMMETRIC_TRANSFER
#if defined(__clang__)
#define DTASK_SYMMETRIC_TRANSFER 1
#else
#define DTASK_SYMMETRIC_TRANSFER 0
#endif
#endif

#ifndef DTASK_DEBUG
#define DTASK_DEBUG 0
#endif

#ifndef DTASK_FRAME_POOL
#if DTASK_ASAN || DTASK_TSAN
#define DTASK_FRAME_POOL 0
#else
#define DTASK_FRAME_POOL 1
#endif
#endif

/// For the bodies in impl/.
#ifdef DTASK_SEPARATE_COMPILATION
#define DTASK_INLINE
#else
#define DTASK_INLINE inline
#endif

// The version, since before 1.0 a minor one may change anything; then s or l (symmetric transfer or the loop), d
// (debug), n (no frame pool).
#if DTASK_SYMMETRIC_TRANSFER
#define DTASK_ABI_TRANSFER s
#else
#define DTASK_ABI_TRANSFER l
#endif
#if DTASK_DEBUG
#define DTASK_ABI_DEBUG d
#else
#define DTASK_ABI_DEBUG
#endif
#if DTASK_FRAME_POOL
#define DTASK_ABI_POOL
#else
#define DTASK_ABI_POOL n
#endif
#define DTASK_ABI_JOINED(major, minor, transfer, debug, pool) v##major##_##minor##_##transfer##debug##pool
#define DTASK_ABI_JOIN(major, minor, transfer, debug, pool) DTASK_ABI_JOINED(major, minor, transfer, debug, pool)
#define DTASK_ABI \
  DTASK_ABI_JOIN(DTASK_VERSION_MAJOR, DTASK_VERSION_MINOR, DTASK_ABI_TRANSFER, DTASK_ABI_DEBUG, DTASK_ABI_POOL)
#define DTASK_ABI_QUOTED(name) #name
#define DTASK_ABI_QUOTE(name) DTASK_ABI_QUOTED(name)
#define DTASK_ABI_TAG DTASK_ABI_QUOTE(DTASK_ABI)

/// Open and close the library's namespace: `dtask` with an inline, tagged namespace inside. `wire`, `control`, `net`,
/// `sim`, `cuda` and `detail` are opened between the two.
#define DTASK_BEGIN \
  namespace dtask { \
  inline namespace DTASK_ABI __attribute__((abi_tag(DTASK_ABI_TAG))) {
#define DTASK_END \
  }               \
  }
