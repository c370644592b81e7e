// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <exception>
#include <iterator>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/payload.hpp"
#include "dtask/job/arguments.hpp"
#include "dtask/job/codec.hpp"
#include "dtask/node/map_stream.hpp"

DTASK_BEGIN
namespace detail {

template <class J, class Item>
consteval bool takes_elements() {
  if constexpr (requires { std::tuple_size<std::remove_cvref_t<Item>>::value; }) {
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return callable_with<J, decltype(std::get<I>(std::declval<Item>()))...>;
    }(std::make_index_sequence<std::tuple_size_v<std::remove_cvref_t<Item>>>{});
  }
  return false;
}
/// True for an item of a range that can be mapped with `J`; otherwise one sentence at compile time.
template <class J, class Item>
consteval bool require_item() {
  constexpr bool fits = callable_with<J, Item> || takes_elements<J, Item>();
  static_assert(
      fits,
      "dtask: an item of a mapped range is the one argument of the job, or a tuple of all its arguments (or of "
      "the fields of its one aggregate)");
  return fits;
}

template <class J, class Item>
payload encode_item(const codec_limits& limits, Item&& item) {
  if constexpr (!require_item<J, Item>()) {
    return {};
  } else if constexpr (callable_with<J, Item>) {
    return encode_arguments<J>(limits, std::forward<Item>(item));
  } else {
    return std::apply([&]<class... Us>(Us&&... us) { return encode_arguments<J>(limits, std::forward<Us>(us)...); },
                      std::forward<Item>(item));
  }
}

template <class J, std::ranges::input_range Range>
class range_source final : public item_source {
 public:
  range_source(Range range, const codec_limits& limits) : range_(std::move(range)), limits_(limits) {}
  bool next(payload& arguments, std::exception_ptr& failed) override {
    // The first item is made when it is needed, and each one only then: a range may decode pictures as it goes.
    if (!at_)
      at_.emplace(std::ranges::begin(range_));
    else
      ++*at_;
    if (*at_ == std::ranges::end(range_)) return false;
    auto&& item = **at_;
    // What the range throws ends the map; what the codec throws is this item's alone.
    try {
      arguments = encode_item<J>(limits_, std::forward<decltype(item)>(item));
    } catch (...) {
      failed = std::current_exception();
    }
    return true;
  }

 private:
  Range range_;
  codec_limits limits_;
  std::optional<std::ranges::iterator_t<Range>> at_;
};

}  // namespace detail
DTASK_END
