// SPDX-License-Identifier: BSL-1.0
// The program examples/recognise as people start it: its answers, its exit codes, its output, on every kind of cluster.
#if defined(DTASK_TEST_WITH_RECOGNISE)
#include <doctest/doctest.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "dtask/base/read_file.hpp"
#include "dtask/data.hpp"
#include "faults/process.hpp"
#include "faults/scratch.hpp"
#include "model.hpp"
#include "program.hpp"

namespace {

using faults::process;
namespace fs = std::filesystem;

std::string program() { return (dtask_test::build_dir() / "examples" / "recognise" / "recognise").string(); }

struct run_result {
  int code = -1;
  std::vector<std::string> lines;
  std::string errors;
};
run_result run(const std::vector<std::string>& words) {
  std::vector<std::string> command{program()};
  command.insert(command.end(), words.begin(), words.end());
  process p(command);
  const auto end = p.wait(std::chrono::seconds(120));
  REQUIRE(end.has_value());
  return {end->code, p.lines(process::out), p.text(process::err)};
}

struct data_folder {
  fs::path root;
  std::string weights() const { return (root / "weights" / "mobilenet_v2.safetensors").string(); }
  std::string classes() const { return (root / "weights" / "imagenet_classes.txt").string(); }
  std::vector<std::string> network() const { return {"--weights", weights(), "--classes", classes()}; }
};
std::optional<data_folder> data() {
  const auto found = dtask_test::data();
  if (!found) return std::nullopt;
  return data_folder{*found};
}
std::vector<std::string> operator+(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// What one line of JSON says. The lines have one form, so that a few searches read them.
struct answer {
  std::string file, error;
  std::vector<recognise::ranked> top;
};
std::string text_after(const std::string& line, const std::string& key) {
  const std::size_t at = line.find("\"" + key + "\":\"");
  if (at == std::string::npos) return {};
  const std::size_t begin = at + key.size() + 4;
  return line.substr(begin, line.find('"', begin) - begin);
}
answer parse(const std::string& line) {
  answer a;
  CHECK(line.starts_with("{\"file\":\""));
  CHECK(line.ends_with("}"));
  a.file = fs::path(text_after(line, "file")).filename();
  a.error = text_after(line, "error");
  for (std::size_t at = 0; (at = line.find("{\"index\":", at)) != std::string::npos; ++at)
    a.top.push_back(
        {std::atoi(line.c_str() + at + 9), static_cast<float>(std::atof(line.c_str() + line.find("\"p\":", at) + 4))});
  if (a.error.empty()) {
    CHECK(!text_after(line, "worker").empty());
    CHECK(line.find("\"attempt\":1}") != std::string::npos);
  }
  return a;
}
std::vector<answer> parse(const std::vector<std::string>& lines) {
  std::vector<answer> all;
  for (const std::string& line : lines) all.push_back(parse(line));
  return all;
}

std::map<std::string, int> labels(const fs::path& root) {
  std::map<std::string, int> out;
  std::ifstream table(root / "photos" / "photos.tsv");
  std::string line;
  std::getline(table, line);
  while (std::getline(table, line)) {
    std::istringstream row(line);
    std::string file, index;
    std::getline(row, file, '\t');
    std::getline(row, index, '\t');
    out[file] = std::stoi(index);
  }
  return out;
}

/// A coordinator and workers as people start them.
struct tcp_cluster {
  faults::scratch folder;
  std::unique_ptr<process> coordinator;
  std::vector<std::unique_ptr<process>> workers;
  std::string url;
  explicit tcp_cluster(int count) {
    coordinator = std::make_unique<process>(std::vector<std::string>{
        program(), "coordinator", "--listen", "127.0.0.1:0", "--port-file", folder.file("port")});
    const auto port = folder.wait_for_line("port", *coordinator);
    REQUIRE(port.has_value());
    url = "tcp://127.0.0.1:" + *port;
    for (int i = 0; i < count; ++i)
      workers.push_back(
          std::make_unique<process>(std::vector<std::string>{program(), "worker", "--connect", url, "--slots", "1"}));
  }
};

}  // namespace

TEST_CASE("recognise program: 160 photos, the same answers on local, spawn and tcp, with 1, 2 and 4 workers") {
  const auto d = data();
  if (!d) return;
  // Several workers share the cores.
  ::setenv("DTASK_LOCAL_WORKERS", "4", 1);
  const std::string photos = (d->root / "photos").string();
  const run_result first = run(d->network() + std::vector<std::string>{"--json", "--on", "local://1", photos});
  CAPTURE(first.errors);
  CHECK(first.code == 0);
  const std::vector<answer> want = parse(first.lines);
  REQUIRE(want.size() == 160);
  const auto right = labels(d->root);
  int top1 = 0, top5 = 0;
  for (const answer& a : want) {
    REQUIRE(a.top.size() == 5);
    top1 += a.top[0].index == right.at(a.file);
    top5 += std::any_of(a.top.begin(), a.top.end(),
                        [&](const recognise::ranked& r) { return r.index == right.at(a.file); });
  }
  MESSAGE("top-1 " << top1 << ", top-5 " << top5);
  CHECK(std::abs(top1 - 138) <= 1);
  CHECK(top5 >= 159);

  const tcp_cluster one(1), four(4);
  for (const std::string& on : {std::string("spawn://2"), one.url, four.url}) {
    CAPTURE(on);
    const run_result next = run(d->network() + std::vector<std::string>{"--json", "--on", on, photos});
    CAPTURE(next.errors);
    CHECK(next.code == 0);
    const std::vector<answer> got = parse(next.lines);
    REQUIRE(got.size() == want.size());
    for (std::size_t i = 0; i < want.size(); ++i) {
      CHECK(got[i].file == want[i].file);
      REQUIRE(got[i].top.size() == 5);
      CHECK(got[i].top[0].index == want[i].top[0].index);
      CHECK(std::abs(got[i].top[0].p - want[i].top[0].p) < 0.01F);
    }
  }
}

TEST_CASE("recognise program: odd pictures get an answer or a reason") {
  const auto d = data();
  if (!d) return;
  const run_result got = run(d->network() + std::vector<std::string>{"--json", (d->root / "odd-images").string()});
  CAPTURE(got.errors);
  CHECK(got.code == 1);
  const std::vector<answer> answers = parse(got.lines);
  CHECK(answers.size() >= 58);
  int reasons = 0;
  for (const answer& a : answers) {
    CAPTURE(a.file);
    CHECK(a.top.empty() == !a.error.empty());
    reasons += !a.error.empty();
    if (a.file.find("cmyk") != std::string::npos) CHECK(a.error.find("CMYK") != std::string::npos);
  }
  CHECK(reasons >= 20);
  CHECK(got.errors.find("unusable") != std::string::npos);
}

TEST_CASE("recognise program: the table") {
  const auto d = data();
  if (!d) return;
  const run_result got =
      run(d->network() +
          std::vector<std::string>{(d->root / "photos" / "000b7d55b6184b08.jpg").string(), "/nowhere/x.jpg"});
  CHECK(got.code == 1);
  REQUIRE(got.lines.size() == 3);
  CHECK(got.lines[0].find("class") != std::string::npos);
  CHECK(got.lines[1].find("giant panda") != std::string::npos);
  CHECK(got.lines[2].find("unusable: cannot read file") != std::string::npos);
  CHECK(got.errors.find("1 of 2 pictures recognised, 1 unusable") != std::string::npos);
}

TEST_CASE("recognise program: a folder with links to nowhere and to themselves still gives its pictures") {
  const auto d = data();
  if (!d) return;
  const faults::scratch folder;
  fs::copy_file(d->root / "photos" / "000b7d55b6184b08.jpg", folder.file("a.jpg"));
  fs::create_symlink("b.jpg", folder.file("b.jpg"));
  fs::create_symlink("nowhere.jpg", folder.file("c.jpg"));
  const run_result got =
      run(d->network() + std::vector<std::string>{"--json", fs::path(folder.file("a.jpg")).parent_path().string()});
  CAPTURE(got.errors);
  CHECK(got.code == 1);
  const std::vector<answer> answers = parse(got.lines);
  REQUIRE(answers.size() == 3);
  CHECK(answers[0].error.empty());
  CHECK(answers[1].error.find("symbolic links") != std::string::npos);
  CHECK(!answers[2].error.empty());
}

namespace {
/// Runs the command after `--role=peak`, and says on its own last line how much memory it took at most, in KiB.
const dtask_test::role peak("peak", [](int, char** words) -> int {
  pid_t child = 0;
  if (::posix_spawn(&child, words[2], nullptr, nullptr, words + 2, environ) != 0) return 125;
  int status = 0;
  rusage used{};
  if (::wait4(child, &status, 0, &used) != child || !WIFEXITED(status)) return 126;
  std::printf("%ld\n", used.ru_maxrss);
  return WEXITSTATUS(status);
});
}  // namespace

TEST_CASE("recognise program: a folder of files takes no more memory than its bound, however many they are") {
  const auto d = data();
  if (!d) return;
  const faults::scratch folder;
  // One file under many names, 2.4 GB together; it is no picture, so that nothing is computed.
  const std::string file = folder.file("file"), few = folder.file("few"), many = folder.file("many");
  std::ofstream(file).close();
  fs::resize_file(file, std::uint64_t{4} << 20);
  fs::create_directory(few);
  fs::create_directory(many);
  constexpr int count = 600;
  for (int i = 0; i < count; ++i) {
    const std::string name = "/" + std::to_string(1000 + i) + ".jpg";
    if (i < 2) fs::create_symlink(file, few + name);
    fs::create_symlink(file, many + name);
  }
  const auto peak_of = [&](const std::string& path, std::size_t files) {
    process p(std::vector<std::string>{dtask_test::self(), "--role=peak", program()} + d->network() +
              std::vector<std::string>{"--json", "--on", "local://1", path});
    const auto end = p.wait(std::chrono::seconds(120));
    REQUIRE_MESSAGE(end.has_value(), p.report());
    CHECK(end->code == 1);
    std::vector<std::string> lines = p.lines(process::out);
    REQUIRE(lines.size() == files + 1);
    const std::int64_t kib = std::atoll(lines.back().c_str());
    lines.pop_back();
    for (std::size_t i = 0; i < files; ++i) CHECK(parse(lines[i]).file == std::to_string(1000 + i) + ".jpg");
    return kib / 1024;
  };
  const std::int64_t base = peak_of(few, 2), whole = peak_of(many, count);
  MESSAGE("peak with 2 files " << base << " MiB, with " << count << " " << whole << " MiB");
  // 128 MiB ahead, as much at the cluster, and blocks that wait to be used again; without bounds in bytes 1 GiB.
  CHECK(whole - base < 640);
}

TEST_CASE("recognise program: answers that cannot be written are an error, and nobody goes on computing them") {
  const auto d = data();
  if (!d) return;
  const std::string photos = (d->root / "photos").string(), photo = photos + "/000b7d55b6184b08.jpg";
  const auto in_shell = [&](const std::string& around, const std::string& path) {
    process p({"/bin/bash", "-c", "exec \"$0\" --json --weights \"$1\" --classes \"$2\" \"$3\"" + around, program(),
               d->weights(), d->classes(), path});
    const auto end = p.wait(std::chrono::seconds(120));
    REQUIRE_MESSAGE(end.has_value(), p.report());
    CHECK_MESSAGE(end->code == 4, p.report());
    CHECK(p.text(process::err).find("recognise: cannot write the answers: ") != std::string::npos);
    CHECK(p.text(process::err).find("recognised,") == std::string::npos);
  };
  SUBCASE("a full disk") { in_shell(" > /dev/full", photo); }
  SUBCASE("a closed stdout") { in_shell(" >&-", photo); }
  SUBCASE("a reader that has gone: long before the last picture") { in_shell(" > >(:)", photos); }
}

TEST_CASE("recognise program: wrong usage is one line and exit code 2, a missing coordinator 3") {
  const auto d = data();
  if (!d) return;
  const faults::scratch folder;
  const std::string photo = (d->root / "photos" / "000b7d55b6184b08.jpg").string();
  std::ofstream(folder.file("empty.txt"));
  std::ofstream(folder.file("short.txt")) << "one\ntwo\n";
  const dtask::bytes whole = dtask::read_file(d->weights());
  std::ofstream(folder.file("cut.safetensors"), std::ios::binary)
      .write(reinterpret_cast<const char*>(whole.data()), static_cast<std::streamsize>(whole.size() / 2));
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{"--weights", folder.file("none"), "--classes", d->classes(), photo}, "cannot read file"},
      {{"--weights", folder.file("cut.safetensors"), "--classes", d->classes(), photo}, "truncated"},
      {{"--weights", photo, "--classes", d->classes(), photo}, "safetensors"},
      {{"--weights", d->weights(), "--classes", folder.file("empty.txt"), photo}, "class list is empty"},
      {{"--weights", d->weights(), "--classes", folder.file("short.txt"), photo},
       "2 names, the weights have 1000 classes"},
      {{"--weights", d->weights(), "--classes", d->classes(), "--labels", folder.file("short.txt"), photo}, "IDX"},
      {{"--weights", d->weights(), "--classes", d->classes(), "--unknown", photo}, "--unknown"},
      {{"--weights", d->weights(), "--classes", d->classes()}, "paths is required"},
      {{"--weights", d->weights(), "--classes", d->classes(), "--on", "ftp://x", photo}, "ftp"},
  };
  for (const auto& [words, part] : cases) {
    const run_result got = run(words);
    CAPTURE(part);
    CAPTURE(got.errors);
    CHECK(got.code == 2);
    CHECK(got.errors.find(part) != std::string::npos);
    CHECK(std::count(got.errors.begin(), got.errors.end(), '\n') == 1);
  }
  const run_result nobody =
      run(d->network() + std::vector<std::string>{"--on", "tcp://127.0.0.1:1", "--connect-within", "1", photo});
  CAPTURE(nobody.errors);
  CHECK(nobody.code == 3);
}

TEST_CASE("recognise program: IDX files with labels, and the network that training made") {
  const auto d = data();
  if (!d) return;
  const fs::path fashion = d->root / "fashion-mnist";
  const auto load = [&](const char* name) { return *dtask::read_idx(dtask::read_file((fashion / name).string())); };
  const auto raw = [](const dtask::bytes& b, std::size_t n) {
    return std::span(reinterpret_cast<const std::uint8_t*>(b.data()), n);
  };
  const dtask::idx_array pictures = load("train-images-idx3-ubyte.gz"), right = load("train-labels-idx1-ubyte.gz");
  const recognise::trained made =
      recognise::train_fashion(raw(pictures.data, 12000 * 784), raw(right.data, 12000), 1, 1, nullptr, nullptr);
  const faults::scratch folder;
  std::ofstream(folder.file("small.safetensors"), std::ios::binary)
      .write(reinterpret_cast<const char*>(made.weights.data()), static_cast<std::streamsize>(made.weights.size()));
  const std::string classes = (dtask_test::source_dir() / "examples" / "recognise" / "fashion_classes.txt").string();
  const std::vector<std::string> network{"--weights", folder.file("small.safetensors"), "--classes", classes, "--json"};
  const run_result got = run(network + std::vector<std::string>{"--batch", "64", "--labels",
                                                                (fashion / "t10k-labels-idx1-ubyte.gz").string(),
                                                                (fashion / "t10k-images-idx3-ubyte.gz").string()});
  CAPTURE(got.errors);
  CHECK(got.code == 0);
  CHECK(got.lines.size() == 10000);
  const std::size_t at = got.errors.find("right: ");
  REQUIRE(at != std::string::npos);
  CHECK(std::atoi(got.errors.c_str() + at + 7) > 7500);
  // A photo on the small network is shrunk and made grey; labels of another file are refused.
  CHECK(run(network + std::vector<std::string>{(d->root / "photos" / "000b7d55b6184b08.jpg").string()}).code == 0);
  CHECK(run(network + std::vector<std::string>{"--labels", (fashion / "train-labels-idx1-ubyte.gz").string(),
                                               (fashion / "t10k-images-idx3-ubyte.gz").string()})
            .code == 2);
  // Only pictures with a label count as right or wrong.
  const run_result mixed =
      run(network + std::vector<std::string>{"--labels", (fashion / "t10k-labels-idx1-ubyte.gz").string(),
                                             (fashion / "t10k-images-idx3-ubyte.gz").string(),
                                             (d->root / "photos" / "000b7d55b6184b08.jpg").string()});
  CAPTURE(mixed.errors);
  CHECK(mixed.lines.size() == 10001);
  CHECK(mixed.errors.find(" of 10000 (") != std::string::npos);
  // Pictures for another network are unusable.
  CHECK(run(d->network() + std::vector<std::string>{(fashion / "t10k-images-idx3-ubyte.gz").string()}).code == 1);
}
#endif
