// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "dtask/base/bytes.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/payload.hpp"
#include "dtask/sim/random_source.hpp"
#include "dtask/wire/message.hpp"

namespace harness {

using namespace dtask;
using namespace dtask::sim;

/// What a simulated job does when a worker runs it.
enum class behaviour : std::uint8_t {
  answer,         ///< returns a value after its time
  fail,           ///< throws
  fail_at_first,  ///< throws in its first `times` executions, then answers
  ignore_stop,    ///< answers after its time, whoever asks it to stop
  kill_worker,    ///< ends the process in which it runs
  kill_at_first,  ///< does so in its first `times` executions, then answers
  cannot_encode,  ///< its result cannot be encoded
};

/// A simulated job as it travels: its argument. Byte contents are slices of one fixed block, so that both ends can
/// check them.
struct virtual_job {
  std::uint64_t id = 0;
  behaviour does = behaviour::answer;
  std::uint32_t times = 0;
  duration runs = std::chrono::milliseconds(1);
  std::uint64_t argument_bytes = 0;  ///< in a blob beside the body
  std::uint64_t result_bytes = 0;
  std::uint32_t fetches = 0;  ///< position in `value_names` of a value that it needs before it can end, plus one

  friend bool operator==(const virtual_job&, const virtual_job&) = default;
};

/// The result of one execution.
struct virtual_result {
  std::uint64_t id = 0;         ///< of the job
  std::uint64_t execution = 0;  ///< of the simulation's own count
};

/// Under these names clients broadcast and publish.
inline constexpr const char* value_names[] = {"weights", "table", "shard-a", "shard-b"};

/// The most bytes of an argument, result or broadcast.
inline constexpr std::size_t most_content = std::size_t{72} << 20;

/// `size` bytes that depend on `seed`, as a slice of one block for the whole process.
inline bytes content(std::uint64_t seed, std::size_t size) {
  static const bytes block = [] {
    std::vector<std::uint64_t> words((std::size_t{1} << 20) / 8);
    random_source source(1);
    for (std::uint64_t& w : words) w = source.next();
    mutable_bytes all(most_content + (std::size_t{1} << 16));
    for (std::size_t at = 0; at < all.size(); at += words.size() * 8)
      std::memcpy(all.data() + at, words.data(), std::min(words.size() * 8, all.size() - at));
    return std::move(all).freeze();
  }();
  return block.slice(static_cast<std::size_t>(seed % 8191) * 8, size);
}

namespace detail {
template <class T>
bytes as_body(const T& value, std::size_t padding) {
  std::vector<std::byte> body(sizeof(T) + padding);
  std::memcpy(body.data(), &value, sizeof(T));
  return bytes::from(std::move(body));
}
template <class T>
std::optional<T> from_body(const payload& from) {
  if (from.body.size() < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(static_cast<void*>(&value), from.body.data(), sizeof(T));
  return value;
}
/// A large content travels as one blob, one of odd size as two.
inline void add_content(payload& to, std::uint64_t seed, std::uint64_t size) {
  if (size == 0) return;
  const bytes all = content(seed, static_cast<std::size_t>(size));
  const std::size_t first = size % 2 == 0 ? all.size() : all.size() / 3;
  to.blobs.push_back(all.slice(0, first));
  if (first != all.size()) to.blobs.push_back(all.slice(first));
}
inline bool has_content(const payload& from, std::uint64_t seed, std::uint64_t size) {
  payload expected;
  add_content(expected, seed, size);
  return from.blobs == expected.blobs;
}
}  // namespace detail

inline payload encode(const virtual_job& job) {
  payload out;
  out.body = detail::as_body(job, static_cast<std::size_t>(job.id % 97));
  detail::add_content(out, job.id, job.argument_bytes);
  return out;
}
/// The job, or nothing where a byte is not as it was encoded.
inline std::optional<virtual_job> decode_job(const payload& from) {
  auto job = detail::from_body<virtual_job>(from);
  if (!job || !detail::has_content(from, job->id, job->argument_bytes)) return std::nullopt;
  return job;
}
inline payload encode(const virtual_result& result, std::uint64_t size) {
  payload out;
  out.body = detail::as_body(result, static_cast<std::size_t>(result.execution % 31));
  detail::add_content(out, result.id, size);
  return out;
}
inline std::optional<virtual_result> decode_result(const payload& from, std::uint64_t size) {
  auto result = detail::from_body<virtual_result>(from);
  if (!result || !detail::has_content(from, result->id, size)) return std::nullopt;
  return result;
}

/// A value to broadcast: `number` is the simulation's own.
inline bytes broadcast_value(std::uint64_t number, std::size_t size) {
  mutable_bytes out(size + sizeof(number));
  std::memcpy(out.data(), &number, sizeof(number));
  const bytes rest = content(number, size);
  if (size != 0) std::memcpy(out.data() + sizeof(number), rest.data(), size);
  return std::move(out).freeze();
}
/// The number in such a value, or 0 where a byte is wrong.
inline std::uint64_t broadcast_number(const bytes& value) {
  std::uint64_t number = 0;
  if (value.size() < sizeof(number)) return 0;
  std::memcpy(&number, value.data(), sizeof(number));
  return value.slice(sizeof(number)) == content(number, value.size() - sizeof(number)) ? number : 0;
}

/// The content hash of the simulation: two rounds of FNV-1a over words. It has to find mistakes, not attackers.
inline wire::digest digest_of(std::span<const std::span<const std::byte>> runs) {
  wire::digest out{0xcbf29ce484222325u, 0x84222325cbf29ce4u};
  std::uint64_t word = 0;
  unsigned filled = 0;
  const auto mix = [&](std::uint64_t w) {
    out[0] = (out[0] ^ w) * 0x100000001b3u;
    out[1] = (out[1] + w) * 0x9e3779b97f4a7c15u;
    out[1] ^= out[1] >> 32;
  };
  std::uint64_t total = 0;
  for (const std::span<const std::byte> run : runs) {
    total += run.size();
    const std::byte* at = run.data();
    std::size_t left = run.size();
    while (left != 0) {
      if (filled == 0 && left >= 8) {
        std::memcpy(&word, at, 8);
        mix(word);
        at += 8;
        left -= 8;
        continue;
      }
      word = filled == 0 ? static_cast<std::uint64_t>(*at) : word | static_cast<std::uint64_t>(*at) << (8 * filled);
      ++at;
      --left;
      if (++filled == 8) {
        mix(word);
        filled = 0;
      }
    }
  }
  if (filled != 0) mix(word);
  mix(total);
  return out;
}

}  // namespace harness
