// SPDX-License-Identifier: BSL-1.0
#include "inputs.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include "dtask/base/error.hpp"
#include "dtask/base/message_of.hpp"
#include "dtask/base/read_file.hpp"
#include "dtask/data/idx.hpp"
#include "dtask/runtime/offload.hpp"

namespace recognise {

namespace {

namespace fs = std::filesystem;

/// The largest JPEG or PNG file that is read.
constexpr std::uint64_t file_limit = std::uint64_t{256} << 20;

/// Other formats too: their files get a reason instead of being passed over in silence.
bool named_like_a_picture(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  for (const std::string_view known :
       {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".heic", ".avif"})
    if (ending == known) return true;
  return false;
}

/// Whether a file is an IDX file, plain or gzip, judged by its first bytes and for gzip by its name.
bool is_idx(const fs::path& path) {
  struct closer {
    void operator()(std::FILE* f) const noexcept { std::fclose(f); }
  };
  if (!fs::is_regular_file(path)) return false;
  const std::unique_ptr<std::FILE, closer> file(std::fopen(path.c_str(), "rbe"));
  unsigned char head[3] = {};
  if (!file || std::fread(head, 1, 3, file.get()) != 3) return false;
  if (head[0] == 0 && head[1] == 0 && head[2] == 8) return true;
  return head[0] == 0x1f && head[1] == 0x8b && !named_like_a_picture(path);
}

/// On a thread for blocking calls. A file that cannot be read never ends the run: only a stop is thrown.
dtask::task<read_input> read_it(const input* from, std::size_t number) {
  read_input out;
  out.number = number;
  out.error = from->error;
  if (from->array != 0 || !from->error.empty()) co_return out;
  try {
    auto call = [from] { return dtask::read_file(from->name, file_limit); };
    auto reading = dtask::offload(std::move(call));
    out.file = co_await std::move(reading);
  } catch (const dtask::error& e) {
    if (e.code() == dtask::errc::cancelled || e.code() == dtask::errc::deadline_exceeded) throw;
    out.error = dtask::message_of(e);
  } catch (const std::exception& e) {
    out.error = dtask::message_of(e);
  }
  co_return out;
}

}  // namespace

std::uint64_t piece::size_bytes() const noexcept {
  std::uint64_t sum = sizeof(*this);
  for (const std::string& error : errors) sum += sizeof(error) + error.size();
  for (const dtask::bytes& file : pictures.files) sum += sizeof(file) + file.size();
  return sum;
}

inputs::inputs(const std::vector<std::string>& paths, const std::string& labels, const model_info& info)
    : picture_bytes_(info.picture_bytes()) {
  for (const std::string& path : paths) add_path(path, info);
  if (!labels.empty()) add_labels(labels);
}

void inputs::add_path(const std::string& path, const model_info& info) {
  std::error_code failed;
  if (fs::is_directory(path, failed)) {
    std::vector<std::string> found;
    for (auto at = fs::directory_iterator(path, failed); !failed && at != fs::directory_iterator();
         at.increment(failed))
      // What cannot be looked at, a link to itself say, gets its reason when it is read.
      if (std::error_code unknown; named_like_a_picture(at->path()) && !at->is_directory(unknown))
        found.push_back(at->path().string());
    if (failed || found.empty()) {
      inputs_.push_back(
          {path, failed ? "cannot read folder: " + failed.message() : "no pictures in this folder", 0, 0, {}});
      return;
    }
    std::sort(found.begin(), found.end());
    for (std::string& name : found) inputs_.push_back({std::move(name), {}, 0, 0, {}});
    return;
  }
  try {
    if (is_idx(path))
      add_idx(path, dtask::read_file(path), info);
    else
      inputs_.push_back({path, {}, 0, 0, {}});
  } catch (const std::exception& e) {
    inputs_.push_back({path, dtask::message_of(e), 0, 0, {}});
  }
}

void inputs::add_idx(const std::string& path, const dtask::bytes& file, const model_info& info) {
  dtask::idx_array array = dtask::read_idx(file).value();
  const auto side = [&array](std::size_t d) { return array.shape.size() > d ? array.shape[d] : 0; };
  if (array.shape.size() != 3 || info.channels != 1 || side(1) != static_cast<std::size_t>(info.height) ||
      side(2) != static_cast<std::size_t>(info.width))
    throw dtask::error(dtask::errc::bad_data,
                       "the pictures of this IDX file are not what the weights ask for (" + std::to_string(info.width) +
                           " x " + std::to_string(info.height) + " pixels, " + std::to_string(info.channels) +
                           (info.channels == 1 ? " channel)" : " channels)"),
                       {}, "use the weights that belong to them");
  const std::size_t count = array.count();
  arrays_.push_back(std::move(array.data));
  for (std::size_t i = 0; i < count; ++i)
    inputs_.push_back({path + "[" + std::to_string(i) + "]", {}, arrays_.size(), i, {}});
}

void inputs::add_labels(const std::string& path) {
  const auto read = dtask::read_idx(dtask::read_file(path));
  if (!read)
    throw dtask::error(read.error().code(), read.error().cause(), path,
                       "give the labels as an IDX file, plain or gzip");
  const dtask::idx_array& labels = *read;
  std::size_t at = 0;
  for (input& one : inputs_) {
    if (one.array == 0) continue;
    if (at < labels.data.size()) one.label = std::to_integer<int>(labels.data[at]);
    ++at;
  }
  if (labels.shape.size() != 1 || at != labels.count())
    throw dtask::error(dtask::errc::bad_data,
                       "there are " + std::to_string(labels.data.size()) + " labels for " + std::to_string(at) +
                           " pictures of IDX files",
                       path, "give the label file that belongs to the pictures");
}

dtask::task<read_input> inputs::get(std::uint64_t number, dtask::sample_random) const {
  const auto at = static_cast<std::size_t>(number);
  return read_it(&inputs_[at], at);
}

std::uint64_t inputs::expected_bytes(std::uint64_t number) const noexcept {
  const input& from = inputs_[static_cast<std::size_t>(number)];
  struct stat about{};
  const bool file = from.array == 0 && from.error.empty() && ::stat(from.name.c_str(), &about) == 0;
  const std::uint64_t size = file ? static_cast<std::uint64_t>(std::max<off_t>(about.st_size, 0)) : 0;
  return sizeof(read_input) + (size <= file_limit ? size : 0);  // a larger one is not read
}

std::vector<piece> inputs::collate(std::vector<read_input> read) const {
  std::vector<piece> out;
  constexpr std::size_t none = ~std::size_t{0};
  std::size_t array = none;  // of the last piece
  std::size_t begin = 0;     // of its pixels, in pictures
  for (read_input& one : read) {
    const input& from = inputs_[one.number];
    const bool usable = one.error.empty();
    if (out.empty() || (usable && array != none && array != from.array)) {
      out.emplace_back().first = one.number;
      array = none;
    }
    piece& to = out.back();
    to.errors.push_back(std::move(one.error));
    if (!usable) continue;
    if (from.array == 0) {
      to.pictures.files.push_back(std::move(one.file));
    } else {
      if (array == none) begin = from.position;
      to.pictures.pixels =
          arrays_[from.array - 1].slice(begin * picture_bytes_, (from.position + 1 - begin) * picture_bytes_);
    }
    array = from.array;
  }
  return out;
}

}  // namespace recognise
