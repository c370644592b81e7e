// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/core/grad_mode.h>
#include <torch/types.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dtask/base/error.hpp"
#include "dtask/data/checkpoint_folder.hpp"
#include "dtask/data/safetensors.hpp"
#include "dtask/torch/flat_model.hpp"
#include "dtask/torch/flat_tensors.hpp"
#include "dtask/torch/safetensors_tensor.hpp"
#include "dtask/torch/training_state.hpp"

DTASK_BEGIN

/// All that a training needs to go on as if it had never stopped.
///
/// In the safetensors file, parameters and buffers stand under their module's names, so that it is also a file of
/// weights (`load_model`, safetensors.torch.load_file); "optimizer/SLOT/PARAMETER", "optimizer/steps" and
/// "kept/KEY/PARAMETER" stand beside them.
struct checkpoint {
  training_state state;    ///< weights, buffers, optimizer, counters
  std::string recipe;      ///< fingerprint of the recipe and its options
  std::uint64_t seed = 0;  ///< of the training
  double progress = 0;     ///< of the learning rate, from 0 to 1
  /// What the trainer keeps besides, each in segments like the parameters': "outer_momentum" of DiLoCo,
  /// "weight_average"; no segments where there is nothing yet. Keys have no slash and no comma.
  std::map<std::string, std::vector<at::Tensor>> kept;
};

namespace detail {

/// Parameters and buffers together: what a checkpoint must fit.
inline std::uint64_t checkpoint_layout(parameter_layout all, const parameter_layout& buffers) {
  all.entries.insert(all.entries.end(), buffers.entries.begin(), buffers.entries.end());
  return all.hash();
}

inline std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    out.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}
inline void append_word(std::string& to, std::string_view word) {
  if (word.empty() || word.find_first_of(",/") != std::string_view::npos)
    throw error(errc::invalid_argument, "what a checkpoint keeps has a name without commas and slashes",
                std::string(word));
  to.append(to.empty() ? "" : ",").append(word);
}

inline void put_tensors(safetensors& to, const std::string& prefix, const flat_tensors& from) {
  const std::vector<at::Tensor> views = views_of(from);
  for (std::size_t i = 0; i < views.size(); ++i)
    to.tensors.push_back(to_safetensor(prefix + from.layout.entries[i].name, views[i]));
}

/// The arrays of a file, by name.
class array_index {
 public:
  explicit array_index(const safetensors& file) {
    for (const safetensor& t : file.tensors) at_.emplace(t.name, &t);
  }
  const safetensor* find(const std::string& name) const {
    const auto found = at_.find(name);
    return found == at_.end() ? nullptr : found->second;
  }

 private:
  std::unordered_map<std::string_view, const safetensor*> at_;
};

inline flat_tensors take_tensors(const array_index& from, const std::string& prefix, const parameter_layout& layout) {
  flat_tensors out{layout, zero_segments(plan_segments(layout))};
  const std::vector<at::Tensor> places = views_of(out);
  for (std::size_t i = 0; i < places.size(); ++i) {
    const tensor_entry& entry = layout.entries[i];
    const safetensor* const array = from.find(prefix + entry.name);
    if (array == nullptr || array->shape != entry.shape || array->dtype != find_dtype(entry.dtype)->safetensors)
      throw error(errc::bad_data, "the checkpoint's " + prefix + entry.name + " is missing or not " + in_words(entry));
    places[i].copy_(to_tensor(*array));
  }
  return out;
}

inline safetensors checkpoint_tensors(const checkpoint& from) {
  safetensors out;
  const parameter_layout& layout = from.state.parameters.layout;
  put_tensors(out, "", from.state.parameters);
  put_tensors(out, "", from.state.buffers);
  const optimizer_state& optimizer = from.state.optimizer;
  std::string slots, kept;
  for (const optimizer_slot& slot : optimizer.slots) {
    append_word(slots, slot.name);
    put_tensors(out, "optimizer/" + slot.name + "/", {part_of_layout(layout, slot.present), slot.segments});
  }
  out.tensors.push_back(to_safetensor("optimizer/steps", at::tensor(optimizer.steps, at::kLong)));
  for (const auto& [key, segments] : from.kept) {
    append_word(kept, key);
    if (!segments.empty()) put_tensors(out, "kept/" + key + "/", {layout, segments});
  }
  out.metadata = {{"format", "pt"}, {"optimizer", optimizer.kind}, {"optimizer_slots", slots}, {"kept", kept}};
  return out;
}

inline checkpoint take_checkpoint(const checkpoint_folder::found& from, const parameter_layout& model,
                                  const parameter_layout& buffers) {
  const array_index arrays(from.weights);
  checkpoint out;
  out.state.parameters = take_tensors(arrays, "", model);
  out.state.buffers = take_tensors(arrays, "", buffers);
  optimizer_state& optimizer = out.state.optimizer;
  optimizer.kind = from.weights.meta("optimizer");
  const safetensor* const steps = arrays.find("optimizer/steps");
  if (steps == nullptr || steps->dtype != "I64" || steps->shape.size() != 1)
    throw error(errc::bad_data, "the checkpoint's optimizer/steps is missing or not I64", from.path);
  const at::Tensor counted = to_tensor(*steps);
  optimizer.steps.assign(counted.const_data_ptr<std::int64_t>(),
                         counted.const_data_ptr<std::int64_t>() + counted.numel());
  for (const std::string& name : split_words(from.weights.meta("optimizer_slots"))) {
    optimizer_slot slot{name, {}, {}};
    for (const tensor_entry& entry : model.entries)
      slot.present.push_back(arrays.find("optimizer/" + name + "/" + entry.name) != nullptr ? 1 : 0);
    slot.segments = take_tensors(arrays, "optimizer/" + name + "/", part_of_layout(model, slot.present)).segments;
    optimizer.slots.push_back(std::move(slot));
  }
  for (const std::string& key : split_words(from.weights.meta("kept")))
    out.kept[key] = arrays.find("kept/" + key + "/" + model.entries.front().name) == nullptr
                        ? std::vector<at::Tensor>()
                        : take_tensors(arrays, "kept/" + key + "/", model).segments;
  const checkpoint_record& record = from.record;
  out.state.counters = {record.epoch, record.round, record.steps, record.samples};
  out.state.libtorch = record.origin.libtorch;
  out.recipe = record.origin.recipe;
  out.seed = record.seed;
  out.progress = record.progress;
  return out;
}

}  // namespace detail

/// Writes a checkpoint into its folder, and deletes those that are too many. Result: its path without the ending.
///
/// Errors: as of `checkpoint_folder::write`; also `errc::bad_data` for a state that contradicts itself. Blocks the
/// calling thread while it writes and syncs: inside a coroutine use `offload`. The state's tensors must not be written
/// to meanwhile.
inline std::string write_checkpoint(const checkpoint_folder& folder, const checkpoint& from) {
  const at::NoGradGuard guard;
  const training_state& s = from.state;
  checkpoint_record record;
  record.origin = {from.recipe, detail::checkpoint_layout(s.parameters.layout, s.buffers.layout), s.libtorch};
  record.epoch = s.counters.epoch;
  record.round = s.counters.round;
  record.steps = s.counters.steps;
  record.samples = s.counters.samples;
  record.seed = from.seed;
  record.progress = from.progress;
  return folder.write(std::move(record), detail::checkpoint_tensors(from));
}

/// What `read_newest_checkpoint` found.
struct resumed {
  std::optional<checkpoint> found;                 ///< nothing where none can be used
  std::string path;                                ///< of `found`, without the ending
  std::vector<checkpoint_folder::skipped> passed;  ///< which newer ones could not be used, and why
};

/// The newest checkpoint that is whole, of this recipe, this model and this LibTorch. A training that goes on from it
/// computes the bytes that it would have computed without the interruption.
///
/// `recipe`: the fingerprint. Errors: `errc::io_error` for a folder that cannot be read; `errc::bad_data` for a whole
/// checkpoint that contradicts itself. Blocks the calling thread.
inline resumed read_newest_checkpoint(const checkpoint_folder& folder, const flat_model& model,
                                      const std::string& recipe) {
  const at::NoGradGuard guard;
  const parameter_layout buffers = model.buffer_layout();
  checkpoint_folder::search search =
      folder.newest_whole({recipe, detail::checkpoint_layout(model.layout(), buffers), std::string(libtorch_version)});
  resumed out{std::nullopt, {}, std::move(search.passed)};
  if (search.newest) {
    out.found = detail::take_checkpoint(*search.newest, model.layout(), buffers);
    out.path = search.newest->path;
  }
  return out;
}

DTASK_END
