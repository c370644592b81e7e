// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/read_file.hpp"
#include "dtask/base/result.hpp"
#include "dtask/data/augmentation.hpp"
#include "dtask/data/decode_options.hpp"
#include "dtask/data/decode_picture.hpp"
#include "dtask/data/fingerprint.hpp"
#include "dtask/data/image_view.hpp"
#include "dtask/data/normalisation.hpp"
#include "dtask/data/picture.hpp"
#include "dtask/data/picture_batch.hpp"
#include "dtask/data/resize.hpp"
#include "dtask/data/sample_random.hpp"
#include "dtask/runtime/offload.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN

/// How an `image_folder` reads its pictures and what it makes of them.
struct image_folder_options {
  int width = 224;          ///< of what goes into a batch, pixels
  int height = 224;         ///< of what goes into a batch, pixels
  normalisation scale{};    ///< of the three channels
  decode_options decode{};  ///< limits; without a target a JPEG is decoded near `width` x `height` where no step crops
  std::uint64_t max_file_bytes = std::uint64_t{256} << 20;  ///< a larger file is a bad sample
  std::uint64_t max_files = 100'000'000;                    ///< more are refused
  /// Read on the threads for blocking calls (`offload`). False: on the loader's own scheduler, which saves two
  /// hand-overs a file where files are in the system's memory anyway.
  bool offload_reads = true;
};

/// JPEG and PNG pictures in one folder per class: `data_loader`'s dataset for more pictures than memory holds.
///
/// Classes are the folders in `folder`, in the order of their names, byte by byte; a class's pictures are the files
/// below it that end in .jpg, .jpeg or .png (any case), in the order of their paths. Links are followed. A picture is
/// read, decoded upright, changed by the augmentation, and resized to the options' size where it is not of that size
/// yet, without keeping its ratio. What cannot be read or decoded is a bad sample. Batches are `picture_batch`es of
/// three channels. Thread-safe once it is set up.
class image_folder {
 public:
  /// A file, read.
  struct stored {
    std::uint64_t sample = 0;                                                          ///< which one it is
    bytes file;                                                                        ///< its contents
    std::uint64_t size_bytes() const noexcept { return sizeof(*this) + file.size(); }  ///< for the loader's bound
  };
  /// A picture at its final size.
  struct decoded {
    std::uint64_t sample = 0;  ///< which one it is
    picture pixels;            ///< decoded, augmented and resized
    /// For the loader's bound in bytes.
    std::uint64_t size_bytes() const noexcept { return sizeof(*this) + pixels.rgb.size(); }
  };

  /// Lists the folder; no file is opened. Blocks meanwhile. Throws `error`: `not_found` or `io_error` for a folder that
  /// cannot be listed, `bad_data` for one without classes or a class without pictures, `too_large` above `max_files`,
  /// `invalid_argument` for an impossible size.
  explicit image_folder(std::string folder, const image_folder_options& options = {})
      : folder_(std::move(folder)), options_(options) {
    constexpr int most = 65'535;
    if (options.width < 1 || options.height < 1 || options.width > most || options.height > most)
      throw error(errc::invalid_argument,
                  "image folder: pictures of " + std::to_string(options.width) + " x " +
                      std::to_string(options.height) + " pixels",
                  folder_, "sizes are from 1 to 65535");
    list();
    content_fingerprint print;
    for (std::size_t i = 0; i < files_.size(); ++i) print.add(std::string_view(files_[i])).add(sizes_[i]);
    fingerprint_ = print.value();
  }

  /// From now on pictures are changed by `steps` as they are decoded.
  void augment(augmentation steps) { steps_ = std::move(steps); }

  std::uint64_t size() const noexcept { return files_.size(); }  ///< number of pictures, at least 1
  /// A hash of the files' names and sizes, in order. Contents are not read.
  std::uint64_t fingerprint() const noexcept { return fingerprint_; }
  /// The classes' names; a label is a place in it.
  const std::vector<std::string>& classes() const noexcept { return classes_; }
  /// The class of a picture: a place in `classes()`. Precondition: `sample < size()`.
  std::int64_t label(std::uint64_t sample) const noexcept {
    const auto after = std::upper_bound(begins_.begin(), begins_.end(), sample);
    return after - begins_.begin() - 1;
  }
  /// The file.
  std::string source(std::uint64_t sample) const { return folder_ + "/" + files_[static_cast<std::size_t>(sample)]; }

  /// Reads a picture's file, on the threads for blocking calls where `offload_reads` is set. A loader calls it; this
  /// outlives the task. Result: the file, or `not_found`, `io_error`, or `too_large` above `max_file_bytes`.
  task<result<stored>> read(std::uint64_t sample) const {
    return read_it(sample, source(sample), options_.max_file_bytes, options_.offload_reads);
  }
  /// Decodes, augments and resizes a picture; `random` gives the augmentation's draws. A loader calls it. Result: the
  /// picture, or what `decode_picture` says. Throws std::bad_alloc and what steps of the augmentation throw. Blocks
  /// meanwhile.
  result<decoded> decode(stored from, sample_random& random) const {
    decode_options how = options_.decode;
    if (how.target_width == 0 && how.target_height == 0 && steps_.on_pictures().empty()) {
      how.target_width = options_.width;
      how.target_height = options_.height;
    }
    result<picture> read = decode_picture(from.file.span(), how);
    if (!read) return read.error();
    decoded out{from.sample, std::move(*read)};
    from.file = {};
    for (const auto& step : steps_.on_pictures()) step(out.pixels, random);
    if (out.pixels.width != options_.width || out.pixels.height != options_.height)
      out.pixels = resize_bilinear(out.pixels, options_.width, options_.height);
    for (const auto& step : steps_.on_views()) step(image_view(out.pixels), random);
    return out;
  }
  /// Normalises pictures into one batch, in this order. A loader calls it. Throws std::bad_alloc.
  picture_batch collate(std::vector<decoded> samples) const {
    const std::size_t n = static_cast<std::size_t>(options_.width) * static_cast<std::size_t>(options_.height);
    mutable_bytes inputs(samples.size() * n * 3 * sizeof(float)), targets(samples.size() * sizeof(std::int64_t));
    auto* to = reinterpret_cast<float*>(inputs.data());
    std::byte* target = targets.data();
    picture_batch out;
    out.samples.reserve(samples.size());
    for (decoded& d : samples) {
      options_.scale.apply(d.pixels.rgb.data(), n, 3, to);
      d.pixels.rgb = {};
      to += 3 * n;
      const std::int64_t is = label(d.sample);
      std::memcpy(target, &is, sizeof is);
      target += sizeof is;
      out.samples.push_back(d.sample);
    }
    out.channels = 3;
    out.height = options_.height;
    out.width = options_.width;
    out.inputs = std::move(inputs).freeze();
    out.targets = std::move(targets).freeze();
    return out;
  }

 private:
  static result<stored> read_now(std::uint64_t sample, const std::string& path, std::uint64_t limit) {
    try {
      return stored{sample, read_file(path, limit)};
    } catch (const error& e) {
      return e;
    }
  }
  // A template, so that a unit that loads no pictures does not compile the coroutine.
  template <class = void>
  static task<result<stored>> read_it(std::uint64_t sample, std::string path, std::uint64_t limit, bool away) {
    if (!away) co_return read_now(sample, path, limit);
    auto call = [&] { return read_now(sample, path, limit); };
    auto reading = offload(std::move(call));
    co_return co_await std::move(reading);
  }

  static bool is_picture(const std::filesystem::path& path) {
    std::string end = path.extension().string();
    for (char& c : end)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return end == ".jpg" || end == ".jpeg" || end == ".png";
  }
  void list() {
    namespace fs = std::filesystem;
    const auto fail = [](const fs::path& at, const std::error_code& why) {
      const bool missing = why == std::errc::no_such_file_or_directory || why == std::errc::not_a_directory;
      throw error(missing ? errc::not_found : errc::io_error, "cannot list folder: " + why.message(), at.string(),
                  "check the path and its permissions");
    };
    const auto each = [&fail](const fs::path& at, auto iterator, auto use) {
      std::error_code why;
      for (auto end = decltype(iterator)(); iterator != end; iterator.increment(why)) {
        use(*iterator);
        if (why) fail(at, why);
      }
      if (why) fail(at, why);
    };
    std::error_code why;
    fs::directory_iterator top(folder_, why);
    if (why) fail(folder_, why);
    each(folder_, std::move(top), [&](const fs::directory_entry& entry) {
      std::error_code ignored;
      if (entry.is_directory(ignored)) classes_.push_back(entry.path().filename().string());
    });
    if (classes_.empty())
      throw error(errc::bad_data, "image folder: no folders, of which each would be a class", folder_,
                  "put the pictures of each class into a folder of its own");
    std::sort(classes_.begin(), classes_.end());
    for (const std::string& name : classes_) {
      const fs::path below = fs::path(folder_) / name;
      begins_.push_back(files_.size());
      std::vector<std::pair<std::string, std::uint64_t>> found;
      fs::recursive_directory_iterator inside(below, fs::directory_options::follow_directory_symlink, why);
      if (why) fail(below, why);
      each(below, std::move(inside), [&](const fs::directory_entry& entry) {
        std::error_code failed;
        if (!is_picture(entry.path()) || !entry.is_regular_file(failed)) return;
        const std::uint64_t size = entry.file_size(failed);
        found.emplace_back(name + "/" + entry.path().lexically_relative(below).string(), failed ? 0 : size);
        if (files_.size() + found.size() > options_.max_files)
          throw error(errc::too_large,
                      "image folder: more than the limit of " + std::to_string(options_.max_files) + " pictures",
                      folder_, "raise max_files if it is wanted");
      });
      if (found.empty())
        throw error(errc::bad_data, "image folder: a class without a picture", below.string(),
                    "pictures end in .jpg, .jpeg or .png");
      std::sort(found.begin(), found.end());
      for (auto& [path, size] : found) {
        files_.push_back(std::move(path));
        sizes_.push_back(size);
      }
    }
    sizes_.shrink_to_fit();
  }

  std::string folder_;
  image_folder_options options_;
  augmentation steps_;
  std::vector<std::string> classes_;
  std::vector<std::uint64_t> begins_;  ///< of each class, in `files_`
  std::vector<std::string> files_;     ///< below the folder
  std::vector<std::uint64_t> sizes_;
  std::uint64_t fingerprint_ = 0;
};

DTASK_END
