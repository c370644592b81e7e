// SPDX-License-Identifier: BSL-1.0
#include "dtask/base/bytes.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "dtask/base/payload.hpp"

TEST_CASE("bytes: a copy owns its contents") {
  std::string text = "abc";
  const auto b = dtask::bytes::copy(text);
  text = "xyz";
  CHECK(b.view() == "abc");
  CHECK(b.size() == 3);
  CHECK(b[1] == std::byte{'b'});
}

TEST_CASE("bytes: nothing is empty, and equal to nothing") {
  CHECK(dtask::bytes().empty());
  CHECK(dtask::bytes::copy("").data() == nullptr);
  CHECK(dtask::bytes() == dtask::bytes::copy(""));
}

TEST_CASE("bytes: taking over a vector moves it") {
  std::vector<char> v(100, 'x');
  const auto* at = reinterpret_cast<const std::byte*>(v.data());
  const auto b = dtask::bytes::from(std::move(v));
  CHECK(b.data() == at);
  CHECK(b.size() == 100);
}

TEST_CASE("bytes: a slice shares the owner and is clamped") {
  auto owner = std::make_shared<std::string>("0123456789");
  const std::weak_ptr<std::string> alive = owner;
  dtask::bytes whole(owner, reinterpret_cast<const std::byte*>(owner->data()), owner->size());
  owner.reset();
  dtask::bytes part = whole.slice(3, 4);
  CHECK(part.view() == "3456");
  CHECK(whole.slice(8).view() == "89");
  CHECK(whole.slice(8, 100).view() == "89");
  CHECK(whole.slice(100, 1).empty());
  whole = {};
  CHECK(!alive.expired());
  part = {};
  CHECK(alive.expired());
}

TEST_CASE("bytes: equality compares contents") {
  CHECK(dtask::bytes::copy("abc") == dtask::bytes::copy("abc"));
  CHECK(!(dtask::bytes::copy("abc") == dtask::bytes::copy("abd")));
  CHECK(!(dtask::bytes::copy("abc") == dtask::bytes::copy("ab")));
}

TEST_CASE("mutable_bytes: filled once, then immutable without a copy") {
  dtask::mutable_bytes m(4);
  std::memcpy(m.data(), "wxyz", 4);
  const auto* at = m.data();
  const dtask::bytes all = std::move(m).freeze();
  CHECK(all.data() == at);
  CHECK(all.view() == "wxyz");
}

TEST_CASE("mutable_bytes: frozen short, and over foreign storage") {
  auto owner = std::make_shared<std::vector<std::byte>>(8, std::byte{'a'});
  dtask::mutable_bytes m(owner, owner->data(), owner->size());
  const std::weak_ptr<std::vector<std::byte>> alive = owner;
  owner.reset();
  {
    const dtask::bytes b = std::move(m).freeze(2);
    CHECK(b.view() == "aa");
    CHECK(!alive.expired());
  }
  CHECK(alive.expired());
}

TEST_CASE("payload: its size is body and blobs") {
  dtask::payload p;
  p.body = dtask::bytes::copy("12345");
  p.blobs.push_back(dtask::bytes::copy("123"));
  p.blobs.push_back({});
  CHECK(p.size() == 8);
}
