// SPDX-License-Identifier: BSL-1.0
#include "model.hpp"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "dtask/base/error.hpp"
#include "dtask/data/safetensors.hpp"
#include "dtask/torch/safetensors_tensor.hpp"
#include "dtask/torch/thread_share.hpp"
#include "fashion_cnn.hpp"
#include "fused_network.hpp"
#include "mobilenet_v2.hpp"
#if defined(RECOGNISE_WITH_CUDA)
#include <ATen/ATen.h>
#include <cuda_runtime_api.h>

#include "dtask/cuda/worker_device.hpp"
#include "dtask/torch/torch_task.hpp"
#endif

namespace recognise {

namespace {

[[noreturn]] void bad(std::string why) {
  throw dtask::error(dtask::errc::bad_data, "weights: " + std::move(why), {},
                     "use the safetensors file of a known network");
}

std::string shape_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text.append(i == 0 ? "" : ", ").append(std::to_string(shape[i]));
  return text + "]";
}

/// Up to three numbers, separated by commas; one is for all channels.
std::array<float, 3> channel_values(std::string_view text, int channels, std::string_view key) {
  std::array<float, 3> values{};
  int count = 0;
  while (!text.empty() && count < 3) {
    const std::string_view word = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    const auto [end, code] =
        std::from_chars(word.data(), word.data() + word.size(), values[static_cast<std::size_t>(count)]);
    if (code != std::errc() || end != word.data() + word.size() ||
        !std::isfinite(values[static_cast<std::size_t>(count)]))
      bad("the metadata's " + std::string(key) + " is not a list of numbers");
    ++count;
  }
  if (!text.empty() || (count != 1 && count != channels))
    bad("the metadata's " + std::string(key) + " has not one number per channel");
  for (int c = count; c < 3; ++c) values[static_cast<std::size_t>(c)] = values[0];
  return values;
}

/// A file with what its metadata means.
struct description {
  dtask::safetensors file;
  model_info info;
  bool same_padding = false;
  std::array<float, 3> mean{}, std{};
};

description read(const dtask::bytes& weights) {
  auto file = dtask::read_safetensors(weights);
  if (!file) throw file.error();
  description d;
  d.file = std::move(*file);
  model_info& info = d.info;
  const bool torchvision =
      d.file.find("features.0.0.weight") != nullptr && d.file.find("classifier.1.weight") != nullptr;
  info.architecture = d.file.meta("architecture", torchvision ? "mobilenet_v2" : "");
  if (info.architecture == "mobilenet_v2") {
    info.width = info.height = 224;
    info.channels = 3;
  } else if (info.architecture == "fashion_cnn") {
    info.width = info.height = 28;
    info.channels = 1;
  } else {
    bad(info.architecture.empty() ? "the metadata names no architecture"
                                  : "unknown architecture " + info.architecture.substr(0, 64));
  }
  if (const auto text = d.file.meta("input_size"); !text.empty()) {
    int side = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), side);
    const bool wanted = info.channels == 1 ? side == 28 : side >= 32 && side <= 1024 && side % 32 == 0;
    if (code != std::errc() || end != text.data() + text.size() || !wanted)
      bad("input_size " + std::string(text.substr(0, 32)) + " is not handled");
    info.width = info.height = side;
  }
  const std::string_view padding = d.file.meta("padding", "torch");
  if (padding != "torch" && padding != "tf_same") bad("unknown padding " + std::string(padding.substr(0, 32)));
  d.same_padding = padding == "tf_same";
  // torchvision's values where the file gives none.
  d.mean =
      channel_values(d.file.meta("mean", info.channels == 3 ? "0.485,0.456,0.406" : "0.2860"), info.channels, "mean");
  d.std = channel_values(d.file.meta("std", info.channels == 3 ? "0.229,0.224,0.225" : "0.3530"), info.channels, "std");
  for (const float s : d.std)
    if (s < 1e-6F) bad("the metadata's std is not positive, or too small to divide by");
  const dtask::safetensor* last = d.file.find(info.channels == 3 ? "classifier.1.bias" : "fc2.bias");
  if (last == nullptr || last->shape.size() != 1 || last->shape[0] < 1 || last->shape[0] > 1000000)
    bad("the last layer's bias is missing or has no sensible shape");
  info.classes = static_cast<int>(last->shape[0]);
  return d;
}

/// Fills a module from the file: every parameter and statistic once, nothing else in the file.
void fill(torch::nn::Module& module, const dtask::safetensors& file) {
  const c10::InferenceMode off(false);
  std::set<std::string> used;
  const auto take = [&](const std::string& name, at::Tensor to) {
    const dtask::safetensor* from = file.find(name);
    if (from == nullptr) {
      if (name.ends_with("num_batches_tracked")) return;
      bad("the array " + name + " is missing");
    }
    // Whole numbers are somebody's quantised weights, which mean nothing without their scales.
    const bool floating = from->dtype == "F32" || from->dtype == "F16" || from->dtype == "BF16" || from->dtype == "F64";
    const bool whole = from->dtype == "I64" || from->dtype == "I32";
    if (to.is_floating_point() ? !floating : !whole)
      bad("the array " + name + " has the dtype " + from->dtype + ", not " +
          (to.is_floating_point() ? "F32, F16, BF16 or F64" : "I64 or I32"));
    if (at::IntArrayRef(from->shape) != to.sizes())
      bad("the array " + name + " has the shape " + shape_text(from->shape) + ", not " + shape_text(to.sizes()));
    to.detach().copy_(dtask::to_tensor(*from));
    if (!at::isfinite(to).all().item<bool>()) bad("the array " + name + " holds numbers that are not finite");
    used.insert(name);
  };
  for (auto& item : module.named_parameters()) take(item.key(), item.value());
  for (auto& item : module.named_buffers()) take(item.key(), item.value());
  for (const dtask::safetensor& t : file.tensors)
    if (!used.contains(t.name)) bad("the array " + t.name.substr(0, 64) + " does not belong to this network");
  module.eval();
  for (at::Tensor& p : module.parameters()) p.set_requires_grad(false);
}

bool native_bfloat16() noexcept {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

/// The most probable classes, best first, of tensors on the CPU.
std::vector<std::vector<ranked>> ranks_of(const at::Tensor& p, const at::Tensor& index) {
  const auto p_at = p.accessor<float, 2>();
  const auto index_at = index.accessor<std::int64_t, 2>();
  std::vector<std::vector<ranked>> out(static_cast<std::size_t>(p.size(0)));
  for (std::int64_t i = 0; i < p.size(0); ++i)
    for (std::int64_t k = 0; k < p.size(1); ++k)
      out[static_cast<std::size_t>(i)].push_back({static_cast<int>(index_at[i][k]), p_at[i][k]});
  return out;
}

}  // namespace

struct model::parts {
  model_info info;
#if defined(RECOGNISE_WITH_CUDA)
  std::optional<dtask::cuda::worker_device> device;  ///< none: the CPU. Outlives the network
  at::Tensor scale, shift;                           ///< of levels on the device, per channel
#endif
  std::variant<std::monostate, fused_network, std::shared_ptr<fashion_cnn>> network;
  /// Level to normalised number, per channel, in both types.
  std::array<std::array<float, 256>, 3> level32{};
  std::array<std::array<at::BFloat16, 256>, 3> level16{};

  template <class T>
  void normalise(std::span<const std::uint8_t> pixels, const std::array<std::array<T, 256>, 3>& level, T* to) const {
    if (info.channels == 1) {
      for (const std::uint8_t p : pixels) *to++ = level[0][p];
      return;
    }
    for (std::size_t i = 0; i < pixels.size(); i += 3) {
      *to++ = level[0][pixels[i]];
      *to++ = level[1][pixels[i + 1]];
      *to++ = level[2][pixels[i + 2]];
    }
  }
  std::int64_t count_of(std::span<const std::uint8_t> pixels) const {
    const auto count = static_cast<std::int64_t>(pixels.size() / info.picture_bytes());
    if (count == 0 || pixels.size() % info.picture_bytes() != 0)
      throw dtask::error(dtask::errc::invalid_argument,
                         "classify takes whole pictures of " + std::to_string(info.picture_bytes()) + " bytes");
    return count;
  }
  at::Tensor forward(const at::Tensor& x) const {
    if (const auto* fused = std::get_if<fused_network>(&network)) return fused->forward(x);
    return std::get<std::shared_ptr<fashion_cnn>>(network)->forward(x);
  }
  std::pair<at::Tensor, at::Tensor> most_probable(const at::Tensor& logits, int top) const {
    auto [p, index] = at::softmax(logits, 1).topk(std::min(top, info.classes), 1);
    return {std::move(p), std::move(index)};
  }
#if defined(RECOGNISE_WITH_CUDA)
  static dtask::torch_task<std::vector<std::vector<ranked>>> classify(parts* self, std::span<const std::uint8_t> pixels,
                                                                      int top) {
    const c10::InferenceMode inference;
    dtask::cuda::worker_device& device = *self->device;
    const auto on = device.enter();
    const model_info& info = self->info;
    dtask::batch levels;  // bytes: a quarter of what floats would take on their way
    levels.inputs = at::from_blob(const_cast<std::uint8_t*>(pixels.data()),
                                  {self->count_of(pixels), info.height, info.width, info.channels}, at::kByte);
    auto starting = device.start(std::move(levels));
    auto there = co_await std::move(starting);
    const dtask::batch here = device.hand_over(std::move(there));
    const at::Tensor x = here.inputs.permute({0, 3, 1, 2}).to(at::kFloat).mul_(self->scale).add_(self->shift);
    auto [p, index] = self->most_probable(self->forward(info.bfloat16 ? x.to(at::kBFloat16) : x), top);
    std::vector<at::Tensor> wanted{std::move(p), std::move(index)};
    auto bringing = device.copy_out(std::move(wanted));
    const std::vector<at::Tensor> found = co_await std::move(bringing);
    co_return ranks_of(found[0], found[1]);
  }
#endif
  static dtask::task<std::vector<std::vector<ranked>>> ready(std::vector<std::vector<ranked>> ranks) {
    co_return ranks;
  }
};

model_info describe(const dtask::bytes& weights) {
  const description d = read(weights);
  if (d.info.architecture == "fashion_cnn") {
    fashion_cnn network;
    fill(network, d.file);
  } else {
    mobilenet_v2 network(d.info.classes, d.same_padding);
    fill(network, d.file);
  }
  return d.info;
}

model::model(const dtask::bytes& weights, precision in, const dtask::worker_context* where)
    : parts_(std::make_unique<parts>()) {
  at::Device device = at::kCPU;
  bool native = native_bfloat16();
  if (where != nullptr && where->device() != "cpu") {
#if defined(RECOGNISE_WITH_CUDA)
    parts_->device.emplace(*where);
    device = parts_->device->device();
    int major = 0;
    if (device.is_cuda())
      native = ::cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device.index()) == cudaSuccess &&
               major >= 8;
#else
    throw dtask::error(
        dtask::errc::not_found,
        "this program recognises on the CPU alone, and its worker is to compute on " + std::string(where->device()),
        std::string(where->worker()), "start the worker without --device, or build it with CUDA");
#endif
  }
  const description d = read(weights);
  parts_->info = d.info;
#if defined(RECOGNISE_WITH_CUDA)
  [[maybe_unused]] std::optional<dtask::cuda::worker_device::entered> on;
  if (parts_->device) {
    on.emplace(parts_->device->stream());
    std::vector<float> scale, shift;
    for (std::size_t c = 0; c < static_cast<std::size_t>(d.info.channels); ++c) {
      scale.push_back(1.0F / (255.0F * d.std[c]));
      shift.push_back(-d.mean[c] / d.std[c]);
    }
    const c10::InferenceMode inference;
    parts_->scale = at::tensor(scale).reshape({1, -1, 1, 1}).to(device);
    parts_->shift = at::tensor(shift).reshape({1, -1, 1, 1}).to(device);
  }
#endif
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t v = 0; v < 256; ++v) {
      const float x = (static_cast<float>(v) / 255.0F - d.mean[c]) / d.std[c];
      parts_->level32[c][v] = x;
      parts_->level16[c][v] = at::BFloat16(x);
    }
  if (d.info.architecture == "fashion_cnn") {
    auto network = std::make_shared<fashion_cnn>();
    fill(*network, d.file);
    if (!device.is_cpu()) network->to(device);
    parts_->network = std::move(network);
    return;
  }
  mobilenet_v2 network(d.info.classes, d.same_padding);
  fill(network, d.file);
  const c10::InferenceMode inference;
  parts_->info.bfloat16 = in == precision::bfloat16 || (in == precision::automatic && native);
  parts_->network.emplace<fused_network>(network, d.info.height, d.info.width,
                                         parts_->info.bfloat16 ? at::kBFloat16 : at::kFloat, device);
}

model::~model() = default;

const model_info& model::info() const noexcept { return parts_->info; }

std::vector<std::vector<ranked>> model::classify(std::span<const std::uint8_t> pixels, int top) {
  const c10::InferenceMode inference;
  const model_info& info = parts_->info;
  const std::int64_t count = parts_->count_of(pixels);
  // Interleaved channels are channels-last memory; made with that format, since asking for it afterwards does nothing
  // on one channel.
  const auto options =
      at::TensorOptions(info.bfloat16 ? at::kBFloat16 : at::kFloat).memory_format(at::MemoryFormat::ChannelsLast);
  const at::Tensor x = at::empty({count, info.channels, info.height, info.width}, options);
  if (info.bfloat16)
    parts_->normalise(pixels, parts_->level16, x.mutable_data_ptr<at::BFloat16>());
  else
    parts_->normalise(pixels, parts_->level32, x.mutable_data_ptr<float>());
  const auto [p, index] = parts_->most_probable(parts_->forward(x), top);
  return ranks_of(p, index);
}

dtask::task<std::vector<std::vector<ranked>>> model::classify_there(std::span<const std::uint8_t> pixels, int top) {
#if defined(RECOGNISE_WITH_CUDA)
  if (parts_->device && parts_->device->is_later()) return parts::classify(parts_.get(), pixels, top);
#endif
  return parts::ready(classify(pixels, top));
}

void share_cores(unsigned slots) { dtask::share_cores(slots); }

void parallel(int count, const std::function<void(int)>& work) {
  at::parallel_for(0, count, 1, [&work](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) work(static_cast<int>(i));
  });
}

}  // namespace recognise
