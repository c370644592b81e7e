// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/number.hpp"

DTASK_BEGIN

/// How far something has come, on stderr: a bar that is drawn over on a terminal, elsewhere one plain line per tenth
/// and at most one per second.
///
/// `dtask::progress bar("recognise", 160); ... bar.add(); ... bar.finish();` Not thread-safe. Nothing is printed before
/// the first `add`.
class progress {
 public:
  /// `total` 0: not known. `terminal`: draw over; by default where stderr is one.
  explicit progress(std::string what, std::uint64_t total, bool terminal = ::isatty(STDERR_FILENO) == 1)
      : what_(std::move(what)), total_(total), terminal_(terminal), began_(clock_type::now()) {}
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;
  ~progress() { finish(); }  ///< as `finish`

  /// `count` more are done.
  void add(std::uint64_t count = 1) {
    done_ += count;
    const auto now = clock_type::now();
    const auto since = now - shown_;
    const bool step = total_ == 0 || done_ * 10 / total_ != shown_done_ * 10 / total_;
    if (terminal_ ? since >= std::chrono::milliseconds(100) : (since >= std::chrono::seconds(1) && step)) show(now);
  }
  /// The sum of what was given to `add`.
  std::uint64_t done() const noexcept { return done_; }
  /// The last line; afterwards nothing more is printed.
  void finish() {
    if (finished_) return;
    finished_ = true;
    if (done_ == 0) return;
    show(clock_type::now());
    if (terminal_) std::fputc('\n', stderr);
  }

  /// The line as it would be shown now.
  std::string line(duration since_start) const {
    const double seconds = std::chrono::duration<double>(since_start).count();
    const double rate = seconds > 0 ? static_cast<double>(done_) / seconds : 0;
    const std::string speed = number_text(rate, 0) + "/s";
    std::string out = what_ + " ";
    if (total_ != 0) {
      if (terminal_) {
        const auto filled = static_cast<std::size_t>(done_ >= total_ ? 30 : done_ * 30 / total_);
        out += "[" + std::string(filled, '#') + std::string(30 - filled, '.') + "] ";
      }
      return out + std::to_string(done_) + "/" + std::to_string(total_) + " (" + std::to_string(done_ * 100 / total_) +
             " %), " + speed;
    }
    return out + std::to_string(done_) + ", " + speed;
  }

 private:
  void show(clock_type::time_point now) {
    shown_ = now;
    shown_done_ = done_;
    const std::string text = line(std::chrono::duration_cast<duration>(now - began_));
    if (terminal_)
      std::fprintf(stderr, "\r%s\x1b[K", text.c_str());
    else
      std::fprintf(stderr, "%s\n", text.c_str());
    std::fflush(stderr);
  }

  std::string what_;
  std::uint64_t total_;
  bool terminal_;
  clock_type::time_point began_;
  clock_type::time_point shown_{};
  std::uint64_t done_ = 0;
  std::uint64_t shown_done_ = 0;
  bool finished_ = false;
};

DTASK_END
