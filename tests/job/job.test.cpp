// SPDX-License-Identifier: BSL-1.0
#include "dtask/job/job.hpp"

#include <doctest/doctest.h>

#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

namespace {

struct point {
  int x = 0, y = 0;
};
struct with_context : dtask::job<"with.context/2", dtask::idempotent> {
  dtask::task<std::string> operator()(dtask::job_context&, const point&, std::vector<double>);
};
struct plain : dtask::job<"plain/1"> {
  int operator()(point) const noexcept;
};
struct made_by_worker : dtask::job<"made/1", dtask::pure> {
  explicit made_by_worker(dtask::worker_context&) {}
  void operator()(const std::string&) {}
};
double score(double, const double&) { return 0; }
dtask::task<> waits(dtask::job_context&) { co_return; }
int careful(int v) noexcept { return v; }
using score_job = dtask::function_job<"score/1", &score, dtask::pure>;
using waits_job = dtask::function_job<"waits/1", &waits>;
using careful_job = dtask::function_job<"careful/1", &careful>;

struct no_name {
  int operator()(int);
};
struct overloaded : dtask::job<"overloaded/1"> {
  int operator()(int);
  int operator()(double);
};
struct generic : dtask::job<"generic/1"> {
  template <class T>
  int operator()(T);
};
struct no_call : dtask::job<"no.call/1"> {};

}  // namespace

TEST_CASE("job: name, effect class, and what it takes and gives, the context and the task aside") {
  CHECK(with_context::name == "with.context/2");
  CHECK(with_context::effect_class == dtask::effect::idempotent);
  CHECK(plain::effect_class == dtask::effect::at_most_once);
  CHECK(score_job::effect_class == dtask::effect::pure);
  using traits = dtask::job_traits<with_context>;
  CHECK(std::is_same_v<traits::tuple, std::tuple<point, std::vector<double>>>);
  CHECK(std::is_same_v<traits::result, std::string>);
  CHECK(traits::call::has_context);
  CHECK(traits::call::awaits);
  CHECK_FALSE(dtask::job_traits<plain>::call::has_context);
  CHECK_FALSE(dtask::job_traits<plain>::call::awaits);
  CHECK(std::is_same_v<dtask::result_of<plain>, int>);
  CHECK(std::is_same_v<dtask::result_of<made_by_worker>, void>);
  CHECK(std::is_same_v<dtask::result_of<waits_job>, void>);
  CHECK(std::is_same_v<dtask::job_traits<score_job>::tuple, std::tuple<double, double>>);
  CHECK(std::is_same_v<dtask::result_of<careful_job>, int>);
}

TEST_CASE("job: what has the form of one") {
  CHECK(dtask::is_job<with_context>);
  CHECK(dtask::is_job<plain>);
  CHECK(dtask::is_job<made_by_worker>);
  CHECK(dtask::is_job<waits_job>);
  CHECK_FALSE(dtask::is_job<no_name>);
  CHECK_FALSE(dtask::is_job<overloaded>);
  CHECK_FALSE(dtask::is_job<generic>);
  CHECK_FALSE(dtask::is_job<no_call>);
  CHECK_FALSE(dtask::is_job<int>);
  CHECK(dtask::require_job<with_context>());
  CHECK(dtask::require_job<made_by_worker>());
  CHECK(dtask::require_job<score_job>());
}

TEST_CASE("job: its types in words, without names of fields and of the job") {
  CHECK(dtask::signature_of<with_context>() == "({i32, i32}, vector<f64>) -> string");
  CHECK(dtask::signature_of<plain>() == "({i32, i32}) -> i32");
  CHECK(dtask::signature_of<made_by_worker>() == "(string) -> void");
  CHECK(dtask::signature_of<waits_job>() == "() -> void");
  CHECK(dtask::signature_of<score_job>() == "(f64, f64) -> f64");
}
