// SPDX-License-Identifier: BSL-1.0
// The example's networks, alone: no cluster, no program.
#if defined(DTASK_TEST_WITH_RECOGNISE)
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "dtask/base/error.hpp"
#include "dtask/base/read_file.hpp"
#include "dtask/data.hpp"
#include "model.hpp"
#include "program.hpp"

namespace {

struct reference {
  std::string file;
  int label = 0;
  std::vector<recognise::ranked> top;
};
std::vector<reference> references(const std::filesystem::path& data) {
  std::vector<reference> out;
  std::ifstream table(data / "photos" / "reference_mobilenet_v2.tsv");
  std::string line, word;
  std::getline(table, line);
  while (std::getline(table, line)) {
    std::istringstream row(line);
    reference r;
    std::getline(row, r.file, '\t');
    std::getline(row, word, '\t');
    r.label = std::stoi(word);
    while (std::getline(row, word, '\t'))
      r.top.push_back({std::stoi(word), std::stof(word.substr(word.find(':') + 1))});
    out.push_back(r);
  }
  return out;
}

dtask::bytes weights(const std::filesystem::path& data) {
  return dtask::read_file((data / "weights" / "mobilenet_v2.safetensors").string());
}

std::vector<std::uint8_t> pixels_of(const std::filesystem::path& file) {
  const auto picture = dtask::decode_picture(dtask::read_file(file.string()).span());
  REQUIRE(picture.has_value());
  return dtask::resize_bilinear(*picture, 224, 224).rgb;
}

struct score {
  int files = 0, top1 = 0, top5 = 0, agree = 0;
  float worst = 0;
};
score run(recognise::precision in, const std::filesystem::path& data) {
  recognise::model network(weights(data), in);
  const auto want = references(data);
  score s;
  for (std::size_t at = 0; at < want.size(); at += 8) {
    std::vector<std::uint8_t> pixels;
    const std::size_t end = std::min(at + 8, want.size());
    for (std::size_t i = at; i < end; ++i) {
      const auto one = pixels_of(data / "photos" / want[i].file);
      pixels.insert(pixels.end(), one.begin(), one.end());
    }
    const auto got = network.classify(pixels);
    for (std::size_t i = at; i < end; ++i) {
      const auto& top = got[i - at];
      ++s.files;
      s.top1 += top[0].index == want[i].label;
      s.top5 +=
          std::any_of(top.begin(), top.end(), [&](const recognise::ranked& r) { return r.index == want[i].label; });
      s.agree += top[0].index == want[i].top[0].index;
      for (const recognise::ranked& r : want[i].top)
        for (const recognise::ranked& g : top)
          if (g.index == r.index) s.worst = std::max(s.worst, std::abs(g.p - r.p));
    }
  }
  std::printf("top-1 %d, top-5 %d of %d, same top-1 as the reference %d, largest difference in p %.4f\n", s.top1,
              s.top5, s.files, s.agree, s.worst);
  return s;
}

/// What is said about weights that do not fit; empty where they are accepted.
std::string complaint(const dtask::bytes& file) {
  try {
    recognise::model network(file);
  } catch (const dtask::error& e) {
    CHECK(e.code() == dtask::errc::bad_data);
    return e.what();
  }
  return {};
}
bool complains(const dtask::safetensors& file, const std::string& part) {
  return complaint(dtask::write_safetensors(file)).find(part) != std::string::npos;
}
}  // namespace

TEST_CASE("recognise: float32 gives the answers of the plain Python run") {
  const auto data = dtask_test::data();
  if (!data) return;
  const score s = run(recognise::precision::float32, *data);
  CHECK(s.files == 160);
  CHECK(std::abs(s.top1 - 138) <= 1);
  CHECK(s.top5 >= 159);
  CHECK(s.agree >= 159);
  CHECK(s.worst < 0.01F);
}

TEST_CASE("recognise: bfloat16 keeps the score") {
  const auto data = dtask_test::data();
  if (!data) return;
  const score s = run(recognise::precision::bfloat16, *data);
  CHECK(std::abs(s.top1 - 138) <= 1);
  CHECK(s.top5 >= 159);
}

TEST_CASE("recognise: weights that do not fit are refused with a reason") {
  const auto data = dtask_test::data();
  if (!data) return;
  const dtask::bytes whole = weights(*data);
  CHECK(complaint(whole).empty());
  for (const std::size_t n : {std::size_t{0}, std::size_t{9}, std::size_t{20000}, whole.size() / 2, whole.size() - 1})
    CHECK(!complaint(whole.slice(0, n)).empty());
  const dtask::safetensors good = *dtask::read_safetensors(whole);

  dtask::safetensors file = good;
  file.tensors.erase(file.tensors.begin());
  CHECK(complains(file, "features.0.0.weight is missing"));
  file = good;
  std::swap(file.tensors[0].shape[0], file.tensors[0].shape[1]);
  CHECK(complains(file, "features.0.0.weight has the shape [3, 32, 3, 3], not [32, 3, 3, 3]"));
  // Somebody's quantised weights, the right shape and all.
  for (const char* dtype : {"I8", "U8", "BOOL", "I64", "I32", "I16"}) {
    CAPTURE(dtype);
    file = good;
    dtask::safetensor& first = file.tensors[0];
    const std::size_t elements = first.data.size() / dtask::safetensors_element_size(first.dtype);
    first.dtype = dtype;
    first.data = dtask::bytes::from(std::string(elements * dtask::safetensors_element_size(dtype), '\1'));
    CHECK(complains(file, "the array " + first.name + " has the dtype " + dtype + ", not F32, F16, BF16 or F64"));
  }
  file = good;
  const std::size_t elements = file.tensors[0].data.size() / dtask::safetensors_element_size(file.tensors[0].dtype);
  file.tensors[0].dtype = "F64";
  file.tensors[0].data = dtask::bytes::from(std::string(elements * 8, '\0'));
  CHECK(complaint(dtask::write_safetensors(file)).empty());
  file = good;
  file.tensors.push_back({"stranger", "F32", {1}, dtask::bytes::copy(std::string_view("abcd"))});
  CHECK(complains(file, "stranger does not belong"));
  file = good;
  file.metadata["architecture"] = "resnet18";
  CHECK(complains(file, "unknown architecture resnet18"));
  file = good;
  file.metadata["mean"] = "0.5,x";
  CHECK(complains(file, "mean"));
  file = good;
  file.metadata["std"] = "0";
  CHECK(complains(file, "not positive"));
  for (const char* std : {"-1", "nan", "inf", "1e-45", "0.2,0.2", "0.2,0.2,0.2,0.2"}) {
    CAPTURE(std);
    file = good;
    file.metadata["std"] = std;
    CHECK(complains(file, "std"));
  }
  file = good;
  file.metadata["mean"] = "nan";
  CHECK(complains(file, "mean"));
  for (const float wrong : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    file = good;
    dtask::safetensor& last = *std::find_if(file.tensors.begin(), file.tensors.end(),
                                            [](const dtask::safetensor& t) { return t.name == "classifier.1.bias"; });
    std::string values(last.data.view());
    std::memcpy(values.data() + 12, &wrong, sizeof wrong);
    last.data = dtask::bytes::copy(values);
    CHECK(complains(file, "classifier.1.bias holds numbers that are not finite"));
  }
  file = good;
  file.metadata["input_size"] = "100000";
  CHECK(complains(file, "input_size"));
  file = good;
  file.metadata["padding"] = "none";
  CHECK(complains(file, "padding"));
  CHECK(complains({}, "no architecture"));
}

TEST_CASE("recognise: a file without metadata is taken for torchvision's export") {
  const auto data = dtask_test::data();
  if (!data) return;
  dtask::safetensors file = *dtask::read_safetensors(weights(*data));
  file.metadata.clear();
  const recognise::model_info info = recognise::describe(dtask::write_safetensors(file));
  CHECK(info.architecture == "mobilenet_v2");
  CHECK(info.width == 224);
  CHECK(info.channels == 3);
  CHECK(info.classes == 1000);
}

TEST_CASE("recognise: a batch and its pictures one by one get the same answers") {
  const auto data = dtask_test::data();
  if (!data) return;
  recognise::model network(weights(*data));
  std::vector<std::uint8_t> all;
  std::vector<std::vector<recognise::ranked>> single;
  const auto files = references(*data);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto one = pixels_of(*data / "photos" / files[i].file);
    single.push_back(network.classify(one).front());
    all.insert(all.end(), one.begin(), one.end());
  }
  const auto batch = network.classify(all);
  REQUIRE(batch.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(batch[i][0].index == single[i][0].index);
    CHECK(std::abs(batch[i][0].p - single[i][0].p) < 0.01F);
  }
  CHECK_THROWS_AS(network.classify(std::span(all).first(100)), dtask::error);
  CHECK_THROWS_AS(network.classify({}), dtask::error);
}

TEST_CASE("recognise: the small network learns, and its weights are a file that loads") {
  const auto data = dtask_test::data();
  if (!data) return;
  const auto load = [&](const char* name) {
    return *dtask::read_idx(dtask::read_file((*data / "fashion-mnist" / name).string()));
  };
  const auto raw = [](const dtask::bytes& b, std::size_t n) {
    return std::span(reinterpret_cast<const std::uint8_t*>(b.data()), n);
  };
  const dtask::idx_array pictures = load("train-images-idx3-ubyte.gz"), labels = load("train-labels-idx1-ubyte.gz");
  constexpr std::size_t count = 12000, tested = 2000;
  const recognise::trained got =
      recognise::train_fashion(raw(pictures.data, count * 784), raw(labels.data, count), 1, 1, nullptr, nullptr);
  recognise::model network(got.weights);
  CHECK(network.info().architecture == "fashion_cnn");
  const dtask::idx_array test = load("t10k-images-idx3-ubyte.gz"), answers = load("t10k-labels-idx1-ubyte.gz");
  const auto found = network.classify(raw(test.data, tested * 784), 5);
  int right = 0;
  for (std::size_t i = 0; i < tested; ++i) right += found[i][0].index == std::to_integer<int>(answers.data[i]);
  MESSAGE("right: " << right << " of " << tested);
  CHECK(right > 1500);
}

TEST_CASE("recognise: training can be stopped and checks its input") {
  const std::vector<std::uint8_t> pixels(784 * 4), labels{0, 1, 2, 3};
  try {
    (void)recognise::train_fashion(pixels, labels, 1, 1, [](void*) { return true; }, nullptr);
    CHECK(false);
  } catch (const dtask::error& e) {
    CHECK(e.code() == dtask::errc::cancelled);
  }
  CHECK_THROWS_AS(recognise::train_fashion(pixels, std::vector<std::uint8_t>{1}, 1, 1, nullptr, nullptr), dtask::error);
  CHECK_THROWS_AS(recognise::train_fashion(pixels, std::vector<std::uint8_t>{0, 1, 2, 10}, 1, 1, nullptr, nullptr),
                  dtask::error);
}
#endif
