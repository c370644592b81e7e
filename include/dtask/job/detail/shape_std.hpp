// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "dtask/base/block_pool.hpp"
#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/huge_pages.hpp"
#include "dtask/job/detail/shape.hpp"
#include "dtask/job/detail/shape_parts.hpp"

DTASK_BEGIN
namespace detail {

template <class T>
concept block_copied = plain_number<T> && !std::is_same_v<T, bool>;

/// From this size on malloc maps fresh pages for every block, and gives them back when it is freed.
inline constexpr std::size_t always_fresh = std::size_t{32} << 20;

/// The elements of a string or a vector as a block for the wire. Given away it is moved there as it is, unless it has a
/// capacity that would be kept for nothing, or an allocator: what that draws on may be gone before the block.
template <class V>
bytes lend_elements(V&& value) {
  using C = std::remove_cvref_t<V>;
  using T = typename C::value_type;
  const std::size_t size = value.size() * sizeof(T);
  if constexpr (given_away<V> && std::is_same_v<typename C::allocator_type, std::allocator<T>>) {
    if (value.capacity() / 2 <= value.size()) {
      auto owner = std::make_shared<const C>(std::forward<V>(value));
      const auto* at = reinterpret_cast<const std::byte*>(owner->data());
      return bytes(std::move(owner), at, size);
    }
  }
  mutable_bytes block(size);
  std::memcpy(block.data(), value.data(), size);
  return std::move(block).freeze();
}

/// Fills a string or a vector of numbers with what was received: one copy, nothing is zeroed first.
template <class C>
void assign_elements(C& value, std::span<const std::byte> from) {
  using T = typename C::value_type;
  const std::size_t n = from.size() / sizeof(T);
  if (n == 0) return value.clear();
  if (from.size() >= always_fresh && value.capacity() < n) {
    value.clear();
    value.reserve(n);
    advise_huge_pages(value.data(), from.size());
  }
  if (reinterpret_cast<std::uintptr_t>(from.data()) % alignof(T) == 0) {
    const auto* first = reinterpret_cast<const T*>(from.data());
    value.assign(first, first + n);
  } else {
    value.resize(n);
    std::memcpy(value.data(), from.data(), from.size());
  }
}

template <class C, class Tr, class A>
  requires block_copied<C>
struct shape<std::basic_string<C, Tr, A>> : shape_base {
  static constexpr std::size_t least = 8;
  /// Short strings live in the object.
  static constexpr std::uint64_t heap(std::uint64_t n) { return (n + 1) * sizeof(C) <= 16 ? 0 : (n + 1) * sizeof(C); }
  template <class V>
  static void write(encoder& to, V&& value) {
    const std::uint64_t n = value.size();
    if (to.elements(n, n * sizeof(C), [&] { return lend_elements(std::forward<V>(value)); })) return;
    to.charge(heap(n));
    to.put(n);
    to.put(value.data(), value.size() * sizeof(C));
  }
  static void read(decoder& from, std::basic_string<C, Tr, A>& value) {
    assign_elements(value, from.elements(sizeof(C), heap));
  }
  static void describe(schema_writer& to) {
    if constexpr (std::is_same_v<C, char>) {
      to.word("string");
    } else {
      to.word("string<");
      to.word(number_word<C>());
      to.word(">");
    }
  }
};

template <class T, class A>
struct shape<std::vector<T, A>> : shape_base {
  using parts = type_list<T>;
  static constexpr std::size_t least = 8;
  static constexpr std::uint64_t heap(std::uint64_t n) { return n * sizeof(T); }
  template <class V>
  static void write(encoder& to, V&& value) {
    const std::uint64_t n = value.size();
    if constexpr (block_copied<T>)
      if (to.elements(n, n * sizeof(T), [&] { return lend_elements(std::forward<V>(value)); })) return;
    to.charge(heap(n));
    to.put(n);
    if constexpr (block_copied<T>) {
      to.put(value.data(), value.size() * sizeof(T));
    } else {
      to.enter();
      for (auto&& element : value) write_element<T>(to, part_of<V>(element));
      to.leave();
    }
  }
  static void read(decoder& from, std::vector<T, A>& value) {
    value.clear();
    if constexpr (block_copied<T>) {
      assign_elements(value, from.elements(sizeof(T), heap));
    } else {
      const std::size_t n = from.count(1, sizeof(T));
      value.reserve(n);
      from.enter();
      for (std::size_t i = 0; i < n; ++i) {
        if constexpr (std::is_same_v<T, bool>) {
          value.push_back(from.get<bool>());
        } else {
          read_element(from, value.emplace_back());
        }
      }
      from.leave();
    }
  }
  static void describe(schema_writer& to) { describe_parts<std::vector<T, A>>(to, "vector<", ">"); }
};

/// Containers that grow element by element. `node`: heap bytes per element beyond the element, `fixed`: heap bytes of
/// the container itself.
template <class C, class T, std::size_t Node, std::size_t Fixed>
struct shape_sequence : shape_base {
  using parts = type_list<T>;
  static constexpr std::size_t least = 8;
  template <class V>
  static void write(encoder& to, V&& value) {
    to.charge(Fixed + value.size() * (sizeof(T) + Node));
    to.put(static_cast<std::uint64_t>(value.size()));
    to.enter();
    for (auto& element : value) write_element<T>(to, part_of<V>(element));
    to.leave();
  }
  static void read(decoder& from, C& value) {
    value.clear();
    from.charge(Fixed);
    const std::size_t n = from.count(1, sizeof(T) + Node);
    from.enter();
    for (std::size_t i = 0; i < n; ++i) read_element(from, value.emplace_back());
    from.leave();
  }
};
template <class T, class A>
struct shape<std::deque<T, A>> : shape_sequence<std::deque<T, A>, T, 8, 1280> {
  static void describe(schema_writer& to) { describe_parts<std::deque<T, A>>(to, "deque<", ">"); }
};
template <class T, class A>
struct shape<std::list<T, A>> : shape_sequence<std::list<T, A>, T, 24, 0> {
  static void describe(schema_writer& to) { describe_parts<std::list<T, A>>(to, "list<", ">"); }
};

/// Sets and maps: keys are read apart and inserted; a repeated key where the container holds one of each is a broken
/// value. Hashed ones have words of their own: they cost other memory than ordered ones, so a value that one side takes
/// could be too much for a peer with the other kind.
template <class C, class Key, class Mapped, bool Unique, bool Hashed>
struct shape_associative : shape_base {
  using parts = std::conditional_t<std::is_void_v<Mapped>, type_list<Key>, type_list<Key, Mapped>>;
  static constexpr std::size_t least = 8;
  static constexpr std::size_t node = sizeof(typename C::value_type) + 40;
  template <class V>
  static void write(encoder& to, V&& value) {
    to.charge((Hashed ? 256 : 0) + value.size() * node);
    to.put(static_cast<std::uint64_t>(value.size()));
    to.enter();
    for (auto& element : value) {
      if constexpr (std::is_void_v<Mapped>) {
        write_element<Key>(to, element);
      } else {
        write_element<Key>(to, element.first);
        shape<Mapped>::write(to, part_of<V>(element.second));
      }
    }
    to.leave();
  }
  static void read(decoder& from, C& value) {
    value.clear();
    if constexpr (Hashed) from.charge(256);
    const std::size_t n = from.count(1, node);
    if constexpr (Hashed) value.reserve(n);
    from.enter();
    for (std::size_t i = 0; i < n; ++i) {
      Key key{};
      read_element(from, key);
      if constexpr (std::is_void_v<Mapped>) {
        value.insert(std::move(key));
      } else {
        std::remove_const_t<Mapped> mapped{};
        shape<Mapped>::read(from, mapped);
        value.emplace(std::move(key), std::move(mapped));
      }
      if constexpr (Unique)
        if (value.size() != i + 1) from.fail("a repeated key");
    }
    from.leave();
  }
};
template <class K, class C, class A>
struct shape<std::set<K, C, A>> : shape_associative<std::set<K, C, A>, K, void, true, false> {
  static void describe(schema_writer& to) { describe_parts<std::set<K, C, A>>(to, "set<", ">"); }
};
template <class K, class C, class A>
struct shape<std::multiset<K, C, A>> : shape_associative<std::multiset<K, C, A>, K, void, false, false> {
  static void describe(schema_writer& to) { describe_parts<std::multiset<K, C, A>>(to, "multiset<", ">"); }
};
template <class K, class H, class E, class A>
struct shape<std::unordered_set<K, H, E, A>> : shape_associative<std::unordered_set<K, H, E, A>, K, void, true, true> {
  static void describe(schema_writer& to) { describe_parts<std::unordered_set<K, H, E, A>>(to, "unordered_set<", ">"); }
};
template <class K, class V, class C, class A>
struct shape<std::map<K, V, C, A>> : shape_associative<std::map<K, V, C, A>, K, V, true, false> {
  static void describe(schema_writer& to) { describe_parts<std::map<K, V, C, A>>(to, "map<", ">"); }
};
template <class K, class V, class C, class A>
struct shape<std::multimap<K, V, C, A>> : shape_associative<std::multimap<K, V, C, A>, K, V, false, false> {
  static void describe(schema_writer& to) { describe_parts<std::multimap<K, V, C, A>>(to, "multimap<", ">"); }
};
template <class K, class V, class H, class E, class A>
struct shape<std::unordered_map<K, V, H, E, A>>
    : shape_associative<std::unordered_map<K, V, H, E, A>, K, V, true, true> {
  static void describe(schema_writer& to) {
    describe_parts<std::unordered_map<K, V, H, E, A>>(to, "unordered_map<", ">");
  }
};

template <class T, std::size_t N>
struct shape<std::array<T, N>> : shape_base {
  using parts = type_list<T>;
  static constexpr std::size_t least = 1;
  template <class V>
  static void write(encoder& to, V&& value) {
    if constexpr (block_copied<T>) {
      to.put(value.data(), sizeof(T) * N);
    } else {
      for (auto& element : value) shape<T>::write(to, part_of<V>(element));
    }
  }
  static void read(decoder& from, std::array<T, N>& value) {
    if constexpr (block_copied<T>) {
      from.get(value.data(), sizeof(T) * N);
    } else {
      for (T& element : value) shape<T>::read(from, element);
    }
  }
  static void describe(schema_writer& to) {
    describe_parts<std::array<T, N>>(to, "array<", ", ");
    to.word(std::to_string(N));
    to.word(">");
  }
};

}  // namespace detail
DTASK_END
