// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/read_file.hpp"
#include "dtask/data/augmentation.hpp"
#include "dtask/data/fingerprint.hpp"
#include "dtask/data/idx.hpp"
#include "dtask/data/image_view.hpp"
#include "dtask/data/map_file.hpp"
#include "dtask/data/normalisation.hpp"
#include "dtask/data/picture_batch.hpp"
#include "dtask/data/sample_random.hpp"

DTASK_BEGIN

/// Which part of a dataset: what is trained on, or what is held out for evaluation.
enum class split : std::uint8_t {
  train = 0,  ///< what is trained on
  test = 1,   ///< what is held out
};

/// The name as written here.
constexpr const char* to_string(split which) noexcept { return which == split::train ? "train" : "test"; }

/// How an `idx_dataset` reads its files and what it makes of pixels.
struct idx_options {
  normalisation scale{};  ///< channel 0
  /// The files stay where they are and are fetched as they are used; plain files only, a packed one is unpacked into
  /// memory. Otherwise they are read at once.
  bool mapped = false;
};

/// Grey pictures with labels in IDX files, as MNIST and Fashion-MNIST come: `data_loader`'s dataset of whole batches in
/// memory.
///
///     const dtask::normalisation scale{.mean = {0.286F}, .deviation = {0.353F}};
///     dtask::idx_dataset data("fashion-mnist", dtask::split::train, {.scale = scale});
///     data.augment(dtask::augmentation().then(dtask::random_flip{}));
///
/// A batch is a `picture_batch` of one channel. Copies share the pixels. Thread-safe once it is set up.
class idx_dataset {
 public:
  /// A batch is gathered faster than it could be handed over.
  static constexpr bool in_memory = true;

  /// Reads `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, or `t10k-...` for the held-out part, plain or with
  /// `.gz`, from `folder`. Blocks while it reads. Throws `error`: `not_found` where neither is there, `io_error`,
  /// `bad_data` for files that do not fit each other, each with the file.
  idx_dataset(const std::string& folder, split which, const idx_options& options = {})
      : idx_dataset(load(folder, which, "images-idx3-ubyte", options),
                    load(folder, which, "labels-idx1-ubyte", options), options) {
    folder_ = folder;
  }
  /// The same from arrays: pictures (count x rows x columns) and labels (count), of at least one. Throws
  /// `error(bad_data)` where they do not fit.
  idx_dataset(idx_array pictures, idx_array labels, const idx_options& options = {})
      : pictures_(std::move(pictures)), labels_(std::move(labels)), scale_(options.scale) {
    const auto refuse = [](const std::string& why) {
      throw error(errc::bad_data, "IDX dataset: " + why, {}, "check that the two files belong together");
    };
    if (pictures_.shape.size() != 3)
      refuse("the pictures have " + std::to_string(pictures_.shape.size()) + " dimensions, not count x rows x columns");
    if (labels_.shape.size() != 1) refuse("the labels have more than one dimension");
    if (pictures_.count() != labels_.count())
      refuse(std::to_string(pictures_.count()) + " pictures and " + std::to_string(labels_.count()) + " labels");
    if (pictures_.data.empty()) refuse("there are no pictures");
    constexpr std::size_t most = 65'535;
    if (pictures_.shape[1] > most || pictures_.shape[2] > most) refuse("pictures of more than 65535 rows or columns");
    const auto all = labels_.data.span();
    classes_ = std::to_integer<std::int64_t>(*std::max_element(all.begin(), all.end())) + 1;
    content_fingerprint print;
    print.add(pictures_.count()).add(pictures_.shape[1]).add(pictures_.shape[2]);
    print.add(labels_.data.span()).add(pictures_.data.span());
    fingerprint_ = print.value();
  }

  /// From now on pictures are changed by `steps` as they are gathered. Throws `error(invalid_argument)` for steps that
  /// may change the size of a picture.
  void augment(augmentation steps) {
    if (!steps.on_pictures().empty())
      throw error(errc::invalid_argument, "IDX dataset: a step of the augmentation works on colour pictures", {},
                  "use steps that take an image_view");
    steps_ = std::move(steps);
  }

  std::uint64_t size() const noexcept { return pictures_.count(); }  ///< number of pictures, at least 1
  /// A hash of shape, labels and pixels.
  std::uint64_t fingerprint() const noexcept { return fingerprint_; }
  std::int64_t rows() const noexcept { return static_cast<std::int64_t>(pictures_.shape[1]); }     ///< height, pixels
  std::int64_t columns() const noexcept { return static_cast<std::int64_t>(pictures_.shape[2]); }  ///< width, pixels
  /// One more than the largest label.
  std::int64_t classes() const noexcept { return classes_; }
  /// The class of a picture. Precondition: `sample < size()`.
  std::int64_t label(std::uint64_t sample) const noexcept {
    return std::to_integer<std::int64_t>(labels_.data[static_cast<std::size_t>(sample)]);
  }
  /// The pixels as they are stored: rows x columns bytes, valid for as long as this or a copy of it lives.
  /// Precondition: `sample < size()`.
  std::span<const std::byte> pixels(std::uint64_t sample) const noexcept {
    const std::size_t n = pictures_.shape[1] * pictures_.shape[2];
    return pictures_.data.span().subspan(static_cast<std::size_t>(sample) * n, n);
  }
  /// What errors call a picture: the folder and its number; empty where the arrays came from memory.
  std::string source(std::uint64_t sample) const {
    return folder_.empty() ? std::string() : folder_ + ", picture " + std::to_string(sample);
  }

  /// The batch of these pictures in this order: augmented with the random numbers of `keys`, then normalised. A
  /// loader calls it. Precondition: each of `samples` is below `size()`. Throws std::bad_alloc and what steps of the
  /// augmentation throw. Thread-safe.
  picture_batch gather(std::span<const std::uint64_t> samples, sample_keys keys) const {
    const std::size_t n = pictures_.shape[1] * pictures_.shape[2];
    mutable_bytes inputs(samples.size() * n * sizeof(float)), targets(samples.size() * sizeof(std::int64_t));
    auto* to = reinterpret_cast<float*>(inputs.data());
    std::byte* target = targets.data();
    std::vector<std::uint8_t> changed(steps_.empty() ? 0 : n);
    for (std::size_t i = 0; i < samples.size(); ++i, to += n, target += sizeof(std::int64_t)) {
      // The next picture but some lies anywhere in memory.
      constexpr std::size_t ahead = 4;
      if (i + ahead < samples.size()) prefetch(pixels(samples[i + ahead]));
      const auto* from = reinterpret_cast<const std::uint8_t*>(pixels(samples[i]).data());
      if (!steps_.empty()) {
        std::memcpy(changed.data(), from, n);
        const image_view view(changed.data(), static_cast<int>(columns()), static_cast<int>(rows()), 1);
        sample_random random = keys.of(samples[i]);
        for (const auto& step : steps_.on_views()) step(view, random);
        from = changed.data();
      }
      scale_.apply(from, n, 1, to);
      const std::int64_t is = label(samples[i]);
      std::memcpy(target, &is, sizeof is);
    }
    picture_batch out;
    out.samples.assign(samples.begin(), samples.end());
    out.height = rows();
    out.width = columns();
    out.inputs = std::move(inputs).freeze();
    out.targets = std::move(targets).freeze();
    return out;
  }

 private:
  static void prefetch(std::span<const std::byte> block) noexcept {
    for (std::size_t at = 0; at < block.size(); at += 64) __builtin_prefetch(block.data() + at);
  }
  static idx_array load(const std::string& folder, split which, std::string_view name, const idx_options& options) {
    const std::string plain = folder + (which == split::train ? "/train-" : "/t10k-") + std::string(name);
    std::string used = plain;
    bytes file;
    try {
      file = open(used, options);
    } catch (const error& e) {
      if (e.code() != errc::not_found) throw;
      used = plain + ".gz";
      try {
        file = open(used, options);
      } catch (const error& packed) {
        if (packed.code() != errc::not_found) throw;
        throw error(errc::not_found, "no file " + plain + ", nor with .gz", folder,
                    "name the folder that holds the four files of an IDX dataset");
      }
    }
    result<idx_array> array = read_idx(file, std::uint64_t{64} << 30);
    if (!array) throw error(array.error().code(), array.error().cause(), used, array.error().remedy());
    return std::move(*array);
  }
  static bytes open(const std::string& path, const idx_options& options) {
    return options.mapped ? map_file(path) : read_file(path, std::uint64_t{64} << 30);
  }

  idx_array pictures_, labels_;
  normalisation scale_;
  augmentation steps_;
  std::int64_t classes_ = 0;
  std::uint64_t fingerprint_ = 0;
  std::string folder_;
};

DTASK_END
