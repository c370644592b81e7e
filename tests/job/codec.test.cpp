// SPDX-License-Identifier: BSL-1.0
#include "dtask/job/codec.hpp"

#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cereal/types/base_class.hpp>
#include <cereal/types/deque.hpp>
#include <cereal/types/forward_list.hpp>
#include <cereal/types/map.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/unordered_map.hpp>
#include <cereal/types/vector.hpp>
#include <chrono>
#include <complex>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <memory_resource>
#include <new>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

// ---- what is allocated on this thread, in requested bytes (the sanitizers bring an operator new of their own: nothing
// is counted there) ----
namespace {
struct counter {
  std::size_t now = 0, peak = 0;
};
thread_local counter allocated;
#if !DTASK_ASAN && !DTASK_TSAN
constexpr std::size_t head = 16;
void* counted_new(std::size_t size) {
  void* block = std::malloc(size + head);
  if (block == nullptr) throw std::bad_alloc();
  std::memcpy(block, &size, sizeof size);
  allocated.now += size;
  if (allocated.now > allocated.peak) allocated.peak = allocated.now;
  return static_cast<char*>(block) + head;
}
void counted_delete(void* p) noexcept {
  if (p == nullptr) return;
  void* block = static_cast<char*>(p) - head;
  std::size_t size = 0;
  std::memcpy(&size, block, sizeof size);
  allocated.now -= size;
  std::free(block);
}
#endif
}  // namespace
#if !DTASK_ASAN && !DTASK_TSAN
void* operator new(std::size_t size) { return counted_new(size); }
void* operator new[](std::size_t size) { return counted_new(size); }
void operator delete(void* p) noexcept { counted_delete(p); }
void operator delete[](void* p) noexcept { counted_delete(p); }
void operator delete(void* p, std::size_t) noexcept { counted_delete(p); }
void operator delete[](void* p, std::size_t) noexcept { counted_delete(p); }
#endif

namespace {

struct point {
  int x = 0;
  double y = 0;
  bool operator==(const point&) const = default;
};
enum class colour : std::uint16_t { red, green };
struct all {
  bool flag = true;
  char letter = 'q';
  std::int8_t i8 = -8;
  std::uint16_t u16 = 16;
  std::int64_t i64 = -64;
  float f32 = 1.5f;
  colour c = colour::green;
  std::string text = "text";
  std::vector<int> numbers{1, 2, 3};
  std::vector<bool> bits{true, false, true};
  std::vector<std::string> texts{"a", "", "a text that is longer than a short string"};
  std::deque<point> points{{1, 2}, {3, 4}};
  std::list<std::uint8_t> list{1, 2};
  std::array<point, 2> pair_of{point{5, 6}, point{7, 8}};
  std::map<std::string, int> map{{"a", 1}};
  std::multimap<int, int> multimap{{1, 1}, {1, 2}};
  std::unordered_map<int, std::string> hashed{{1, "x"}};
  std::set<int> set{3, 1, 2};
  std::unordered_set<std::string> hashed_set{"y"};
  std::optional<double> some = 2.5, none{};
  std::variant<int, std::string, std::monostate> either = std::string("v");
  std::tuple<int, std::string> tuple{1, "t"};
  std::pair<int, point> pair{1, {9, 9}};
  std::complex<float> z{1, -1};
  std::chrono::milliseconds pause{250};
  std::chrono::system_clock::time_point when{};
  dtask::bytes block = dtask::bytes::copy("block");
  bool operator==(const all&) const = default;
};
struct tree {
  std::vector<tree> kids;
};
struct empty {};
struct cereal_empty {
  template <class A>
  void serialize(A&) {}
};

struct cereal_base {
  int id = 0;
  template <class A>
  void serialize(A& a) {
    a(CEREAL_NVP(id));
  }
};
class cereal_derived : public cereal_base {
 public:
  std::vector<std::string> words;
  std::map<int, point> points;
  template <class A>
  void serialize(A& a) {
    a(cereal::base_class<cereal_base>(this), words);
    a & points;
  }
};
struct versioned {
  int a = 0;
  template <class A>
  void serialize(A& archive, const std::uint32_t version) {
    seen = version;
    archive(a);
  }
  std::uint32_t seen = 0;
};
struct minimal {
  std::string text;
  template <class A>
  std::string save_minimal(const A&) const {
    return text;
  }
  template <class A>
  void load_minimal(const A&, const std::string& from) {
    text = from;
  }
};
struct sized_by_hand {
  std::vector<point> points;
  template <class A>
  void save(A& a) const {
    a(cereal::make_size_tag(static_cast<cereal::size_type>(points.size())));
    for (const auto& p : points) a(p.x, p.y);
  }
  template <class A>
  void load(A& a) {
    cereal::size_type n = 0;
    a(cereal::make_size_tag(n));
    points.resize(static_cast<std::size_t>(n));
    for (auto& p : points) a(p.x, p.y);
  }
};

struct large {
  std::array<std::uint64_t, 128> numbers{};
  template <class A>
  void serialize(A& a) {
    a(numbers[0]);
  }
};
/// A container of one's own: it trusts the count and says what its elements are.
struct bag {
  using value_type = large;
  std::vector<large> items;
  template <class A>
  void save(A& a) const {
    a(cereal::make_size_tag(static_cast<cereal::size_type>(items.size())));
    for (const auto& i : items) a(i);
  }
  template <class A>
  void load(A& a) {
    cereal::size_type n = 0;
    a(cereal::make_size_tag(n));
    items.resize(static_cast<std::size_t>(n));
    for (auto& i : items) a(i);
  }
};

struct image {
  std::uint32_t width = 0;
  dtask::bytes pixels;
};

constexpr std::size_t over = dtask::inline_bytes + 8;  // a string or vector of so many bytes leaves the body
struct parcel {
  std::string name;
  std::vector<float> numbers;
  std::optional<std::string> note;
  std::tuple<int, std::vector<std::int64_t>> tuple;
  std::map<std::string, std::vector<char>> map;
  bool operator==(const parcel&) const = default;
};
/// Says itself what is written, and does not own all of it.
struct quoting {
  const std::string* shared = nullptr;
  std::string text, copy;
  template <class A>
  void save(A& a) const {
    a(text, *shared);
  }
  template <class A>
  void load(A& a) {
    a(text, copy);
  }
};

template <class T>
T round_trip(const T& value) {
  return dtask::decode<T>(dtask::encode(value));
}

dtask::payload raw(std::string body) { return {dtask::bytes::from(std::move(body)), {}}; }
template <class T>
void put(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// Decodes foreign bytes: a value or `decode_failed`, and never more memory than 4 x frame + 64 KiB, the frame
/// included.
template <class T>
bool accepts(const dtask::payload& from) {
  const std::size_t frame = from.size();
  const std::size_t before = allocated.now;
  allocated.peak = before;
  bool ok = true;
  try {
    static_cast<void>(dtask::decode<T>(from));
  } catch (const dtask::error& e) {
    ok = false;
    CHECK(e.code() == dtask::errc::decode_failed);
    CHECK_FALSE(e.place().empty());
  }
  CHECK(frame + (allocated.peak - before) <= 4 * frame + (64u << 10));
  CHECK(allocated.now == before);
  return ok;
}

}  // namespace
template <>
struct dtask::codec<image> {
  static constexpr std::string_view words = "image";
  static void save(dtask::encoder& to, const image& v) {
    to.put(v.width);
    to.block(v.pixels);
  }
  static void load(dtask::decoder& from, image& v) {
    v.width = from.get<std::uint32_t>();
    if (v.width > 4096) from.fail("an image wider than 4096");
    v.pixels = from.block();
  }
};

TEST_CASE("codec: every kind comes back as it was") {
  const all value;
  all changed;
  changed.text.clear();
  changed.numbers.clear();
  changed.some.reset();
  CHECK(round_trip(value) == value);
  CHECK(round_trip(changed) == changed);
  CHECK_FALSE(round_trip(value) == changed);
}

TEST_CASE("codec: little endian, no names, no padding") {
  const auto p = dtask::encode(point{0x01020304, 1.0});
  REQUIRE(p.body.size() == 12);
  CHECK(p.body[0] == std::byte{4});
  CHECK(p.body[3] == std::byte{1});
  CHECK(p.blobs.empty());
}

TEST_CASE("codec: big blocks travel out of band and are neither copied out nor in") {
  const auto big = dtask::bytes::from(std::string(100'000, 'x'));
  const std::tuple<std::string, dtask::bytes, dtask::bytes> value{"name", big, dtask::bytes::copy("small")};
  const auto p = dtask::encode(value);
  REQUIRE(p.blobs.size() == 1);
  CHECK(p.blobs[0].data() == big.data());
  CHECK(p.body.size() < 64);
  const auto back = dtask::decode<std::tuple<std::string, dtask::bytes, dtask::bytes>>(p);
  CHECK(std::get<1>(back).data() == big.data());
  CHECK(std::get<2>(back).view() == "small");
}

TEST_CASE("codec: blocks at the limit of out of band") {
  for (const std::size_t size : {dtask::inline_bytes, dtask::inline_bytes + 1}) {
    const auto block = dtask::bytes::from(std::string(size, 'y'));
    const auto p = dtask::encode(block);
    CHECK(p.blobs.size() == (size > dtask::inline_bytes ? 1 : 0));
    CHECK(dtask::decode<dtask::bytes>(p) == block);
  }
}

TEST_CASE("codec: strings and vectors of numbers at the limit of out of band") {
  const auto check = []<class T>(T value, std::size_t size) {
    CAPTURE(size);
    const auto p = dtask::encode(value);
    REQUIRE(p.blobs.size() == (size > dtask::inline_bytes ? 1 : 0));
    if (!p.blobs.empty()) {
      CHECK(p.body.size() == 8);
      CHECK(p.blobs[0].size() == size);
      CHECK(p.blobs[0].data() != reinterpret_cast<const std::byte*>(value.data()));
    }
    CHECK(accepts<T>(p));
    CHECK(dtask::decode<T>(p) == value);
    // Given away, it is not copied.
    const T before = value;
    const auto* at = reinterpret_cast<const std::byte*>(value.data());
    const auto given = dtask::encode(std::move(value));
    CHECK(given.body == p.body);
    CHECK(given.blobs == p.blobs);
    if (!given.blobs.empty()) CHECK(given.blobs[0].data() == at);
    CHECK(dtask::decode<T>(given) == before);
  };
  for (const std::size_t size : {dtask::inline_bytes - 1, dtask::inline_bytes, dtask::inline_bytes + 1}) {
    check(std::string(size, 's'), size);
    check(std::vector<char>(size, 'v'), size);
    check(std::vector<std::uint8_t>(size, std::uint8_t{7}), size);
  }
  for (const std::size_t size : {dtask::inline_bytes - 8, dtask::inline_bytes, dtask::inline_bytes + 8}) {
    check(std::u16string(size / 2, u'w'), size);
    check(std::vector<float>(size / 4, 1.5f), size);
    check(std::vector<double>(size / 8, -2.5), size);
    check(std::vector<std::int64_t>(size / 8, -3), size);
  }
}

TEST_CASE("codec: strings and vectors inside of other types leave the body too") {
  const parcel whole{std::string(over, 'n'),
                     std::vector<float>(over / 4, 0.5f),
                     std::string(over, 'o'),
                     {3, std::vector<std::int64_t>(over / 8, -1)},
                     {{std::string(over, 'k'), std::vector<char>(over, 'm')}, {"small", {}}}};
  const auto p = dtask::encode(whole);
  CHECK(p.blobs.size() == 6);
  CHECK(p.body.size() < 128);
  CHECK(accepts<parcel>(p));
  CHECK(dtask::decode<parcel>(p) == whole);

  parcel value = whole;
  const std::array<const void*, 5> at{value.name.data(), value.numbers.data(), value.note->data(),
                                      std::get<1>(value.tuple).data(), value.map.begin()->second.data()};
  const std::string& key = value.map.begin()->first;
  const auto given = dtask::encode(std::move(value));
  CHECK(dtask::decode<parcel>(given) == whole);
  REQUIRE(given.blobs.size() == 6);
  for (const auto& [blob, field] : {std::pair(0, 0), {1, 1}, {2, 2}, {3, 3}, {5, 4}})
    CHECK(given.blobs[static_cast<std::size_t>(blob)].data() == at[static_cast<std::size_t>(field)]);
  // A key is const where it lies.
  CHECK(key.size() == over);

  std::variant<int, std::vector<std::string>> either = std::vector<std::string>{std::string(over, 'a'), "b"};
  const void* text = std::get<1>(either)[0].data();
  const auto e = dtask::encode(std::move(either));
  REQUIRE(e.blobs.size() == 1);
  CHECK(e.blobs[0].data() == text);
  CHECK(std::get<1>(dtask::decode<decltype(either)>(e))[0] == std::string(over, 'a'));

  using outer = std::pair<std::array<std::deque<std::string>, 2>, std::set<std::string>>;
  const outer nested{{std::deque<std::string>{std::string(over, 'd')}, {}}, {std::string(over, 's')}};
  CHECK(dtask::encode(nested).blobs.size() == 2);
  CHECK(round_trip(nested) == nested);
  CHECK(dtask::decode<outer>(dtask::encode(outer(nested))) == nested);
}

TEST_CASE("codec: what a value given away only refers to is not taken from it") {
  const std::string shared(over, 'q');
  quoting value;
  value.shared = &shared;
  value.text = std::string(over, 't');
  const auto p = dtask::encode(std::move(value));
  CHECK(p.blobs.size() == 2);
  CHECK(shared == std::string(over, 'q'));
  const auto back = dtask::decode<quoting>(p);
  CHECK(back.text == std::string(over, 't'));
  CHECK(back.copy == shared);
  // Nor what its allocator, which may be gone before the bytes are sent, owns.
  std::pmr::monotonic_buffer_resource arena;
  std::pmr::vector<int> numbers(over, 5, &arena);
  const auto* at = reinterpret_cast<const std::byte*>(numbers.data());
  const auto copied = dtask::encode(std::move(numbers));
  REQUIRE(copied.blobs.size() == 1);
  CHECK(copied.blobs[0].data() != at);
  CHECK(dtask::decode<std::vector<int>>(copied) == std::vector<int>(over, 5));
  // Nor a capacity that would be kept for a few bytes.
  std::string roomy;
  roomy.reserve(10 * over);
  roomy.assign(over, 'r');
  at = reinterpret_cast<const std::byte*>(roomy.data());
  CHECK(dtask::encode(std::move(roomy)).blobs.at(0).data() != at);
}

TEST_CASE("codec: strings and numbers take half of the blocks, and never one that a `bytes` needs") {
  const std::vector<std::string> many(2'000, std::string(over, 'x'));
  const auto p = dtask::encode(many);
  CHECK(p.blobs.size() == dtask::codec_limits{}.blobs / 2);
  CHECK(accepts<std::vector<std::string>>(p));
  CHECK(dtask::decode<std::vector<std::string>>(p) == many);

  dtask::codec_limits one;
  one.blobs = 1;
  const std::vector<std::string> two(2, std::string(over, 'y'));
  CHECK(dtask::encode(two, one).blobs.empty());
  CHECK(dtask::decode<std::vector<std::string>>(dtask::encode(two, one)) == two);

  // Where strings have taken blocks, as many `bytes` travel as without them: the last ones within the body, copied to
  // memory of their own, aligned as a block is.
  dtask::codec_limits four;
  four.blobs = 4;
  using mixed = std::tuple<std::vector<std::string>, char, std::vector<dtask::bytes>>;
  const mixed value{std::vector<std::string>(3, std::string(over, 'z')), 'c',
                    std::vector<dtask::bytes>(4, dtask::bytes::from(std::string(over, 'b')))};
  const auto m = dtask::encode(value, four);
  CHECK(m.blobs.size() == 4);
  CHECK(accepts<mixed>(m));
  const auto back = dtask::decode<mixed>(m);
  CHECK(back == value);
  for (const auto& block : std::get<2>(back)) CHECK(reinterpret_cast<std::uintptr_t>(block.data()) % 16 == 0);
}

TEST_CASE("codec: out-of-band elements that are missing, too many or cut") {
  const auto check = []<class T>(const T& value) {
    const auto p = dtask::encode(value);
    REQUIRE(p.blobs.size() == 1);
    const dtask::bytes& blob = p.blobs[0];
    CHECK(accepts<T>(p));
    CHECK_FALSE(accepts<T>({p.body, {}}));
    CHECK_FALSE(accepts<T>({p.body, {blob, blob}}));
    for (const std::size_t cut : {std::size_t{1}, std::size_t{4}, std::size_t{8}, blob.size()})
      CHECK_FALSE(accepts<T>({p.body, {blob.slice(0, blob.size() - cut)}}));
    // The same block cannot be named twice: that would be memory which nobody sent.
    std::string twice;
    put(twice, std::uint64_t{2});
    twice += p.body.view();
    twice += p.body.view();
    CHECK_FALSE(accepts<std::vector<T>>({dtask::bytes::from(twice), {blob}}));
    for (const std::uint64_t n : {std::uint64_t{1} << 62, std::uint64_t{1} << 61, (std::uint64_t{1} << 63) - 1,
                                  std::uint64_t{1} << 40, std::uint64_t{0}, std::uint64_t{1}}) {
      std::string body;
      put(body, n | dtask::encoder::out_of_band);
      CHECK_FALSE(accepts<T>({dtask::bytes::from(body), {blob}}));
    }
  };
  check(std::string(over, 's'));
  check(std::vector<float>(over / 4, 1.0f));
  check(std::vector<double>(over / 8, 1.0));
  check(std::u32string(over / 4, U'u'));
  // A block that no number of elements fills, whatever the count says.
  for (const std::uint64_t n : {over / 8, over / 8 + 1}) {
    std::string body;
    put(body, n | dtask::encoder::out_of_band);
    CHECK_FALSE(
        accepts<std::vector<double>>({dtask::bytes::from(body), {dtask::bytes::from(std::string(over + 4, 'x'))}}));
  }
  // Types without elements that are numbers know no elements out of band.
  std::string body;
  put(body, 1 | dtask::encoder::out_of_band);
  const dtask::payload p{dtask::bytes::from(body), {dtask::bytes::from(std::string(over, 'x'))}};
  CHECK_FALSE(accepts<std::vector<std::string>>(p));
  CHECK_FALSE(accepts<std::vector<bool>>(p));
  CHECK_FALSE(accepts<std::deque<int>>(p));
}

TEST_CASE("codec: small blocks and blocks at odd addresses are read as well") {
  // No encoder of ours sends them; they cost no more than their own size.
  std::string body;
  put(body, 3 | dtask::encoder::out_of_band);
  const auto all_bytes = dtask::bytes::from(std::string("\0\1\0\0\0\2\0\0\0\3\0\0\0", 13));
  const dtask::payload p{dtask::bytes::from(body), {all_bytes.slice(1)}};
  CHECK(accepts<std::vector<int>>(p));
  CHECK(dtask::decode<std::vector<int>>(p) == std::vector<int>{1, 2, 3});
  CHECK(accepts<std::u32string>(p));
  CHECK(dtask::decode<std::u32string>(p) == U"\1\2\3");
  std::string nothing;
  put(nothing, dtask::encoder::out_of_band);
  CHECK(dtask::decode<std::string>({dtask::bytes::from(nothing), {dtask::bytes()}}).empty());
}

TEST_CASE("codec: cereal types, with bases, versions, minimal and sized by hand") {
  cereal_derived d;
  d.id = 7;
  d.words = {"a", "b"};
  d.points[3] = {1, 2};
  const auto back = round_trip(d);
  CHECK(back.id == 7);
  CHECK(back.words == d.words);
  CHECK(back.points == d.points);
  versioned v;
  v.a = 5;
  CHECK(round_trip(v).a == 5);
  CHECK(round_trip(std::vector<versioned>(3)).size() == 3);
  CHECK(round_trip(minimal{"text"}).text == "text");
  sized_by_hand s{{{1, 2}, {3, 4}}};
  CHECK(round_trip(s).points == s.points);
  CHECK(round_trip(std::vector<cereal_empty>(3)).size() == 3);
}

TEST_CASE("codec: a type's own codec checks what it reads") {
  const image i{640, dtask::bytes::copy("px")};
  CHECK(round_trip(i).pixels == i.pixels);
  std::string body;
  put(body, std::uint32_t{5000});
  put(body, std::uint64_t{0});
  CHECK_FALSE(accepts<image>(raw(body)));
  CHECK(dtask::describe<std::vector<image>>() == "vector<image>");
}

TEST_CASE("codec: descriptions cover kinds, widths, containers and order, not names") {
  struct other_names {
    int a;
    double b;
  };
  CHECK(dtask::describe<point>() == "{i32, f64}");
  CHECK(dtask::describe<other_names>() == dtask::describe<point>());
  CHECK(dtask::describe<tree>() == "{vector<^1>}");
  CHECK(dtask::describe<colour>() == "enum u16");
  CHECK(dtask::describe<cereal_derived>() == "{{i32}, vector<string>, map<i32, {i32, f64}>}");
  CHECK(dtask::describe<std::optional<std::variant<int, std::string>>>() == "optional<variant<i32, string>>");
  CHECK(dtask::describe<std::unordered_map<int, int>>() == "unordered_map<i32, i32>");
  CHECK(dtask::describe<std::unordered_set<int>>() == "unordered_set<i32>");
  CHECK(dtask::describe<std::set<int>>() == "set<i32>");
  CHECK(dtask::schema_hash("{i32, f64}") != dtask::schema_hash("{f64, i32}"));
}

TEST_CASE("codec: sparse honest values decode within the memory that their size justifies") {
  std::map<int, int> m;
  for (int i = 0; i < 50'000; ++i) m[i] = -i;
  const auto p = dtask::encode(m);
  CHECK(accepts<std::map<int, int>>(p));
  CHECK(dtask::decode<std::map<int, int>>(p) == m);
  const std::list<std::uint8_t> l(100'000, std::uint8_t{1});
  CHECK(accepts<std::list<std::uint8_t>>(dtask::encode(l)));
  const std::vector<std::optional<std::array<double, 16>>> o(30'000);
  CHECK(accepts<std::vector<std::optional<std::array<double, 16>>>>(dtask::encode(o)));
  const std::vector<std::string> s(100'000);
  CHECK(accepts<std::vector<std::string>>(dtask::encode(s)));
  std::unordered_map<int, int> u;
  for (int i = 0; i < 50'000; ++i) u[i] = i;
  CHECK(accepts<std::unordered_map<int, int>>(dtask::encode(u)));
  const std::vector<std::deque<int>> d(5'000);
  CHECK(accepts<std::vector<std::deque<int>>>(dtask::encode(d)));
}

TEST_CASE("codec: counts that the bytes do not justify") {
  for (const std::uint64_t n :
       {~std::uint64_t{0}, std::uint64_t{1} << 63, std::uint64_t{1} << 60, (std::uint64_t{1} << 62) + 1,
        std::uint64_t{1} << 33, std::uint64_t{1} << 29, std::uint64_t{1} << 28}) {
    for (const std::size_t more : {std::size_t{0}, std::size_t{64}}) {
      std::string body;
      put(body, n);
      body.append(more, 'x');
      const auto p = raw(body);
      CHECK_FALSE(accepts<std::vector<float>>(p));
      CHECK_FALSE(accepts<std::string>(p));
      CHECK_FALSE(accepts<std::vector<std::string>>(p));
      CHECK_FALSE(accepts<std::vector<bool>>(p));
      CHECK_FALSE(accepts<std::list<float>>(p));
      CHECK_FALSE(accepts<std::deque<float>>(p));
      CHECK_FALSE(accepts<std::vector<empty>>(p));
      CHECK_FALSE(accepts<std::list<cereal_empty>>(p));
      CHECK_FALSE(accepts<std::unordered_map<int, int>>(p));
      CHECK_FALSE(accepts<std::map<int, int>>(p));
      CHECK_FALSE(accepts<std::set<std::string>>(p));
      CHECK_FALSE(accepts<sized_by_hand>(p));
      CHECK_FALSE(accepts<std::vector<sized_by_hand>>(p));
      CHECK_FALSE(accepts<dtask::bytes>(p));
      CHECK_FALSE(accepts<std::vector<std::array<double, 1000>>>(p));
    }
  }
}

TEST_CASE("codec: elements that blow up in memory are refused before they are made") {
  // One wire byte per element, 8000 bytes in memory.
  std::string body;
  put(body, std::uint64_t{60'000});
  body.append(60'000, '\0');
  CHECK_FALSE(accepts<std::vector<std::optional<std::array<double, 1000>>>>(raw(body)));
  CHECK_FALSE(accepts<std::list<std::optional<std::array<double, 1000>>>>(raw(body)));
}

TEST_CASE("codec: containers that cereal reads cost what their elements do") {
  for (const std::size_t size : {1'000u, 60'000u}) {
    // As many elements as 64 bytes each would allow.
    std::string body;
    put(body, dtask::detail::decode_budget(size) / 64);
    body.append(size - body.size(), '\0');
    CHECK_FALSE(accepts<bag>(raw(body)));
    CHECK_FALSE(accepts<std::forward_list<large>>(raw(body)));
  }
  bag b;
  b.items.resize(2'000);
  b.items.back().numbers[0] = 5;
  const auto p = dtask::encode(b);
  CHECK(accepts<bag>(p));
  CHECK(dtask::decode<bag>(p).items.back().numbers[0] == 5);
  const std::forward_list<large> l(2'000);
  CHECK(accepts<std::forward_list<large>>(dtask::encode(l)));
  const std::vector<std::forward_list<std::uint8_t>> nested(100, std::forward_list<std::uint8_t>(50));
  CHECK(accepts<std::vector<std::forward_list<std::uint8_t>>>(dtask::encode(nested)));
}

TEST_CASE("codec: nesting has a limit on both sides") {
  for (const int depth : {1'000, 20'000, 1'000'000}) {
    std::string body;
    for (int i = 0; i < depth; ++i) put(body, std::uint64_t{1});
    put(body, std::uint64_t{0});
    CHECK_FALSE(accepts<tree>(raw(body)));
  }
  tree deep;
  tree* at = &deep;
  for (int i = 0; i < 100; ++i) at = &at->kids.emplace_back();
  CHECK(accepts<tree>(dtask::encode(deep)));
  for (int i = 0; i < 100; ++i) at = &at->kids.emplace_back();
  CHECK_THROWS_AS(dtask::encode(deep), dtask::error);
}

TEST_CASE("codec: truncated, longer, and wrong values") {
  const auto whole = dtask::encode(all{});
  for (std::size_t size = 0; size < whole.body.size(); ++size)
    CHECK_FALSE(accepts<all>({whole.body.slice(0, size), {}}));
  CHECK_FALSE(accepts<int>(raw(std::string("\1\0\0\0x", 5))));
  CHECK_FALSE(accepts<bool>(raw("\5")));
  CHECK_FALSE(accepts<std::variant<int, std::string>>(raw(std::string("\x63\0\0\0\0", 5))));
  CHECK_FALSE(accepts<std::variant<int, std::string>>(raw("\xff")));
  std::string twice;
  put(twice, std::uint64_t{2});
  put(twice, std::int32_t{1});
  put(twice, std::int32_t{1});
  CHECK_FALSE(accepts<std::set<int>>(raw(twice)));
}

TEST_CASE("codec: blobs that are missing, superfluous or of another size") {
  const auto p = dtask::encode(dtask::bytes::from(std::string(100'000, 'x')));
  CHECK_FALSE(accepts<dtask::bytes>({p.body, {}}));
  CHECK_FALSE(accepts<dtask::bytes>({p.body, {p.blobs[0], p.blobs[0]}}));
  CHECK_FALSE(accepts<dtask::bytes>({p.body, {p.blobs[0].slice(1)}}));
  CHECK_FALSE(accepts<int>({dtask::encode(1).body, {p.blobs[0]}}));
}

TEST_CASE("codec: random bytes and mutated values never break the bound") {
  const std::uint64_t seed = 20260101;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto whole = dtask::encode(all{});
  for (int round = 0; round < 3000; ++round) {
    std::string body(whole.body.view());
    for (int i = 0; i < 1 + round % 4; ++i) body[random() % body.size()] = static_cast<char>(random());
    accepts<all>(raw(body));
    std::string noise(random() % 256, '\0');
    for (char& c : noise) c = static_cast<char>(random() % 4 == 0 ? random() : 0);
    accepts<all>(raw(noise));
    accepts<std::vector<std::map<std::string, std::vector<std::optional<std::string>>>>>(raw(noise));
    accepts<cereal_derived>(raw(noise));
    accepts<std::unordered_map<std::string, tree>>(raw(noise));
  }
  const std::vector<parcel> parcels(2, {std::string(over, 'n'), std::vector<float>(over / 4), std::nullopt, {}, {}});
  const auto outside = dtask::encode(parcels);
  for (int round = 0; round < 3000; ++round) {
    std::string body(outside.body.view());
    for (int i = 0; i < 1 + round % 4; ++i) body[random() % body.size()] = static_cast<char>(random());
    if (round % 2 == 0) body[random() % (body.size() / 8) * 8 + 7] = static_cast<char>(0x80);
    accepts<std::vector<parcel>>({dtask::bytes::from(std::move(body)), outside.blobs});
  }
}

TEST_CASE("codec: encoding over a limit says which") {
  dtask::codec_limits small;
  small.payload = 1000;
  small.blobs = 1;
  const std::vector<int> big(1000, 1);
  try {
    static_cast<void>(dtask::encode(big, small));
    FAIL("no error");
  } catch (const dtask::error& e) {
    CHECK(e.code() == dtask::errc::too_large);
    CHECK(e.cause().find("1000 bytes") != std::string::npos);
  }
  const auto block = dtask::bytes::from(std::string(20'000, 'x'));
  CHECK_THROWS_AS(dtask::encode(block, small), dtask::error);
  // A string over the limit is refused before it is taken.
  std::string text(20'000, 'x');
  CHECK_THROWS_AS(dtask::encode(std::move(text), small), dtask::error);
  CHECK(text.size() == 20'000);
  dtask::codec_limits few;
  few.blobs = 1;
  CHECK_THROWS_AS(dtask::encode(std::vector<dtask::bytes>{block, block}, few), dtask::error);
}
