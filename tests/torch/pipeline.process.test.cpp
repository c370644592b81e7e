// SPDX-License-Identifier: BSL-1.0
// The program examples/pipeline as people start it: both of its ways see all pictures, in order.
#if defined(DTASK_TEST_WITH_PIPELINE)
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "data/encode.hpp"
#include "dtask/base/read_file.hpp"
#include "dtask/data.hpp"
#include "faults/process.hpp"
#include "program.hpp"
#include "temporary_folder.hpp"

namespace {

using faults::process;
namespace fs = std::filesystem;

struct run_result {
  int code = -1;
  std::vector<std::string> lines;
  std::string errors;
};
run_result run(const std::vector<std::string>& words) {
  std::vector<std::string> command{(dtask_test::build_dir() / "examples" / "pipeline" / "pipeline").string()};
  command.insert(command.end(), words.begin(), words.end());
  process p(command);
  const auto end = p.wait(std::chrono::seconds(120));
  REQUIRE_MESSAGE(end.has_value(), p.report());
  return {end->code, p.lines(process::out), p.text(process::err)};
}

void write(const fs::path& path, const dtask::bytes& content) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
}
/// A grey slope that begins with `shade`.
dtask::bytes slope(int width, int height, int shade) {
  dtask_test::pixels all(static_cast<std::size_t>(width * height * 3));
  for (std::size_t i = 0; i < all.size(); ++i)
    all[i] = static_cast<std::uint8_t>(i / 97 + static_cast<unsigned>(shade));
  return dtask_test::encode_jpeg(all, {.width = width, .height = height});
}
/// What the pixels of the whole folder are, batch by batch, over as many passes.
std::string checksum(const std::string& folder, int passes) {
  const dtask::image_folder data(folder);
  dtask::content_fingerprint seen;
  for (int pass = 0; pass < passes; ++pass)
    for (std::uint64_t at = 0; at < data.size(); at += 8) {
      std::vector<dtask::image_folder::decoded> samples;
      for (std::uint64_t i = at; i < std::min(at + 8, data.size()); ++i) {
        dtask::sample_random random(0, 0, i);
        samples.push_back(data.decode({i, dtask::read_file(data.source(i))}, random).value());
      }
      seen.add(data.collate(std::move(samples)).inputs.span());
    }
  char text[17] = {};
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(seen.value()));
  return text;
}

}  // namespace

TEST_CASE("pipeline program: one after the other and side by side see the same pictures, all of them, in order") {
  const dtask_test::temporary_folder folder;
  fs::create_directory(folder.path() / "a");
  fs::create_directory(folder.path() / "b");
  // 19: the last batch of a pass is smaller.
  for (int i = 0; i < 19; ++i)
    write(folder.path() / (i % 3 == 0 ? "a" : "b") / (std::to_string(100 + i) + ".jpg"), slope(230 + i, 240 - i, i));
  const run_result got = run({"--passes", "2", folder.path().string()});
  CAPTURE(got.errors);
  CHECK(got.code == 0);
  REQUIRE(got.lines.size() == 5);
  CHECK(got.lines[1].starts_with("one after the other "));
  CHECK(got.lines[2].starts_with("side by side "));
  CHECK(got.lines[3].starts_with("ratio "));
  CHECK(got.lines[3].ends_with(", 38 pictures"));
  const std::string want = checksum(folder.path().string(), 2);
  CHECK(got.lines[4] == "checksum of the pictures " + want + " and " + want);
}

TEST_CASE("pipeline program: what cannot be used is one line with the file, and exit code 2") {
  const dtask_test::temporary_folder folder;
  CHECK(run({"--passes", "0"}).code == 2);
  CHECK(run({"--passes", "many"}).code == 2);
  CHECK(run({"--unknown"}).code == 2);
  const run_result missing = run({(folder.path() / "nowhere").string()});
  CHECK(missing.code == 2);
  CHECK(missing.errors.find("nowhere") != std::string::npos);
  fs::create_directory(folder.path() / "a");
  std::ofstream(folder.path() / "a" / "torn.jpg") << "no picture";
  const run_result torn = run({folder.path().string()});
  CHECK(torn.code == 2);
  CHECK(torn.errors.find("torn.jpg") != std::string::npos);
  CHECK(std::count(torn.errors.begin(), torn.errors.end(), '\n') == 1);
}
#endif
