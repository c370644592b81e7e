// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ranges>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/node/caller.hpp"
#include "dtask/node/cluster.hpp"

DTASK_BEGIN

/// A caller or cluster that knows its registry: a job which is not in it is a compile error, where `cluster` itself
/// reports `unknown_job` when it is called.
template <class Registry, class Base>
class checked : public Base {
 public:
  /// Checks the calls of `base`, whose connection it takes over.
  explicit checked(Base base) noexcept : Base(std::move(base)) {}

  /// `caller::call`.
  template <class J, class... Us>
  auto call(Us&&... arguments) const {
    require<J>();
    return Base::template call<J>(std::forward<Us>(arguments)...);
  }
  /// `caller::try_call`.
  template <class J, class... Us>
  auto try_call(Us&&... arguments) const {
    require<J>();
    return Base::template try_call<J>(std::forward<Us>(arguments)...);
  }
  /// `caller::submit`.
  template <class J, class... Us>
  auto submit(Us&&... arguments) const {
    require<J>();
    return Base::template submit<J>(std::forward<Us>(arguments)...);
  }
  /// `caller::map`.
  template <class J, std::ranges::input_range Range>
  auto map(Range&& range, const map_options& options = {}) const {
    require<J>();
    return Base::template map<J>(std::forward<Range>(range), options);
  }
  /// `caller::with`; what it gives is checked too.
  auto with(const call_options& options) const { return checked<Registry, caller>(Base::with(options)); }

 private:
  template <class J>
  static consteval void require() {
    static_assert(Registry::template contains<J>,
                  "dtask: this job is not in the registry: add it to dtask::registry<...>");
  }
};

/// A cluster whose jobs are checked at compile time: what `dtask::main<jobs>` gives its body, which may also take it as
/// `dtask::cluster&`.
template <class Registry>
using cluster_of = checked<Registry, cluster>;

DTASK_END
