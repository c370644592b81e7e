// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/error.hpp"
#include "dtask/base/message_of.hpp"
#include "dtask/data/bad_sample.hpp"
#include "dtask/data/loader_report.hpp"

DTASK_BEGIN
namespace detail {

/// What went wrong with a sample, and at which place of its batch.
struct sample_failure {
  std::size_t at = 0;
  std::uint64_t sample = 0;
  dtask::error why;
  bool bad = false;  ///< it may be left out
};

/// The failure of a stage in words that name the stage, the sample and its source.
inline error stage_error(const char* stage, std::uint64_t sample, const std::string& source, errc code,
                         const std::string& why, const std::string& remedy) {
  return error(code, std::string("cannot ") + stage + " sample " + std::to_string(sample) + ": " + why, source, remedy);
}

/// The exception that is being handled.
inline sample_failure caught(const char* stage, std::size_t at, std::uint64_t sample, const std::string& source) {
  try {
    throw;
  } catch (const bad_sample& e) {
    return {at, sample,
            stage_error(stage, sample, source.empty() ? e.place() : source, e.code(), e.cause(), e.remedy()), true};
  } catch (const error& e) {
    return {at, sample,
            stage_error(stage, sample, source.empty() ? e.place() : source, e.code(), e.cause(), e.remedy()), false};
  } catch (const std::exception& e) {
    return {at, sample, stage_error(stage, sample, source, errc::bad_data, message_of(e), {}), false};
  } catch (...) {
    return {at, sample, stage_error(stage, sample, source, errc::bad_data, "an exception of an unknown type", {}),
            false};
  }
}

/// One batch under way. The stage that works on a sample writes to that sample's places alone.
template <class Sample, class Batch>
struct loader_cell {
  std::uint64_t position = 0;          ///< of its step in the epoch's order
  std::uint64_t number = 0;            ///< of the step in this run, from 0
  std::vector<std::uint64_t> samples;  ///< what was planned
  std::vector<std::optional<Sample>> decoded;
  std::atomic<std::size_t> missing{0};    ///< samples that are not decoded yet
  std::atomic<std::uint64_t> charged{0};  ///< bytes that are counted for it
  std::optional<Batch> batch;             ///< the answer, unless there is a failure or every sample was bad
  std::uint64_t images = 0;               ///< samples in it

  void fail(sample_failure f) {
    const std::lock_guard hold(guard_);
    failures_.push_back(std::move(f));
  }
  /// Lets go what it holds.
  void clear() noexcept {
    batch.reset();
    decoded.clear();
    failures_.clear();
  }
  /// All of them, by their place. When no stage works on it any more.
  std::vector<sample_failure>& failures() noexcept { return failures_; }
  /// The first failure that is more than a bad sample.
  const sample_failure* fatal() const noexcept {
    const sample_failure* first = nullptr;
    for (const sample_failure& f : failures_)
      if (!f.bad && (first == nullptr || f.at < first->at)) first = &f;
    return first;
  }

 private:
  std::mutex guard_;
  std::vector<sample_failure> failures_;
};

}  // namespace detail
DTASK_END
