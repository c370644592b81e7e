// SPDX-License-Identifier: BSL-1.0
#include "dtask/base/number.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <locale>
#include <string>

namespace {
struct grouped : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};
}  // namespace

TEST_CASE("numbers: the whole text, in decimal, or nothing") {
  CHECK(dtask::read_number<int>("-12") == -12);
  CHECK(dtask::read_number<unsigned>("010") == 10u);
  CHECK(dtask::read_number<std::uint64_t>("18446744073709551615") == std::numeric_limits<std::uint64_t>::max());
  for (const char* none : {"", " 1", "1 ", "+1", "-1", "0x1", "1,000", "1.0", "1e3", "4294967296", "nan"}) {
    CAPTURE(none);
    CHECK_FALSE(dtask::read_number<std::uint32_t>(none));
  }
  CHECK(dtask::read_number<double>("2.5") == 2.5);
  CHECK(dtask::read_number<double>("1e3") == 1000.0);
  for (const char* none : {"", "2,5", "2.5 s", "inf", "nan", "-inf", "1e999"}) {
    CAPTURE(none);
    CHECK_FALSE(dtask::read_number<double>(none));
  }
}

TEST_CASE("numbers: fixed and shortest texts") {
  CHECK(dtask::number_text(2.5, 2) == "2.50");
  CHECK(dtask::number_text(1234567.25, 1) == "1234567.2");  // to even, as printf
  CHECK(dtask::number_text(-0.5, 0) == "-0");
  CHECK(dtask::number_text(0.001) == "0.001");
  CHECK(dtask::number_text(31536000.0) == "31536000");
  CHECK(dtask::number_text(std::numeric_limits<double>::max(), 17).size() == 309 + 18);
  CHECK(dtask::number_text(std::numeric_limits<double>::lowest()).size() < 40);
}

TEST_CASE("numbers: the global locale changes nothing") {
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new grouped));
  CHECK(dtask::number_text(12345.5, 1) == "12345.5");
  CHECK(dtask::number_text(12345.5) == "12345.5");
  CHECK(dtask::read_number<double>("12345.5") == 12345.5);
  CHECK(dtask::read_number<int>("12345") == 12345);
  std::locale::global(before);
}
