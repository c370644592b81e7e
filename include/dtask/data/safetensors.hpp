// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dtask/base/bytes.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/result.hpp"
#include "dtask/data/detail/json_reader.hpp"

DTASK_BEGIN

/// One named array of a safetensors file.
struct safetensor {
  std::string name;                 ///< unlike all others of the file, and not `__metadata__`
  std::string dtype;                ///< as the format spells it: F32, F16, BF16, I64, U8, BOOL ...
  std::vector<std::int64_t> shape;  ///< elements per dimension, row-major; empty for a scalar
  bytes data;                       ///< little endian; a slice of the file it was read from
};

/// The contents of a safetensors file: text metadata and named arrays (https://github.com/huggingface/safetensors,
/// format description).
struct safetensors {
  std::map<std::string, std::string> metadata;  ///< the header's `__metadata__`
  std::vector<safetensor> tensors;              ///< in the order of their data

  /// The array of that name, or nullptr.
  const safetensor* find(std::string_view name) const noexcept {
    const auto at =
        std::find_if(tensors.begin(), tensors.end(), [name](const safetensor& t) { return t.name == name; });
    return at == tensors.end() ? nullptr : &*at;
  }
  /// The metadata value of that key, or `otherwise`.
  std::string_view meta(const std::string& key, std::string_view otherwise = {}) const noexcept {
    const auto at = metadata.find(key);
    return at == metadata.end() ? otherwise : std::string_view(at->second);
  }
};

/// Bytes per element of a dtype as safetensors spells it; 0 for a name that is not known.
constexpr std::size_t safetensors_element_size(std::string_view dtype) noexcept {
  if (dtype == "BOOL" || dtype == "U8" || dtype == "I8" || dtype == "F8_E4M3" || dtype == "F8_E5M2") return 1;
  if (dtype == "I16" || dtype == "U16" || dtype == "F16" || dtype == "BF16") return 2;
  if (dtype == "I32" || dtype == "U32" || dtype == "F32") return 4;
  if (dtype == "I64" || dtype == "U64" || dtype == "F64") return 8;
  return 0;
}

namespace detail {
inline constexpr std::uint64_t safetensors_header_limit = std::uint64_t{16} << 20;
inline constexpr std::size_t safetensors_rank_limit = 16;

inline error bad_safetensors(std::string why) {
  return error(errc::bad_data, "safetensors: " + std::move(why), {}, "check the file");
}

struct safetensors_range {
  std::uint64_t begin = 0, end = 0;
};

/// One entry of the header after its name; empty text when it is right, else what is wrong.
inline std::string read_safetensor_entry(json_reader& json, safetensor& tensor, safetensors_range& range) {
  bool has_dtype = false, has_shape = false, has_offsets = false, repeated = false;
  json.members('{', '}', [&] {
    const std::string key = json.string();
    json.expect(':');
    if (key == "dtype") {
      repeated |= std::exchange(has_dtype, true);
      tensor.dtype = json.string();
    } else if (key == "shape") {
      repeated |= std::exchange(has_shape, true);
      json.members('[', ']', [&] {
        const std::uint64_t n = json.number();
        // One over the limit is kept, so that the check below sees it.
        if (tensor.shape.size() <= safetensors_rank_limit)
          tensor.shape.push_back(static_cast<std::int64_t>(std::min<std::uint64_t>(n, INT64_MAX)));
      });
    } else if (key == "data_offsets") {
      repeated |= std::exchange(has_offsets, true);
      json.expect('[');
      range.begin = json.number();
      json.expect(',');
      range.end = json.number();
      json.expect(']');
    } else {
      repeated = true;
    }
  });
  if (json.failed() || repeated || !has_dtype || !has_shape || !has_offsets) return "the header is not valid";
  const std::size_t element = safetensors_element_size(tensor.dtype);
  if (element == 0) return "unknown dtype";
  if (tensor.shape.size() > safetensors_rank_limit) return "more than 16 dimensions";
  std::uint64_t size = element;
  for (const std::int64_t n : tensor.shape) {
    if (n != 0 && size > UINT64_MAX / static_cast<std::uint64_t>(n)) return "a shape that overflows";
    size *= static_cast<std::uint64_t>(n);
  }
  if (range.end < range.begin || range.end - range.begin != size) return "shape and data_offsets disagree";
  return {};
}

inline void append_json_string(std::string& out, std::string_view text) {
  static constexpr char digits[] = "0123456789abcdef";
  out.push_back('"');
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out.append(1, '\\').push_back(c);
    else if (u < 0x20)
      out.append("\\u00").append(1, digits[u >> 4]).push_back(digits[u & 15]);
    else
      out.push_back(c);
  }
  out.push_back('"');
}
}  // namespace detail

/// Reads a safetensors file that is in memory. The arrays are slices of `file` and share its ownership: nothing is
/// copied.
///
/// Result: the contents, or `errc::bad_data` with the reason: a header over 16 MiB or longer than the file, JSON that
/// is not what the format says, an unknown dtype, names that appear twice, data ranges that overlap, leave holes, lie
/// outside the file or disagree with the shape. Nothing of the file is executed. Allocates at most 16 times the size of
/// the header.
/// Thread-safe.
inline result<safetensors> read_safetensors(const bytes& file) {
  using detail::bad_safetensors;
  if (file.size() < 10) return bad_safetensors("the file ends before its header");
  std::uint64_t header = 0;
  for (std::size_t i = 0; i < 8; ++i) header |= std::to_integer<std::uint64_t>(file[i]) << (8 * i);
  if (header > file.size() - 8) return bad_safetensors("the header is longer than the file");
  if (header > detail::safetensors_header_limit) return bad_safetensors("the header is over the limit of 16 MiB");
  const bytes data = file.slice(8 + static_cast<std::size_t>(header));

  safetensors out;
  std::vector<detail::safetensors_range> ranges;
  std::string wrong;
  bool has_metadata = false;
  detail::json_reader json(file.view().substr(8, static_cast<std::size_t>(header)));
  json.members('{', '}', [&] {
    std::string name = json.string();
    json.expect(':');
    if (name == "__metadata__") {
      if (std::exchange(has_metadata, true)) wrong = "two __metadata__ entries";
      json.members('{', '}', [&] {
        std::string key = json.string();
        json.expect(':');
        if (!out.metadata.emplace(std::move(key), json.string()).second) wrong = "a metadata key appears twice";
      });
      return;
    }
    safetensor tensor;
    detail::safetensors_range range;
    const std::string why = detail::read_safetensor_entry(json, tensor, range);
    if (!why.empty()) {
      wrong = why + " (" + name.substr(0, 64) + ")";
      return json.refuse();
    }
    tensor.name = std::move(name);
    out.tensors.push_back(std::move(tensor));
    ranges.push_back(range);
  });
  if (!wrong.empty()) return bad_safetensors(std::move(wrong));
  if (json.failed() || !json.at_end()) return bad_safetensors("the header is not valid JSON");

  std::vector<std::size_t> order(ranges.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(ranges[a].begin, ranges[a].end) < std::pair(ranges[b].begin, ranges[b].end);
  });
  std::uint64_t at = 0;
  std::vector<safetensor> sorted;
  sorted.reserve(order.size());
  for (const std::size_t i : order) {
    if (ranges[i].begin != at)
      return bad_safetensors(ranges[i].begin < at ? "data ranges overlap" : "a hole in the data");
    at = ranges[i].end;
    if (at > data.size()) return bad_safetensors("the data ends early: the file is truncated");
    out.tensors[i].data =
        data.slice(static_cast<std::size_t>(ranges[i].begin), static_cast<std::size_t>(at - ranges[i].begin));
    sorted.push_back(std::move(out.tensors[i]));
  }
  if (at != data.size()) return bad_safetensors("bytes after the last tensor");
  out.tensors = std::move(sorted);

  std::vector<std::string_view> names;
  names.reserve(out.tensors.size());
  for (const safetensor& t : out.tensors) names.push_back(t.name);
  std::sort(names.begin(), names.end());
  if (std::adjacent_find(names.begin(), names.end()) != names.end()) return bad_safetensors("a name appears twice");
  return out;
}

/// A safetensors file in pieces, to be written one after the other: the header, padded so that the data starts at a
/// multiple of 8 bytes, and the arrays' own memory. Nothing is copied.
///
/// Throws `error(errc::invalid_argument)` for what `read_safetensors` would refuse: data not as long as dtype and shape
/// say, a negative or overflowing extent, more than 16 dimensions, a name that appears twice or is `__metadata__`, a
/// header over 16 MiB. Thread-safe.
inline std::vector<bytes> safetensors_pieces(const safetensors& from) {
  std::string header = "{";
  const auto comma = [&header] {
    if (header.size() > 1) header.push_back(',');
  };
  if (!from.metadata.empty()) {
    header.append("\"__metadata__\":{");
    bool first = true;
    for (const auto& [key, value] : from.metadata) {
      if (!std::exchange(first, false)) header.push_back(',');
      detail::append_json_string(header, key);
      header.push_back(':');
      detail::append_json_string(header, value);
    }
    header.push_back('}');
  }
  std::uint64_t at = 0;
  std::map<std::string_view, bool> names;
  for (const safetensor& t : from.tensors) {
    std::uint64_t size = safetensors_element_size(t.dtype);
    bool right = size != 0 && t.shape.size() <= detail::safetensors_rank_limit && t.name != "__metadata__";
    for (const std::int64_t n : t.shape) {
      right = right && n >= 0 && (n == 0 || size <= UINT64_MAX / static_cast<std::uint64_t>(n));
      size *= static_cast<std::uint64_t>(n);
    }
    if (!right || size != t.data.size())
      throw error(errc::invalid_argument,
                  "safetensors: data, dtype and shape of " + t.name + " disagree, or the format does not know them");
    if (!names.emplace(t.name, true).second)
      throw error(errc::invalid_argument, "safetensors: the name " + t.name + " appears twice");
    comma();
    detail::append_json_string(header, t.name);
    header.append(":{\"dtype\":");
    detail::append_json_string(header, t.dtype);
    header.append(",\"shape\":[");
    for (std::size_t i = 0; i < t.shape.size(); ++i)
      header.append(i == 0 ? "" : ",").append(std::to_string(t.shape[i]));
    header.append("],\"data_offsets\":[" + std::to_string(at) + "," + std::to_string(at + size) + "]}");
    at += size;
  }
  header.push_back('}');
  header.append((8 - header.size() % 8) % 8, ' ');
  if (header.size() > detail::safetensors_header_limit)
    throw error(errc::invalid_argument, "safetensors: names, shapes and metadata take more than 16 MiB");

  mutable_bytes head(8 + header.size());
  std::byte* to = head.data();
  for (std::size_t i = 0; i < 8; ++i) *to++ = static_cast<std::byte>(header.size() >> (8 * i));
  std::memcpy(to, header.data(), header.size());
  std::vector<bytes> pieces{std::move(head).freeze()};
  for (const safetensor& t : from.tensors) pieces.push_back(t.data);
  return pieces;
}

/// Writes a safetensors file into memory: the pieces above, joined. Errors: the same. Thread-safe.
inline bytes write_safetensors(const safetensors& from) {
  const std::vector<bytes> pieces = safetensors_pieces(from);
  std::size_t size = 0;
  for (const bytes& piece : pieces) size += piece.size();
  mutable_bytes out(size);
  std::byte* to = out.data();
  for (const bytes& piece : pieces) {
    if (!piece.empty()) std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
  }
  return std::move(out).freeze();
}

DTASK_END
