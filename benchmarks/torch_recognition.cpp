// SPDX-License-Identifier: BSL-1.0
// Recognition of 160 photos x 10 on spawn://2 with one thread each, against two plain threads that run the same decode
// and network without dtask, and against Python: OpenCV + PyTorch (the best of threads, asyncio and processes) and
// OpenCV + LiteRT with the uint8 network (two threads). With DTASK_DEVICE=cuda:N on that device, with two slots in each
// process, against OpenCV + PyTorch there.
#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <dtask/base/keep_memory.hpp>
#include <dtask/main.hpp>
#include <exception>
#include <filesystem>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "dtask/base/read_file.hpp"
#include "dtask/data.hpp"
#include "figure.hpp"
#include "jobs.hpp"

namespace {

using namespace std::chrono_literals;

constexpr std::size_t per_job = 8, repeats = 10, rounds = 9;

struct work {
  dtask::bytes weights;
  std::vector<dtask::bytes> files;

  std::size_t jobs() const { return (files.size() + per_job - 1) / per_job * repeats; }
  recognise::batch batch(std::size_t job) const {
    const std::size_t at = job % (jobs() / repeats) * per_job;
    recognise::batch out;
    for (std::size_t i = at; i < std::min(at + per_job, files.size()); ++i) out.files.push_back(files[i]);
    return out;
  }
};

work load(const std::filesystem::path& data) {
  work w;
  w.weights = dtask::read_file((data / "weights" / "mobilenet_v2.safetensors").string());
  for (const auto& entry : std::filesystem::directory_iterator(data / "photos"))
    if (entry.path().extension() == ".jpg") w.files.push_back(dtask::read_file(entry.path().string()));
  return w;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Two threads without dtask: the same job objects, fed by a counter. Pictures per second.
class plain_threads {
 public:
  explicit plain_threads(const work& w) : work_(w) {
    for (auto& m : models_) m = std::make_unique<recognise::model>(w.weights);
  }
  double run() {
    std::atomic<std::size_t> next{0};
    const auto begin = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (auto& m : models_) {
      threads.emplace_back([&] {
        const recognise::model_info& info = m->info();
        std::vector<std::uint8_t> pixels(per_job * info.picture_bytes());
        for (std::size_t job; (job = next.fetch_add(1)) < work_.jobs();) {
          const recognise::batch in = work_.batch(job);
          for (std::size_t i = 0; i < in.files.size(); ++i) {
            const auto picture =
                dtask::decode_picture(in.files[i].span(), {.target_width = info.width, .target_height = info.height});
            dtask::resize_bilinear(picture.value(), info.width, info.height,
                                   std::span(pixels).subspan(i * info.picture_bytes(), info.picture_bytes()));
          }
          (void)m->classify(std::span(pixels).first(in.files.size() * info.picture_bytes()));
        }
      });
    }
    for (std::thread& t : threads) t.join();
    return static_cast<double>(work_.files.size() * repeats) / seconds_since(begin);
  }

 private:
  const work& work_;
  std::unique_ptr<recognise::model> models_[2];
};

dtask::task<double> on_cluster(dtask::cluster& c, const work& w) {
  const auto begin = std::chrono::steady_clock::now();
  auto batches = std::views::iota(std::size_t{0}, w.jobs()) |
                 std::views::transform([&w](std::size_t job) { return w.batch(job); });
  auto answers = c.map<recognise::recognise_job>(std::move(batches), {.order = dtask::unordered, .window = 16});
  std::size_t pictures = 0;
  while (auto r = co_await answers.next()) pictures += r->value().size();
  co_return static_cast<double>(pictures) / seconds_since(begin);
}

/// Of the workers, where it is no CPU.
std::string device() {
  const char* const named = std::getenv("DTASK_DEVICE");
  return named != nullptr && std::string_view(named).starts_with("cuda") ? named : "";
}

/// Runs the Python peer and reads its line; 0 where it failed.
double peer(const std::string& python, const std::filesystem::path& data, const std::string& network,
            const std::string& mode) {
  const std::string command = "'" + python + "' '" DTASK_BENCH_PEERS "/recognise.py' --data '" + data.string() +
                              "' --network " + network + " --mode " + mode + " --repeat " + std::to_string(repeats) +
                              (device().empty() ? "" : " --device " + device());
  std::FILE* out = ::popen(command.c_str(), "r");
  if (out == nullptr) return 0;
  char line[512] = {};
  double rate = 0;
  while (std::fgets(line, sizeof line, out) != nullptr) std::sscanf(line, "{\"pictures_per_s\": %lf", &rate);
  const int status = ::pclose(out);
  std::fprintf(stderr, "Python, %s, %s: %.1f pictures/s%s\n", network.c_str(), mode.c_str(), rate,
               status == 0 ? "" : " (failed)");
  return status == 0 ? rate : 0;
}

int compare_with_peers(double rate, const char* python, const std::filesystem::path& data) {
  double best = 0;
  for (const char* mode : {"threads", "asyncio", "processes"}) best = std::max(best, peer(python, data, "torch", mode));
  if (best > 0) bench::print({"recognition_vs_python_torch", rate, "pictures/s", "OpenCV + PyTorch float32", best});
  if (!device().empty()) return best > 0 ? 0 : 1;
  const double litert = peer(python, data, "litert", "threads");
  if (litert > 0) bench::print({"recognition_vs_python_litert", rate, "pictures/s", "OpenCV + LiteRT uint8", litert});
  return best > 0 && litert > 0 ? 0 : 1;
}

// `data` by value: the caller's temporary path is gone when the coroutine first resumes.
dtask::task<int> measure(dtask::cluster& c, const work& w, std::filesystem::path data) {
  co_await c.broadcast("weights", w.weights);
  plain_threads plain(w);
  // The first round of each is not counted: networks are made, pages touched.
  std::vector<double> clusters, threads;
  for (std::size_t round = 0; round <= rounds; ++round) {
    const double with = co_await on_cluster(c, w), without = device().empty() ? plain.run() : 0;
    std::fprintf(stderr, "round %zu: spawn://2 %.1f, two plain threads %.1f pictures/s\n", round, with, without);
    if (round == 0) continue;
    clusters.push_back(with);
    threads.push_back(without);
  }
  const double rate = bench::median(clusters);
  bench::print({device().empty() ? "recognition_spawn2" : "recognition_on_device", rate, "pictures/s",
                device().empty() ? "two plain threads" : "", bench::median(threads)});
  const char* python = std::getenv("DTASK_BENCH_PEER_PYTHON");
  if (python == nullptr || *python == '\0') {
    std::fprintf(stderr, "the Python peers are left out (scripts/bench runs them)\n");
    co_return 0;
  }
  co_return compare_with_peers(rate, python, data);
}

}  // namespace

int main(int argc, char** argv) {
  dtask::keep_memory();
  ::setenv("DTASK_LOCAL_WORKERS", "2", 1);
  recognise::share_cores(std::thread::hardware_concurrency());  // one thread each
  const char* folder = std::getenv("DTASK_TEST_DATA");
  const bool measuring = argc == 1;
  work w;
  if (measuring) {
    if (folder == nullptr || *folder == '\0') {
      std::fprintf(stderr, "left out: set DTASK_TEST_DATA to the folder with photos and weights\n");
      return 0;
    }
    try {
      w = load(folder);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "%s\n", dtask::message_of(e).c_str());
      return 1;
    }
  }
  std::string on = "--on", url = "spawn://2";
  std::string slots = "--spawn-slots", two = "2";
  char* words[] = {argv[0], on.data(), url.data(), slots.data(), two.data(), nullptr};
  return dtask::main<recognise::jobs>(measuring ? (device().empty() ? 3 : 5) : argc, measuring ? words : argv,
                                      [&](dtask::cluster& c) { return measure(c, w, folder); });
}
