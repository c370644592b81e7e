// SPDX-License-Identifier: BSL-1.0
#pragma once
/// Pictures for who has none at hand.
#include <string>

namespace pipeline {

/// A folder with `count` JPEG files of 640 x 480 pixels in two classes, in the system's folder for temporary files;
/// removed at the end. The same pictures every time.
class made_pictures {
 public:
  /// Throws `dtask::error(io_error)` where the files cannot be written.
  explicit made_pictures(int count);
  ~made_pictures();
  made_pictures(const made_pictures&) = delete;
  made_pictures& operator=(const made_pictures&) = delete;

  const std::string& folder() const noexcept { return folder_; }

 private:
  std::string folder_;
};

}  // namespace pipeline
