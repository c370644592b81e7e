// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <chrono>
#include <complex>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "dtask/job/codec.hpp"
#include "fuzz/memory.hpp"
#include "fuzz/target.hpp"

namespace {

enum class colour : std::uint16_t { red, green };
struct leaf {
  bool flag = false;
  char letter = 'q';
  std::int16_t small = 0;
  double number = 0;
  colour shade = colour::red;
  std::string text;
  std::u16string wide;
  std::vector<std::int32_t> numbers;
  std::vector<bool> bits;
  dtask::bytes block;
};
struct nest {
  std::optional<leaf> maybe;
  std::variant<int, std::string, std::monostate, std::vector<leaf>> either;
  std::tuple<std::int8_t, std::vector<std::vector<float>>> pair;
  std::map<std::string, std::vector<dtask::bytes>> blocks;
  std::multimap<int, std::optional<std::string>> many;
  std::deque<std::array<std::string, 2>> queue;
  std::list<std::complex<float>> list;
  std::set<std::uint64_t> set;
  std::chrono::milliseconds pause{};
};
struct hashed {
  std::unordered_map<std::uint32_t, std::string> map;
  std::unordered_set<std::string> set;
  std::unordered_map<std::string, std::vector<std::uint16_t>> deep;
  bool operator==(const hashed&) const = default;
};
struct tree {
  std::vector<tree> kids;
  std::vector<std::optional<std::variant<std::monostate, std::list<tree>>>> more;
};
struct empty {};

struct numbered {
  std::int32_t id = 0;
  template <class A>
  void serialize(A& a) {
    a(CEREAL_NVP(id));
  }
};
/// In cereal's own ways: another such class, a count and elements by hand, raw bytes, and values that the shapes know.
class by_hand {
 public:
  template <class A>
  void save(A& a) const {
    a(number_, cereal::make_size_tag(static_cast<cereal::size_type>(words_.size())));
    for (const std::string& w : words_) a(w);
    a(cereal::binary_data(raw_.data(), raw_.size()), leaves_);
  }
  template <class A>
  void load(A& a) {
    cereal::size_type count = 0;
    a(number_, cereal::make_size_tag(count));
    words_.resize(static_cast<std::size_t>(count));
    for (std::string& w : words_) a(w);
    a(cereal::binary_data(raw_.data(), raw_.size()), leaves_);
  }

 private:
  numbered number_;
  std::vector<std::string> words_;
  std::array<char, 3> raw_{};
  std::map<int, leaf> leaves_;
};

bool same(const dtask::payload& a, const dtask::payload& b) { return a.body == b.body && a.blobs == b.blobs; }

/// Decoding stays within its bound; what it gives can be encoded, copied or given away, and decodes to the same again.
template <class T>
bool round_trip(const dtask::payload& from) {
  std::size_t received = from.body.size();
  for (const dtask::bytes& b : from.blobs) received += b.size();
  std::optional<T> value;
  const std::size_t peak = fuzz::peak_of([&] {
    try {
      value = dtask::decode<T>(from);
    } catch (const dtask::error& e) {
      fuzz::require(e.code() == dtask::errc::decode_failed && !e.place().empty(), "a refusal without its place");
    }
  });
  fuzz::require(peak <= 3 * received + (64u << 10), "decoding takes more than 4 x frame + 64 KiB");
  if (!value) return false;
  const dtask::payload once = dtask::encode(*value);
  T again = dtask::decode<T>(once);
  if constexpr (std::is_same_v<T, hashed>) {
    // Their order is not that of the copy.
    fuzz::require(again == *value, "a value changes when it is encoded and decoded");
  } else {
    // Byte by byte, since a NaN is not equal to itself.
    fuzz::require(same(dtask::encode(again), once), "a value changes when it is encoded and decoded");
    fuzz::require(same(dtask::encode(std::move(again)), once), "a value that is given away is encoded as another");
  }
  return true;
}

}  // namespace

// The archive of jobs, for types with everything that can travel. The input: the number of a type, the number of blocks
// out of band and their sizes (their bytes are made up), then the body.
bool fuzz::archive(input in) {
  cursor from(in);
  const auto type = from.take<std::uint8_t>() % 7;
  const auto blocks = from.take<std::uint8_t>() % 4;
  dtask::payload p;
  for (int i = 0; i < blocks; ++i) {
    p.blobs.push_back(dtask::bytes::copy(std::string(from.take<std::uint16_t>(), 'Z')));
  }
  p.body = dtask::bytes::copy(from.rest());
  switch (type) {
    case 0:
      return round_trip<leaf>(p);
    case 1:
      return round_trip<nest>(p);
    case 2:
      return round_trip<hashed>(p);
    case 3:
      return round_trip<tree>(p);
    case 4:
      return round_trip<by_hand>(p);
    case 5:
      return round_trip<std::vector<empty>>(p);
    default:
      return round_trip<std::map<std::string, std::vector<std::string>>>(p);
  }
}
