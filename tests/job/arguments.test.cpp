// SPDX-License-Identifier: BSL-1.0
#include "dtask/job/arguments.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "dtask/job/codec.hpp"

namespace {

struct size {
  int width = 0;
  int height = 0;
};
struct picture {
  std::string name;
  size of;
};
double area(double width, double height) { return width * height; }
int pixels(size of) { return of.width * of.height; }
std::string label(picture in) { return in.name; }
void nothing() {}
int both(size a, int b) { return a.width + b; }

using area_job = dtask::function_job<"area/1", &area>;
using pixels_job = dtask::function_job<"pixels/1", &pixels>;
using label_job = dtask::function_job<"label/1", &label>;
using nothing_job = dtask::function_job<"nothing/1", &nothing>;
using both_job = dtask::function_job<"both/1", &both>;

}  // namespace

TEST_CASE("arguments: what a job may be called with") {
  using dtask::callable_with;
  CHECK(callable_with<area_job, double, double>);
  CHECK(callable_with<area_job, int, float>);
  CHECK_FALSE(callable_with<area_job, double>);
  CHECK_FALSE(callable_with<area_job, double, double, double>);
  CHECK_FALSE(callable_with<area_job, double, std::string>);
  CHECK(callable_with<nothing_job>);
  CHECK_FALSE(callable_with<nothing_job, int>);
  // The aggregate itself, or its fields.
  CHECK(callable_with<pixels_job, size>);
  CHECK(callable_with<pixels_job, int, short>);
  CHECK(callable_with<pixels_job, int>);  // as in braces: what is left out has its initial value
  CHECK_FALSE(callable_with<pixels_job, int, int, int>);
  CHECK(callable_with<label_job, const char*, size>);
  CHECK_FALSE(callable_with<label_job, const char*, int, int>);
  // Fields stand for an argument where it is the only one.
  CHECK(callable_with<both_job, size, int>);
  CHECK_FALSE(callable_with<both_job, int, int, int>);
}

TEST_CASE("arguments: the fields and the aggregate are the same bytes") {
  const auto fields = dtask::encode_arguments<pixels_job>({}, 3, 4);
  const auto whole = dtask::encode_arguments<pixels_job>({}, size{3, 4});
  CHECK(fields.body.view() == whole.body.view());
  CHECK(fields.body.size() == 8);
  const auto first = dtask::encode_arguments<pixels_job>({}, 3);
  CHECK(first.body.view() == dtask::encode_arguments<pixels_job>({}, size{3, 0}).body.view());
  CHECK(dtask::encode_arguments<nothing_job>({}).size() == 0);
  const auto read = dtask::decode<picture>(dtask::encode_arguments<label_job>({}, "cat", size{1, 2}));
  CHECK(read.name == "cat");
  CHECK(read.of.height == 2);
}

TEST_CASE("arguments: are converted to the job's types before they are written") {
  const auto as_int = dtask::encode_arguments<area_job>({}, 2, 5);
  CHECK(as_int.body.view() == dtask::encode_arguments<area_job>({}, 2.0, 5.0).body.view());
  const auto narrowed = dtask::decode<size>(dtask::encode_arguments<pixels_job>({}, 3.9, 4L));
  CHECK(narrowed.width == 3);
  CHECK(narrowed.height == 4);
}

TEST_CASE("arguments: the limits are those of the call") {
  dtask::codec_limits small;
  small.payload = 100;
  CHECK_NOTHROW(dtask::encode_arguments<label_job>(small, std::string(50, 'x'), size{}));
  const picture large{std::string(200, 'x'), {}};
  CHECK_THROWS_WITH_AS(dtask::encode_arguments<label_job>(small, large), doctest::Contains("100 bytes"), dtask::error);
  try {
    dtask::encode_arguments<label_job>(small, std::string(200, 'x'), size{});
    FAIL("encoded");
  } catch (const dtask::error& e) {
    CHECK(e.code() == dtask::errc::too_large);
  }
}
