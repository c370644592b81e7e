// SPDX-License-Identifier: BSL-1.0
// Loading for training, in images per second: Fashion-MNIST in memory, batch 128, against a bare loop of index_select
// and Python's DataLoader (the best of 0 and 2 workers); 1,600 JPEG photos to 224 x 224 floats with two threads against
// DataLoader with Pillow and with OpenCV; and how long a loader takes to go on at 90 % of an epoch.
#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <dtask/base/keep_memory.hpp>
#include <dtask/base/message_of.hpp>
#include <dtask/data/data_loader.hpp>
#include <dtask/data/idx_dataset.hpp>
#include <dtask/data/image_folder.hpp>
#include <dtask/runtime/work_pool.hpp>
#include <dtask/task/sync_wait.hpp>
#include <dtask/torch/batch.hpp>
#include <dtask/torch/tensor_dataset.hpp>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "figure.hpp"

namespace {

constexpr std::int64_t in_memory_batch = 128;
constexpr std::uint64_t photo_batch = 32;
constexpr int rounds = 41, copies = 10;

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// One epoch as fast as batches come. What is read of each batch makes sure that it is there.
template <class Dataset>
dtask::task<double> epoch_of(dtask::data_loader<Dataset>* loader, std::uint64_t number) {
  const auto begin = std::chrono::steady_clock::now();
  std::int64_t images = 0;
  double seen = 0;
  loader->start_epoch(number);
  while (auto loaded = co_await loader->next()) {
    const dtask::batch b = dtask::to_batch(std::move(*loaded));
    images += b.size();
    seen += b.inputs.const_data_ptr<float>()[0];
  }
  volatile double keep = seen;
  static_cast<void>(keep);
  co_return static_cast<double>(images) / seconds_since(begin);
}
template <class Dataset>
double epoch(dtask::data_loader<Dataset>& loader, std::uint64_t number) {
  return dtask::sync_wait(epoch_of(&loader, number));
}

/// The same without a loader: a permutation, and index_select of its slices.
double bare_epoch(const at::Tensor& inputs, const at::Tensor& targets) {
  const auto begin = std::chrono::steady_clock::now();
  const std::int64_t count = inputs.size(0);
  const at::Tensor order = at::randperm(count);
  double seen = 0;
  for (std::int64_t at = 0; at < count; at += in_memory_batch) {
    const at::Tensor index = order.slice(0, at, std::min(at + in_memory_batch, count));
    const at::Tensor x = inputs.index_select(0, index), y = targets.index_select(0, index);
    seen += x.const_data_ptr<float>()[0] + static_cast<double>(y.const_data_ptr<std::int64_t>()[0]);
  }
  volatile double keep = seen;
  static_cast<void>(keep);
  return static_cast<double>(count) / seconds_since(begin);
}

/// Runs one case of the Python peer and reads its line; 0 where it failed.
double peer(const std::string& python, const std::filesystem::path& data, const std::string& arguments) {
  const std::string command =
      "'" + python + "' '" DTASK_BENCH_PEERS "/loading.py' --data '" + data.string() + "' " + arguments;
  std::FILE* out = ::popen(command.c_str(), "r");
  if (out == nullptr) return 0;
  char line[512] = {};
  double rate = 0;
  while (std::fgets(line, sizeof line, out) != nullptr) std::sscanf(line, "{\"images_per_s\": %lf", &rate);
  const int status = ::pclose(out);
  std::fprintf(stderr, "DataLoader, %s: %.0f images/s%s\n", arguments.c_str(), rate, status == 0 ? "" : " (failed)");
  return status == 0 ? rate : 0;
}
/// The best of no and two workers.
double best_peer(const std::string& python, const std::filesystem::path& data, const std::string& arguments) {
  return std::max(peer(python, data, arguments + " --workers 0"), peer(python, data, arguments + " --workers 2"));
}

/// Fashion-MNIST as float tensors, as a training program holds it.
dtask::tensor_dataset tensors_of(const dtask::idx_dataset& data) {
  std::vector<std::uint64_t> all(data.size());
  for (std::uint64_t i = 0; i < data.size(); ++i) all[i] = i;
  const dtask::batch whole = dtask::to_batch(data.gather(all, {}));
  return {whole.inputs, whole.targets};
}

double in_memory(const std::filesystem::path& data) {
  const auto pixels =
      std::make_shared<const dtask::idx_dataset>((data / "fashion-mnist").string(), dtask::split::train);
  const auto tensors = std::make_shared<const dtask::tensor_dataset>(tensors_of(*pixels));
  const dtask::loader_options options{.batch = in_memory_batch, .rest = dtask::uneven::exact};
  dtask::data_loader loader(tensors, options);
  dtask::data_loader packed(pixels, options);
  std::vector<double> with, bare, bytes;
  for (std::uint64_t round = 0; round <= rounds; ++round) {
    const double a = epoch(loader, round), b = bare_epoch(tensors->inputs(), tensors->targets()),
                 c = epoch(packed, round);
    std::fprintf(stderr, "in memory, round %d: loader %.0f, bare %.0f, loader on bytes %.0f images/s\n",
                 static_cast<int>(round), a, b, c);
    if (round == 0) continue;  // pages are touched
    with.push_back(a);
    bare.push_back(b);
    bytes.push_back(c);
  }
  const double rate = bench::median(with), reference = bench::median(bare);
  bench::print({"loading_in_memory", rate, "images/s", "bare index_select", reference});
  bench::print({"loading_in_memory_idx", bench::median(bytes), "images/s", "bare index_select of floats", reference});

  dtask::loader_state state = loader.state();
  state.epoch = 1;
  state.position = state.samples * 9 / 10;
  std::vector<double> restores, firsts;
  for (int i = 0; i < 200; ++i) {
    loader.start_epoch(0);
    const auto begin = std::chrono::steady_clock::now();
    loader.restore(state);
    restores.push_back(seconds_since(begin) * 1e6);
    const auto first = dtask::sync_wait(loader.next());
    firsts.push_back(seconds_since(begin) * 1e6);
    if (!first) std::abort();
  }
  bench::print({"loading_restore_at_90_percent", bench::median(restores), "us", "the same and the first batch",
                bench::median(firsts)});
  return rate;
}

/// A folder of `copies` classes, each of which is the same photos.
class photo_folder {
 public:
  explicit photo_folder(const std::filesystem::path& photos) {
    std::string name = (std::filesystem::temp_directory_path() / "dtask-bench-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
    for (int i = 0; i < copies; ++i)
      std::filesystem::create_directory_symlink(std::filesystem::absolute(photos),
                                                path_ / ("class" + std::to_string(100 + i)));
  }
  photo_folder(const photo_folder&) = delete;
  photo_folder& operator=(const photo_folder&) = delete;
  ~photo_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

/// The photos through a loader with two threads, measured again and again between its peers.
class photo_rates {
 public:
  explicit photo_rates(const std::filesystem::path& data)
      : folder_(data / "photos"),
        loader_(dtask::image_folder(folder_.path(),
                                    {.scale = {.mean = {0.5F, 0.5F, 0.5F}, .deviation = {0.5F, 0.5F, 0.5F}}}),
                {.batch = photo_batch, .decode_concurrency = 2, .scheduler = &pool_}) {
    epoch(loader_, 0);
  }
  void measure() {
    for (int i = 0; i < 3; ++i) {
      rates_.push_back(epoch(loader_, ++number_));
      const dtask::loader_report r = loader_.report();
      std::fprintf(stderr,
                   "photos: %.0f images/s; read %.2f s, decode %.2f s, collate %.2f s, stalled %.2f of %.2f s\n",
                   rates_.back(), r.read_seconds, r.decode_seconds, r.collate_seconds, r.stall_seconds, r.seconds);
    }
  }
  double median() const { return bench::median(rates_); }
  /// restore() at 90 % of an epoch while the stages are busy with its beginning, and the first batch from there: us.
  std::pair<double, double> restore() {
    dtask::loader_state state = loader_.state();
    state.epoch = 1;
    state.position = state.samples * 9 / 10;
    std::vector<double> restores, firsts;
    for (int i = 0; i < 20; ++i) {
      loader_.start_epoch(0);
      const auto begin = std::chrono::steady_clock::now();
      loader_.restore(state);
      restores.push_back(seconds_since(begin) * 1e6);
      if (!dtask::sync_wait(loader_.next())) std::abort();
      firsts.push_back(seconds_since(begin) * 1e6);
    }
    return {bench::median(restores), bench::median(firsts)};
  }

 private:
  photo_folder folder_;
  dtask::work_pool pool_{2};
  dtask::data_loader<dtask::image_folder> loader_;
  std::uint64_t number_ = 0;
  std::vector<double> rates_;
};

int measure(const std::filesystem::path& data) {
  const double memory = in_memory(data);
  photo_rates photos(data);
  photos.measure();
  const auto [restored, first] = photos.restore();
  bench::print({"loading_restore_busy", restored, "us", "the same and the first batch", first});
  const char* python = std::getenv("DTASK_BENCH_PEER_PYTHON");
  if (python == nullptr || *python == '\0') {
    bench::print({"loading_jpeg", photos.median(), "images/s", {}, 0});
    std::fprintf(stderr, "the Python peers are left out (scripts/bench runs them)\n");
    return 0;
  }
  const double samples = best_peer(python, data, "fashion");
  const double pillow = best_peer(python, data, "photos --decoder pil");
  photos.measure();
  const double opencv = best_peer(python, data, "photos --decoder cv2");
  photos.measure();
  const double jpeg = photos.median();
  if (samples > 0) bench::print({"loading_in_memory_vs_python", memory, "images/s", "DataLoader", samples});
  if (pillow > 0) bench::print({"loading_jpeg_vs_python_pillow", jpeg, "images/s", "DataLoader, Pillow", pillow});
  if (opencv > 0) bench::print({"loading_jpeg_vs_python_opencv", jpeg, "images/s", "DataLoader, OpenCV", opencv});
  return samples > 0 && pillow > 0 && opencv > 0 ? 0 : 1;
}

}  // namespace

int main() {
  dtask::keep_memory();
  at::set_num_threads(1);  // the loader and the bare loop alike; two for so small a copy are slower
  const char* folder = std::getenv("DTASK_TEST_DATA");
  if (folder == nullptr || *folder == '\0') {
    std::fprintf(stderr, "left out: set DTASK_TEST_DATA to the folder with fashion-mnist and photos\n");
    return 0;
  }
  try {
    return measure(folder);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", dtask::message_of(e).c_str());
    return 1;
  }
}
