// SPDX-License-Identifier: BSL-1.0
#include "dtask/torch/model_file.hpp"

#include <ATen/Functions.h>
#include <doctest/doctest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "temporary_folder.hpp"
#if defined(DTASK_TEST_WITH_RECOGNISE)
#include "model.hpp"
#endif

namespace fs = std::filesystem;

namespace {

namespace nn = torch::nn;

/// The network that the recognise example knows as fashion_cnn.
struct fashion_net : nn::Module {
  nn::Conv2d conv1{nullptr}, conv2{nullptr};
  nn::Linear fc1{nullptr}, fc2{nullptr};
  explicit fashion_net(std::uint64_t seed) {
    at::manual_seed(seed);
    conv1 = register_module("conv1", nn::Conv2d(nn::Conv2dOptions(1, 16, 3).padding(1)));
    conv2 = register_module("conv2", nn::Conv2d(nn::Conv2dOptions(16, 32, 3).padding(1)));
    fc1 = register_module("fc1", nn::Linear(32 * 7 * 7, 64));
    fc2 = register_module("fc2", nn::Linear(64, 10));
  }
  at::Tensor forward(at::Tensor x) {
    x = at::relu(at::max_pool2d(conv1->forward(x), 2));
    x = at::relu(at::max_pool2d(conv2->forward(x), 2));
    return fc2->forward(at::relu(fc1->forward(x.contiguous().flatten(1))));
  }
};
struct normed : nn::Module {
  nn::Linear a{nullptr}, b{nullptr};
  nn::BatchNorm1d norm{nullptr};
  explicit normed(std::uint64_t seed, at::ScalarType type = at::kFloat, std::int64_t width = 3) {
    at::manual_seed(seed);
    a = register_module("a", nn::Linear(2, width));
    b = register_module("b", a);  // tied
    norm = register_module("norm", nn::BatchNorm1d(width));
    to(type);
  }
};
bool equal(const nn::Module& x, const nn::Module& y) {
  const auto all = dtask::detail::parameters_and_buffers(x), other = dtask::detail::parameters_and_buffers(y);
  bool same = all.size() == other.size();
  for (std::size_t i = 0; same && i < all.size(); ++i) same = at::equal(all[i].tensor, other[i].tensor);
  return same;
}

}  // namespace

TEST_CASE("model file: parameters and buffers under their registered names, tied weights once") {
  const dtask_test::temporary_folder folder;
  const std::string path = (folder.path() / "m.safetensors").string();
  normed from(1), to(2);
  from.norm->running_mean.fill_(3);
  from.norm->num_batches_tracked.fill_(5);
  dtask::save_model(path, from, {{"architecture", "normed"}});
  CHECK(folder.names() == std::vector<std::string>{"m.safetensors"});
  const dtask::safetensors file = dtask::read_safetensors(dtask::read_file(path)).value();
  CHECK(file.meta("architecture") == "normed");
  CHECK(file.meta("format") == "pt");
  std::vector<std::string> names;
  for (const auto& t : file.tensors) names.push_back(t.name);
  CHECK(names == std::vector<std::string>{"a.weight", "a.bias", "norm.weight", "norm.bias", "norm.running_mean",
                                          "norm.running_var", "norm.num_batches_tracked"});
  dtask::load_model(path, to);
  CHECK(equal(from, to));
}

TEST_CASE("model file: into a flat model and out of one; floating types are converted") {
  const dtask_test::temporary_folder folder;
  const std::string path = (folder.path() / "m.safetensors").string();
  const auto from = std::make_shared<fashion_net>(1), to = std::make_shared<fashion_net>(2);
  const dtask::flat_model a(from), b(to);
  dtask::save_model(path, *from);
  dtask::load_model(path, *to);
  CHECK(at::equal(a.parameters().segments[0], b.parameters().segments[0]));
  CHECK(to->conv2->weight.storage().data() == b.parameters().segments[0].storage().data());
  normed wide(1, at::kDouble), narrow(2);
  dtask::save_model(path, wide);
  dtask::load_model(path, narrow);
  CHECK(at::equal(wide.a->weight.to(at::kFloat), narrow.a->weight));
}

TEST_CASE("model file: weights that do not fit are refused by name and change nothing") {
  const dtask_test::temporary_folder folder;
  const std::string path = (folder.path() / "m.safetensors").string();
  normed to(2);
  const normed before(2);
  const auto refused = [&](const char* why) {
    CHECK_THROWS_WITH_AS(dtask::load_model(path, to), doctest::Contains(why), dtask::error);
    CHECK(equal(to, before));
  };
  refused("No such file");
  dtask::save_model(path, normed(1, at::kFloat, 4));
  refused("a.weight is F32 of another shape");
  struct more : normed {
    more() : normed(1) { register_buffer("more", at::zeros({1})); }
  };
  dtask::save_model(path, more());
  refused("the module has no more");
  dtask::save_model(path, *normed(1).a);
  refused("a.weight is missing");
  dtask::save_model(path, normed(1));
  fs::resize_file(path, fs::file_size(path) - 1);
  refused("truncated");
  fs::resize_file(path, 5);
  CHECK_THROWS_WITH_AS(dtask::load_model(path, to), doctest::Contains(path.c_str()), dtask::error);
  dtask::save_model(path, normed(1));
  CHECK_THROWS_AS(dtask::load_model(path, to, 10), dtask::error);
  CHECK_THROWS_WITH_AS(dtask::save_model((folder.path() / "none" / "m").string(), to),
                       doctest::Contains("No such file"), dtask::error);
}

#if defined(DTASK_TEST_WITH_RECOGNISE)
TEST_CASE("model file: the recognise example loads it and gives the module's own answers") {
  const dtask_test::temporary_folder folder;
  const std::string path = (folder.path() / "fashion.safetensors").string();
  const auto net = std::make_shared<fashion_net>(3);
  const dtask::flat_model model(net);
  dtask::save_model(path, *net,
                    {{"architecture", "fashion_cnn"}, {"input_size", "28"}, {"mean", "0.2860"}, {"std", "0.3530"}});
  recognise::model loaded(dtask::read_file(path));
  CHECK(loaded.info().architecture == "fashion_cnn");
  at::manual_seed(4);
  const at::Tensor pixels = at::randint(256, {2, 28 * 28}, at::kByte);
  const auto answers = loaded.classify({pixels.const_data_ptr<std::uint8_t>(), 2 * 28 * 28}, 1);
  const at::NoGradGuard guard;
  const at::Tensor x = (pixels.to(at::kFloat) / 255 - 0.2860) / 0.3530;
  const at::Tensor right = net->forward(x.view({2, 1, 28, 28})).argmax(1);
  for (std::int64_t i = 0; i < 2; ++i)
    CHECK(answers[static_cast<std::size_t>(i)][0].index == right[i].item<std::int64_t>());
}
#endif
