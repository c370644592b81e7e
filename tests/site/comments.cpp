// SPDX-License-Identifier: BSL-1.0
// The code in the comments of the public headers, with what it needs around it: site.comments compares and compiles.
// clang-format off: the lines are those of the comments.
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>

#include "dtask/data.hpp"
#include "dtask/dtask.hpp"

namespace {

using namespace std::chrono_literals;

struct image {
  int width;
};
struct label {
  int number;
};

// job/job.hpp
struct classify : dtask::job<"classify/1", dtask::idempotent> {
  explicit classify(dtask::worker_context& w);  // or a default constructor; once per slot and client session
  dtask::task<label> operator()(dtask::job_context& ctx, image in);  // or a plain label; the context is optional
};
classify::classify(dtask::worker_context&) {}
dtask::task<label> classify::operator()(dtask::job_context&, image in) { co_return label{in.width}; }
static_assert(dtask::is_job<classify>);

template <class T>
void use(const T&) {}
dtask::task<int> fetch(int from) { co_return from; }

// task/first_of.hpp
dtask::task<> first_of_two(dtask::scope& s, int a, int b) {
  auto first = co_await dtask::first_of(s, fetch(a), fetch(b));  // a std::variant whose index says which
  use(first.index());
}

// task/select.hpp
dtask::task<> selected(dtask::channel<int>& numbers, dtask::channel<std::string>& words) {
  auto first = co_await dtask::select(numbers.pop(), words.pop(), dtask::sleep_for(1s));
  if (first.index() == 0) use(std::get<0>(first));  // what numbers.pop() yields: std::optional<int>
  static_assert(std::is_same_v<std::variant_alternative_t<0, decltype(first)>, std::optional<int>>);
}

// task/when_any.hpp
dtask::task<> any_of_two(int a, int b) {
  auto any = co_await dtask::when_any(fetch(a), fetch(b));
  if (any.index == 0) use(std::get<0>(any.ends).value());  // throws what that fetch threw
}

// data/augmentation.hpp
[[maybe_unused]] const auto augmented =
    dtask::augmentation().then(dtask::random_crop{.padding = 2}).then(dtask::random_flip{})
;

// data/fingerprint.hpp
std::uint64_t fingerprint(std::uint64_t count, const dtask::bytes& data) {
  return dtask::content_fingerprint().add(count).add(data.span()).value();
}

template <class Batch>
void train_on(const Batch&) {}

// data/data_loader.hpp
dtask::task<> loaded() {
  dtask::data_loader loader(dtask::idx_dataset("fashion-mnist", dtask::split::train), {.batch = 128, .seed = 1});
  for (std::uint64_t epoch = 0; epoch < 5; ++epoch) {
    loader.start_epoch(epoch);
    while (auto batch = co_await loader.next()) train_on(*batch);
  }
}

// data/idx_dataset.hpp
void scaled() {
  const dtask::normalisation scale{.mean = {0.286F}, .deviation = {0.353F}};
  dtask::idx_dataset data("fashion-mnist", dtask::split::train, {.scale = scale});
  data.augment(dtask::augmentation().then(dtask::random_flip{}));
}

}  // namespace

int main() {
  use(&first_of_two);
  use(&selected);
  use(&any_of_two);
  use(&fingerprint);
  use(&loaded);
  use(&scaled);
}
