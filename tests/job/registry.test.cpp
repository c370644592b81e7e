// SPDX-License-Identifier: BSL-1.0
#include "dtask/job/registry.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dtask/job/arguments.hpp"
#include "dtask/job/outcome.hpp"
#include "dtask/task/sync_wait.hpp"

namespace {

struct image {
  std::string id;
  dtask::bytes jpeg;
};
struct label {
  std::string id;
  int index = 0;
  float score = 0;
};
struct classify : dtask::job<"classify/1", dtask::idempotent> {
  explicit classify(dtask::worker_context& w) : weights(w.blob("weights")) {}
  dtask::task<label> operator()(dtask::job_context& ctx, image in) {
    const auto size = static_cast<float>(in.jpeg.size());
    co_return label{in.id + std::string(weights.view()), static_cast<int>(ctx.attempt()), size};
  }
  dtask::bytes weights;
};
struct count_calls : dtask::job<"count.calls/12"> {
  int operator()() { return ++calls; }
  int calls = 0;
};
double score(double a, const double& b) { return a * b; }
dtask::task<std::string> twice(dtask::job_context&, std::string text) {
  auto both = text + text;
  co_return both;
}
void nothing() {}
dtask::bytes huge() { return dtask::bytes::from(std::string(100'000, 'x')); }
const void* made_at = nullptr;
std::string make_text() {
  std::string made(100'000, 'm');
  made_at = made.data();
  return made;
}
dtask::task<std::vector<double>> make_numbers(dtask::job_context&) {
  std::vector<double> made(100'000, 1.0);
  made_at = made.data();
  co_return made;
}
std::string same(std::string text) { return text; }
int fails() { throw std::out_of_range("no such thing"); }

using score_job = dtask::function_job<"score/1", &score, dtask::pure>;
using twice_job = dtask::function_job<"twice/1", &twice>;
using nothing_job = dtask::function_job<"nothing/1", &nothing>;
using huge_job = dtask::function_job<"huge/1", &huge>;
using make_text_job = dtask::function_job<"make.text/1", &make_text>;
using make_numbers_job = dtask::function_job<"make.numbers/1", &make_numbers>;
using same_job = dtask::function_job<"same/1", &same>;
using fails_job = dtask::function_job<"fails/1", &fails>;
using jobs = dtask::registry<classify, count_calls, score_job, twice_job, nothing_job, huge_job, fails_job, same_job>;

struct one_blob final : dtask::blob_source {
  found find(std::string_view name) const override {
    if (name == "weights") return {dtask::bytes::copy("!"), 3};
    return {};
  }
};

template <class J>
const dtask::job_entry& entry() {
  return jobs::entries()[jobs::index<J>()];
}
dtask::payload execute(const dtask::job_entry& e, dtask::detail::job_object* object, dtask::job_context& context,
                       dtask::payload arguments, const dtask::codec_limits& limits) {
  if (e.call) return e.call(object, context, std::move(arguments), limits);
  auto t = e.run(object, context, std::move(arguments), limits);
  return dtask::sync_wait(std::move(t));
}
template <class J, class... Us>
auto run(dtask::detail::job_object* object, dtask::codec_limits limits, Us&&... us) {
  dtask::job_context context({}, dtask::never, 2, 0, "w");
  dtask::payload arguments = dtask::encode_arguments<J>({}, std::forward<Us>(us)...);
  const dtask::payload p = execute(entry<J>(), object, context, std::move(arguments), limits);
  if constexpr (!std::is_void_v<dtask::result_of<J>>) return dtask::decode<dtask::result_of<J>>(p);
}

}  // namespace

TEST_CASE("registry: names, schemas and effect classes") {
  REQUIRE(jobs::entries().size() == 8);
  CHECK(entry<classify>().name == "classify/1");
  CHECK(entry<classify>().signature == "({string, bytes}) -> {string, i32, f32}");
  CHECK(entry<classify>().schema == dtask::schema_hash(entry<classify>().signature));
  CHECK(entry<classify>().effect_class == dtask::effect::idempotent);
  CHECK(entry<count_calls>().effect_class == dtask::effect::at_most_once);
  CHECK(entry<score_job>().signature == "(f64, f64) -> f64");
  CHECK(entry<score_job>().effect_class == dtask::effect::pure);
  CHECK(entry<nothing_job>().signature == "() -> void");
  CHECK(entry<twice_job>().signature == "(string) -> string");
  CHECK_FALSE(entry<score_job>().has_object);
}

TEST_CASE("registry: jobs run without their types") {
  one_blob blobs;
  dtask::shared_objects shared;
  dtask::worker_context w(blobs, shared, "w", 0, 1);
  const auto object = entry<classify>().make(w);
  // The fields of the one aggregate, and the aggregate itself.
  CHECK(run<classify>(object.get(), {}, "a", dtask::bytes::copy("xyz")).id == "a!");
  const image in{"b", {}};
  const label l = run<classify>(object.get(), {}, in);
  CHECK(l.id == "b!");
  CHECK(l.index == 2);
  const auto read = std::move(w).take_read();
  REQUIRE(read.size() == 1);
  CHECK(read[0].first == "weights");
  CHECK(read[0].second == 3);
  CHECK(run<score_job>(nullptr, {}, 2, 3.5f) == 7.0);
  CHECK(run<twice_job>(nullptr, {}, "ab") == "abab");
  run<nothing_job>(nullptr, {});
  const auto counting = entry<count_calls>().make(w);
  CHECK(run<count_calls>(counting.get(), {}) == 1);
  CHECK(run<count_calls>(counting.get(), {}) == 2);
}

TEST_CASE("registry: large strings are copied once where the caller keeps them, else not at all") {
  const auto data = [](const dtask::payload& p) { return p.blobs.at(0).view().data(); };
  std::string text(100'000, 'x');
  const std::string& kept = text;
  const char* at = text.data();
  for (const dtask::payload& p :
       {dtask::encode_arguments<same_job>({}, text), dtask::encode_arguments<same_job>({}, kept),
        dtask::encode_arguments<same_job>({}, std::move(kept))}) {
    CHECK(data(p) != at);
    CHECK(p.blobs[0].view() == text);
  }
  CHECK(data(dtask::encode_arguments<same_job>({}, std::move(text))) == at);
  // The fields of an aggregate, and the aggregate.
  std::string id(100'000, 'i');
  at = id.data();
  CHECK(data(dtask::encode_arguments<classify>({}, id, dtask::bytes())) != at);
  CHECK(id.size() == 100'000);
  CHECK(data(dtask::encode_arguments<classify>({}, std::move(id), dtask::bytes())) == at);
  image in{std::string(100'000, 'j'), {}};
  at = in.id.data();
  CHECK(data(dtask::encode_arguments<classify>({}, in)) != at);
  CHECK(data(dtask::encode_arguments<classify>({}, std::move(in))) == at);
  // What was converted first.
  CHECK(dtask::encode_arguments<same_job>({}, std::string(50'000, 'c').c_str()).blobs.at(0).size() == 50'000);
}

TEST_CASE("registry: a job's result is handed over as it is") {
  dtask::job_context context({}, dtask::never, 1, 0, "w");
  const auto check = [&]<class J>(J) {
    const dtask::payload p = execute(dtask::registry<J>::entries()[0], nullptr, context, {}, {});
    REQUIRE(p.blobs.size() == 1);
    CHECK(p.blobs[0].data() == made_at);
  };
  check(make_text_job{});
  check(make_numbers_job{});
}

TEST_CASE("registry: a broadcast that is not there fails the constructor with a remedy") {
  struct nothing_held final : dtask::blob_source {
    found find(std::string_view) const override { return {}; }
  } blobs;
  dtask::shared_objects shared;
  dtask::worker_context w(blobs, shared, "w", 0, 1);
  CHECK_THROWS_WITH_AS(entry<classify>().make(w), doctest::Contains("no broadcast named 'weights'"), dtask::error);
}

TEST_CASE("registry: what the job throws, and what the codec refuses") {
  CHECK_THROWS_AS(run<fails_job>(nullptr, {}), std::out_of_range);
  dtask::codec_limits small;
  small.payload = 1000;
  try {
    run<huge_job>(nullptr, small);
    FAIL("no error");
  } catch (const dtask::detail::codec_failure& f) {
    CHECK(f.why().code() == dtask::errc::too_large);
  }
  dtask::job_context context({}, dtask::never, 1, 0, "w");
  CHECK_THROWS_AS(entry<score_job>().call(nullptr, context, dtask::encode(1), {}), dtask::detail::codec_failure);
}

TEST_CASE("registry: job names") {
  CHECK(dtask::valid_job_name("a/1"));
  CHECK(dtask::valid_job_name("team/image.classify-v/12"));
  for (const char* bad : {"", "a", "a/", "/1", "a/b", "a b/1", "a/1x", "\xc3\xa4/1"})
    CHECK_FALSE(dtask::valid_job_name(bad));
}

TEST_CASE("outcome: a value or a remote error, and where it ran") {
  dtask::outcome<int> good(5, "host/w#1", 2);
  CHECK(good.value() == 5);
  CHECK(good.attempts() == 2);
  const dtask::remote_error why(dtask::errc::job_failed, "std::out_of_range", "no such thing", "host/w#1, attempt 1",
                                "", 1, "host/w#1");
  dtask::outcome<int> bad(why);
  CHECK_FALSE(bad);
  CHECK(bad.worker() == "host/w#1");
  CHECK_THROWS_WITH_AS(bad.value(), "std::out_of_range: no such thing (host/w#1, attempt 1)", dtask::remote_error);
  CHECK_THROWS_AS(bad.value(), dtask::error);
  dtask::outcome<> done({}, "w", 1);
  done.value();
}
