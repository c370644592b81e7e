// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/image_folder.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "data/encode.hpp"
#include "data/folder.hpp"
#include "dtask/data/data_loader.hpp"
#include "dtask/data/random_flip.hpp"
#include "dtask/data/random_resized_crop.hpp"
#include "dtask/task/sync_wait.hpp"

namespace {
/// One colour, as a JPEG or a PNG.
std::string jpeg(int width, int height, std::uint8_t red) {
  dtask_test::pixels p;
  for (int i = 0; i < width * height; ++i)
    for (const std::uint8_t v : {red, std::uint8_t{100}, std::uint8_t{200}}) p.push_back(v);
  return std::string(dtask_test::encode_jpeg(p, {.width = width, .height = height}).view());
}
std::string png(int width, int height, std::uint8_t red) {
  dtask_test::pixels p;
  for (int i = 0; i < width * height; ++i)
    for (const std::uint8_t v : {red, std::uint8_t{100}, std::uint8_t{200}}) p.push_back(v);
  return std::string(dtask_test::encode_png(p, {.width = width, .height = height}).view());
}
/// Two classes; the red of a picture tells its place.
void fill(const dtask_test::folder& folder) {
  folder.write("dog/b.jpeg", jpeg(40, 30, 40));
  folder.write("cat/z.png", png(8, 8, 20));
  folder.write("cat/a.JPG", jpeg(20, 50, 0));
  folder.write("dog/more/c.png", png(64, 64, 60));
  folder.write("cat/notes.txt", "no picture");
  folder.write("list.txt", "no folder");
}
template <class T>
std::vector<T> as(const dtask::bytes& b) {
  std::vector<T> out(b.size() / sizeof(T));
  std::memcpy(out.data(), b.data(), b.size());
  return out;
}
using loader_type = dtask::data_loader<dtask::image_folder>;
dtask::error refused(const std::string& path, const dtask::image_folder_options& o = {}) {
  try {
    const dtask::image_folder data(path, o);
  } catch (const dtask::error& e) {
    return e;
  }
  return {};
}
bool says(const dtask::error& e, const std::string& text) {
  return std::string(e.what()).find(text) != std::string::npos;
}
}  // namespace

TEST_CASE("image_folder: classes and pictures in the order of their names") {
  const dtask_test::folder folder;
  fill(folder);
  const dtask::image_folder data(folder.path());
  CHECK(data.size() == 4);
  CHECK(data.classes() == std::vector<std::string>{"cat", "dog"});
  CHECK(data.source(0) == folder.path("cat/a.JPG"));
  CHECK(data.source(1) == folder.path("cat/z.png"));
  CHECK(data.source(2) == folder.path("dog/b.jpeg"));
  CHECK(data.source(3) == folder.path("dog/more/c.png"));
  CHECK(data.label(1) == 0);
  CHECK(data.label(2) == 1);
  CHECK(data.fingerprint() == dtask::image_folder(folder.path()).fingerprint());
  folder.write("cat/z.png", jpeg(90, 90, 20));
  CHECK(data.fingerprint() != dtask::image_folder(folder.path()).fingerprint());
}

TEST_CASE("image_folder: pictures of all sizes become batches, read on either kind of thread") {
  const dtask_test::folder folder;
  fill(folder);
  for (const bool away : {true, false}) {
    loader_type loader(dtask::image_folder(folder.path(), {.width = 6, .height = 5, .offload_reads = away}),
                       {.batch = 4, .shuffle = false});
    const auto batch = dtask::sync_wait(loader.next());
    REQUIRE(batch.has_value());
    CHECK(batch->size() == 4);
    CHECK(batch->channels == 3);
    CHECK(batch->height == 5);
    CHECK(batch->width == 6);
    CHECK(as<std::int64_t>(batch->targets) == std::vector<std::int64_t>{0, 0, 1, 1});
    const auto floats = as<float>(batch->inputs);
    REQUIRE(floats.size() == 4 * 3 * 30);
    for (std::size_t i = 0; i < 4; ++i) {
      CHECK(std::abs(floats[i * 90 + 7] * 255 - 20 * static_cast<float>(i)) < 3);
      CHECK(floats[i * 90 + 37] * 255 == doctest::Approx(100).epsilon(0.03));
      CHECK(floats[i * 90 + 67] * 255 == doctest::Approx(200).epsilon(0.03));
    }
  }
}

TEST_CASE("image_folder: augmented alike, whatever runs at once") {
  const dtask_test::folder folder;
  fill(folder);
  dtask::bytes first;
  for (const std::size_t at_once : {1U, 4U}) {
    dtask::image_folder data(folder.path(), {.width = 12, .height = 12});
    data.augment(
        dtask::augmentation().then(dtask::random_resized_crop{.width = 16, .height = 16}).then(dtask::random_flip{}));
    loader_type loader(std::move(data),
                       {.batch = 4, .seed = 5, .read_concurrency = at_once, .decode_concurrency = at_once});
    const auto batch = dtask::sync_wait(loader.next());
    REQUIRE(batch.has_value());
    if (first.empty()) first = batch->inputs;
    CHECK(batch->inputs == first);
  }
}

TEST_CASE("image_folder: damaged, missing and too large files are bad samples") {
  const dtask_test::folder folder;
  fill(folder);
  folder.write("dog/a.jpg", "no picture at all");
  const auto large = std::string(5000, 'x');
  folder.write("dog/e.png", large);
  const dtask::image_folder data(folder.path(), {.width = 4, .height = 4, .max_file_bytes = 4000});
  std::filesystem::remove(folder.path("cat/z.png"));
  loader_type loader(data, {.batch = 6, .shuffle = false, .bad_samples = 3});
  const auto batch = dtask::sync_wait(loader.next());
  REQUIRE(batch.has_value());
  CHECK(batch->samples == std::vector<std::uint64_t>{0, 3, 5});
  const auto report = loader.report();
  REQUIRE(report.named.size() == 3);
  CHECK(report.named[0].source == folder.path("cat/z.png"));
  CHECK(report.named[1].source == folder.path("dog/a.jpg"));
  CHECK(report.named[2].reason.find("over the limit") != std::string::npos);
  loader_type strict(data, {.batch = 6, .shuffle = false});
  try {
    dtask::sync_wait(strict.next());
    FAIL("no error");
  } catch (const dtask::error& e) {
    CHECK(says(e, "sample 1"));
    CHECK(e.place() == folder.path("cat/z.png"));
  }
}

TEST_CASE("image_folder: what cannot be loaded has a reason") {
  const dtask_test::folder folder;
  CHECK(refused(folder.path("none")).code() == dtask::errc::not_found);
  CHECK(says(refused(folder.path()), "each would be a class"));
  fill(folder);
  CHECK(refused(folder.path()).code() == dtask::errc::ok);
  CHECK(refused(folder.path(), {.width = 0}).code() == dtask::errc::invalid_argument);
  CHECK(refused(folder.path(), {.max_files = 3}).code() == dtask::errc::too_large);
  folder.write("bird/notes.txt", "no picture");
  CHECK(says(refused(folder.path()), "a class without a picture"));
  CHECK(says(refused(folder.path()), "bird"));
}
