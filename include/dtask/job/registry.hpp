// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/message_of.hpp"
#include "dtask/base/payload.hpp"
#include "dtask/job/job.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

/// A job object without its type.
class job_object {
 public:
  virtual ~job_object() = default;
};
template <class J>
class job_object_of final : public job_object {
 public:
  explicit job_object_of(worker_context& context)
    requires std::is_constructible_v<J, worker_context&>
      : job(context) {}
  explicit job_object_of(worker_context&)
    requires(!std::is_constructible_v<J, worker_context&>)
  {}
  J job;
};

/// A failure of the codec around a job, to be told from what the job itself throws.
class codec_failure {
 public:
  explicit codec_failure(error why) noexcept : why_(std::move(why)) {}
  const error& why() const noexcept { return why_; }

 private:
  error why_;
};

template <class J>
auto invoke_job(job_object* object, job_context& context, typename job_traits<J>::tuple& arguments) {
  using call = typename job_traits<J>::call;
  return std::apply(
      [&]<class... As>(As&... each) {
        if constexpr (function_like<J>) {
          if constexpr (call::has_context)
            return J::function(context, std::move(each)...);
          else
            return J::function(std::move(each)...);
        } else {
          J& job = static_cast<job_object_of<J>*>(object)->job;
          if constexpr (call::has_context)
            return job(context, std::move(each)...);
          else
            return job(std::move(each)...);
        }
      },
      arguments);
}

/// To be called in a catch block: the exception in flight as a failure of the codec.
[[noreturn]] inline void throw_undecodable() {
  try {
    throw;
  } catch (const error& why) {
    throw codec_failure(
        error(errc::decode_failed, "the arguments cannot be decoded: " + why.cause(), why.place(), why.remedy()));
  } catch (const std::exception& why) {
    throw codec_failure(error(errc::decode_failed, "the arguments cannot be decoded: " + message_of(why)));
  }
}
[[noreturn]] inline void throw_unencodable() {
  try {
    throw;
  } catch (const error& why) {
    throw codec_failure(error(why.code() == errc::too_large ? errc::too_large : errc::encode_failed,
                              "the result cannot be encoded: " + why.cause(), why.place(), why.remedy()));
  } catch (const std::exception& why) {
    throw codec_failure(error(errc::encode_failed, "the result cannot be encoded: " + message_of(why)));
  }
}

template <class T>
T decode_or_fail(const payload& from) {
  try {
    return decode<T>(from);
  } catch (...) {
    throw_undecodable();
  }
}
template <class T>
payload encode_or_fail(T&& value, const codec_limits& limits) {
  try {
    return encode(std::forward<T>(value), limits);
  } catch (...) {
    throw_unencodable();
  }
}

/// Of a job that is a plain function.
template <class J>
payload call_job(job_object* object, job_context& context, payload arguments, const codec_limits& limits) {
  using result = result_of<J>;
  auto values = decode_or_fail<typename job_traits<J>::tuple>(arguments);
  arguments = payload{};
  if constexpr (std::is_void_v<result>) {
    invoke_job<J>(object, context, values);
    return {};
  } else {
    result value = invoke_job<J>(object, context, values);
    return encode_or_fail(std::move(value), limits);
  }
}
/// Of a job that is a coroutine.
template <class J>
task<payload> run_job(job_object* object, job_context& context, payload arguments, codec_limits limits) {
  using result = result_of<J>;
  auto values = decode_or_fail<typename job_traits<J>::tuple>(arguments);
  arguments = payload{};
  auto running = invoke_job<J>(object, context, values);
  if constexpr (std::is_void_v<result>) {
    co_await std::move(running);
    co_return payload{};
  } else {
    result value = co_await std::move(running);
    co_return encode_or_fail(std::move(value), limits);
  }
}

}  // namespace detail

/// A job as a worker sees it: without its types.
struct job_entry {
  std::string_view name;                       ///< on the wire, with its version
  std::uint64_t schema = 0;                    ///< `schema_hash` of the signature
  std::string signature;                       ///< see `signature_of`
  effect effect_class = effect::at_most_once;  ///< what running it twice would do
  bool has_object = false;                     ///< whether `make` is needed before `call` or `run`
  /// Makes the job's object on a worker; throws what its constructor throws. Null for a function.
  std::unique_ptr<detail::job_object> (*make)(worker_context&) = nullptr;
  /// Decodes, calls and encodes; throws what the job throws, or a `detail::codec_failure`. Null for a coroutine.
  payload (*call)(detail::job_object*, job_context&, payload arguments, const codec_limits&) = nullptr;
  /// The same as a task, for a coroutine; else null.
  task<payload> (*run)(detail::job_object*, job_context&, payload arguments, codec_limits) = nullptr;
};

/// The jobs that a program knows: an explicit list, no macros, no static initialisation. `using jobs =
/// dtask::registry<classify, score_job>;`
///
/// Only jobs listed here run on a worker or can be submitted. Names are unique.
template <class... Jobs>
class registry {
 public:
  static constexpr std::size_t size = sizeof...(Jobs);  ///< how many jobs

  /// Whether `J` is one of them.
  template <class J>
  static constexpr bool contains = (std::is_same_v<J, Jobs> || ...);

  /// The position of `J`, by which messages name it.
  template <class J>
  static consteval std::uint32_t index() {
    static_assert(contains<J>, "dtask: this job is not in the registry: add it to dtask::registry<...>");
    std::uint32_t at = 0;
    static_cast<void>(((std::is_same_v<J, Jobs> || (++at, false)) || ...));
    return at;
  }

  /// All entries, in the order of the list. Made at the first call; thread-safe.
  static std::span<const job_entry> entries() {
    static_assert(unique_names(), "dtask: two jobs of this registry have the same name and version");
    static const std::array<job_entry, sizeof...(Jobs)> all{entry<Jobs>()...};
    return all;
  }

 private:
  static consteval bool unique_names() {
    if constexpr ((detail::named_job<Jobs> && ...)) {
      const std::array<std::string_view, sizeof...(Jobs) + 1> names{std::string_view(Jobs::name)...};
      for (std::size_t i = 0; i < sizeof...(Jobs); ++i)
        for (std::size_t j = i + 1; j < sizeof...(Jobs); ++j)
          if (names[i] == names[j]) return false;
    }
    return true;
  }
  template <class J>
  static job_entry entry() {
    job_entry e;
    if constexpr (require_job<J>()) {
      e.name = J::name;
      e.signature = signature_of<J>();
      e.schema = schema_hash(e.signature);
      e.effect_class = J::effect_class;
      if constexpr (job_traits<J>::call::awaits)
        e.run = &detail::run_job<J>;
      else
        e.call = &detail::call_job<J>;
      if constexpr (!detail::function_like<J>) {
        e.has_object = true;
        e.make = [](worker_context& context) -> std::unique_ptr<detail::job_object> {
          return std::make_unique<detail::job_object_of<J>>(context);
        };
      }
    }
    return e;
  }
};

DTASK_END
