// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/idx_dataset.hpp"

#include <doctest/doctest.h>
#include <zlib.h>

#include <cstring>
#include <string>
#include <vector>

#include "data/folder.hpp"
#include "dtask/data/data_loader.hpp"
#include "dtask/data/random_crop.hpp"
#include "dtask/data/random_flip.hpp"
#include "dtask/data/random_resized_crop.hpp"
#include "dtask/task/sync_wait.hpp"
#include "program.hpp"

namespace {
using dtask_test::idx_file;

/// Pictures of 2 x 3 whose pixels tell which they are.
std::string pixels(unsigned count) {
  std::string out;
  for (unsigned i = 0; i < count; ++i)
    for (unsigned p = 0; p < 6; ++p) out.push_back(static_cast<char>(10 * i + p));
  return out;
}
void fill(const dtask_test::folder& folder, const std::string& part = "train", unsigned count = 5) {
  folder.write(part + "-images-idx3-ubyte", idx_file({count, 2, 3}, pixels(count)));
  folder.write(part + "-labels-idx1-ubyte", idx_file({count}, std::string("\3\1\4\1\5\11", count)));
}
template <class T>
std::vector<T> as(const dtask::bytes& b) {
  std::vector<T> out(b.size() / sizeof(T));
  std::memcpy(out.data(), b.data(), b.size());
  return out;
}
dtask::error refused(const dtask_test::folder& folder) {
  try {
    const dtask::idx_dataset data(folder.path(), dtask::split::train);
  } catch (const dtask::error& e) {
    return e;
  }
  return {};
}
bool says(const dtask::error& e, const std::string& text) {
  return std::string(e.what()).find(text) != std::string::npos;
}
}  // namespace

TEST_CASE("idx_dataset: read or mapped, the same batches") {
  const dtask_test::folder folder;
  fill(folder);
  fill(folder, "t10k", 2);
  CHECK(dtask::idx_dataset(folder.path(), dtask::split::test).size() == 2);
  std::uint64_t print = 0;
  for (const bool mapped : {false, true}) {
    const dtask::idx_dataset data(folder.path(), dtask::split::train,
                                  {.scale = {.mean = {0.5F}, .deviation = {0.25F}}, .mapped = mapped});
    CHECK(data.size() == 5);
    CHECK(data.rows() == 2);
    CHECK(data.columns() == 3);
    CHECK(data.classes() == 6);
    const std::vector<std::uint64_t> wanted{4, 0, 4};
    const dtask::picture_batch batch = data.gather(wanted, {});
    CHECK(batch.samples == wanted);
    CHECK(batch.size() == 3);
    CHECK(batch.channels == 1);
    CHECK(batch.height == 2);
    CHECK(batch.width == 3);
    CHECK(as<std::int64_t>(batch.targets) == std::vector<std::int64_t>{5, 3, 5});
    const auto floats = as<float>(batch.inputs);
    REQUIRE(floats.size() == 18);
    for (std::size_t i = 0; i < 18; ++i) {
      const std::size_t pixel = (i < 6 || i >= 12 ? 40 : 0) + i % 6;
      CHECK(floats[i] == doctest::Approx((static_cast<double>(pixel) / 255 - 0.5) / 0.25));
    }
    if (print == 0) print = data.fingerprint();
    CHECK(data.fingerprint() == print);
  }
  folder.write("train-labels-idx1-ubyte", idx_file({5}, "\3\1\4\1\6"));
  CHECK(dtask::idx_dataset(folder.path(), dtask::split::train).fingerprint() != print);
}

TEST_CASE("idx_dataset: packed files, where there are no plain ones") {
  const dtask_test::folder folder;
  fill(folder);
  std::filesystem::remove(folder.path("train-images-idx3-ubyte"));
  const std::string plain = idx_file({5, 2, 3}, pixels(5));
  gzFile out = gzopen(folder.path("train-images-idx3-ubyte.gz").c_str(), "wb");
  gzwrite(out, plain.data(), static_cast<unsigned>(plain.size()));
  gzclose(out);
  const dtask::idx_dataset data(folder.path(), dtask::split::train, {.scale = {}, .mapped = true});
  CHECK(std::to_integer<int>(data.pixels(3)[2]) == 32);
  CHECK(data.source(3).find("picture 3") != std::string::npos);
}

TEST_CASE("idx_dataset: what does not fit has a reason that names the file") {
  const dtask_test::folder folder;
  CHECK(refused(folder).code() == dtask::errc::not_found);
  CHECK(says(refused(folder), "-ubyte, nor with .gz"));
  fill(folder);
  CHECK(refused(folder).code() == dtask::errc::ok);
  folder.write("train-labels-idx1-ubyte", idx_file({4}, "\1\2\3\4"));
  CHECK(says(refused(folder), "5 pictures and 4 labels"));
  folder.write("train-labels-idx1-ubyte", "nothing of the kind");
  CHECK(says(refused(folder), "train-labels-idx1-ubyte"));
  CHECK(refused(folder).code() == dtask::errc::bad_data);
  fill(folder);
  folder.write("train-images-idx3-ubyte", idx_file({5, 6}, pixels(5)));
  CHECK(says(refused(folder), "2 dimensions"));
  folder.write("train-images-idx3-ubyte", idx_file({0, 2, 3}, ""));
  folder.write("train-labels-idx1-ubyte", idx_file({0}, ""));
  CHECK(says(refused(folder), "no pictures"));
}

TEST_CASE("idx_dataset: augmented, a sample is the same in any batch of one epoch and another in the next") {
  const dtask_test::folder folder;
  fill(folder);
  dtask::idx_dataset data(folder.path(), dtask::split::train);
  data.augment(dtask::augmentation().then(dtask::random_flip{}).then(dtask::random_crop{.padding = 1}));
  const auto of = [&](std::uint64_t sample, std::uint64_t epoch, std::vector<std::uint64_t> batch) {
    const auto floats = as<float>(data.gather(batch, {.seed = 1, .epoch = epoch}).inputs);
    const auto at = std::find(batch.begin(), batch.end(), sample) - batch.begin();
    return std::vector<float>(floats.begin() + at * 6, floats.begin() + at * 6 + 6);
  };
  CHECK(of(2, 0, {2}) == of(2, 0, {0, 1, 2, 3}));
  int differ = 0;
  for (std::uint64_t e = 0; e < 20; ++e) differ += of(2, e, {2}) != of(2, e + 1, {2});
  CHECK(differ > 10);
  CHECK_THROWS_AS(data.augment(dtask::augmentation().then(dtask::random_resized_crop{})), dtask::error);
}

TEST_CASE("idx_dataset: Fashion-MNIST through the loader") {
  const auto root = dtask_test::data();
  if (!root) return;
  dtask::data_loader loader(dtask::idx_dataset((*root / "fashion-mnist").string(), dtask::split::test),
                            {.batch = 128, .rest = dtask::uneven::exact});
  const auto count = [](dtask::data_loader<dtask::idx_dataset>* from, std::vector<int>* labels) -> dtask::task<> {
    while (auto b = co_await from->next())
      for (const std::int64_t label : as<std::int64_t>(b->targets)) ++labels->at(static_cast<std::size_t>(label));
  };
  std::vector<int> labels(10, 0);
  dtask::sync_wait(count(&loader, &labels));
  CHECK(labels == std::vector<int>(10, 1000));
  CHECK(loader.report().images == 10000);
}
