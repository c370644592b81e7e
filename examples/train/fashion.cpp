// SPDX-License-Identifier: BSL-1.0
#include "fashion.hpp"

#include <ATen/Functions.h>

#include <algorithm>
#include <cstring>
#include <dtask/base/read_file.hpp>
#include <dtask/data/idx.hpp>
#include <utility>
#include <vector>

namespace train {

namespace {

/// The four files, in the order of their shards.
constexpr const char* files[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                                 "t10k-labels-idx1-ubyte"};
constexpr std::size_t shard_bytes = 8'000'000;

std::string shard_name(std::size_t file, std::size_t number) {
  return std::string(files[file]) + "/" + std::to_string(number);
}
dtask::idx_options scale() {
  dtask::idx_options options;
  options.scale.mean = {recognise::fashion_mean};
  options.scale.deviation = {recognise::fashion_std};
  return options;
}
dtask::bytes read_plain_or_packed(const std::string& path) {
  try {
    return dtask::read_file(path);
  } catch (const dtask::error& e) {
    if (e.code() != dtask::errc::not_found) throw;
  }
  return dtask::read_file(path + ".gz");
}
/// One file again from its shards: the first says how many there are.
dtask::task<dtask::idx_array> fetch_array(dtask::job_context* ctx, std::size_t file) {
  dtask::blob first = co_await ctx->fetch(shard_name(file, 0));
  const std::string_view head = first.view();
  const std::size_t count = head.empty() ? 0 : static_cast<unsigned char>(head.front());
  std::vector<std::byte> all;
  for (std::size_t i = 0; i < count; ++i) {
    if (i == 0) {
      all.assign(first.span().begin() + 1, first.span().end());
      continue;
    }
    const dtask::blob shard = co_await ctx->fetch(shard_name(file, i));
    all.insert(all.end(), shard.span().begin(), shard.span().end());
  }
  co_return dtask::read_idx(dtask::bytes::from(std::move(all))).value();
}

}  // namespace

perceptron::perceptron() {
  fc1_ = register_module("fc1", torch::nn::Linear(28 * 28, 256));
  fc2_ = register_module("fc2", torch::nn::Linear(256, 128));
  fc3_ = register_module("fc3", torch::nn::Linear(128, 10));
}
at::Tensor perceptron::forward(at::Tensor x) {
  x = at::relu(fc1_->forward(x.flatten(1)));
  x = at::relu(fc2_->forward(x));
  return fc3_->forward(x);
}

dtask::task<dtask::idx_dataset> load_pictures(std::string folder, std::int32_t shards, dtask::split which,
                                              dtask::job_context* ctx) {
  if (shards == 0) co_return dtask::idx_dataset(folder, which, scale());
  const std::size_t first = which == dtask::split::train ? 0 : 2;
  auto pictures_coming = fetch_array(ctx, first);
  dtask::idx_array pictures = co_await std::move(pictures_coming);
  auto labels_coming = fetch_array(ctx, first + 1);
  dtask::idx_array labels = co_await std::move(labels_coming);
  co_return dtask::idx_dataset(std::move(pictures), std::move(labels), scale());
}

dtask::task<std::int32_t> send_pictures(dtask::cluster* c, std::string folder) {
  std::int32_t sent = 0;
  for (std::size_t file = 0; file < std::size(files); ++file) {
    const dtask::bytes content = read_plain_or_packed(folder + "/" + files[file]);
    const std::size_t count = (content.size() + shard_bytes - 1) / shard_bytes;
    if (count > 255)
      throw dtask::error(dtask::errc::too_large, "more than 2 GB to send", folder, "give the workers the files");
    for (std::size_t i = 0; i < count; ++i, ++sent) {
      const std::size_t at = i * shard_bytes, size = std::min(shard_bytes, content.size() - at);
      dtask::bytes shard = content.slice(at, size);
      if (i == 0) {
        dtask::mutable_bytes with_count(size + 1);
        with_count.data()[0] = static_cast<std::byte>(count);
        std::memcpy(with_count.data() + 1, shard.data(), size);
        shard = std::move(with_count).freeze();
      }
      co_await c->publish(shard_name(file, i), shard);
    }
  }
  co_return sent;
}

at::Tensor loss_of(const at::Tensor& answers, const dtask::batch& b, dtask::tally& t) {
  t.add("right", answers.argmax(1).eq(b.targets).sum());
  return at::cross_entropy_loss(answers, b.targets);
}

at::Tensor channels_last(const at::Tensor& pictures) {
  // `contiguous` would do nothing on one channel, hence the copy into memory made with the format.
  return at::empty(pictures.sizes(), pictures.options().memory_format(at::MemoryFormat::ChannelsLast)).copy_(pictures);
}

}  // namespace train
