// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <array>
#include <boost/pfr/core.hpp>
#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "dtask/wire.hpp"

// Messages with every field filled at random, and their comparison field by field. Both go through Boost.PFR, so a
// field that the codec forgot is found.
namespace test {

using dtask::bytes;
namespace wire = dtask::wire;

class filler {
 public:
  explicit filler(std::uint64_t seed) : random_(seed) {}

  std::uint64_t below(std::uint64_t n) { return std::uniform_int_distribution<std::uint64_t>(0, n - 1)(random_); }
  bytes block(std::size_t size) {
    dtask::mutable_bytes out(size);
    for (std::size_t i = 0; i < size; ++i) out.data()[i] = static_cast<std::byte>(random_());
    return std::move(out).freeze();
  }
  /// A message of the given position in the variant.
  wire::message message(std::size_t index) {
    wire::message out;
    out.emplace_index(index);
    out.visit([this](auto& m) { fill(m); });
    return out;
  }

  void fill(bool& x) { x = below(2) == 1; }
  template <class T>
    requires std::is_integral_v<T>
  void fill(T& x) {
    x = static_cast<T>(random_());
  }
  void fill(dtask::duration& x) { x = dtask::duration(static_cast<std::int64_t>(random_() >> 1)); }
  void fill(std::string& x) {
    x.resize(1 + below(40));
    for (char& c : x) c = static_cast<char>(random_());
  }
  void fill(dtask::errc& x) { x = static_cast<dtask::errc>(below(60)); }
  void fill(dtask::effect& x) { x = static_cast<dtask::effect>(below(3)); }
  void fill(dtask::blob_kind& x) { x = static_cast<dtask::blob_kind>(below(4)); }
  void fill(wire::role& x) { x = static_cast<wire::role>(below(3)); }
  void fill(wire::job_state& x) { x = static_cast<wire::job_state>(below(5)); }
  void fill(bytes& x) { x = block(below(4) == 0 ? 16384 + below(40000) : 1 + below(300)); }
  void fill(wire::limits& x) {
    x = {};
    x.frame_body += static_cast<std::uint32_t>(below(1000));
    x.frame_blobs += static_cast<std::uint32_t>(below(1000));
    x.blobs += static_cast<std::uint32_t>(below(1000));
    x.payload += below(1000);
    x.transfers += static_cast<std::uint32_t>(below(1000));
    x.jobs += static_cast<std::uint32_t>(below(1000));
  }
  void fill(wire::carried& x) {
    if (below(3) == 0) {
      x.transfer = 1 + below(1000);
      x.lengths.resize(1 + below(5));
      for (auto& l : x.lengths) l = below(1u << 30);
      return;
    }
    if (below(4) == 0) return;  // nothing
    if (below(4) != 0) fill(x.whole.body);
    x.whole.blobs.resize(below(5));
    for (bytes& b : x.whole.blobs)
      if (below(5) != 0) fill(b);
  }
  template <class T>
  void fill(std::vector<T>& x) {
    x.resize(below(6));
    for (T& e : x) fill(e);
  }
  template <class T, std::size_t N>
  void fill(std::array<T, N>& x) {
    for (T& e : x) fill(e);
  }
  template <class T>
    requires std::is_aggregate_v<T>
  void fill(T& x) {
    boost::pfr::for_each_field(x, [this](auto& field) { this->fill(field); });
  }

 private:
  std::mt19937_64 random_;
};

template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;

template <class T>
bool same(const T& a, const T& b) {
  if constexpr (std::is_same_v<T, wire::message>) {
    if (a.index() != b.index()) return false;
    bool equal = false;
    a.visit([&](const auto& x) { equal = same(x, *b.template get_if<std::remove_cvref_t<decltype(x)>>()); });
    return equal;
  } else if constexpr (is_vector<T>) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
      if (!same(a[i], b[i])) return false;
    return true;
  } else if constexpr (requires { a == b; }) {
    return a == b;
  } else {
    bool all = true;
    boost::pfr::for_each_field(a, [&](const auto& field, auto index) {
      all = all && same(field, boost::pfr::get<decltype(index)::value>(b));
    });
    return all;
  }
}

inline std::vector<std::byte> encode(wire::message m, const wire::limits& agreed = {}) {
  wire::outbox out;
  if (dtask::error bad = out.push(std::move(m), agreed)) throw bad;
  return out.take_all();
}

}  // namespace test
