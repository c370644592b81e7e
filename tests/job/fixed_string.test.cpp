// SPDX-License-Identifier: BSL-1.0
#include "dtask/job/fixed_string.hpp"

#include <doctest/doctest.h>

#include <string>
#include <type_traits>

namespace {

template <dtask::fixed_string Name>
struct named {
  static constexpr std::string_view name = Name.view();
};

}  // namespace

TEST_CASE("fixed_string: the literal without its zero, and one type for each text") {
  CHECK(named<"classify/1">::name == "classify/1");
  CHECK(named<"classify/1">::name.size() == 10);
  CHECK(named<"">::name.empty());
  CHECK(named<"a\0b">::name == std::string_view("a\0b", 3));
  CHECK(std::is_same_v<named<"a/1">, named<"a/1">>);
  CHECK_FALSE(std::is_same_v<named<"a/1">, named<"a/2">>);
  const std::string_view converted = dtask::fixed_string("x");
  CHECK(converted.size() == 1);
}

TEST_CASE("fixed_string: names of jobs end in a version, in plain letters, within 120 characters") {
  for (const char* good : {"a/1", "team/image.classify-v_2/12", "A-Z/007", "0/0", "a//1", "-/1"}) {
    CAPTURE(good);
    CHECK(dtask::valid_job_name(good));
  }
  for (const char* bad :
       {"", "/", "a", "a/", "/1", "a/b", "a/1x", "a/-1", "a/ 1", "a b/1", "a\t/1", "a:/1", "\xc3\xa4/1"}) {
    CAPTURE(bad);
    CHECK_FALSE(dtask::valid_job_name(bad));
  }
  CHECK_FALSE(dtask::valid_job_name(std::string_view("a\0/1", 4)));
  CHECK(dtask::valid_job_name(std::string(118, 'n') + "/1"));
  CHECK_FALSE(dtask::valid_job_name(std::string(119, 'n') + "/1"));
}
