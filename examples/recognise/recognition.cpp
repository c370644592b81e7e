// SPDX-License-Identifier: BSL-1.0
#include "recognition.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "dtask/base/error.hpp"
#include "dtask/base/log.hpp"
#include "dtask/base/message_of.hpp"
#include "dtask/base/number.hpp"
#include "dtask/base/read_file.hpp"
#include "dtask/cli/progress.hpp"
#include "dtask/data/data_loader.hpp"
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
  std::shared_ptr<const inputs> in;
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
    auto in = std::make_shared<const inputs>(options.paths, options.labels, info);
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
  report(const prepared& with, bool json) : with_(with), json_(json), bar_("pictures", with.in->all().size()) {
    if (!json_) print(table_head());
  }

  /// What a worker answered for a piece.
  void take(const piece& of, const std::vector<answer>& answers, const std::string& worker, std::uint32_t attempt) {
    std::size_t k = 0;
    for (std::size_t i = 0; i < of.errors.size(); ++i) {
      const input& one = with_.in->all()[of.first + i];
      if (!of.errors[i].empty()) {
        unusable(one, of.errors[i]);
        continue;
      }
      const answer* const got = k < answers.size() ? &answers[k] : nullptr;
      ++k;
      if (got == nullptr || got->top.empty()) {
        unusable(one, got == nullptr ? "no answer" : got->error);
        continue;
      }
      ++recognised_;
      ++by_worker_[worker];
      again_ += attempt > 1;
      if (one.label) {
        ++labelled_;
        right_ += got->top.front().index == *one.label;
      }
      print(json_ ? json_line(one.name, got->top, with_.classes, worker, attempt)
                  : table_row(one.name, got->top, with_.classes));
    }
    if (show_bar_) bar_.add(of.errors.size());
  }
  /// A piece without answers. `why`: of those that could be read.
  void unusable(const piece& of, const std::string& why) {
    for (std::size_t i = 0; i < of.errors.size(); ++i)
      unusable(with_.in->all()[of.first + i], of.errors[i].empty() ? why : of.errors[i]);
    if (show_bar_) bar_.add(of.errors.size());
  }
  /// The summary.
  void finish() {
    flush();
    bar_.finish();
    if (write_error_ != 0) return;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin_;
    std::string workers;
    for (const auto& [name, count] : by_worker_)
      workers += (workers.empty() ? "" : ", ") + dtask::escaped(name) + " " + std::to_string(count);
    std::fprintf(stderr, "%zu of %zu pictures recognised, %zu unusable, %zu placed again; %s pictures/s over %s s\n",
                 recognised_, with_.in->all().size(), unusable_, again_,
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
  std::size_t recognised_ = 0, unusable_ = 0, again_ = 0, labelled_ = 0, right_ = 0;
  int write_error_ = 0;
  std::map<std::string, std::size_t> by_worker_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// Files that were read and not sent yet, and files that were sent and not answered, take at most so much memory each,
/// however many there are; a single batch above it is handled alone. Together they are the window in bytes of a `map`,
/// which cannot be used itself: its range may not await, and the loader is awaited.
constexpr std::size_t most_mebibytes = static_cast<std::size_t>(dtask::map_options().window_bytes >> 20) / 2;
/// Batches at the cluster.
constexpr std::size_t most_sent = 32;

/// A piece that was read, and the job that recognises it.
struct sent_piece {
  piece of;  ///< its pictures have gone
  std::optional<dtask::job_handle<std::vector<answer>>> job;
  std::string why;                    ///< without a job: what is wrong with the whole piece
  std::size_t mebibytes = 0;          ///< what it counts for
  std::optional<dtask::error> ended;  ///< instead of a piece: why there are no more
};
/// What is at the cluster, in input order.
struct sent_pieces {
  dtask::channel<sent_piece> queue{most_sent};
  dtask::semaphore mebibytes{most_mebibytes};
};

dtask::task<> send(dtask::caller c, piece one, sent_pieces* to) {
  sent_piece next;
  next.mebibytes = static_cast<std::size_t>(std::min<std::uint64_t>((one.size_bytes() >> 20) + 1, most_mebibytes));
  for (std::size_t i = 0; i < next.mebibytes; ++i) co_await to->mebibytes.acquire();
  const bool nothing = one.unusable();
  const batch pictures = std::move(one.pictures);
  next.of = std::move(one);
  std::optional<dtask::task<dtask::job_handle<std::vector<answer>>>> submitting;
  try {
    if (!nothing) submitting = c.submit<recognise_job>(pictures);
  } catch (const std::exception& e) {
    next.why = dtask::message_of(e);  // it cannot be encoded
  }
  if (submitting) next.job = co_await std::move(*submitting);
  co_await to->queue.push(std::move(next));
}

/// Reads all inputs ahead of the cluster and sends them, as far as the mebibytes go.
dtask::task<> send_all(dtask::caller c, std::shared_ptr<const inputs> in, std::size_t batch, sent_pieces* to) {
  std::optional<dtask::error> failed;
  try {
    dtask::data_loader loader(std::move(in), {.batch = batch,
                                              .shuffle = false,
                                              .rest = dtask::uneven::exact,
                                              .prefetch = most_sent,
                                              .max_bytes = std::uint64_t{most_mebibytes} << 20});
    while (auto pieces = co_await loader.next()) {
      for (piece& one : *pieces) {
        auto sending = send(c, std::move(one), to);
        co_await std::move(sending);
      }
    }
  } catch (const dtask::error& e) {
    if (e.code() == dtask::errc::cancelled) throw;
    failed = e;
  }
  if (failed) {
    // After the answers to what was sent before.
    sent_piece last;
    last.ended = std::move(failed);
    co_await to->queue.push(std::move(last));
  }
  to->queue.close();
}

/// Returns why the cluster failed.
dtask::task<std::optional<dtask::error>> answer_all(dtask::scope& beside, dtask::caller c, const prepared* with,
                                                    std::size_t batch, sent_pieces* sent, report* out) {
  if (with->in->all().empty()) co_return std::nullopt;
  dtask::spawn(beside, &send_all, c, with->in, batch, sent);
  while (auto next = co_await sent->queue.pop()) {
    if (next->ended) co_return next->ended;
    if (next->job) {
      auto ending = next->job->outcome();
      const dtask::outcome<std::vector<answer>> r = co_await std::move(ending);
      if (r)
        out->take(next->of, *r, r.worker(), r.attempts());
      else if (unusable_batch(r.error().code()))
        out->unusable(next->of, dtask::message_of(r.error()));
      else
        co_return r.error();
    } else {
      out->unusable(next->of, next->why);
    }
    sent->mebibytes.release(next->mebibytes);
    if (out->write_error() != 0) break;
  }
  co_return std::nullopt;
}

}  // namespace

dtask::task<int> recognise_all(dtask::cluster& c, const recognition_options& options) {
  const std::unique_ptr<prepared> with = prepare(options);
  if (!with) co_return wrong_usage;
  std::optional<dtask::error> failed;
  report out(*with, options.json);
  sent_pieces sent;
  try {
    co_await c.broadcast("weights", with->weights);
    // Nobody reads what is computed after an early end: the end of the scope and of `sent` cancels it.
    auto answering =
        dtask::with_scope(&answer_all, c.with({.deadline = 10min}), with.get(), options.batch, &sent, &out);
    failed = co_await std::move(answering);
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
