// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/job/outcome.hpp"
#include "dtask/torch/detail/training_part.hpp"
#include "dtask/torch/epoch_report.hpp"
#include "dtask/torch/training_state.hpp"

DTASK_BEGIN
namespace detail {

/// The report of an epoch while it is being made.
class running_epoch {
 public:
  /// The parts of a round have ended, those that were lost included. `sent`: bytes of what each worker received.
  void ended(const std::vector<outcome<part_answer>>& ends, std::uint64_t sent) {
    std::set<std::string> workers;
    for (const outcome<part_answer>& end : ends) {
      if (!end) {
        ++report_.ranks_dropped;
        note("parts of lost workers were left out");
        continue;
      }
      report_.parts_again += end.attempts() > 1 ? end.attempts() - 1 : 0;
      workers.insert(end.worker());
      processors_.insert(end->processor);
      if (end->random_disturbed)
        note(
            "random layers of parts that ran side by side in one process drew from one generator; workers with "
            "one slot each (spawn://) do not");
    }
    report_.bytes += sent * std::max<std::size_t>(workers.size(), 1);
  }
  /// Counts and names the samples that a part could not use. Throws `error(bad_data)` for more than `most` of its rank.
  /// The limit is counted here, and not only by the loader, which begins anew where a rank changes its worker.
  void count_bad(const part_order& what, ended_part& part, std::uint64_t most) {
    part_answer& from = part.answer;
    std::uint64_t& of_rank = bad_[{what.kind, part.rank}];
    of_rank += from.bad_samples;
    if (of_rank > most)
      throw error(errc::bad_data,
                  std::to_string(of_rank) +
                      " samples of this rank could not be used in this epoch, more than the limit of " +
                      std::to_string(most) + "; last: " + (from.bad.empty() ? "-" : from.bad.back()),
                  part_place(what, part.rank, part.worker), "repair the data, or raise bad_samples");
    report_.bad_samples += from.bad_samples;
    for (std::string& bad : from.bad)
      if (report_.bad.size() < 20 && std::find(report_.bad.begin(), report_.bad.end(), bad) == report_.bad.end())
        report_.bad.push_back(std::move(bad));
  }
  /// The parts of a round of training.
  void trained(const std::vector<ended_part>& parts) {
    for (const ended_part& p : parts) {
      report_.samples += p.answer.samples;
      loss_ += p.answer.loss;
      report_.trained.merge(p.answer.counted);
      report_.stall_seconds += p.answer.stall_seconds;
      report_.bytes += bytes_of(p.answer.gradients) + bytes_of(p.answer.state.parameters.segments) +
                       bytes_of(p.answer.state.buffers.segments);
      for (const optimizer_slot& s : p.answer.state.optimizer.slots) report_.bytes += bytes_of(s.segments);
    }
    ++report_.rounds;
  }
  /// The state has taken them in. `rate`: factor of the learning rate in the last step.
  void round_is_done(double rate, double seconds) noexcept {
    report_.rate = rate;
    report_.seconds += seconds;
  }
  /// The parts of the evaluation.
  void evaluated(const std::vector<ended_part>& parts, double seconds) {
    double loss = 0;
    for (const ended_part& p : parts) {
      loss += p.answer.loss;
      report_.held_out.merge(p.answer.counted);
    }
    const std::int64_t samples = report_.held_out.samples();
    report_.held_out_loss = samples == 0 ? 0 : loss / static_cast<double>(samples);
    report_.evaluation_seconds = seconds;
  }
  /// The report of the epoch `number`; another epoch begins.
  epoch_report end(std::int64_t number, std::uint64_t padded, std::uint64_t left_out) {
    report_.number = number;
    report_.loss = report_.samples == 0 ? 0 : loss_ / static_cast<double>(report_.samples);
    report_.padded = padded;
    report_.left_out = left_out;
    if (processors_.size() > 1)
      note("workers have different CPUs (" + *processors_.begin() + "; " + *std::next(processors_.begin()) +
           "), which may round differently");
    epoch_report ended = std::exchange(report_, {});
    loss_ = 0;
    bad_.clear();
    // What is true of one epoch is true of those that come from it.
    report_.why_not = ended.why_not;
    report_.reproducible = ended.reproducible;
    return ended;
  }

 private:
  static std::uint64_t bytes_of(const std::vector<at::Tensor>& all) {
    std::uint64_t n = 0;
    for (const at::Tensor& t : all) n += t.nbytes();
    return n;
  }
  void note(std::string why) {
    report_.reproducible = false;
    if (std::find(report_.why_not.begin(), report_.why_not.end(), why) == report_.why_not.end())
      report_.why_not.push_back(std::move(why));
  }

  epoch_report report_;
  double loss_ = 0;                                                  ///< summed over the samples
  std::map<std::pair<part_kind, std::int32_t>, std::uint64_t> bad_;  ///< samples, by rank
  std::set<std::string> processors_;                                 ///< of all epochs
};

}  // namespace detail
DTASK_END
