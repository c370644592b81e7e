// SPDX-License-Identifier: BSL-1.0
#pragma once
/// The processes that the demo starts: this program again, in the roles coordinator and worker.
#include <sys/types.h>

#include <string>
#include <vector>

namespace recognise {

/// A started process; SIGKILL and collected when it goes out of scope. Move-only.
class child {
 public:
  /// Starts this program with `arguments`. `environment`: `NAME=value`, in place of what is inherited. Its standard
  /// input is a pipe that ends with this process, its other streams are ours. Throws `dtask::error(io_error)`.
  child(const std::vector<std::string>& arguments, const std::vector<std::string>& environment = {});
  child(child&& from) noexcept;
  child& operator=(child&&) = delete;
  ~child();

  pid_t pid() const noexcept { return pid_; }
  /// SIGKILL, and waits for the end.
  void kill();
  /// SIGTERM, and waits for the end, at most `seconds`; then SIGKILL.
  void end(int seconds);
  /// Until the file `path` has appeared in its folder, which is watched from before the child was started. Throws where
  /// the child ended first or `seconds` are over.
  void wait_for_file(const std::string& path, int seconds) const;

 private:
  void end_by(int signal, int milliseconds);

  pid_t pid_ = -1;    ///< for people
  int process_ = -1;  ///< what holds it: readable when it has ended
  int input_ = -1;
};

/// A folder of its own for temporary files, removed at the end.
class scratch_folder {
 public:
  scratch_folder();
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;
  ~scratch_folder();
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

}  // namespace recognise
