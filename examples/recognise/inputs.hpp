// SPDX-License-Identifier: BSL-1.0
#pragma once
/// The pictures that a program was asked to recognise, cut into batches in the order in which they were given.
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "dtask/base/bytes.hpp"
#include "jobs.hpp"
#include "model.hpp"

namespace recognise {

/// One picture of the input: its name for people, where to get it, or why it cannot be used.
struct input {
  std::string name;
  std::string error;         ///< set once it is known to be unusable
  std::size_t array = 0;     ///< which IDX file, from 1; 0: a file of its own
  std::size_t position = 0;  ///< in that IDX file
  std::optional<int> label;
};

/// Everything that was named on the command line. Files of pictures are read when their batch is made, IDX files at
/// once.
class inputs {
 public:
  /// `paths`: JPEG, PNG or IDX files (plain or gz), and folders, whose files named like pictures are taken in the order
  /// of their names. `labels`: an IDX file for the pictures of the IDX files in order, or empty. What is unusable
  /// becomes an input with an error. Throws `dtask::error` for labels that do not fit.
  inputs(const std::vector<std::string>& paths, const std::string& labels, const model_info& info,
         std::size_t batch_size);

  const std::vector<input>& all() const noexcept { return inputs_; }

  std::size_t batches() const noexcept { return cuts_.size(); }
  /// The inputs of batch `i`, in order: those that were usable when it was made.
  const std::vector<std::size_t>& members(std::size_t i) const noexcept { return cuts_[i]; }
  /// Reads what belongs to batch `i`; files that cannot be read leave it and keep their error.
  batch make(std::size_t i);

 private:
  void add_path(const std::string& path, const model_info& info);
  void add_idx(const std::string& path, const dtask::bytes& file, const model_info& info);
  void add_labels(const std::string& path);

  std::vector<input> inputs_;
  std::vector<dtask::bytes> arrays_;
  std::size_t picture_bytes_ = 0;
  std::vector<std::vector<std::size_t>> cuts_;
};

}  // namespace recognise
