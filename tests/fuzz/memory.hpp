// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <functional>

namespace fuzz {

/// The most bytes that `work` has allocated at once, besides what there was before: with `malloc` under a sanitizer,
/// else with `operator new`.
std::size_t peak_of(const std::function<void()>& work);

}  // namespace fuzz
