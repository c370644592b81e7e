// SPDX-License-Identifier: BSL-1.0
#pragma once
#define XXH_INLINE_ALL
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/types.h>
#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dtask/base/error.hpp"
#include "dtask/torch/detail/dtype.hpp"
#include "dtask/torch/detail/shape.hpp"
#include "dtask/torch/tensor_codec.hpp"

DTASK_BEGIN

/// One named tensor of a model: a parameter or a buffer.
struct tensor_entry {
  std::string name;                 ///< as LibTorch spells it: "features.0.weight"
  std::vector<std::int64_t> shape;  ///< elements per dimension
  std::uint8_t dtype = 0;           ///< the code of its element type on the wire (tensor_codec.hpp)
  bool channels_last = false;       ///< four dimensions, the second one innermost in memory
  /// Compares member by member.
  friend bool operator==(const tensor_entry&, const tensor_entry&) = default;
};

/// Which tensors a model has, in the model's own order. Two models fit each other where their layouts are equal.
struct parameter_layout {
  std::vector<tensor_entry> entries;  ///< one for each tensor

  /// XXH3-64 of names, shapes, element types and memory formats: equal on every machine.
  std::uint64_t hash() const;
  /// Compares entry by entry, in order.
  friend bool operator==(const parameter_layout&, const parameter_layout&) = default;
};

/// Named tensors joined into few contiguous one-dimensional ones, one per element type: what a model is copied,
/// averaged and sent as. It travels: segments above 16 KiB out of band.
///
/// Segments are ordered by the code of their element type. In a segment the tensors lie in the order of the layout,
/// each at the next multiple of 64 bytes; what lies between them is zero.
struct flat_tensors {
  parameter_layout layout;           ///< which tensors lie in the segments
  std::vector<at::Tensor> segments;  ///< one-dimensional and contiguous
};

namespace detail {

inline constexpr std::int64_t segment_alignment = 64;  // bytes: what vector instructions and cache lines like

/// Where one tensor of a layout lies.
struct segment_place {
  std::size_t segment = 0;
  std::int64_t offset = 0, count = 0;  // in elements
};
/// What follows from a layout: the segments and each tensor's place in them.
struct segment_plan {
  std::vector<at::ScalarType> types;
  std::vector<std::int64_t> sizes;  // in elements
  std::vector<segment_place> places;
};

/// "f32 [3, 4]"
inline std::string in_words(const tensor_entry& entry) {
  const tensor_dtype* type = find_dtype(entry.dtype);
  std::string text(type == nullptr ? "an unknown type" : type->safetensors);
  text += " [";
  for (std::size_t i = 0; i < entry.shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(entry.shape[i]);
  text += entry.channels_last ? "] channels-last" : "]";
  return text;
}

/// Throws `errc::bad_data` where a layout, which may come from a peer, describes what no tensor can be.
inline segment_plan plan_segments(const parameter_layout& layout) {
  segment_plan plan;
  plan.places.reserve(layout.entries.size());
  std::vector<std::uint8_t> codes;
  for (const tensor_entry& entry : layout.entries) {
    if (find_dtype(entry.dtype) == nullptr || (entry.channels_last && entry.shape.size() != 4) ||
        entry.shape.size() > codec<at::Tensor>::max_rank || !shape_fits(entry.shape, 8))
      throw error(errc::bad_data, "a layout of tensors names an impossible one: " + in_words(entry), entry.name);
    codes.push_back(entry.dtype);
  }
  std::sort(codes.begin(), codes.end());
  codes.erase(std::unique(codes.begin(), codes.end()), codes.end());
  for (const std::uint8_t code : codes) plan.types.push_back(find_dtype(code)->type);
  plan.sizes.assign(codes.size(), 0);
  for (const tensor_entry& entry : layout.entries) {
    const auto segment =
        static_cast<std::size_t>(std::lower_bound(codes.begin(), codes.end(), entry.dtype) - codes.begin());
    const auto width = static_cast<std::int64_t>(c10::elementSize(plan.types[segment]));
    const std::int64_t unit = segment_alignment / width;
    std::int64_t count = 1;
    for (const std::int64_t n : entry.shape) count *= n;
    std::int64_t& size = plan.sizes[segment];
    const std::int64_t offset = (size + unit - 1) / unit * unit;
    if (count > std::numeric_limits<std::int64_t>::max() / 16 - offset)
      throw error(errc::bad_data, "a layout of tensors is too large for one segment", entry.name);
    size = offset + count;
    plan.places.push_back({segment, offset, count});
  }
  return plan;
}

/// One tensor of a segment, over the segment's own memory and unknown to autograd.
inline at::Tensor view_of(const at::Tensor& segment, const segment_place& place, const tensor_entry& entry) {
  // A view that autograd knows could not be detached in place, which is what LibTorch's zero_grad does.
  const at::AutoDispatchBelowADInplaceOrView plain;
  std::vector<std::int64_t> strides(entry.shape.size());
  if (entry.channels_last) {
    const std::vector<std::int64_t>& n = entry.shape;
    strides = {n[1] * n[2] * n[3], 1, n[3] * n[1], n[1]};
  } else {
    std::int64_t next = 1;
    for (std::size_t i = strides.size(); i-- > 0; next *= std::max<std::int64_t>(entry.shape[i], 1)) strides[i] = next;
  }
  return segment.as_strided(entry.shape, strides, segment.storage_offset() + place.offset);
}

/// Throws `errc::bad_data` where segments, which may come from a peer, are not those of the plan.
inline void check_segments(const segment_plan& plan, const std::vector<at::Tensor>& segments, std::string_view what) {
  const auto refuse = [what](std::string why) {
    throw error(errc::bad_data, std::string(what) + ": " + std::move(why), {},
                "the sender is broken or of another version");
  };
  if (segments.size() != plan.types.size())
    refuse(std::to_string(segments.size()) + " segments where the layout has " + std::to_string(plan.types.size()));
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const at::Tensor& s = segments[i];
    if (!s.defined() || !s.device().is_cpu() || s.layout() != at::kStrided || s.dim() != 1 || !s.is_contiguous() ||
        s.scalar_type() != plan.types[i] || s.numel() != plan.sizes[i])
      refuse("segment " + std::to_string(i) + " is not the one of the layout");
  }
}

inline std::vector<at::Tensor> zero_segments(const segment_plan& plan, at::Device device = at::kCPU) {
  std::vector<at::Tensor> segments;
  for (std::size_t i = 0; i < plan.types.size(); ++i)
    segments.push_back(at::zeros({plan.sizes[i]}, at::TensorOptions(plan.types[i]).device(device)));
  return segments;
}

/// The layout's entries for which `chosen` is not 0.
inline parameter_layout part_of_layout(const parameter_layout& layout, const std::vector<std::uint8_t>& chosen) {
  parameter_layout part;
  for (std::size_t i = 0; i < layout.entries.size() && i < chosen.size(); ++i)
    if (chosen[i] != 0) part.entries.push_back(layout.entries[i]);
  return part;
}

}  // namespace detail

inline std::uint64_t parameter_layout::hash() const {
  std::string text;
  const auto put = [&text](std::uint64_t number) {
    for (int i = 0; i < 8; ++i) text.push_back(static_cast<char>(number >> (8 * i)));
  };
  for (const tensor_entry& entry : entries) {
    put(entry.name.size());
    text += entry.name;
    put(entry.shape.size());
    for (const std::int64_t n : entry.shape) put(static_cast<std::uint64_t>(n));
    text.push_back(static_cast<char>(entry.dtype));
    text.push_back(entry.channels_last ? 1 : 0);
  }
  return XXH3_64bits(text.data(), text.size());
}

/// Throws `error(errc::invalid_argument)` where two layouts differ; it names the first tensor whose name, shape or type
/// does. `what`: what has `theirs`, for the message ("the checkpoint"). `place`: where it was found, or empty.
inline void require_same_layout(const parameter_layout& ours, const parameter_layout& theirs, std::string_view what,
                                std::string place = {}) {
  const auto refuse = [&](const std::string& why) {
    throw error(errc::invalid_argument, std::string(what) + " does not fit this model: " + why, std::move(place),
                "use the same model, with the same options, on both sides");
  };
  const std::size_t both = std::min(ours.entries.size(), theirs.entries.size());
  for (std::size_t i = 0; i < both; ++i) {
    const tensor_entry &a = ours.entries[i], &b = theirs.entries[i];
    if (a.name != b.name)
      refuse("tensor " + std::to_string(i) + " is " + a.name + " in the model and " + b.name + " in the other");
    if (!(a == b))
      refuse(a.name + " is " + detail::in_words(a) + " in the model and " + detail::in_words(b) + " in the other");
  }
  if (ours.entries.size() > both) refuse(ours.entries[both].name + " is missing in it");
  if (theirs.entries.size() > both) refuse("the model has no " + theirs.entries[both].name);
}

/// The tensors of `from` one by one, in the order of its layout, over its segments' memory: nothing is copied, and
/// writing to one writes to the segment. Throws `error(errc::bad_data)` where layout and segments disagree.
inline std::vector<at::Tensor> views_of(const flat_tensors& from) {
  const detail::segment_plan plan = detail::plan_segments(from.layout);
  detail::check_segments(plan, from.segments, "flat tensors");
  std::vector<at::Tensor> views;
  views.reserve(plan.places.size());
  for (std::size_t i = 0; i < plan.places.size(); ++i)
    views.push_back(detail::view_of(from.segments[plan.places[i].segment], plan.places[i], from.layout.entries[i]));
  return views;
}

DTASK_END
