// SPDX-License-Identifier: BSL-1.0
// The main job on one machine, on real pictures: a coordinator and two workers, all processes of this program; a
// network is trained on the cluster, broadcast, and classifies 10,000 pictures while one worker is killed and replaced.
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <dtask/base/keep_memory.hpp>
#include <dtask/main.hpp>
#include <exception>
#include <filesystem>
#include <map>
#include <optional>
#include <ranges>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "children.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/message_of.hpp"
#include "dtask/base/number.hpp"
#include "dtask/base/read_file.hpp"
#include "dtask/data/idx.hpp"
#include "jobs.hpp"

namespace {

using namespace std::chrono_literals;
using recognise::child;

constexpr std::size_t pictures_per_job = 50;
/// The demo gives up rather than go on for ever: many times what it needs.
constexpr auto patience = 4min;

/// The processes: a coordinator and workers `worker-1`, `worker-2`, ...
class processes {
 public:
  processes() {
    const std::string port_file = folder_.path() + "/port";
    coordinator_.emplace(
        std::vector<std::string>{"coordinator", "--listen", "127.0.0.1:0", "--port-file", port_file, "--log", "error"});
    coordinator_->wait_for_file(port_file, 20);
    const dtask::bytes port = dtask::read_file(port_file);
    port_.assign(reinterpret_cast<const char*>(port.data()), port.size());
    port_.erase(port_.find_last_not_of('\n') + 1);
    for (int i = 0; i < 2; ++i) add_worker();
  }
  ~processes() {
    for (auto& [name, worker] : workers_) worker.end(5);
    coordinator_->end(5);
  }
  processes(const processes&) = delete;
  processes& operator=(const processes&) = delete;

  std::string url() const { return "tcp://127.0.0.1:" + port_; }
  std::string add_worker() {
    const std::string name = "worker-" + std::to_string(++count_);
    // Two workers at a time share the cores of this machine.
    const std::vector<std::string> environment{"DTASK_LOCAL_WORKERS=2"};
    workers_.emplace(name, child({"worker", "--connect", url(), "--slots", "1", "--name", name, "--until-stdin-ends",
                                  "--log", "error"},
                                 environment));
    return name;
  }
  pid_t pid(const std::string& name) const { return workers_.at(name).pid(); }
  void kill_worker(const std::string& name) {
    workers_.at(name).kill();
    workers_.erase(name);
  }
  const std::string& folder() const noexcept { return folder_.path(); }

 private:
  recognise::scratch_folder folder_;
  std::optional<child> coordinator_;
  std::string port_;
  std::map<std::string, child> workers_;
  int count_ = 0;
};

struct data_files {
  dtask::bytes train_pictures, train_labels;
  dtask::idx_array pictures, labels;
};
data_files load(const std::string& folder) {
  const auto file = [&folder](const char* name) { return dtask::read_file(folder + "/" + name); };
  return {file("train-images-idx3-ubyte.gz"), file("train-labels-idx1-ubyte.gz"),
          dtask::read_idx(file("t10k-images-idx3-ubyte.gz")).value(),
          dtask::read_idx(file("t10k-labels-idx1-ubyte.gz")).value()};
}

/// `host/name#id` to name.
std::string worker_name(std::string_view worker) {
  const std::size_t slash = worker.find('/'), begin = slash == std::string_view::npos ? 0 : slash + 1;
  return std::string(worker.substr(begin, worker.rfind('#') - begin));
}

void say(const std::string& text) {
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
}

/// What has been seen over all passes.
struct sightings {
  std::map<std::string, std::size_t> pictures_by_worker;
  std::size_t placed_again = 0;  ///< jobs answered at a second or later attempt
  std::set<std::string> killed;
  std::string replacement;  ///< of the last one killed
  bool all() const { return placed_again != 0 && !replacement.empty() && pictures_by_worker.contains(replacement); }
};

struct pass_result {
  std::size_t answered = 0, right = 0;
  double seconds = 0;
  bool killed = false;
};

/// All test pictures once. When two workers have answered and a fifth is done, one of them is killed and a replacement
/// started. A worker that had just answered all that it was given has no job to place again: then
/// the next pass kills one more.
dtask::task<pass_result> classify_all(dtask::cluster& c, const data_files& data, processes& cluster, sightings& seen,
                                      int number) {
  pass_result pass;
  std::set<std::string> answering;
  const std::size_t count = data.pictures.count(), jobs = (count + pictures_per_job - 1) / pictures_per_job,
                    picture = data.pictures.data.size() / count;
  auto batches = std::views::iota(std::size_t{0}, jobs) | std::views::transform([&data, picture](std::size_t i) {
                   return recognise::batch{
                       {}, data.pictures.data.slice(i * pictures_per_job * picture, pictures_per_job * picture)};
                 });
  const auto begin = std::chrono::steady_clock::now();
  dtask::progress bar("pass " + std::to_string(number) + ": pictures", count);
  auto answers =
      c.map<recognise::recognise_job>(std::move(batches), {.order = dtask::unordered, .window = 32, .deadline = 2min});
  while (auto r = co_await answers.next()) {
    const std::vector<recognise::answer>& found = r->value();
    const std::string worker = worker_name(r->worker());
    const std::size_t first = static_cast<std::size_t>(answers.position()) * pictures_per_job;
    for (std::size_t k = 0; k < found.size(); ++k)
      pass.right +=
          !found[k].top.empty() && found[k].top.front().index == std::to_integer<int>(data.labels.data[first + k]);
    pass.answered += found.size();
    seen.pictures_by_worker[worker] += found.size();
    seen.placed_again += r->attempts() > 1;
    answering.insert(worker);
    bar.add(found.size());
    if (!pass.killed && seen.placed_again == 0 && pass.answered * 5 > count && answering.size() == 2) {
      pass.killed = true;
      seen.killed.insert(worker);
      if (::isatty(STDERR_FILENO) == 1) std::fputc('\n', stderr);
      say("killing " + worker + " (process " + std::to_string(cluster.pid(worker)) + ", SIGKILL) with jobs under way");
      cluster.kill_worker(worker);
      seen.replacement = cluster.add_worker();
      say("started " + seen.replacement + " in its place");
    }
  }
  bar.finish();
  pass.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  co_return pass;
}

/// With "e", no process that something here starts meanwhile has the file too.
void write_file(const std::string& path, const dtask::bytes& content) {
  std::FILE* const file = std::fopen(path.c_str(), "wbe");
  const bool written = file != nullptr && std::fwrite(content.data(), 1, content.size(), file) == content.size();
  const int cause = errno;
  const bool closed = file != nullptr && std::fclose(file) == 0;
  if (!written || !closed)
    throw dtask::error(dtask::errc::io_error,
                       "cannot write the weights: " + std::string(std::strerror(written ? errno : cause)), path,
                       "name a file that can be written");
}

dtask::task<int> demonstrate(dtask::cluster& c, const data_files& data, processes& cluster,
                             const std::string& save_to) {
  const auto begin = std::chrono::steady_clock::now();
  say("training a small network on 60,000 pictures, as a job on the cluster (about 15 s) ...");
  const recognise::lesson lesson{data.train_pictures, data.train_labels, 2, 1};
  const recognise::lesson_result trained = co_await c.call<recognise::train_job>(lesson);
  write_file(save_to, trained.weights);
  say("trained in " + dtask::number_text(trained.seconds, 1) + " s, mean loss " + dtask::number_text(trained.loss, 3) +
      "; weights saved as " + save_to + " (" + std::to_string(trained.weights.size()) +
      " bytes) and broadcast to the workers");
  co_await c.broadcast("weights", trained.weights);

  sightings seen;
  pass_result last;
  int number = 0;
  while (!seen.all()) {
    if (std::chrono::steady_clock::now() - begin > patience) {
      std::fprintf(stderr, "demo: given up: no job was placed again, or the replacement answered nothing\n");
      co_return 3;
    }
    last = co_await classify_all(c, data, cluster, seen, ++number);
  }
  // One more, undisturbed: its speed is that of two healthy workers.
  last = co_await classify_all(c, data, cluster, seen, ++number);

  const std::size_t count = data.pictures.count();
  const double accuracy = 100.0 * static_cast<double>(last.right) / static_cast<double>(count);
  say("accuracy           " + dtask::number_text(accuracy, 2) + " %\npictures per s     " +
      dtask::number_text(static_cast<double>(count) / last.seconds, 0) + " (last pass, two workers)");
  std::string by_worker = "pictures by worker ";
  for (const auto& [name, pictures] : seen.pictures_by_worker)
    by_worker += name + " " + std::to_string(pictures) +
                 (seen.killed.contains(name) ? " (killed)"
                  : name == seen.replacement ? " (replacement)"
                                             : "") +
                 "   ";
  say(by_worker);
  say("jobs placed again  " + std::to_string(seen.placed_again));
  say("last pass          " + std::to_string(last.answered) + "/" + std::to_string(count));
  if (last.answered != count || accuracy < 88) {
    std::fprintf(stderr, "demo: %s\n", last.answered != count ? "pictures are missing" : "the accuracy is below 88 %");
    co_return 1;
  }
  co_return 0;
}

/// The file for the trained weights, next to this program.
std::string default_weights() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "fashion_cnn.safetensors";
}

}  // namespace

int main(int argc, char** argv) {
  dtask::keep_memory();
  const std::string_view role = argc > 1 ? argv[1] : "";
  if (role == "worker" || role == "coordinator")
    return dtask::main<recognise::jobs>(argc, argv, [](dtask::cluster&) -> dtask::task<> { co_return; });
  if (argc < 2 || argc > 3 || role.starts_with('-')) {
    std::fprintf(stderr,
                 "usage: %s FOLDER [WEIGHTS]\nFOLDER holds the four files of Fashion-MNIST (Debian: "
                 "dataset-fashion-mnist); the trained weights are saved as WEIGHTS.\n",
                 argv[0]);
    return 2;
  }
  try {
    const data_files data = load(argv[1]);
    const std::string save_to = argc > 2 ? argv[2] : default_weights();
    processes cluster;
    say("a coordinator at " + cluster.url() + " and two workers (processes " + std::to_string(cluster.pid("worker-1")) +
        " and " + std::to_string(cluster.pid("worker-2")) + ")");
    std::string program = argv[0], on = "--on", url = cluster.url();
    char* words[] = {program.data(), on.data(), url.data(), nullptr};
    return dtask::main<recognise::jobs>(3, words,
                                        [&](dtask::cluster& c) { return demonstrate(c, data, cluster, save_to); });
  } catch (const std::exception& e) {
    std::fprintf(stderr, "demo: %s\n", dtask::escaped(dtask::message_of(e), 2048).c_str());
    return 2;
  }
}
