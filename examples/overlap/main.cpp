// SPDX-License-Identifier: BSL-1.0
// The same small network on two streams of a device, awaited together, against one after the other. Without a device:
// on two threads of the CPU.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/cuda/CUDAGuard.h>

#include <chrono>
#include <cstdio>
#include <dtask/base/log.hpp>
#include <dtask/base/message_of.hpp>
#include <dtask/base/number.hpp>
#include <dtask/cuda.hpp>
#include <dtask/runtime/work_pool.hpp>
#include <dtask/task/sync_wait.hpp>
#include <dtask/task/when_all.hpp>
#include <dtask/torch/torch_task.hpp>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using streams = std::vector<std::optional<c10::cuda::CUDAStream>>;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Convolutions that are too small to fill a device.
class network {
 public:
  explicit network(c10::Device device) {
    for (int i = 0; i < 8; ++i) layers_.push_back((at::randn({32, 32, 3, 3}) / 17).to(device));
  }
  at::Tensor operator()(at::Tensor x) const {
    for (const at::Tensor& layer : layers_) x = at::conv2d(x, layer, {}, 1, 1).relu_();
    return x;
  }

 private:
  std::vector<at::Tensor> layers_;
};

/// Puts all passes into the stream, then waits for it: the thread is free meanwhile. Without a stream it computes.
dtask::torch_task<at::Tensor> passes(const network* net, at::Tensor in, int count,
                                     std::optional<c10::cuda::CUDAStream> stream) {
  const c10::InferenceMode no_gradients;
  std::optional<c10::cuda::CUDAStreamGuard> on;
  if (stream) on.emplace(*stream);
  at::Tensor out;
  for (int i = 0; i < count; ++i) out = (*net)(in);
  if (stream) co_await dtask::cuda::stream_done(*stream);
  co_return out;
}

struct outcome {
  double seconds = 0;
  at::Tensor first, second;
};

dtask::torch_task<outcome> one_after_the_other(const network* net, at::Tensor a, at::Tensor b, int count, streams on) {
  outcome out;
  const double begin = now();
  out.first = co_await passes(net, a, count, on[0]);
  out.second = co_await passes(net, b, count, on[1]);
  out.seconds = now() - begin;
  co_return out;
}

dtask::torch_task<outcome> together(const network* net, at::Tensor a, at::Tensor b, int count, streams on) {
  outcome out;
  const double begin = now();
  auto [first, second] = co_await dtask::when_all(passes(net, a, count, on[0]), passes(net, b, count, on[1]));
  out.seconds = now() - begin;
  out.first = std::move(first);
  out.second = std::move(second);
  co_return out;
}

int compare(c10::Device device, int count) {
  at::manual_seed(1);
  const network net(device);
  const at::Tensor a = at::rand({4, 32, 32, 32}).to(device), b = at::rand({4, 32, 32, 32}).to(device);
  streams on(2);
  if (device.is_cuda()) {
    // What was copied to the device on its default stream is there for the others too.
    dtask::sync_wait(dtask::cuda::stream_done(c10::cuda::getDefaultCUDAStream(device.index())));
    for (auto& stream : on) stream = c10::cuda::getStreamFromPool(false, device.index());
  }
  dtask::work_pool pool(2);  // two threads: what is put into one stream does not wait for what is put into the other
  dtask::sync_wait(pool, together(&net, a, b, 1, on));  // LibTorch prepares itself at the first use
  const outcome slow = dtask::sync_wait(pool, one_after_the_other(&net, a, b, count, on));
  const outcome fast = dtask::sync_wait(pool, together(&net, a, b, count, on));
  const char* const what = device.is_cuda() ? "streams" : "threads of the CPU";
  std::printf("one after the other  %9s ms\n", dtask::number_text(slow.seconds * 1e3, 2).c_str());
  std::printf("together             %9s ms on two %s\n", dtask::number_text(fast.seconds * 1e3, 2).c_str(), what);
  std::printf("ratio %s\n", dtask::number_text(slow.seconds / fast.seconds, 2).c_str());
  if (slow.first.allclose(fast.first) && slow.second.allclose(fast.second)) return 0;
  std::fprintf(stderr, "overlap: the two did not compute the same\n");
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  at::set_num_threads(1);  // what is compared is work beside work, not how LibTorch divides one piece
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  std::string name;
  unsigned count = 50;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--passes" && i + 1 < words.size())
      count = dtask::read_number<unsigned>(words[++i]).value_or(0);
    else if (words[i] == "--device" && i + 1 < words.size())
      name = words[++i];
    else
      count = 0;
  }
  if (count == 0 || count > 1'000'000) {
    std::fprintf(stderr,
                 "usage: overlap [--passes N] [--device cpu|cuda:N]\nN passes of a small network over each of two "
                 "batches; without --device on cuda:0, or on the CPU where there is none.\n");
    return 2;
  }
  try {
    const dtask::cuda::device_list& found = dtask::cuda::devices();
    if (name.empty()) {
      if (found.devices < 1) std::printf("on the CPU: %s\n", found.reason.c_str());
      name = found.devices > 0 ? "cuda:0" : "cpu";
    }
    return compare(dtask::cuda::require_device(dtask::cuda::read_device(name)), static_cast<int>(count));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "overlap: %s\n", dtask::escaped(dtask::message_of(e), 2048).c_str());
    return 2;
  }
}
