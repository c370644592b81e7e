// SPDX-License-Identifier: BSL-1.0
#pragma once
/// Recognising pictures on a cluster, from the command line's words to the exit code.
#include <cstddef>
#include <string>
#include <vector>

#include "dtask/node.hpp"
#include "dtask/task.hpp"

namespace recognise {

struct recognition_options {
  std::string weights, classes, labels;
  std::vector<std::string> paths;
  bool json = false;
  std::size_t batch = 8;
};

/// Exit codes of the program. `not_written`: answers could not be written to stdout.
inline constexpr int all_recognised = 0, some_unusable = 1, wrong_usage = 2, cluster_failed = 3, not_written = 4;

/// Broadcasts the weights, maps the job over the batches, writes answers to stdout as they come in input order and a
/// summary to stderr. Returns an exit code; throws `error(cancelled)` under stop.
dtask::task<int> recognise_all(dtask::cluster& c, const recognition_options& options);

}  // namespace recognise
