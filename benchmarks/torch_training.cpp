// SPDX-License-Identifier: BSL-1.0
// Training a network of 225,034 parameters on Fashion-MNIST, in images per second of a whole epoch: on spawn://2 with
// one thread each and 64 samples a rank, against PyTorch's DistributedDataParallel over Gloo as one would write it and
// tuned by hand; and in one process, against a bare LibTorch loop and plain PyTorch with one thread. With
// DTASK_DEVICE=cuda:N on that device, against eager PyTorch there. With the argument `launchers`: start to first step.
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <time.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>
#include <torch/utils.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <dtask/base/keep_memory.hpp>
#include <dtask/data/idx_dataset.hpp>
#include <dtask/main.hpp>
#include <dtask/torch/batch.hpp>
#include <dtask/torch/tensor_dataset.hpp>
#include <dtask/torch/trainer.hpp>
#include <dtask/torch/training.hpp>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "figure.hpp"
#if defined(DTASK_BENCH_WITH_CUDA)
#include <dtask/cuda/worker_device.hpp>
#endif

namespace {

constexpr int rounds = 3;
constexpr double rate = 0.05, momentum = 0.9;

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

class cnn : public torch::nn::Module {
 public:
  cnn() {
    conv1_ = register_module("conv1", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 32, 3)));
    conv2_ = register_module("conv2", torch::nn::Conv2d(torch::nn::Conv2dOptions(32, 64, 3)));
    fc1_ = register_module("fc1", torch::nn::Linear(1600, 128));
    fc2_ = register_module("fc2", torch::nn::Linear(128, 10));
  }
  at::Tensor forward(at::Tensor x) {
    x = at::max_pool2d(at::relu(conv1_->forward(x)), 2);
    x = at::max_pool2d(at::relu(conv2_->forward(x)), 2);
    return fc2_->forward(at::relu(fc1_->forward(x.flatten(1))));
  }

 private:
  torch::nn::Conv2d conv1_{nullptr}, conv2_{nullptr};
  torch::nn::Linear fc1_{nullptr}, fc2_{nullptr};
};

at::Tensor channels_last(const at::Tensor& pictures) {
  return at::empty(pictures.sizes(), pictures.options().memory_format(at::MemoryFormat::ChannelsLast)).copy_(pictures);
}

/// The pictures as floats, as the Python peers hold them.
dtask::tensor_dataset load(const std::string& folder, dtask::split which) {
  const dtask::idx_dataset packed(folder, which);
  std::vector<std::uint64_t> all(packed.size());
  for (std::uint64_t i = 0; i < packed.size(); ++i) all[i] = i;
  const dtask::batch whole = dtask::to_batch(packed.gather(all, {}));
  return {whole.inputs, whole.targets};
}

struct recipe {
  std::string folder;
  std::int32_t batch = 64;

  auto model() const { return std::make_shared<cnn>(); }
  auto optimizer(dtask::parameters p) const {
    return std::make_unique<torch::optim::SGD>(p, torch::optim::SGDOptions(rate).momentum(momentum));
  }
  dtask::tensor_dataset data(dtask::split which) const { return load(folder, which); }
  at::Tensor loss(cnn& m, const dtask::batch& b, dtask::tally& t) const {
    const at::Tensor answers = m.forward(channels_last(b.inputs));
    // Only where it is looked at: the bare loop and the peers do not count while they train.
    if (!answers.requires_grad()) t.add("right", answers.argmax(1).eq(b.targets).sum());
    return at::cross_entropy_loss(answers, b.targets);
  }
};
#if defined(DTASK_BENCH_WITH_CUDA)
using device = dtask::cuda::worker_device;
#else
using device = dtask::cpu_device;
#endif
using train = dtask::training<"bench/1", recipe, device>;

/// The same on the pictures as they lie in the files, and it ends as soon as the first step is done.
struct one_step {
  recipe like;
  std::int32_t batch = 64;

  auto model() const { return like.model(); }
  auto optimizer(dtask::parameters p) const { return like.optimizer(p); }
  dtask::idx_dataset data(dtask::split which) const { return {like.folder, which}; }
  at::Tensor loss(cnn& m, const dtask::batch& b, dtask::tally& t) const { return like.loss(m, b, t); }
  double rate(double progress) const {
    if (progress > 0) throw dtask::error(dtask::errc::cancelled, "the first step is done");
    return 1;
  }
};
using train_one_step = dtask::training<"bench-step/1", one_step, device>;
using jobs = dtask::registry<train, train_one_step>;

/// Two epochs; the second is measured.
dtask::task<double> trained(dtask::cluster* c, recipe r, dtask::training_options o, double* accuracy) {
  o.epochs = 2;
  o.seed = 1;
  dtask::trainer<train> t(*c, r, o);
  double images = 0;
  while (auto e = co_await t.next()) {
    images = e->images_per_second();
    *accuracy = e->held_out.mean("right");
  }
  co_return images;
}

/// The same in one process without anything of ours but the model in its memory: what one writes by hand with LibTorch.
double bare_loop(const dtask::tensor_dataset& data, std::int64_t batch) {
  at::manual_seed(1);
  const auto network = std::make_shared<cnn>();
  for (at::Tensor& p : network->parameters())
    if (p.dim() == 4) p.set_data(channels_last(p.detach()));
  torch::optim::SGD optimizer(network->parameters(), torch::optim::SGDOptions(rate).momentum(momentum));
  double images = 0;
  for (int epoch = 0; epoch < 2; ++epoch) {
    const auto begin = std::chrono::steady_clock::now();
    const at::Tensor order = at::randperm(data.inputs().size(0));
    const std::int64_t steps = data.inputs().size(0) / batch;
    double losses = 0;
    for (std::int64_t step = 0; step < steps; ++step) {
      const at::Tensor chosen = order.narrow(0, step * batch, batch);
      const at::Tensor x = channels_last(data.inputs().index_select(0, chosen));
      optimizer.zero_grad();
      const at::Tensor loss = at::cross_entropy_loss(network->forward(x), data.targets().index_select(0, chosen));
      loss.backward();
      optimizer.step();
      losses += loss.item<double>();  // as a loop that reports its loss does
    }
    volatile double keep = losses;
    static_cast<void>(keep);
    images = static_cast<double>(steps * batch) / seconds_since(begin);
  }
  return images;
}

/// Runs one case of the Python peer and reads its line; 0 where it failed.
double peer(const std::string& python, const std::string& folder, const std::string& arguments, double* first_step) {
  const std::string command =
      "'" + python + "' '" DTASK_BENCH_PEERS "/training.py' --data '" + folder + "' " + arguments;
  std::FILE* out = ::popen(command.c_str(), "r");
  if (out == nullptr) return 0;
  char line[512] = {};
  double images = 0, first = 0;
  while (std::fgets(line, sizeof line, out) != nullptr)
    std::sscanf(line, "{\"images_per_s\": %lf, \"first_step_s\": %lf", &images, &first);
  const int status = ::pclose(out);
  std::fprintf(stderr, "PyTorch, %s: %.0f images/s, first step after %.2f s%s\n", arguments.c_str(), images, first,
               status == 0 ? "" : " (failed)");
  if (first_step != nullptr) *first_step = first;
  return status == 0 ? images : 0;
}

/// Seconds since this process was started.
double age() {
  std::ifstream in("/proc/self/stat");
  const std::string line{std::istreambuf_iterator<char>(in), {}};
  std::istringstream fields(line.substr(line.rfind(')') + 2));
  std::string field;
  for (int i = 0; i < 20; ++i) fields >> field;  // the 22nd of the line: when it began, in ticks since boot
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9 -
         std::strtod(field.c_str(), nullptr) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}
/// The trainer asks for the second step's learning rate when the first is done.
dtask::task<int> first_step(dtask::cluster* c, std::string folder) {
  dtask::trainer<train_one_step> t(*c, one_step{{folder}}, {.ranks = 2, .epochs = 1, .seed = 1});
  try {
    co_await t.next();
  } catch (const dtask::error& e) {
    if (e.code() != dtask::errc::cancelled) throw;
  }
  std::printf("%f\n", age());
  co_return 0;
}
/// Seconds from the start of a process of this program, with two workers, to the end of its first step; 0: it failed.
/// `launcher`: what starts two of it; the time is that of rank 0.
double first_step_of_a_process(const std::string& launcher = {}) {
  const std::string command = "DTASK_BENCH_FIRST_STEP=1 " + launcher + " '" +
                              std::filesystem::read_symlink("/proc/self/exe").string() + "'" +
                              (launcher.empty() ? " --on spawn://2" : "");
  std::FILE* const out = ::popen(command.c_str(), "r");
  if (out == nullptr) return 0;
  double seconds = 0;
  const int read = std::fscanf(out, "%lf", &seconds);
  return ::pclose(out) == 0 && read == 1 ? seconds : 0;
}

/// Start to first step under every launcher that is here; they take turns.
int compare_launchers() {
  struct start {
    const char *name, *test, *words;
  };
  const start all[] = {
      {"first_step_spawn", "true", ""},
      {"first_step_mpirun", "command -v mpirun >/dev/null",
       "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --bind-to none -n 2"},
      {"first_step_srun", "scontrol ping >/dev/null 2>&1", "srun -n 2 --overcommit"},
      {"first_step_torchrun", "command -v torchrun >/dev/null", "torchrun --no-python --nproc-per-node 2 --"}};
  std::vector<double> seconds[std::size(all)];
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < std::size(all); ++i) {
      if (std::system(all[i].test) == 0)
        seconds[i].push_back(first_step_of_a_process(all[i].words));
      else if (round == 0)
        std::fprintf(stderr, "left out: %s: not here\n", all[i].name);
    }
  for (std::size_t i = 0; i < std::size(all); ++i)
    if (!seconds[i].empty())
      bench::print({all[i].name, bench::median(seconds[i]), "s", "spawn://2", bench::median(seconds[0])});
  return 0;
}

dtask::task<int> measure(dtask::cluster* spawned, std::string folder) {
  const char* const python = std::getenv("DTASK_BENCH_PEER_PYTHON");
  const bool with_peers = python != nullptr && *python != '\0';
  const dtask::tensor_dataset data = load(folder, dtask::split::train);
  at::set_num_threads(1);
  dtask::cluster alone = co_await dtask::cluster::connect<jobs>("local://1");
  const recipe rank{folder, 64}, whole{folder, 128};
  std::vector<double> sync2, local2, sync1, local1, bare, ddp, tuned, plain, first, first_ddp;
  double accuracy_sync = 0, accuracy_local = 0, ignored = 0;
  for (int round = 0; round < rounds; ++round) {
    auto a = trained(spawned, rank, {.ranks = 2, .rest = dtask::uneven::drop}, &accuracy_sync);
    sync2.push_back(co_await std::move(a));
    auto b = trained(spawned, rank, {.strategy = dtask::local_sgd(16), .ranks = 2, .rest = dtask::uneven::drop},
                     &accuracy_local);
    local2.push_back(co_await std::move(b));
    auto c = trained(&alone, whole, {.rest = dtask::uneven::drop}, &ignored);
    sync1.push_back(co_await std::move(c));
    auto d = trained(&alone, whole, {.strategy = dtask::local_sgd(16), .rest = dtask::uneven::drop}, &ignored);
    local1.push_back(co_await std::move(d));
    bare.push_back(bare_loop(data, 128));
    first.push_back(first_step_of_a_process());
    std::fprintf(
        stderr,
        "round %d: spawn://2 sync %.0f, local_sgd(16) %.0f; local://1 sync %.0f, local_sgd(16) %.0f; bare loop "
        "%.0f images/s; accuracy %.4f, %.4f; first step after %.2f s\n",
        round + 1, sync2.back(), local2.back(), sync1.back(), local1.back(), bare.back(), accuracy_sync, accuracy_local,
        first.back());
    if (!with_peers) continue;
    first_ddp.push_back(0);
    ddp.push_back(peer(python, folder, "--processes 2", &first_ddp.back()));
    tuned.push_back(peer(python, folder, "--processes 2 --tuned", nullptr));
    plain.push_back(peer(python, folder, "--processes 1 --tuned", nullptr));
  }
  bench::print(
      {"training_local_sync_vs_bare", bench::median(sync1), "images/s", "bare LibTorch loop", bench::median(bare)});
  bench::print({"training_local_local_sgd_vs_bare", bench::median(local1), "images/s", "bare LibTorch loop",
                bench::median(bare)});
  if (with_peers) {
    const double sync = bench::median(sync2), local = bench::median(local2);
    bench::print({"training_sync_vs_ddp", sync, "images/s", "DDP over Gloo", bench::median(ddp)});
    bench::print({"training_sync_vs_tuned_ddp", sync, "images/s", "DDP over Gloo, tuned", bench::median(tuned)});
    bench::print({"training_local_sgd_vs_tuned_ddp", local, "images/s", "DDP over Gloo, tuned", bench::median(tuned)});
    bench::print({"training_one_process_vs_pytorch", bench::median(sync1), "images/s", "PyTorch, 1 thread, tuned",
                  bench::median(plain)});
    bench::print({"training_first_step_vs_ddp", bench::median(first), "s", "DDP over Gloo", bench::median(first_ddp)});
  } else {
    bench::print({"training_sync", bench::median(sync2), "images/s", "", 0});
    bench::print({"training_local_sgd", bench::median(local2), "images/s", "", 0});
    bench::print({"training_first_step", bench::median(first), "s", "", 0});
  }
  co_await alone.close();
  co_return 0;
}

/// One part at a time on the device that DTASK_DEVICE names, against eager PyTorch there.
dtask::task<int> measure_device(dtask::cluster* c, std::string folder, std::string name) {
  const char* const python = std::getenv("DTASK_BENCH_PEER_PYTHON");
  std::vector<double> ours, theirs;
  double accuracy = 0;
  for (int round = 0; round < rounds; ++round) {
    auto running =
        trained(c, {folder, 128}, {.strategy = dtask::local_sgd(100), .rest = dtask::uneven::drop}, &accuracy);
    ours.push_back(co_await std::move(running));
    std::fprintf(stderr, "round %d: %.0f images/s, accuracy %.4f\n", round + 1, ours.back(), accuracy);
    if (python != nullptr && *python != '\0')
      theirs.push_back(peer(python, folder, "--processes 1 --device " + name, nullptr));
  }
  bench::print({"training_on_device", bench::median(ours), "images/s", theirs.empty() ? "" : "eager PyTorch there",
                theirs.empty() ? 0 : bench::median(theirs)});
  co_return 0;
}

}  // namespace

int main(int argc, char** argv) {
  dtask::keep_memory();
  ::setenv("OMP_WAIT_POLICY", "passive", 0);
  const char* const data = std::getenv("DTASK_TEST_DATA");
  std::string folder = "/usr/share/datasets/fashion-mnist";
  if (data != nullptr && *data != '\0') folder = std::string(data) + "/fashion-mnist";
  const bool one_step = std::getenv("DTASK_BENCH_FIRST_STEP") != nullptr;
  if (one_step) return dtask::main<jobs>(argc, argv, [&folder](dtask::cluster& c) { return first_step(&c, folder); });
  if (argc == 2 && std::string(argv[1]) == "launchers") return compare_launchers();
  if (argc > 1) return dtask::main<jobs>(argc, argv, [](dtask::cluster&) -> dtask::task<> { co_return; });
  if (!std::filesystem::exists(folder)) {
    std::fprintf(stderr, "left out: no Fashion-MNIST in %s\n", folder.c_str());
    return 0;
  }
  const char* const named = std::getenv("DTASK_DEVICE");
  const std::string where = named != nullptr ? named : "";
  const bool on_device = where.starts_with("cuda");
  std::string program = argv[0], on = "--on", url = on_device ? "local://1" : "spawn://2";
  char* words[] = {program.data(), on.data(), url.data(), nullptr};
  return dtask::main<jobs>(
      3, words, [&](dtask::cluster& c) { return on_device ? measure_device(&c, folder, where) : measure(&c, folder); });
}
