// SPDX-License-Identifier: BSL-1.0
#pragma once
/// A folder of a test's own, and the files of an IDX dataset in it.
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace dtask_test {

/// A new folder, removed with everything in it at the end.
class folder {
 public:
  folder() {
    std::string name = (std::filesystem::temp_directory_path() / "dtask-data-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::generic_category(), "mkdtemp");
    path_ = name;
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  ~folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string path() const { return path_.string(); }
  std::string path(std::string_view name) const { return (path_ / name).string(); }
  /// Writes a file, and the folders above it.
  void write(std::string_view name, std::string_view text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << text;
  }

 private:
  std::filesystem::path path_;
};

/// An IDX file of unsigned bytes.
inline std::string idx_file(const std::vector<unsigned>& shape, std::string_view data) {
  std::string out{'\0', '\0', '\x08', static_cast<char>(shape.size())};
  for (const unsigned n : shape)
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(n >> shift & 0xff));
  out.append(data);
  return out;
}

}  // namespace dtask_test
