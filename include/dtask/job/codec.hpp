// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/payload.hpp"
#include "dtask/job/decoder.hpp"
#include "dtask/job/detail/shape.hpp"
#include "dtask/job/detail/shape_class.hpp"
#include "dtask/job/detail/shape_std.hpp"
#include "dtask/job/encoder.hpp"
#include "dtask/job/schema_writer.hpp"
#include "dtask/job/travels.hpp"

DTASK_BEGIN

/// Encodes one value. Errors: throws `error` (`too_large`, `encode_failed`) and what a user's own `serialize` throws.
template <class T>
payload encode(const T& value, const codec_limits& limits = {}) {
  if constexpr (require_travels<T>()) {
    encoder to(limits);
    detail::shape<T>::write(to, value);
    return std::move(to).finish();
  } else {
    return {};
  }
}

/// The same of a value that is given away: large strings and vectors of numbers in it are moved into the payload, not
/// copied.
template <class T>
  requires detail::given_away<T>
payload encode(T&& value, const codec_limits& limits = {}) {
  if constexpr (require_travels<T>()) {
    encoder to(limits);
    detail::shape<T>::write(to, std::forward<T>(value));
    return std::move(to).finish();
  } else {
    return {};
  }
}

/// Decodes one value from bytes that need not be trusted. Errors: throws `error` (`decode_failed`) and what a user's
/// own `serialize` throws.
template <class T>
T decode(const payload& from, const codec_limits& limits = {}) {
  T value{};
  if constexpr (require_travels<T>()) {
    decoder in(from, limits);
    detail::shape<T>::read(in, value);
    in.finish();
  }
  return value;
}

/// The shape of a type in words: `{string, bytes}`, `vector<f32>`.
template <class T>
std::string describe() {
  schema_writer to;
  if constexpr (require_travels<T>()) detail::shape<T>::describe(to);
  return std::move(to).take();
}

DTASK_END
