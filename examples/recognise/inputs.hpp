// SPDX-License-Identifier: BSL-1.0
#pragma once
/// The pictures that a program was asked to recognise: the dataset of a `dtask::data_loader`, which reads their files
/// ahead and cuts them into batches in the order in which they were given.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dtask/base/bytes.hpp"
#include "dtask/data/sample_random.hpp"
#include "dtask/task/task.hpp"
#include "jobs.hpp"
#include "model.hpp"

namespace recognise {

/// One picture of the input: its name for people, where to get it, or why it cannot be used.
struct input {
  std::string name;
  std::string error;         ///< why it is unusable, where that is known before it is read
  std::size_t array = 0;     ///< which IDX file, from 1; 0: a file of its own
  std::size_t position = 0;  ///< in that IDX file
  std::optional<int> label;
};

/// An input, read: a file, or why there is none. Pictures of IDX files are in memory already and have neither.
struct read_input {
  std::size_t number = 0;  ///< in `inputs::all()`
  dtask::bytes file;
  std::string error;
  std::uint64_t size_bytes() const noexcept { return sizeof(*this) + file.size() + error.size(); }
};

/// Inputs that follow each other, read, with what a job gets of them.
struct piece {
  std::size_t first = 0;            ///< in `inputs::all()`
  std::vector<std::string> errors;  ///< of each: why it cannot be used; empty: it is in `pictures`, in order
  batch pictures;                   ///< either files or pixels of one IDX file
  bool unusable() const noexcept { return pictures.files.empty() && pictures.pixels.empty(); }
  /// Pixels are parts of an IDX file, which is in memory anyway.
  std::uint64_t size_bytes() const noexcept;
};

/// Everything that was named on the command line. Files of pictures are read when a loader asks for them, at most 256
/// MiB each; IDX files at once, since their pictures are counted and named before the first is recognised. Thread-safe.
class inputs {
 public:
  /// `paths`: JPEG, PNG or IDX files (plain or gz), and folders, whose files named like pictures are taken in the order
  /// of their names. `labels`: an IDX file for the pictures of the IDX files in order, or empty. What is unusable
  /// becomes an input with an error. Throws `dtask::error` for labels that do not fit.
  inputs(const std::vector<std::string>& paths, const std::string& labels, const model_info& info);

  const std::vector<input>& all() const noexcept { return inputs_; }

  // What a loader asks a dataset for. A file that cannot be read is a sample too, with its error: the run goes on.
  std::uint64_t size() const noexcept { return inputs_.size(); }
  std::uint64_t fingerprint() const noexcept { return 0; }  // nobody stores where a run stands
  std::uint64_t expected_bytes(std::uint64_t number) const noexcept;
  dtask::task<read_input> get(std::uint64_t number, dtask::sample_random random) const;
  std::vector<piece> collate(std::vector<read_input> read) const;

 private:
  void add_path(const std::string& path, const model_info& info);
  void add_idx(const std::string& path, const dtask::bytes& file, const model_info& info);
  void add_labels(const std::string& path);

  std::vector<input> inputs_;
  std::vector<dtask::bytes> arrays_;
  std::size_t picture_bytes_ = 0;
};

}  // namespace recognise
