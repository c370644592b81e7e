// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/payload.hpp"
#include "dtask/job/codec.hpp"
#include "dtask/job/job.hpp"

DTASK_BEGIN
namespace detail {

template <class List, class... Us>
inline constexpr bool each_converts = false;
template <class... As, class... Us>
  requires(sizeof...(As) == sizeof...(Us))
inline constexpr bool each_converts<type_list<As...>, Us...> = (std::is_convertible_v<Us, As> && ...);

template <class List, class... Us>
inline constexpr bool fields_convert = false;
template <class F, class... Fs, class U, class... Us>
inline constexpr bool fields_convert<type_list<F, Fs...>, U, Us...> =
    std::is_convertible_v<U, F> && fields_convert<type_list<Fs...>, Us...>;
template <class... Fs>
inline constexpr bool fields_convert<type_list<Fs...>> = true;

template <class A, class... Fs, class... Us>
A from_fields(type_list<Fs...>, Us&&... us) {
  std::tuple<Us&&...> given(std::forward<Us>(us)...);
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return A{static_cast<std::tuple_element_t<I, std::tuple<Fs...>>>(std::get<I>(std::move(given)))...};
  }(std::index_sequence_for<Us...>{});
}

template <class List>
struct only_aggregate {
  static constexpr bool value = false;
};
template <class A>
  requires plain_aggregate<A>
struct only_aggregate<type_list<A>> {
  static constexpr bool value = true;
  using type = A;
};

/// An argument as it is written: an rvalue of its very type is the encoder's, of all others there is a copy to make.
template <class A, class U>
using given = std::conditional_t<std::is_same_v<A, U>, A&&, const A&>;

template <class... As, class... Gs>
payload encode_each(const codec_limits& limits, type_list<As...>, Gs&&... values) {
  encoder to(limits);
  (shape<As>::write(to, std::forward<Gs>(values)), ...);
  return std::move(to).finish();
}

/// The fields of an argument that is one aggregate, where the values given are those.
template <class List, class... Us>
consteval bool takes_fields() {
  if constexpr (only_aggregate<List>::value) {
    using A = typename only_aggregate<List>::type;
    if constexpr (shape<A>::found == obstacle::none) return fields_convert<fields<A>, Us...>;
  }
  return false;
}

}  // namespace detail

/// Whether job `J` may be called with values of these types: its arguments, or the fields of its one aggregate.
template <class J, class... Us>
concept callable_with = detail::each_converts<typename job_traits<J>::arguments, Us...> ||
                        detail::takes_fields<typename job_traits<J>::arguments, Us...>();

/// Encodes the arguments of a call of `J`, which is the copy that outlives the caller's expression: exactly its
/// arguments, or the fields of its one aggregate; the argument type itself is preferred. Large strings and vectors of
/// numbers in arguments given as rvalues are moved, not copied. Errors: as `encode`.
template <class J, class... Us>
payload encode_arguments(const codec_limits& limits, Us&&... values) {
  using list = typename job_traits<J>::arguments;
  static_assert(
      callable_with<J, Us...>,
      "dtask: a job is called with values of its argument types, or with the fields of its one aggregate argument");
  if constexpr (detail::each_converts<list, Us...>) {
    return [&]<class... As>(detail::type_list<As...>) {
      return detail::encode_each(limits, list{}, static_cast<detail::given<As, Us>>(values)...);
    }(list{});
  } else if constexpr (detail::takes_fields<list, Us...>()) {
    using A = typename detail::only_aggregate<list>::type;
    return detail::encode_each(limits, list{},
                               detail::from_fields<A>(detail::fields<A>{}, std::forward<Us>(values)...));
  } else {
    return {};
  }
}

DTASK_END
