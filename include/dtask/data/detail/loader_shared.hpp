// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <memory>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/data/detail/byte_budget.hpp"
#include "dtask/data/loader_options.hpp"

DTASK_BEGIN
namespace detail {

/// What the runs of one loader share and what outlives it with them.
template <class Dataset>
struct loader_shared {
  loader_shared(std::shared_ptr<const Dataset> d, const loader_options& o)
      : dataset(std::move(d)), options(o), budget(o.max_bytes) {}
  const std::shared_ptr<const Dataset> dataset;
  const loader_options options;
  byte_budget budget;
};

}  // namespace detail
DTASK_END
