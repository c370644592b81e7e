// SPDX-License-Identifier: BSL-1.0
// What an await of a device costs: an awaited stream against one that the thread blocks for, with work of some 10 us
// and of some ms; an await of a stream that is idle; a small network on two streams together against one after the
// other. Left out, with one line, where there is no device. Everywhere: what a suspension of a torch_task costs.
#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <dtask/base/message_of.hpp>
#include <dtask/cuda.hpp>
#include <dtask/runtime/work_pool.hpp>
#include <dtask/task/sync_wait.hpp>
#include <dtask/task/when_all.hpp>
#include <dtask/torch/torch_task.hpp>
#include <exception>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "figure.hpp"

namespace {

using dtask::cuda::notice;
using stream_type = c10::cuda::CUDAStream;

double now_us() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

dtask::task<int> one(int i) { co_return i; }
template <template <class> class Task>
Task<double> suspensions(int n) {
  const double begin = now_us();
  for (int i = 0; i < n; ++i) co_await one(i);
  co_return (now_us() - begin) / n;
}

/// Work of a length that the size decides, in the stream that is current.
struct work {
  at::Tensor a, out;
  explicit work(std::int64_t size, c10::Device device)
      : a(at::rand({size, size}, at::TensorOptions(device))), out(at::empty_like(a)) {}
  void enqueue() { at::matmul_out(out, a, a); }
};

enum class how { blocks, polls, is_called };

/// Microseconds from the enqueuing to the moment at which the host goes on, the middle of `n`.
dtask::torch_task<double> until_seen(work* w, stream_type s, how h, int n) {
  const c10::InferenceMode no_gradients;
  const c10::cuda::CUDAStreamGuard on(s);
  std::vector<double> all;
  for (int i = 0; i < n; ++i) {
    const double begin = now_us();
    w->enqueue();
    if (h == how::blocks)
      s.synchronize();
    else
      co_await dtask::cuda::stream_done(s, h == how::polls ? notice::polling : notice::host_function);
    all.push_back(now_us() - begin);
  }
  co_return bench::median(std::move(all));
}
dtask::torch_task<double> idle(stream_type s, int n) {
  std::vector<double> all;
  for (int i = 0; i < n; ++i) {
    const double begin = now_us();
    co_await dtask::cuda::stream_done(s);
    all.push_back(now_us() - begin);
  }
  co_return bench::median(std::move(all));
}

/// Convolutions that are too small to fill a device.
struct network {
  std::vector<at::Tensor> layers;
  explicit network(c10::Device device) {
    for (int i = 0; i < 8; ++i) layers.push_back((at::randn({32, 32, 3, 3}) / 17).to(device));
  }
};
dtask::torch_task<int> passes(const network* net, at::Tensor in, int count, stream_type s) {
  const c10::InferenceMode no_gradients;
  const c10::cuda::CUDAStreamGuard on(s);
  for (int i = 0; i < count; ++i) {
    at::Tensor x = in;
    for (const at::Tensor& layer : net->layers) x = at::conv2d(x, layer, {}, 1, 1).relu_();
  }
  co_await dtask::cuda::stream_done(s);
  co_return count;
}
dtask::torch_task<double> network_ms(const network* net, at::Tensor in, stream_type a, stream_type b, bool together) {
  constexpr int count = 50;
  const double begin = now_us();
  if (together) {
    co_await dtask::when_all(passes(net, in, count, a), passes(net, in, count, b));
  } else {
    co_await passes(net, in, count, a);
    co_await passes(net, in, count, b);
  }
  co_return (now_us() - begin) / 1000;
}

void on_device() {
  const c10::Device device(c10::DeviceType::CUDA, 0);
  dtask::work_pool pool(2);
  const auto a = c10::cuda::getStreamFromPool(false, 0), b = c10::cuda::getStreamFromPool(false, 0);
  bench::print({"await of an idle stream, p50", dtask::sync_wait(pool, idle(a, 5000)), "us", "", 0});
  struct length {
    const char* name;
    std::int64_t size;
    int rounds;
  };
  for (const length& l : {length{"short work", 128, 2000}, length{"long work", 4096, 200}}) {
    work w(l.size, device);
    dtask::sync_wait(dtask::cuda::stream_done(c10::cuda::getCurrentCUDAStream(0)));
    dtask::sync_wait(pool, until_seen(&w, a, how::blocks, 20));
    std::vector<double> blocked, polled, called;
    for (int turn = 0; turn < 5; ++turn) {  // they take turns: clocks of devices drift
      blocked.push_back(dtask::sync_wait(pool, until_seen(&w, a, how::blocks, l.rounds / 5)));
      polled.push_back(dtask::sync_wait(pool, until_seen(&w, a, how::polls, l.rounds / 5)));
      called.push_back(dtask::sync_wait(pool, until_seen(&w, a, how::is_called, l.rounds / 5)));
    }
    const double reference = bench::median(blocked);
    const std::string name(l.name);
    bench::print({name + ", awaited, p50", bench::median(polled), "us", "cudaStreamSynchronize", reference});
    bench::print(
        {name + ", awaited by host function, p50", bench::median(called), "us", "cudaStreamSynchronize", reference});
  }
  const network net(device);
  const at::Tensor in = at::rand({4, 32, 32, 32}).to(device);
  dtask::sync_wait(dtask::cuda::stream_done(c10::cuda::getCurrentCUDAStream(0)));
  dtask::sync_wait(pool, network_ms(&net, in, a, b, true));
  std::vector<double> apart, beside;
  for (int turn = 0; turn < 9; ++turn) {
    apart.push_back(dtask::sync_wait(pool, network_ms(&net, in, a, b, false)));
    beside.push_back(dtask::sync_wait(pool, network_ms(&net, in, a, b, true)));
  }
  bench::print({"small network, two streams together", bench::median(beside), "ms", "one after the other",
                bench::median(apart)});
}

/// The benchmarks of training and recognition on the device, which lie beside this one.
int others_on_device() {
  const std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  int failed = 0;
  for (const char* name : {"dtask_bench_torch_training", "dtask_bench_torch_recognition"}) {
    const std::filesystem::path program = folder / name;
    if (!std::filesystem::exists(program)) {
      std::fprintf(stderr, "left out: %s is not built: scripts/bench cuda torch_training torch_recognition\n", name);
      continue;
    }
    std::fflush(stdout);
    failed += std::system(("DTASK_DEVICE=cuda:0 '" + program.string() + "'").c_str()) != 0;
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main() {
  try {
    const dtask::cuda::device_list& found = dtask::cuda::devices();
    dtask::work_pool pool(1);
    std::vector<double> plain, ours;
    for (int turn = 0; turn < 9; ++turn) {
      plain.push_back(dtask::sync_wait(pool, suspensions<dtask::task>(20'000)));
      ours.push_back(dtask::sync_wait(pool, suspensions<dtask::torch_task>(20'000)));
    }
    bench::print({"await of a task in a torch_task", bench::median(ours), "us", "in a task", bench::median(plain)});
    if (found.devices > 0)
      return on_device(), others_on_device();
    else
      std::fprintf(stderr, "left out: what needs a device: %s\n", found.reason.c_str());
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "cuda: %s\n", dtask::message_of(e).c_str());
    return 1;
  }
}
