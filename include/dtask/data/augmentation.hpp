// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <functional>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/data/image_view.hpp"
#include "dtask/data/picture.hpp"
#include "dtask/data/sample_random.hpp"

DTASK_BEGIN

/// What is done to a picture each time that it is loaded: any functions, one after the other.
///
///     dtask::augmentation().then(dtask::random_crop{.padding = 2}).then(dtask::random_flip{})
///
/// A step is called as `step(image_view, sample_random&)` and changes pixels in place, at the size at which they go
/// into the batch; or as `step(picture&, sample_random&)`, may change the size, and comes before those, on the picture
/// as it is stored. Each picture's draws go on from step to step. Steps are called from several threads at once.
class augmentation {
 public:
  using view_step = std::function<void(image_view, sample_random&)>;   ///< changes pixels in place
  using picture_step = std::function<void(picture&, sample_random&)>;  ///< may change the size too

  /// Adds a step behind those of its kind. `step`: a function object that can be copied and called while constant.
  /// Result: this augmentation, for the next step.
  template <class Step>
  augmentation& then(Step step) & {
    if constexpr (std::is_invocable_v<const Step&, image_view, sample_random&>) {
      on_views_.emplace_back(std::move(step));
    } else {
      static_assert(std::is_invocable_v<const Step&, picture&, sample_random&>,
                    "dtask: a step of an augmentation is called as step(image_view, sample_random&) or step(picture&, "
                    "sample_random&), and is constant");
      on_pictures_.emplace_back(std::move(step));
    }
    return *this;
  }
  /// The same of a temporary.
  template <class Step>
  augmentation&& then(Step step) && {
    return std::move(then(std::move(step)));
  }

  bool empty() const noexcept { return on_views_.empty() && on_pictures_.empty(); }  ///< whether it has no steps
  /// The steps that are called on the picture as it is stored, in order; they come before the others.
  const std::vector<picture_step>& on_pictures() const noexcept { return on_pictures_; }
  /// The steps that are called on the pixels at their final size, in order.
  const std::vector<view_step>& on_views() const noexcept { return on_views_; }

 private:
  std::vector<picture_step> on_pictures_;
  std::vector<view_step> on_views_;
};

DTASK_END
