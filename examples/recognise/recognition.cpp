// SPDX-License-Identifier: BSL-1.0
#include "recognition.hpp"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <utility>

#include "dtask/base/error.hpp"
#include "dtask/base/log.hpp"
#include "dtask/base/message_of.hpp"
#include "dtask/base/number.hpp"
#include "dtask/base/read_file.hpp"
#include "dtask/cli/progress.hpp"
#include "inputs.hpp"
#include "jobs.hpp"
#include "output.hpp"
#include "printable.hpp"

namespace recognise {

namespace {

using namespace std::chrono_literals;

void complain(const std::exception& e) {
  std::fprintf(stderr, "recognise: %s\n", printable(dtask::message_of(e)).beginning(2048).text().c_str());
}

/// What was asked for, loaded and checked.
struct prepared {
  dtask::bytes weights;
  std::vector<std::string> classes;
  inputs in;
};
model_info described(const dtask::bytes& weights, const std::string& path) {
  try {
    return describe(weights);
  } catch (const dtask::error& e) {
    throw dtask::error(e.code(), e.cause(), path, e.remedy());
  }
}
std::unique_ptr<prepared> prepare(const recognition_options& options) {
  try {
    dtask::bytes weights = dtask::read_file(options.weights);
    const model_info info = described(weights, options.weights);
    std::vector<std::string> classes = read_classes(options.classes, info.classes);
    inputs in(options.paths, options.labels, info, options.batch);
    return std::make_unique<prepared>(prepared{std::move(weights), std::move(classes), std::move(in)});
  } catch (const std::exception& e) {
    complain(e);
    return nullptr;
  }
}

/// Whether the pictures of a batch are to blame for its end, and not the cluster.
bool unusable_batch(dtask::errc code) {
  switch (code) {
    case dtask::errc::job_failed:
    case dtask::errc::job_abandoned:
    case dtask::errc::quarantined:
    case dtask::errc::encode_failed:
    case dtask::errc::decode_failed:
    case dtask::errc::too_large:
      return true;
    default:
      return false;
  }
}

/// Writes what is known, in input order, and counts.
class report {
 public:
  report(const prepared& with, bool json) : with_(with), json_(json), bar_("pictures", with.in.all().size()) {
    if (!json_) print(table_head());
  }

  /// One batch: its pictures, and what a worker answered for each.
  void take(const std::vector<std::size_t>& members, const std::vector<answer>& answers, const std::string& worker,
            std::uint32_t attempt) {
    if (show_bar_) bar_.add(members.size());
    for (std::size_t k = 0; k < members.size(); ++k) {
      const input& one = skip_to(members[k]);
      if (k >= answers.size() || answers[k].top.empty()) {
        unusable(one, k >= answers.size() ? "no answer" : answers[k].error);
        continue;
      }
      const std::vector<ranked>& top = answers[k].top;
      ++recognised_;
      ++by_worker_[worker];
      again_ += attempt > 1;
      if (one.label) {
        ++labelled_;
        right_ += top.front().index == *one.label;
      }
      print(json_ ? json_line(one.name, top, with_.classes, worker, attempt) : table_row(one.name, top, with_.classes));
    }
  }
  void unusable(const std::vector<std::size_t>& members, const std::string& why) {
    for (const std::size_t m : members) unusable(skip_to(m), why);
  }
  /// The inputs after the last batch, and the summary.
  void finish() {
    skip_to(with_.in.all().size());
    flush();
    bar_.finish();
    if (write_error_ != 0) return;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin_;
    std::string workers;
    for (const auto& [name, count] : by_worker_)
      workers += (workers.empty() ? "" : ", ") + dtask::escaped(name) + " " + std::to_string(count);
    std::fprintf(stderr, "%zu of %zu pictures recognised, %zu unusable, %zu placed again; %s pictures/s over %s s\n",
                 recognised_, with_.in.all().size(), unusable_, again_,
                 dtask::number_text(static_cast<double>(recognised_) / took.count(), 1).c_str(),
                 dtask::number_text(took.count(), 2).c_str());
    if (!workers.empty()) std::fprintf(stderr, "by worker: %s\n", workers.c_str());
    if (labelled_ != 0)
      std::fprintf(stderr, "right: %zu of %zu (%s %%)\n", right_, labelled_,
                   dtask::number_text(100.0 * static_cast<double>(right_) / static_cast<double>(labelled_), 2).c_str());
  }
  bool complete() const noexcept { return unusable_ == 0; }
  void flush() {
    if (std::fflush(stdout) != 0 && write_error_ == 0) write_error_ = errno;
  }
  /// Why an answer could not be written (an `errno`), or 0.
  int write_error() const noexcept { return write_error_; }

 private:
  /// Reports the unusable inputs before number `i`.
  const input& skip_to(std::size_t i) {
    static const input none;
    const std::vector<input>& all = with_.in.all();
    while (next_ < i) {
      const input& one = all[next_++];
      if (!one.error.empty()) unusable(one, one.error);
    }
    ++next_;
    return i < all.size() ? all[i] : none;
  }
  void unusable(const input& one, const std::string& why) {
    ++unusable_;
    print(json_ ? json_line(one.name, why) : table_row(one.name, why));
  }
  void print(const std::string& text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() && write_error_ == 0) write_error_ = errno;
  }

  const prepared& with_;
  bool json_;
  // Answers on a terminal show by themselves how far it has come.
  bool show_bar_ = ::isatty(STDERR_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 0;
  dtask::progress bar_;
  std::size_t next_ = 0, recognised_ = 0, unusable_ = 0, again_ = 0, labelled_ = 0, right_ = 0;
  int write_error_ = 0;
  std::map<std::string, std::size_t> by_worker_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace

dtask::task<int> recognise_all(dtask::cluster& c, const recognition_options& options) {
  const std::unique_ptr<prepared> with = prepare(options);
  if (!with) co_return wrong_usage;
  std::optional<dtask::error> failed;
  report out(*with, options.json);
  try {
    co_await c.broadcast("weights", with->weights);
    auto batches = std::views::iota(std::size_t{0}, with->in.batches()) |
                   std::views::transform([with = with.get()](std::size_t i) { return with->in.make(i); });
    // The window also bounds the files in memory.
    auto answers = c.map<recognise_job>(std::move(batches), {.order = dtask::ordered, .window = 32, .deadline = 10min});
    for (std::size_t i = 0; auto r = co_await answers.next(); ++i) {
      if (*r)
        out.take(with->in.members(i), **r, r->worker(), r->attempts());
      else if (unusable_batch(r->error().code()))
        out.unusable(with->in.members(i), r->error().what());
      else
        failed = r->error();
      // Nobody reads what is computed from here on: the end of `answers` cancels it.
      if (failed || out.write_error() != 0) break;
    }
  } catch (const dtask::error& e) {
    if (e.code() == dtask::errc::cancelled) throw;
    failed = e;
  }
  if (failed) {
    out.flush();
    complain(*failed);
    co_return cluster_failed;
  }
  if (out.write_error() == 0) out.finish();
  if (const int why = out.write_error()) {
    complain(dtask::error(dtask::errc::io_error, "cannot write the answers: " + std::string(std::strerror(why)),
                          "standard output", "make room or keep its reader running, and start again"));
    co_return not_written;
  }
  co_return out.complete() ? all_recognised : some_unusable;
}

}  // namespace recognise
