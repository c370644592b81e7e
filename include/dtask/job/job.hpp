// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/effect.hpp"
#include "dtask/job/codec.hpp"
#include "dtask/job/fixed_string.hpp"
#include "dtask/job/job_context.hpp"
#include "dtask/job/worker_context.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN

// clang-format off
/// The base of a job class: its name with a version on the wire, and its effect class.
///
/// ```
/// struct classify : dtask::job<"classify/1", dtask::idempotent> {
///   explicit classify(dtask::worker_context& w);  // or a default constructor; once per slot and client session
///   dtask::task<label> operator()(dtask::job_context& ctx, image in);  // or a plain label; the context is optional
/// };
/// ```
/// Without an effect class a job is `at_most_once`: it is not run a second time after a loss. The types of arguments
/// and result are part of the handshake; a change of meaning is a new version.
// clang-format on
template <fixed_string Name, class Effect = at_most_once>
struct job {
  static_assert(valid_job_name(Name.view()),
                "dtask: a job's name is 1 to 120 of [A-Za-z0-9_.-/] and ends in its version, as in \"classify/1\"");
  static constexpr std::string_view name = Name.view();  ///< on the wire, with its version
  static constexpr effect effect_class = Effect::value;  ///< what running it twice would do
};

/// A free function as a job: `using score_job = dtask::function_job<"score/1", &score, dtask::pure>;` It may take a
/// `job_context&` first and return a task.
template <fixed_string Name, auto Function, class Effect = at_most_once>
struct function_job : job<Name, Effect> {
  static_assert(!std::is_class_v<decltype(Function)>,
                "dtask: a function_job runs a function: give the lambda a name as a function, and the job its address, "
                "&f");
  static constexpr auto function = Function;  ///< what a worker calls
};

namespace detail {

template <class R, class... As>
struct signature {
  using result = typename unwrap_task<R>::type;
  static constexpr bool awaits = unwrap_task<R>::awaits;
  static constexpr bool has_context = false;
  static constexpr bool by_value =
      ((!std::is_lvalue_reference_v<As> || std::is_const_v<std::remove_reference_t<As>>) && ...);
  using arguments = type_list<std::remove_cvref_t<As>...>;
  using tuple = std::tuple<std::remove_cvref_t<As>...>;
};
template <class R, class... As>
struct signature<R, job_context&, As...> : signature<R, As...> {
  static constexpr bool has_context = true;
};

template <class F>
struct signature_of_call;
template <class R, class... As>
struct signature_of_call<R (*)(As...)> : std::type_identity<signature<R, As...>> {};
template <class R, class... As>
struct signature_of_call<R (*)(As...) noexcept> : std::type_identity<signature<R, As...>> {};
template <class C, class R, class... As>
struct signature_of_call<R (C::*)(As...)> : std::type_identity<signature<R, As...>> {};
template <class C, class R, class... As>
struct signature_of_call<R (C::*)(As...) const> : std::type_identity<signature<R, As...>> {};
template <class C, class R, class... As>
struct signature_of_call<R (C::*)(As...) noexcept> : std::type_identity<signature<R, As...>> {};
template <class C, class R, class... As>
struct signature_of_call<R (C::*)(As...) const noexcept> : std::type_identity<signature<R, As...>> {};

template <class J>
concept named_job = requires {
  { J::name } -> std::convertible_to<std::string_view>;
  { J::effect_class } -> std::convertible_to<effect>;
};
template <class J>
concept function_like = requires { typename signature_of_call<std::remove_const_t<decltype(J::function)>>::type; };
template <class J>
concept callable_like = requires { typename signature_of_call<decltype(&J::operator())>::type; };

template <class J>
consteval auto find_signature() {
  if constexpr (function_like<J>)
    return typename signature_of_call<std::remove_const_t<decltype(J::function)>>::type{};
  else if constexpr (callable_like<J>)
    return typename signature_of_call<decltype(&J::operator())>::type{};
  else
    return signature<void>{};
}

template <class R>
consteval bool require_result() {
  if constexpr (std::is_void_v<R>)
    return true;
  else
    return require_travels<R>();
}
template <class... As>
consteval bool require_arguments(type_list<As...>) {
  return (require_travels<As>() && ...);
}

}  // namespace detail

/// Whether `J` has the form of a job; `require_job` says in one sentence what is missing.
template <class J>
concept is_job = detail::named_job<J> && (detail::function_like<J> || detail::callable_like<J>);

/// What the library knows about a job type.
template <class J>
struct job_traits {
  /// @cond internal
  using call = decltype(detail::find_signature<J>());
  using arguments = typename call::arguments;
  /// @endcond
  using tuple = typename call::tuple;    ///< the arguments as values, the context aside: `std::tuple<image>`
  using result = typename call::result;  ///< what the job returns, or what its task ends with
};

/// The result type of a job.
template <class J>
using result_of = typename job_traits<J>::result;

/// True for a job whose types travel; otherwise one sentence at compile time.
template <class J>
consteval bool require_job() {
  static_assert(detail::named_job<J>,
                "dtask: a job derives from dtask::job<\"name/1\", effect>, or is a dtask::function_job");
  if constexpr (detail::named_job<J>) {
    static_assert(is_job<J>, "dtask: a job has exactly one operator(), which is neither a template nor overloaded");
    if constexpr (is_job<J>) {
      using call = typename job_traits<J>::call;
      static_assert(
          call::by_value,
          "dtask: a job takes its arguments by value or by const reference: nothing comes back but its result");
      constexpr bool makeable =
          detail::function_like<J> || std::is_constructible_v<J, worker_context&> || std::is_default_constructible_v<J>;
      static_assert(
          makeable,
          "dtask: a job class is made on the worker: give it a constructor that takes dtask::worker_context&, or none");
      if constexpr (call::by_value && makeable)
        return detail::require_arguments(typename call::arguments{}) && detail::require_result<typename call::result>();
    }
  }
  return false;
}

/// The argument and result types of a job in words: `({string, bytes}) -> {string, i32, f32}`. Its hash is what both
/// sides of a handshake compare.
template <class J>
std::string signature_of() {
  schema_writer to;
  to.word("(");
  [&]<class... As>(detail::type_list<As...>) {
    std::size_t i = 0;
    ((to.word(i++ == 0 ? "" : ", "), detail::shape<As>::describe(to)), ...);
  }(typename job_traits<J>::arguments{});
  to.word(") -> ");
  if constexpr (std::is_void_v<result_of<J>>)
    to.word("void");
  else
    detail::shape<result_of<J>>::describe(to);
  return std::move(to).take();
}

DTASK_END
