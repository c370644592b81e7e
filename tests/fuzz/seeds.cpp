// SPDX-License-Identifier: BSL-1.0
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "data/encode.hpp"
#include "dtask/data.hpp"
#include "dtask/job.hpp"
#include "wire/random_message.hpp"

// Writes the seeds of the corpus, made by the library itself. usage: dtask_fuzz_seeds FOLDER
namespace {

namespace wire = dtask::wire;
using namespace std::string_literals;

std::filesystem::path folder;
void write(const std::string& target, const std::string& name, std::string_view data) {
  std::filesystem::create_directories(folder / target);
  std::ofstream(folder / target / ("seed-" + name), std::ios::binary)
      .write(data.data(), static_cast<long>(data.size()));
}
template <class Number>
std::string number(Number value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}
std::string text(const std::vector<std::byte>& raw) {
  return std::string(reinterpret_cast<const char*>(raw.data()), raw.size());
}

/// A frame of each message without large blocks, from a fixed seed.
std::string frame(std::size_t index, std::uint64_t from) {
  for (std::uint64_t seed = from;; ++seed) {
    test::filler fill(seed);
    std::string raw = text(test::encode(fill.message(index)));
    if (raw.size() < 1500) return raw;
  }
}
std::string piece(std::string_view raw) { return number(static_cast<std::uint16_t>(raw.size())) + std::string(raw); }
std::string made_up(std::size_t count) { return number(static_cast<std::uint16_t>(0x8000 | count)); }

void write_wire() {
  std::string greeted, mixed;
  for (std::size_t index = 0; index < wire::message::size; ++index) {
    const std::string raw = frame(index, 100 * index + 1);
    const auto head = wire::load_header(reinterpret_cast<const std::byte*>(raw.data()));
    const std::string name(wire::type_name(head.type));
    write("message", name,
          number(static_cast<std::uint8_t>(index)) + number(head.id) + number(head.extra) +
              number(static_cast<std::uint32_t>(head.blob_bytes)) + raw.substr(wire::frame_header::size));
    if (index % 3 == 1) mixed += piece(std::string_view(raw).substr(0, 20)) + piece(std::string_view(raw).substr(20));
  }
  // A payload with two blocks out of band, and a chunk of that size.
  const auto large = [](wire::message m) {
    const std::string raw = text(test::encode(std::move(m)));
    const auto head = wire::load_header(reinterpret_cast<const std::byte*>(raw.data()));
    return raw.substr(0, wire::frame_header::size + head.body);
  };
  wire::done done;
  done.value.whole.body = dtask::bytes::copy("body");
  done.value.whole.blobs = {dtask::bytes::copy(std::string(20000, 'Z')), dtask::bytes::copy("small"),
                            dtask::bytes::copy(std::string(16385, 'Z'))};
  const std::string blocks = large(wire::message(done));
  write("message", "done-blocks",
        number(static_cast<std::uint8_t>(wire::type_of<wire::done> - 1)) + number(std::uint64_t{0}) +
            number(std::uint32_t{0}) + number(std::uint32_t{36385}) + blocks.substr(wire::frame_header::size));
  wire::chunk first, second;
  first.transfer = second.transfer = 7;
  first.part = second.part = 40000;
  first.data = second.data = dtask::bytes::copy(std::string(20000, 'Z'));
  second.offset = second.within = 20000;
  const std::string run = piece(large(wire::message(first))) + made_up(20000) + piece(large(wire::message(second))) +
                          made_up(12000) + made_up(8000);
  write("frames", "accepted", "\2" + mixed);
  write("frames", "blocks", "\2" + piece(blocks) + made_up(30000) + made_up(6385) + piece(frame(4, 1)));
  write("frames", "chunks", "\12" + run);
  write("frames", "chunks-listening", "\3" + run);
  write("frames", "greeting", "\1" + piece(frame(0, 5)) + piece(frame(4, 2)));
  write("frames", "welcome", "\0"s + piece(frame(1, 5)) + piece(frame(9, 2)));
  write("frames", "small-limits", "\6" + piece(frame(9, 5)) + piece(frame(7, 2)));
  write("frames", "http", "\1" + piece("GET / HTTP/1.1\r\n\r\n"));
  for (std::uint64_t seed = 1; seed <= 3; ++seed)
    write("hello", std::to_string(seed), frame(0, 10 * seed).substr(wire::frame_header::size));
  write("message", "cut", "\12" + std::string(16, '\0') + "cut");
  write("hello", "cut", frame(0, 7).substr(wire::frame_header::size, 40));
}

void write_archive() {
  const auto body = [](const dtask::payload& p) { return std::string(p.body.view()); };
  using std::string;
  const string leaf = body(dtask::encode(std::tuple(true, 'q', std::int16_t{-1}, 2.5, std::uint16_t{1}, "text"s,
                                                    u"wide"s, std::vector<std::int32_t>{1, 2},
                                                    std::vector<bool>{true, false}, dtask::bytes::copy("block"))));
  write("archive", "leaf", "\0\0"s + leaf);
  const string nest = body(dtask::encode(std::tuple(
      std::optional<int>(), std::variant<int, string>("v"s), std::tuple(std::int8_t{1}, std::vector{std::vector{1.5f}}),
      std::map<string, std::vector<dtask::bytes>>{{"a", {dtask::bytes::copy("b"), dtask::bytes()}}},
      std::multimap<int, std::optional<string>>{{1, "x"}, {1, {}}}, std::deque<std::array<string, 2>>{{"a", "b"}},
      std::list<std::complex<float>>{{1, 2}}, std::set<std::uint64_t>{1, 9}, std::chrono::milliseconds(5))));
  write("archive", "nest", "\1\0"s + nest);
  // Strings and numbers out of band: one block of 20000 bytes for the text of a leaf.
  write("archive", "outside",
        "\0\1"s + number(std::uint16_t{20000}) +
            body(dtask::encode(std::tuple(true, 'q', std::int16_t{-1}, 2.5, std::uint16_t{1}, string(20000, 'x'), u""s,
                                          std::vector<std::int32_t>(), std::vector<bool>(), dtask::bytes()))));
  write("archive", "hashed",
        "\2\0"s + body(dtask::encode(std::tuple(std::unordered_map<std::uint32_t, string>{{1, "x"}, {2, ""}},
                                                std::unordered_set<string>{"y"},
                                                std::unordered_map<string, std::vector<std::uint16_t>>{{"k", {1}}}))));
  const auto count = [](std::uint64_t n) { return number(n); };
  write("archive", "tree",
        "\3\0"s + count(2) + count(0) + count(0) + count(0) + count(0) + count(1) + "\1\1"s + count(0));
  write("archive", "by-hand",
        "\4\0"s + number(7) + count(2) + count(1) + "a" + count(0) + "raw" + count(1) + number(3) + leaf);
  write("archive", "empties", "\5\0"s + count(3) + string(3, '\0'));
  write("archive", "map",
        "\6\0"s + body(dtask::encode(std::map<string, std::vector<string>>{{"a", {"b", ""}}, {"c", {}}})));
  // Each count could be true, all of them together take too much.
  std::string greedy = "\3\0"s;
  for (int level = 0; level < 8; ++level) greedy += count(900);
  write("archive", "greedy", greedy + string(1000, '\0'));
  write("archive", "many", "\6\0"s + count(~std::uint64_t{0}));
}

void write_data() {
  dtask::safetensors file;
  file.metadata = {{"format", "pt"}, {"a \"key\"\n", "\x01"}};
  file.tensors = {{"w", "F32", {1, 2}, dtask::bytes::copy(std::string(8, 'x'))},
                  {"none", "I64", {0, 3}, {}},
                  {"scalar", "U8", {}, dtask::bytes::copy("s")}};
  const std::string tensors(dtask::write_safetensors(file).view());
  write("safetensors", "three", tensors);
  write("safetensors", "empty", number(std::uint64_t{2}) + "{}");
  write("safetensors", "cut", tensors.substr(0, tensors.size() - 1));
  write("json", "string", "\0"s + R"( "a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00z" )");
  write("json", "number", "\1 18446744073709551615 ");
  write("json", "strings", "\2[\"a\", \"\"]");
  write("json", "object", "\3{\"a\":[1,2], \"b\":[]}");
  write("json", "half-pair", "\0\"\\ud83d\""s);

  const std::string idx = "\0\0\10\2\0\0\0\2\0\0\0\3abcdef"s;
  write("idx", "plain", idx);
  write("idx", "none", "\0\0\10\1\0\0\0\0"s);
  write("idx", "large", "\0\0\10\2\377\377\377\377\377\377\377\377"s);
  // gzip, made by zlib: the same six bytes.
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY);
  std::string packed(200, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(idx.data()));
  stream.avail_in = static_cast<uInt>(idx.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  write("idx", "gzip", packed);

  for (const char* good : {"tcp://127.0.0.1:7700", "tcp://[::1]:0", "local://4", "spawn://", "tcp://node-7.example:1/"})
    write("url", std::to_string(std::string_view(good).size()), good);
  write("url", "host", "localhost:80");
  write("url", "escape", "tcp://\x1b[31m:1");
}

void write_pictures() {
  const auto samples = [](int width, int height, int each) {
    dtask_test::pixels out(static_cast<std::size_t>(width * height * each));
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(i * 37);
    return out;
  };
  const auto jpeg = [&](const char* name, int target, dtask_test::jpeg_shape shape) {
    const auto data = dtask_test::encode_jpeg(samples(shape.width, shape.height, shape.components), shape);
    write("jpeg", name, std::string(1, static_cast<char>(target)) + std::string(data.view()));
  };
  jpeg("colour", 0, {.width = 8, .height = 9, .components = 3});
  jpeg("grey", 2, {.width = 17, .height = 16, .components = 1});
  jpeg("progressive", 0, {.width = 16, .height = 8, .components = 3, .progressive = true, .orientation = 6});
  jpeg("turned", 0, {.width = 8, .height = 8, .components = 1, .orientation = 8});
  jpeg("cmyk", 0, {.width = 8, .height = 8, .components = 4});
  const auto png = [&](const char* name, dtask_test::png_shape shape, std::size_t row,
                       std::vector<png_color> palette = {}, dtask_test::pixels transparency = {}) {
    const auto rows = samples(static_cast<int>(row), shape.height, 1);
    write("png", name, dtask_test::encode_png(rows, shape, std::move(palette), std::move(transparency)).view());
  };
  png("rgb", {.width = 4, .height = 3}, 12);
  png("grey", {.width = 4, .height = 3, .depth = 16, .color = PNG_COLOR_TYPE_GRAY}, 8);
  png("alpha", {.width = 3, .height = 3, .color = PNG_COLOR_TYPE_RGB_ALPHA, .interlaced = true}, 12);
  png("bits", {.width = 9, .height = 3, .depth = 1, .color = PNG_COLOR_TYPE_GRAY}, 2);
  const std::vector<png_color> palette(256, png_color{1, 2, 3});
  png("palette", {.width = 4, .height = 2, .color = PNG_COLOR_TYPE_PALETTE}, 4, palette, {0, 9});
  // An orientation behind the pixels.
  const auto rgb = dtask_test::encode_png(samples(4, 3, 3), {.width = 4, .height = 3});
  const std::string exif = "MM\0*\0\0\0\10\0\1\1\22\0\3\0\0\0\1\0\6\0\0\0\0\0\0"s;
  const std::size_t end = rgb.size() - 12;
  write("png", "exif",
        std::string(rgb.view().substr(0, end)) + dtask_test::png_chunk("eXIf", exif) +
            std::string(rgb.view().substr(end)));
  write("png", "cut", rgb.view().substr(0, end - 10));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fputs("usage: dtask_fuzz_seeds FOLDER\n", stderr), 2;
  folder = argv[1];
  write_wire();
  write_archive();
  write_data();
  write_pictures();
}
