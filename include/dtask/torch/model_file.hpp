// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/core/grad_mode.h>
#include <torch/nn/module.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dtask/base/error.hpp"
#include "dtask/base/read_file.hpp"
#include "dtask/data/replace_file.hpp"
#include "dtask/data/safetensors.hpp"
#include "dtask/torch/flat_model.hpp"
#include "dtask/torch/safetensors_tensor.hpp"

DTASK_BEGIN

namespace detail {

inline std::vector<named_tensor> parameters_and_buffers(const ::torch::nn::Module& module) {
  std::vector<named_tensor> all = each_once(module.named_parameters());
  for (named_tensor& b : each_once(module.named_buffers())) all.push_back(std::move(b));
  return all;
}

}  // namespace detail

/// Writes a module's parameters and buffers as a safetensors file, under the names under which they are registered:
/// those of torchvision and of Python, where the module uses them. Tied weights stand there once, under the first name.
///
/// `metadata`: further text for the file's header, "architecture" say; "format" is "pt" where it is not given. The file
/// appears as a whole or not at all. Throws `error`: `io_error` with file and cause, `invalid_argument` for tensors
/// that the format does not know. Blocks the calling thread. The module must not be trained meanwhile.
inline void save_model(const std::string& path, const ::torch::nn::Module& module,
                       std::map<std::string, std::string> metadata = {}) {
  const at::NoGradGuard guard;
  safetensors file;
  metadata.emplace("format", "pt");
  file.metadata = std::move(metadata);
  for (detail::named_tensor& t : detail::parameters_and_buffers(module))
    file.tensors.push_back(to_safetensor(std::move(t.name), t.tensor));
  replace_file(path, safetensors_pieces(file));
}

/// Reads such a file, or a checkpoint's, into a module; its tensors stay where they are, views of a `flat_model`
/// included. Floating types may differ and are converted.
///
/// `limit`: the largest size of the file in bytes. Throws `error`, and changes nothing: `not_found`, `io_error`,
/// `too_large`, and `bad_data` for a file that is damaged, lacks a tensor of the module, has one that the module does
/// not have, or one of another shape or kind; the first one is named. Blocks the calling thread.
inline void load_model(const std::string& path, ::torch::nn::Module& module,
                       std::uint64_t limit = std::uint64_t{16} << 30) {
  const at::NoGradGuard guard;
  const result<safetensors> file = read_safetensors(read_file(path, limit));
  const auto refuse = [&path](const std::string& why) {
    throw error(errc::bad_data, "these weights do not fit the module: " + why, path,
                "load the weights of the same network");
  };
  if (!file) throw error(errc::bad_data, file.error().cause(), path, file.error().remedy());
  std::unordered_map<std::string, const safetensor*> arrays;
  for (const safetensor& t : file->tensors)
    if (!t.name.starts_with("optimizer/") && !t.name.starts_with("kept/")) arrays.emplace(t.name, &t);
  std::vector<std::pair<at::Tensor, at::Tensor>> copies;
  for (const detail::named_tensor& t : detail::parameters_and_buffers(module)) {
    const auto found = arrays.find(t.name);
    if (found == arrays.end()) {
      refuse(t.name + " is missing");
    } else {
      const at::Tensor value = to_tensor(*found->second);
      const bool both_floating = value.is_floating_point() && t.tensor.is_floating_point();
      if (value.sizes() != t.tensor.sizes() || (value.scalar_type() != t.tensor.scalar_type() && !both_floating))
        refuse(t.name + " is " + found->second->dtype + " of another shape or kind than the module's");
      copies.emplace_back(t.tensor.detach(), value);
      arrays.erase(found);
    }
  }
  for (const safetensor& t : file->tensors)
    if (arrays.count(t.name) != 0) refuse("the module has no " + t.name);
  for (auto& [to, from] : copies) to.copy_(from);
}

DTASK_END
