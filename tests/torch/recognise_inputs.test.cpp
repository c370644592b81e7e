// SPDX-License-Identifier: BSL-1.0
// What the example reads, as a loader's dataset: pieces in input order, an error for each file that cannot be read.
#if defined(DTASK_TEST_WITH_RECOGNISE)
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/folder.hpp"
#include "dtask/data/data_loader.hpp"
#include "dtask/task/sync_wait.hpp"
#include "inputs.hpp"

namespace {

using recognise::inputs;
using recognise::piece;

const recognise::model_info tiny{"fashion_cnn", 2, 1, 1, 10, false};

dtask::task<std::vector<piece>> load_all(std::shared_ptr<const inputs> in, dtask::loader_options options) {
  std::vector<piece> all;
  dtask::data_loader loader(std::move(in), options);
  while (auto pieces = co_await loader.next())
    for (piece& one : *pieces) all.push_back(std::move(one));
  co_return all;
}
std::vector<piece> load(const std::shared_ptr<const inputs>& in, std::uint64_t batch) {
  return dtask::sync_wait(load_all(in, {.batch = batch, .shuffle = false, .rest = dtask::uneven::exact}));
}
std::string text(const dtask::bytes& b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }

/// What each input came to, in the order of the pieces: its bytes, or "!" and its error.
std::vector<std::string> contents(const std::vector<piece>& pieces) {
  std::vector<std::string> out;
  for (const piece& p : pieces) {
    CHECK(p.first == out.size());
    CHECK((p.pictures.files.empty() || p.pictures.pixels.empty()));
    std::size_t k = 0;
    for (const std::string& error : p.errors) {
      if (!error.empty())
        out.push_back("!" + error);
      else if (!p.pictures.files.empty())
        out.push_back(text(p.pictures.files.at(k++)));
      else
        out.push_back(text(p.pictures.pixels.slice(2 * k++, 2)));
    }
    CHECK(k == (p.pictures.files.empty() ? p.pictures.pixels.size() / 2 : p.pictures.files.size()));
  }
  return out;
}

}  // namespace

TEST_CASE("recognise: all inputs are read in order, whatever they are and however they are cut") {
  const dtask_test::folder folder;
  folder.write("a.jpg", "file a");
  folder.write("b.jpg", "file b");
  folder.write("c.jpg", "");
  folder.write("none/text.txt", "no picture");
  folder.write("more/x.png", "file x");
  folder.write("more/y.JPG", "file y");
  folder.write("one", dtask_test::idx_file({5, 1, 2}, "aabbccddee"));
  folder.write("two", dtask_test::idx_file({2, 1, 2}, "ffgg"));
  folder.write("labels", dtask_test::idx_file({7}, std::string("\0\1\2\3\4\5\6", 7)));
  const std::vector<std::string> names{"a.jpg", "gone.jpg", "one", "two", "none", "b.jpg", "more", "gone.jpg", "c.jpg"};
  std::vector<std::string> paths;
  for (const std::string& name : names) paths.push_back(folder.path(name));
  const auto in = std::make_shared<const inputs>(paths, folder.path("labels"), tiny);
  REQUIRE(in->size() == 15);
  for (std::uint64_t batch = 1; batch <= 16; ++batch) {
    CAPTURE(batch);
    const std::vector<piece> pieces = load(in, batch);
    for (const piece& p : pieces) CHECK(p.errors.size() <= batch);
    std::vector<std::string> got = contents(pieces);
    REQUIRE(got.size() == 15);
    CHECK(got[1].find("cannot read file: No such file") != std::string::npos);
    CHECK(got[13] == got[1]);
    CHECK(got[9] == "!no pictures in this folder");
    // A file without bytes is a worker's to judge.
    got[1] = got[9] = got[13] = "!";
    CHECK(got == std::vector<std::string>{"file a", "!", "aa", "bb", "cc", "dd", "ee", "ff", "gg", "!", "file b",
                                          "file x", "file y", "!", ""});
  }
  CHECK(in->all()[8].label == 6);
  CHECK(!in->all()[0].label);
}

TEST_CASE("recognise: a file counts as what it takes before it is read") {
  const dtask_test::folder folder;
  folder.write("small.jpg", "1");
  folder.write("large.jpg", std::string(100'000, 'x'));
  const auto in =
      std::make_shared<const inputs>(std::vector{folder.path(), folder.path("gone.jpg")}, std::string(), tiny);
  REQUIRE(in->size() == 3);
  CHECK(in->expected_bytes(0) >= 100'000);
  CHECK(in->expected_bytes(0) < 101'000);
  CHECK(in->expected_bytes(1) < 1'000);
  CHECK(in->expected_bytes(2) > 0);
  for (const piece& p : load(in, 1)) CHECK(p.size_bytes() <= in->expected_bytes(p.first) + 1'000);
}

TEST_CASE("recognise: nothing is sent of a piece that cannot be read at all") {
  const dtask_test::folder folder;
  const auto in = std::make_shared<const inputs>(std::vector{folder.path("x"), folder.path("y")}, std::string(), tiny);
  const std::vector<piece> pieces = load(in, 8);
  REQUIRE(pieces.size() == 1);
  CHECK(pieces[0].unusable());
  CHECK(pieces[0].errors.size() == 2);
}
#endif
