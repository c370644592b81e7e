// SPDX-License-Identifier: BSL-1.0
#pragma once
#include "dtask/base/config.hpp"

#ifndef __cpp_rtti
#error "dtask: jobs need RTTI, since cereal does: without -fno-rtti; base, task and runtime do without it"
#endif
#if defined(CEREAL_CEREAL_HPP_)
#if !defined(CEREAL_THREAD_SAFE) || CEREAL_THREAD_SAFE != 1
#error \
    "dtask: cereal was included before dtask without CEREAL_THREAD_SAFE=1; include dtask first, or define it everywhere"
#endif
#elif !defined(CEREAL_THREAD_SAFE)
#define CEREAL_THREAD_SAFE 1
#elif CEREAL_THREAD_SAFE != 1
#error "dtask: jobs are encoded on several threads: define CEREAL_THREAD_SAFE=1 for the whole program"
#endif
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#endif
#include <cereal/cereal.hpp>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include "dtask/job/detail/shape.hpp"

DTASK_BEGIN
namespace detail {

template <class T>
void write_any(encoder& to, const T& value);
template <class T>
void read_any(decoder& from, T& value);
template <class T>
void describe_any(schema_writer& to);

/// Heap bytes that an element behind a SizeTag of `T` is taken to cost: of a container by its `value_type`. Of another
/// type nothing is known. Where its elements take more than 64 bytes, decoding may take more than 4 x frame + 64 KiB:
/// its author names the container itself, gives it a `value_type`, or specialises `codec<T>`, which charges what it
/// allocates.
template <class T>
consteval std::size_t element_charge() {
  std::size_t charge = 64;
  if constexpr (requires { sizeof(typename T::value_type); }) {
    const std::size_t node = sizeof(typename T::value_type) + 48;
    if (node > charge) charge = node;
  }
  return charge;
}

/// cereal's archives as faces of encoder, decoder and schema_writer: what a type with a cereal `serialize`, `save` or
/// `load` meets. Every value that such a function names comes back to the shapes, so that cereal's own loaders, which
/// trust sizes, never see a container that the shapes know.
class cereal_writer : public cereal::OutputArchive<cereal_writer, cereal::AllowEmptyClassElision> {
 public:
  explicit cereal_writer(encoder& to) : OutputArchive(this), to_(to) {}

  template <class... Ts>
  cereal_writer& operator()(Ts&&... values) {
    (one(values), ...);
    return *this;
  }
  template <class T>
  cereal_writer& operator&(T&& value) {
    return (*this)(value);
  }
  template <class T>
  cereal_writer& operator<<(T&& value) {
    return (*this)(value);
  }
  /// Runs the type's own function.
  template <class T>
  void own(const T& value) {
    const std::size_t outer = std::exchange(element_, element_charge<T>());
    OutputArchive::operator()(value);
    element_ = outer;
  }

 private:
  template <class T>
  void one(const T& value) {
    write_any(to_, value);
  }
  template <class T>
  void one(const cereal::NameValuePair<T>& pair) {
    one(pair.value);
  }
  template <class T>
  void one(const cereal::SizeTag<T>& tag) {
    to_.charge(static_cast<std::uint64_t>(tag.size) * element_);
    to_.put(static_cast<std::uint64_t>(tag.size));
  }
  template <class T>
  void one(const cereal::BinaryData<T>& data) {
    to_.put(data.data, static_cast<std::size_t>(data.size));
  }
  template <class T>
  void one(const cereal::base_class<T>& base) {
    write_any(to_, *base.base_ptr);
  }
  template <class T>
  void one(const cereal::virtual_base_class<T>& base) {
    write_any(to_, *base.base_ptr);
  }
  encoder& to_;
  std::size_t element_ = 64;
};

class cereal_reader : public cereal::InputArchive<cereal_reader, cereal::AllowEmptyClassElision> {
 public:
  explicit cereal_reader(decoder& from) : InputArchive(this), from_(from) {}

  template <class... Ts>
  cereal_reader& operator()(Ts&&... values) {
    (one(values), ...);
    return *this;
  }
  template <class T>
  cereal_reader& operator&(T&& value) {
    return (*this)(value);
  }
  template <class T>
  cereal_reader& operator>>(T&& value) {
    return (*this)(value);
  }
  template <class T>
  void own(T& value) {
    const std::size_t outer = std::exchange(element_, element_charge<T>());
    InputArchive::operator()(value);
    element_ = outer;
  }

 private:
  template <class T>
  void one(T& value) {
    read_any(from_, value);
  }
  template <class T>
  void one(cereal::NameValuePair<T>& pair) {
    one(pair.value);
  }
  template <class T>
  void one(cereal::SizeTag<T>& tag) {
    tag.size = static_cast<std::decay_t<decltype(tag.size)>>(from_.count(1, element_));
  }
  template <class T>
  void one(cereal::BinaryData<T>& data) {
    from_.get(data.data, static_cast<std::size_t>(data.size));
  }
  template <class T>
  void one(cereal::base_class<T>& base) {
    read_any(from_, *base.base_ptr);
  }
  template <class T>
  void one(cereal::virtual_base_class<T>& base) {
    read_any(from_, *base.base_ptr);
  }
  decoder& from_;
  std::size_t element_ = 64;
};

/// Visits the fields that a type's own function names, on a default-constructed value, and writes down their types.
class cereal_recorder : public cereal::OutputArchive<cereal_recorder, cereal::AllowEmptyClassElision> {
 public:
  explicit cereal_recorder(schema_writer& to) : OutputArchive(this), to_(to) {}

  template <class... Ts>
  cereal_recorder& operator()(Ts&&... values) {
    (one(values), ...);
    return *this;
  }
  template <class T>
  cereal_recorder& operator&(T&& value) {
    return (*this)(value);
  }
  template <class T>
  cereal_recorder& operator<<(T&& value) {
    return (*this)(value);
  }
  template <class T>
  void own(const T& value) {
    OutputArchive::operator()(value);
  }

 private:
  void next(std::string_view word = {}) {
    if (std::exchange(any_, true)) to_.word(", ");
    to_.word(word);
  }
  template <class T>
  void one(const T&) {
    next();
    describe_any<T>(to_);
  }
  template <class T>
  void one(const cereal::NameValuePair<T>& pair) {
    one(pair.value);
  }
  template <class T>
  void one(const cereal::SizeTag<T>&) {
    next("count");
  }
  template <class T>
  void one(const cereal::BinaryData<T>&) {
    next("raw");
  }
  template <class T>
  void one(const cereal::base_class<T>&) {
    next();
    describe_any<T>(to_);
  }
  template <class T>
  void one(const cereal::virtual_base_class<T>&) {
    next();
    describe_any<T>(to_);
  }
  schema_writer& to_;
  bool any_ = false;
};

// What cereal itself writes on behalf of a type (class versions, save_minimal) reaches the archives as free functions.
template <class T>
  requires(std::is_arithmetic_v<T>)
void CEREAL_SAVE_FUNCTION_NAME(cereal_writer& to, const T& value) {
  to(value);
}
template <class T>
  requires(std::is_arithmetic_v<T>)
void CEREAL_LOAD_FUNCTION_NAME(cereal_reader& from, T& value) {
  from(value);
}
template <class T>
  requires(std::is_arithmetic_v<T>)
void CEREAL_SAVE_FUNCTION_NAME(cereal_recorder& to, const T& value) {
  to(value);
}
inline void CEREAL_SAVE_FUNCTION_NAME(cereal_writer& to, const std::string& value) { to(value); }
inline void CEREAL_LOAD_FUNCTION_NAME(cereal_reader& from, std::string& value) { from(value); }
inline void CEREAL_SAVE_FUNCTION_NAME(cereal_recorder& to, const std::string& value) { to(value); }
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_writer& to, const cereal::NameValuePair<T>& value) {
  to(value);
}
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_reader& from, cereal::NameValuePair<T>& value) {
  from(value);
}
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_recorder& to, const cereal::NameValuePair<T>& value) {
  to(value);
}
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_writer& to, const cereal::SizeTag<T>& value) {
  to(value);
}
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_reader& from, cereal::SizeTag<T>& value) {
  from(value);
}
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_recorder& to, const cereal::SizeTag<T>& value) {
  to(value);
}
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_writer& to, const cereal::BinaryData<T>& value) {
  to(value);
}
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_reader& from, cereal::BinaryData<T>& value) {
  from(value);
}
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_recorder& to, const cereal::BinaryData<T>& value) {
  to(value);
}

/// Whether a type says itself, in cereal's ways, how it is written and read.
template <class T>
concept cereal_type = std::is_class_v<T> && cereal::traits::is_output_serializable<T, cereal_writer>::value &&
                      cereal::traits::is_input_serializable<T, cereal_reader>::value;

}  // namespace detail
DTASK_END

CEREAL_SETUP_ARCHIVE_TRAITS(dtask::detail::cereal_reader, dtask::detail::cereal_writer)
