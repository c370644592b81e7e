// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/checkpoint_folder.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "temporary_folder.hpp"

namespace fs = std::filesystem;

namespace {

dtask::checkpoint_record record(std::int64_t round, const std::string& recipe = "fashion/1 lr=0.05") {
  dtask::checkpoint_record r;
  r.origin = {recipe, 0xfedcba9876543210, "2.11.0"};
  r.epoch = round / 10;
  r.round = round;
  r.steps = 16 * round;
  r.samples = 1024 * round;
  r.seed = UINT64_MAX;
  r.progress = 0.1;
  return r;
}
dtask::safetensors weights(std::int64_t round) {
  return {{{"round", std::to_string(round)}}, {{"w", "U8", {5}, dtask::bytes::copy(std::string("12345"))}}};
}
std::string contents(const fs::path& path) { return std::string(dtask::read_file(path.string()).view()); }
void put(const fs::path& path, const std::string& text) {
  const dtask::bytes all = dtask::bytes::copy(text);
  dtask::replace_file(path.string(), std::span(&all, 1));
}
std::string round_of(const dtask::checkpoint_folder::search& s) {
  return s.newest ? std::string(s.newest->weights.meta("round")) : "none";
}
/// Why the newest one was passed over.
std::string why(const dtask::checkpoint_folder::search& s) { return s.passed.empty() ? "" : s.passed[0].why; }
std::string refusal(const std::string& json) {
  const auto got = dtask::read_checkpoint_record(json);
  return got ? "accepted" : got.error().what();
}

}  // namespace

TEST_CASE("checkpoint record: written and read again") {
  dtask::checkpoint_record r = record(123456789012);
  r.origin.recipe = "a \"quoted\"\n\x01 recipe, \xc3\xbc";
  r.bytes = 77;
  r.checksum = std::string(32, 'a');
  for (const double progress : {0.0, 1.0, 1.0 / 3, 1e-300}) {
    r.progress = progress;
    CHECK(dtask::read_checkpoint_record(dtask::to_json(r)).value() == r);
  }
}

TEST_CASE("checkpoint record: anything else is refused with its reason") {
  dtask::checkpoint_record r = record(3);
  r.checksum = std::string(32, '0');
  const std::string good = dtask::to_json(r);
  REQUIRE(refusal(good) == "accepted");
  const auto with = [&](const std::string& old, const std::string& other) {
    std::string text = good;
    const std::size_t at = text.find(old);
    REQUIRE(at != std::string::npos);
    return refusal(text.replace(at, old.size(), other));
  };
  const auto has = [](const std::string& text, const std::string& part) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  has(refusal(""), "not valid JSON");
  has(refusal("{}"), "names no format");
  has(refusal("[1]"), "not valid JSON");
  has(with("checkpoint/1", "checkpoint/2"), "its format is dtask-checkpoint/2");
  has(with("\"epoch\": 0,", ""), "missing");
  has(with("\"epoch\": 0", "\"round\": 0"), "round stands there twice");
  has(with("epoch", "epic"), "unknown member epic");
  has(with("\"epoch\": 0", "\"epoch\": -1"), "not valid JSON");
  has(with("\"epoch\": 0", "\"epoch\": 9223372036854775808"), "out of range");
  has(with("0.1", "1.5"), "progress");
  has(with("0.1", "-0.5"), "progress");
  for (const char* number : {".5", "01.5", "1.", "1e", "+1", "nan", "1e999", "0x1"})
    has(with("0.1", number), "not valid JSON");
  has(with("fedcba9876543210", "fedcba987654321"), "a hash is none");
  has(with("fedcba9876543210", "FEDCBA9876543210"), "a hash is none");
  has(with("\n}", "\n}}"), "not valid JSON");
  for (std::size_t n = 0; n + 2 < good.size(); ++n) CHECK(refusal(good.substr(0, n)) != "accepted");
}

TEST_CASE("checkpoint folder: the last ones are kept, the newest is found") {
  const dtask_test::temporary_folder folder;
  const dtask::checkpoint_folder checkpoints((folder.path() / "deep" / "run").string(), 2);
  CHECK(round_of(checkpoints.newest_whole(record(0).origin)) == "none");
  for (const std::int64_t round : {9, 10, 11, 100}) checkpoints.write(record(round), weights(round));
  std::vector<std::string> names;
  for (const auto& e : fs::directory_iterator(checkpoints.path())) names.push_back(e.path().filename().string());
  std::sort(names.begin(), names.end());
  CHECK(names == std::vector<std::string>{"checkpoint-000000011.json", "checkpoint-000000011.safetensors",
                                          "checkpoint-000000100.json", "checkpoint-000000100.safetensors"});
  const auto got = checkpoints.newest_whole(record(0).origin);
  REQUIRE(got.newest);
  CHECK(got.passed.empty());
  CHECK(got.newest->path == checkpoints.path() + "/checkpoint-000000100");
  CHECK(got.newest->record.seed == UINT64_MAX);
  CHECK(got.newest->record.progress == 0.1);
  CHECK(got.newest->weights.find("w")->data.view() == "12345");
  // A run that begins again keeps what it writes.
  checkpoints.write(record(1), weights(1));
  CHECK(fs::exists(checkpoints.path() + "/checkpoint-000000001.json"));
  CHECK(fs::exists(checkpoints.path() + "/checkpoint-000000100.json"));
  CHECK(!fs::exists(checkpoints.path() + "/checkpoint-000000011.json"));
}

TEST_CASE("checkpoint folder: torn ones are passed over, with the reason") {
  const dtask_test::temporary_folder folder;
  const dtask::checkpoint_folder checkpoints(folder.path().string());
  const auto search = [&] { return checkpoints.newest_whole(record(0).origin); };
  checkpoints.write(record(1), weights(1));
  const fs::path newest = checkpoints.write(record(2), weights(2));
  const fs::path json = newest.string() + ".json", file = newest.string() + ".safetensors";
  const std::string good_json = contents(json), good_file = contents(file);
  CHECK(round_of(search()) == "2");

  put(file, good_file.substr(0, good_file.size() - 3));
  CHECK(round_of(search()) == "1");
  CHECK(why(search()).find("torn: the safetensors file has " + std::to_string(good_file.size() - 3) + " of") == 0);
  REQUIRE(search().passed.size() == 1);
  CHECK(search().passed[0].path == json.string());
  put(file, good_file + "more");
  CHECK(round_of(search()) == "1");
  std::string flipped = good_file;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  put(file, flipped);
  CHECK(round_of(search()) == "1");
  CHECK(why(search()).find("torn: the safetensors file has another checksum") == 0);
  fs::remove(file);
  CHECK(round_of(search()) == "1");
  CHECK(why(search()).find("cannot read file") == 0);
  put(file, good_file);

  put(json, good_json.substr(0, good_json.size() / 2));
  CHECK(round_of(search()) == "1");
  CHECK(why(search()).find("no checkpoint's record") == 0);
  fs::remove(json);  // killed between the two files
  CHECK(round_of(search()) == "1");
  CHECK(search().passed.empty());
  put(json, good_json);
  CHECK(round_of(search()) == "2");
}

TEST_CASE("checkpoint folder: foreign ones are passed over and never deleted") {
  const dtask_test::temporary_folder folder;
  const dtask::checkpoint_folder checkpoints(folder.path().string(), 1);
  put(folder.path() / "metrics.json", "{}");
  checkpoints.write(record(50, "other/1"), weights(50));
  checkpoints.write(record(3), weights(3));
  auto wanted = record(3).origin;
  auto got = checkpoints.newest_whole(wanted);
  CHECK(round_of(got) == "3");
  CHECK(why(got).find("another recipe, or to other options: other/1 and not fashion/1 lr=0.05") != std::string::npos);
  // Where recipes are long, what differs may come late.
  const std::string like = std::string(150, 'r') + ", data ";
  checkpoints.write(record(60, like + "1"), weights(60));
  CHECK(why(checkpoints.newest_whole(record(3, like + "2").origin)).find(like + "1 and not " + like + "2") !=
        std::string::npos);
  fs::remove(folder.path() / "checkpoint-000000060.json");
  wanted.libtorch = "2.12.0";
  got = checkpoints.newest_whole(wanted);
  CHECK(round_of(got) == "none");
  REQUIRE(got.passed.size() == 2);
  CHECK(got.passed[1].why == "it was made with LibTorch 2.11.0, and this program has 2.12.0");
  wanted = record(3).origin;
  wanted.layout = 5;
  got = checkpoints.newest_whole(wanted);
  REQUIRE(got.passed.size() == 2);
  CHECK(got.passed[1].why.find("other names, shapes or types") != std::string::npos);
  checkpoints.write(record(4), weights(4));
  CHECK(fs::exists(folder.path() / "checkpoint-000000050.json"));
  CHECK(!fs::exists(folder.path() / "checkpoint-000000003.json"));
  CHECK(fs::exists(folder.path() / "metrics.json"));
}

TEST_CASE("checkpoint folder: a full disk leaves the older ones whole") {
  if (!fs::exists("/dev/full")) return;
  const dtask_test::temporary_folder folder;
  const dtask::checkpoint_folder checkpoints(folder.path().string());
  checkpoints.write(record(1), weights(1));
  for (const std::string ending : {".safetensors", ".json"}) {
    fs::create_symlink("/dev/full", folder.path() / ("checkpoint-000000002" + ending + ".part"));
    CHECK_THROWS_WITH_AS(checkpoints.write(record(2), weights(2)), doctest::Contains("No space left on device"),
                         dtask::error);
    CHECK(folder.names() == std::vector<std::string>{"checkpoint-000000001.json", "checkpoint-000000001.safetensors"});
  }
  CHECK(round_of(checkpoints.newest_whole(record(0).origin)) == "1");
  checkpoints.write(record(2), weights(2));
  CHECK(round_of(checkpoints.newest_whole(record(0).origin)) == "2");
}

TEST_CASE("checkpoint folder: what cannot be one") {
  CHECK_THROWS_AS(dtask::checkpoint_folder(""), dtask::error);
  CHECK_THROWS_AS(dtask::checkpoint_folder("x", 0), dtask::error);
  const dtask_test::temporary_folder folder;
  put(folder.path() / "file", "x");
  const dtask::checkpoint_folder under((folder.path() / "file" / "run").string()),
      at((folder.path() / "file").string());
  CHECK_THROWS_WITH_AS(under.write(record(1), weights(1)), doctest::Contains("Not a directory"), dtask::error);
  CHECK_THROWS_AS(at.newest_whole(record(1).origin), dtask::error);
}
