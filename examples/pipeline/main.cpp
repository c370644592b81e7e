// SPDX-License-Identifier: BSL-1.0
// Loading beside computing: pictures are read, decoded and shrunk while a network computes on those before them. The
// same work is done one after the other first, and both times are printed.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <dtask/base/error.hpp>
#include <dtask/base/keep_memory.hpp>
#include <dtask/base/log.hpp>
#include <dtask/base/message_of.hpp>
#include <dtask/base/number.hpp>
#include <dtask/base/result.hpp>
#include <dtask/data/data_loader.hpp>
#include <dtask/data/fingerprint.hpp>
#include <dtask/data/image_folder.hpp>
#include <dtask/task/sync_wait.hpp>
#include <dtask/torch/batch.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pictures.hpp"

namespace {

constexpr std::uint64_t batch_size = 8;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// A small network with random weights: three convolutions and a layer over their means.
class network {
 public:
  at::Tensor operator()(const at::Tensor& pictures) const {
    at::Tensor x = at::conv2d(pictures, first_, {}, 2, 1).relu_();
    x = at::conv2d(x, second_, {}, 2, 1).relu_();
    x = at::conv2d(x, third_, {}, 2, 1).relu_();
    return at::matmul(x.mean({2, 3}), last_);
  }

 private:
  at::Tensor first_ = at::randn({16, 3, 3, 3}) / 5, second_ = at::randn({32, 16, 3, 3}) / 12,
             third_ = at::randn({64, 32, 3, 3}) / 17, last_ = at::randn({64, 10}) / 8;
};

/// What was done with the pictures, and how long it took.
struct outcome {
  std::uint64_t pictures = 0;
  double seconds = 0;
  double waited = 0;                ///< of these, the network had no pictures
  dtask::content_fingerprint seen;  ///< the pixels that the network saw, in their order

  void compute(const network& net, dtask::picture_batch batch) {
    pictures += batch.samples.size();
    seen.add(batch.inputs.span());
    net(dtask::to_batch(std::move(batch)).inputs);
  }
};

/// One batch is loaded, then computed on, then the next is loaded.
dtask::task<outcome> one_after_the_other(std::shared_ptr<const dtask::image_folder> data, const network* net,
                                         std::uint64_t passes) {
  outcome out;
  const double begin = now();
  for (std::uint64_t pass = 0; pass < passes; ++pass)
    for (std::uint64_t at = 0; at < data->size();) {
      const double asked = now();
      std::vector<dtask::image_folder::decoded> samples;
      for (const std::uint64_t end = std::min(at + batch_size, data->size()); at < end; ++at) {
        dtask::sample_random random(0, 0, at);
        auto file = co_await data->read(at);
        auto picture = data->decode(std::move(file).value(), random);
        if (!picture) throw dtask::error(picture.error().code(), picture.error().cause(), data->source(at));
        samples.push_back(std::move(*picture));
      }
      dtask::picture_batch batch = data->collate(std::move(samples));
      out.waited += now() - asked;
      out.compute(*net, std::move(batch));
    }
  out.seconds = now() - begin;
  co_return out;
}

/// The loader works on the next batches while this task computes.
dtask::task<outcome> side_by_side(std::shared_ptr<const dtask::image_folder> data, const network* net,
                                  std::uint64_t passes) {
  outcome out;
  const double begin = now();
  dtask::data_loader loader(data, {.batch = batch_size, .shuffle = false, .rest = dtask::uneven::exact, .prefetch = 8});
  for (std::uint64_t pass = 0; pass < passes; ++pass) {
    loader.start_epoch(pass);
    while (auto batch = co_await loader.next()) out.compute(*net, std::move(*batch));
    out.waited += loader.report().stall_seconds;
  }
  out.seconds = now() - begin;
  co_return out;
}

void print(const char* how, const outcome& o) {
  std::printf("%-20s %9s s %9s s %9s\n", how, dtask::number_text(o.seconds, 2).c_str(),
              dtask::number_text(o.waited, 2).c_str(),
              dtask::number_text(static_cast<double>(o.pictures) / o.seconds, 1).c_str());
}

int compare(const std::string& folder, std::uint64_t passes) {
  const auto data = std::make_shared<const dtask::image_folder>(folder);  // shrunk to 224 x 224
  const network net;
  net(at::zeros({1, 3, 224, 224}));  // LibTorch prepares itself at the first use
  std::printf("%-20s %11s %11s %9s\n", "", "time", "waiting", "pict./s");
  const outcome slow = dtask::sync_wait(one_after_the_other(data, &net, passes));
  print("one after the other", slow);
  const outcome fast = dtask::sync_wait(side_by_side(data, &net, passes));
  print("side by side", fast);
  std::printf("ratio %s, %s pictures\n", dtask::number_text(slow.seconds / fast.seconds, 2).c_str(),
              std::to_string(fast.pictures).c_str());
  std::printf("checksum of the pictures %016llx and %016llx\n", static_cast<unsigned long long>(slow.seen.value()),
              static_cast<unsigned long long>(fast.seen.value()));
  if (slow.seen.value() == fast.seen.value()) return 0;
  std::fprintf(stderr, "pipeline: the two did not see the same pictures\n");
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  dtask::keep_memory();
  // In both: what is compared is loading beside one computing thread, not how well LibTorch divides its work.
  at::set_num_threads(1);
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  std::string folder;
  std::uint64_t passes = 3;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--passes" && i + 1 < words.size())
      passes = dtask::read_number<std::uint64_t>(words[++i]).value_or(0);
    else if (folder.empty() && !words[i].starts_with('-'))
      folder = words[i];
    else
      passes = 0;
  }
  if (passes == 0) {
    std::fprintf(
        stderr,
        "usage: pipeline [--passes N] [FOLDER]\nFOLDER has a folder of JPEG or PNG files per class; without it "
        "96 pictures are made. Each pass computes on all of them.\n");
    return 2;
  }
  try {
    std::optional<pipeline::made_pictures> made;
    if (folder.empty()) folder = made.emplace(96).folder();
    return compare(folder, passes);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "pipeline: %s\n", dtask::escaped(dtask::message_of(e), 2048).c_str());
    return 2;
  }
}
