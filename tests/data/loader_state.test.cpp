// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/loader_state.hpp"

#include <doctest/doctest.h>

#include <string>

#include "dtask/job/codec.hpp"

namespace {
const dtask::batch_plan plan({.samples = 100, .batch = 5, .ranks = 2});

dtask::loader_state good() {
  dtask::loader_state s;
  s.samples = 100, s.fingerprint = 7, s.seed = 1, s.epoch = 3, s.position = 40, s.batch = 5, s.ranks = 2;
  return s;
}
std::string refused(const dtask::loader_state& state) {
  try {
    dtask::check_restorable(state, plan, 7);
    return "";
  } catch (const dtask::error& e) {
    CHECK(e.code() == dtask::errc::invalid_argument);
    CHECK_FALSE(e.remedy().empty());
    return e.what();
  }
}
}  // namespace

TEST_CASE("loader_state: travels") {
  dtask::loader_state state = good();
  state.shuffle = false;
  state.ahead = {50, 70};
  CHECK(dtask::decode<dtask::loader_state>(dtask::encode(state)) == state);
}

TEST_CASE("loader_state: another number of ranks goes on, another dataset does not") {
  CHECK(refused(good()).empty());
  dtask::loader_state s = good();
  s.batch = 9, s.ranks = 7, s.position = 99;
  CHECK(refused(s).empty());
  s.position = 100;
  CHECK(refused(s).empty());
  s.position = 101;
  CHECK(refused(s).find("position 101 of 100") != std::string::npos);
  s = good(), s.samples = 99;
  CHECK(refused(s).find("99 samples, this one has 100") != std::string::npos);
  s = good(), s.fingerprint = 8;
  CHECK(refused(s).find("another dataset of the same size") != std::string::npos);
  s = good(), s.version = 2;
  CHECK(refused(s).find("version 2") != std::string::npos);
}

TEST_CASE("loader_state: steps out of order belong to one geometry") {
  dtask::loader_state s = good();
  s.ahead = {50, 90};
  CHECK(refused(s).empty());
  s.ranks = 1;
  CHECK(refused(s).find("out of order") != std::string::npos);
  for (const std::uint64_t at : {40U, 30U, 55U, 100U, 1000U}) {
    s = good(), s.ahead = {at};
    CHECK(refused(s).find("the state is damaged") != std::string::npos);
  }
}
