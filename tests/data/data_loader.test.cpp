// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/data_loader.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dtask/data/bad_sample.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/channel.hpp"
#include "dtask/task/event.hpp"
#include "dtask/task/scope.hpp"
#include "dtask/task/sleep.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/when_all.hpp"

namespace {
using numbers = std::vector<std::uint64_t>;

/// What a dataset of these tests does with the samples that are asked for. `hook` is called in every stage.
struct behaviour {
  std::uint64_t size = 50;
  std::uint64_t fingerprint = 1;
  std::set<std::uint64_t> bad{};     ///< throw bad_sample
  std::set<std::uint64_t> broken{};  ///< throw std::runtime_error
  std::string broken_in = "decode";  ///< where
  std::atomic<int> inside{0}, most_inside{0}, calls{0};
  dtask::event go{true};          ///< every stage that is a task waits for it
  std::atomic<bool> hold{false};  ///< every stage that is a function spins until it is false
};

struct batch {
  numbers samples;
  numbers draws;
};

/// Counts who is inside one of its functions.
class visit {
 public:
  explicit visit(behaviour& b) : b_(b) {
    ++b_.calls;
    const int now = ++b_.inside;
    int most = b_.most_inside;
    while (most < now && !b_.most_inside.compare_exchange_weak(most, now)) {
    }
  }
  ~visit() { --b_.inside; }

 private:
  behaviour& b_;
};

struct base {
  std::shared_ptr<behaviour> how;
  std::uint64_t size() const { return how->size; }
  std::uint64_t fingerprint() const { return how->fingerprint; }
  std::string source(std::uint64_t sample) const { return "file " + std::to_string(sample); }
  void check(const char* stage, std::uint64_t sample) const {
    while (how->hold) std::this_thread::yield();
    if (how->broken_in != stage) return;
    if (how->broken.contains(sample)) throw std::runtime_error("it is broken");
    if (how->bad.contains(sample)) throw dtask::bad_sample("it is bad");
  }
};
struct decoded {
  std::uint64_t sample, draw;
};
batch collate_all(const std::vector<decoded>& samples) {
  batch out;
  for (const decoded& d : samples) out.samples.push_back(d.sample), out.draws.push_back(d.draw);
  return out;
}

/// Sample by sample, in two stages.
struct staged : base {
  std::uint64_t read(std::uint64_t sample) const {
    const visit here(*how);
    check("read", sample);
    return sample;
  }
  decoded decode(std::uint64_t sample, dtask::sample_random random) const {
    const visit here(*how);
    check("decode", sample);
    return {sample, random()};
  }
  batch collate(std::vector<decoded> samples) const {
    const visit here(*how);
    check("collate", samples.front().sample);
    return collate_all(samples);
  }
};
/// The same, awaiting in every stage, with a result.
struct awaiting : base {
  static dtask::task<dtask::result<std::uint64_t>> read_it(const awaiting* self, std::uint64_t sample) {
    const visit here(*self->how);
    co_await self->how->go.wait();
    self->check("read", sample);
    if (self->how->broken_in == "result" && self->how->bad.contains(sample))
      co_return dtask::error(dtask::errc::not_found, "it is not there", "a place", "look elsewhere");
    co_return sample;
  }
  static dtask::task<decoded> decode_it(const awaiting* self, std::uint64_t sample, dtask::sample_random random) {
    const visit here(*self->how);
    co_await self->how->go.wait();
    self->check("decode", sample);
    co_return decoded{sample, random()};
  }
  static dtask::task<batch> collate_it(const awaiting* self, std::vector<decoded> samples) {
    const visit here(*self->how);
    co_await self->how->go.wait();
    self->check("collate", samples.front().sample);
    co_return collate_all(samples);
  }
  dtask::task<dtask::result<std::uint64_t>> read(std::uint64_t sample) const { return read_it(this, sample); }
  dtask::task<decoded> decode(std::uint64_t sample, dtask::sample_random random) const {
    return decode_it(this, sample, random);
  }
  dtask::task<batch> collate(std::vector<decoded> samples) const { return collate_it(this, std::move(samples)); }
};
/// Both stages in one.
struct getting : base {
  dtask::result<decoded> get(std::uint64_t sample, dtask::sample_random& random) const {
    const visit here(*how);
    check("read", sample);
    if (how->broken_in == "result" && how->bad.contains(sample))
      return dtask::error(dtask::errc::not_found, "it is not there", "a place", "look elsewhere");
    return decoded{sample, random()};
  }
  batch collate(std::vector<decoded> samples) const { return collate_all(samples); }
};
batch gather_all(const base& self, std::span<const std::uint64_t> samples, dtask::sample_keys keys) {
  const visit here(*self.how);
  batch out;
  for (const std::uint64_t s : samples) {
    if (self.how->bad.contains(s)) throw dtask::bad_sample(s, "it is bad");
    self.check("decode", s);
    out.samples.push_back(s);
    out.draws.push_back(keys.of(s)());
  }
  return out;
}
/// Whole batches, on the pool.
struct gathering : base {
  batch gather(std::span<const std::uint64_t> samples, dtask::sample_keys keys) const {
    return gather_all(*this, samples, keys);
  }
};
struct gathering_task : base {
  static dtask::task<batch> gather_it(const base* self, std::span<const std::uint64_t> samples,
                                      dtask::sample_keys keys) {
    co_await self->how->go.wait();
    co_return gather_all(*self, samples, keys);
  }
  dtask::task<batch> gather(std::span<const std::uint64_t> samples, dtask::sample_keys keys) const {
    return gather_it(this, samples, keys);
  }
};
/// Whole batches, inside next().
struct memory : base {
  static constexpr bool in_memory = true;
  batch gather(std::span<const std::uint64_t> samples, dtask::sample_keys keys) const {
    return gather_all(*this, samples, keys);
  }
};

std::shared_ptr<behaviour> some(std::uint64_t size = 50) {
  auto b = std::make_shared<behaviour>();
  b->size = size;
  return b;
}

/// The rest of the epoch.
template <class D>
dtask::task<std::vector<batch>> rest_of(dtask::data_loader<D>* loader) {
  std::vector<batch> out;
  while (auto b = co_await loader->next()) out.push_back(std::move(*b));
  co_return out;
}
template <class D>
std::vector<batch> rest(dtask::data_loader<D>& loader) {
  return dtask::sync_wait(rest_of(&loader));
}
template <class D>
std::optional<batch> one(dtask::data_loader<D>& loader) {
  return dtask::sync_wait(loader.next());
}
numbers joined(const std::vector<batch>& batches) {
  numbers out;
  for (const batch& b : batches) out.insert(out.end(), b.samples.begin(), b.samples.end());
  return out;
}
numbers draws(const std::vector<batch>& batches) {
  numbers out;
  for (const batch& b : batches) out.insert(out.end(), b.draws.begin(), b.draws.end());
  return out;
}
numbers sorted(numbers n) {
  std::sort(n.begin(), n.end());
  return n;
}
numbers first(std::uint64_t n) {
  numbers out;
  for (std::uint64_t i = 0; i < n; ++i) out.push_back(i);
  return out;
}
/// The error of next().
template <class D>
dtask::error failure(dtask::data_loader<D>& loader) {
  try {
    rest(loader);
  } catch (const dtask::error& e) {
    return e;
  }
  return {};
}
bool says(const dtask::error& e, const std::string& text) {
  return std::string(e.what()).find(text) != std::string::npos;
}

/// Waits until `done` holds. Bounded by the test's own timeout.
template <class Done>
void until(Done done) {
  while (!done()) std::this_thread::yield();
}
}  // namespace

TEST_CASE_TEMPLATE("data_loader: an epoch in order, whatever runs at once", D, staged, awaiting, getting, gathering,
                   gathering_task, memory) {
  const dtask::loader_options plain{.batch = 7, .seed = 3, .rest = dtask::uneven::exact};
  dtask::data_loader<D> reference(D{some()}, plain);
  const auto expected = rest(reference);
  CHECK(expected.size() == 8);
  CHECK(sorted(joined(expected)) == first(50));
  CHECK(joined(expected) != first(50));
  for (const std::size_t threads : {1U, 4U})
    for (const std::size_t at_once : {1U, 5U})
      for (const bool ordered : {true, false}) {
        dtask::work_pool pool(static_cast<unsigned>(threads));
        dtask::loader_options o = plain;
        o.scheduler = &pool, o.read_concurrency = at_once, o.decode_concurrency = at_once, o.prefetch = at_once;
        o.ordered = ordered;
        dtask::data_loader<D> loader(D{some()}, o);
        for (int round = 0; round < 2; ++round) {
          loader.start_epoch(0);
          CHECK(loader.steps() == 8);
          const auto got = rest(loader);
          CHECK(loader.steps() == 0);
          if (ordered) {
            CHECK(joined(got) == joined(expected));
            CHECK(draws(got) == draws(expected));
          } else {
            std::set<numbers> these, those;
            for (const batch& b : got) these.insert(b.samples);
            for (const batch& b : expected) those.insert(b.samples);
            CHECK(these == those);
            CHECK(sorted(draws(got)) == sorted(draws(expected)));
          }
          CHECK_FALSE(one(loader).has_value());
          CHECK(loader.report().images == 50);
          CHECK(loader.report().batches == 8);
        }
      }
}

TEST_CASE("data_loader: another epoch is another order, with other random numbers") {
  dtask::data_loader<memory> loader(memory{some()}, {.batch = 10});
  const auto zero = rest(loader);
  loader.start_epoch(1);
  const auto one_ = rest(loader);
  CHECK(joined(zero) != joined(one_));
  CHECK(sorted(joined(zero)) == sorted(joined(one_)));
  std::map<std::uint64_t, std::uint64_t> drawn;
  for (const batch& b : zero)
    for (std::size_t i = 0; i < b.samples.size(); ++i) drawn[b.samples[i]] = b.draws[i];
  for (const batch& b : one_)
    for (std::size_t i = 0; i < b.samples.size(); ++i) CHECK(drawn[b.samples[i]] != b.draws[i]);
}

TEST_CASE_TEMPLATE("data_loader: the order of the samples does not depend on the ranks", D, staged, memory) {
  for (const dtask::uneven how : {dtask::uneven::pad, dtask::uneven::drop, dtask::uneven::exact}) {
    dtask::data_loader<D> alone(D{some(101)}, {.batch = 12, .seed = 5, .rest = how});
    const numbers expected = joined(rest(alone));
    for (const std::uint64_t ranks : {2U, 3U, 4U}) {
      std::vector<std::vector<batch>> of;
      for (std::uint64_t r = 0; r < ranks; ++r) {
        dtask::data_loader<D> loader(D{some(101)},
                                     {.batch = 12 / ranks, .seed = 5, .ranks = ranks, .rank = r, .rest = how});
        const std::uint64_t steps = loader.steps();
        of.push_back(rest(loader));
        CHECK(of.back().size() == steps);
        if (how != dtask::uneven::exact) CHECK(of.back().size() == of.front().size());
      }
      numbers all;
      for (std::size_t step = 0; step < of.front().size(); ++step)
        for (const auto& batches : of)
          if (step < batches.size()) all.insert(all.end(), batches[step].samples.begin(), batches[step].samples.end());
      CHECK(all == expected);
    }
  }
}

TEST_CASE_TEMPLATE("data_loader: restored in mid-epoch, onto any number of ranks, the rest comes exactly", D, staged,
                   gathering_task, memory) {
  const dtask::loader_options two{.batch = 3, .seed = 8, .ranks = 2, .rank = 1, .rest = dtask::uneven::exact};
  dtask::data_loader<D> whole(D{some(61)}, {.batch = 61, .seed = 8, .rest = dtask::uneven::exact});
  whole.start_epoch(2);
  const numbers order = joined(rest(whole));
  for (const std::uint64_t taken : {0U, 1U, 4U, 10U}) {
    dtask::data_loader<D> before(D{some(61)}, two);
    before.start_epoch(2);
    for (std::uint64_t i = 0; i < taken; ++i) REQUIRE(one(before).has_value());
    const dtask::loader_state state = before.state();
    CHECK(state.position == taken * 6);
    CHECK(state.epoch == 2);
    for (const std::uint64_t ranks : {1U, 2U, 3U, 4U}) {
      std::vector<numbers> steps(61);
      for (std::uint64_t r = 0; r < ranks; ++r) {
        dtask::data_loader<D> after(D{some(61)},
                                    {.batch = 5, .seed = 99, .ranks = ranks, .rank = r, .rest = dtask::uneven::exact});
        after.restore(state);
        CHECK(after.state().position == state.position);
        const auto got = rest(after);
        CHECK(after.state().position == 61);
        for (std::size_t i = 0; i < got.size(); ++i)
          steps[i].insert(steps[i].end(), got[i].samples.begin(), got[i].samples.end());
      }
      numbers all;
      for (const numbers& s : steps) all.insert(all.end(), s.begin(), s.end());
      CHECK(all == numbers(order.begin() + static_cast<std::ptrdiff_t>(taken * 6), order.end()));
    }
  }
}

TEST_CASE("data_loader: an unordered loader's state leaves out what it has handed out") {
  // The first batch is held back, so that others come before it.
  struct late : base {
    dtask::task<batch> gather(std::span<const std::uint64_t> samples, dtask::sample_keys keys) const {
      return gather_it(this, samples, keys);
    }
    static dtask::task<batch> gather_it(const late* self, std::span<const std::uint64_t> samples,
                                        dtask::sample_keys keys) {
      if (samples.front() == 0) co_await self->how->go.wait();
      co_return gather_all(*self, samples, keys);
    }
  };
  const auto how = some(20);
  const dtask::loader_options o{.batch = 2, .shuffle = false, .prefetch = 3, .ordered = false};
  dtask::data_loader<late> loader(late{how}, o);
  // Sizes have to be known before anything is loaded beside the oldest batch.
  CHECK(rest(loader).size() == 10);
  how->go.reset();
  loader.start_epoch(0);
  numbers seen;
  for (int i = 0; i < 2; ++i) {
    const auto b = one(loader);
    REQUIRE(b.has_value());
    seen.insert(seen.end(), b->samples.begin(), b->samples.end());
  }
  const dtask::loader_state state = loader.state();
  CHECK(state.position == 0);
  CHECK(state.ahead == numbers{2, 4});
  CHECK(seen.size() == 4);
  how->go.set();
  dtask::data_loader<late> other(late{how}, o);
  other.restore(state);
  CHECK(other.steps() == 8);
  CHECK(sorted(joined(rest(other))) == numbers{0, 1, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19});
  CHECK(other.state().position == 20);
  CHECK(other.state().ahead.empty());
  CHECK(sorted(joined(rest(loader))) == numbers{0, 1, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19});
}

TEST_CASE("data_loader: what cannot be restored is refused, and changes nothing") {
  dtask::data_loader<memory> loader(memory{some()}, {.batch = 5});
  one(loader);
  const dtask::loader_state here = loader.state();
  dtask::loader_state other = here;
  other.fingerprint = 2;
  CHECK_THROWS_AS(loader.restore(other), dtask::error);
  other = here;
  other.position = 51;
  CHECK_THROWS_AS(loader.restore(other), dtask::error);
  CHECK(loader.state() == here);
}

TEST_CASE("data_loader: restored to where it stands, it keeps what it has loaded") {
  const auto how = some(40);
  dtask::data_loader<staged> loader(staged{how}, {.batch = 4, .prefetch = 10});
  one(loader);
  until([&] { return how->calls == 40 + 40 + 10; });
  loader.restore(loader.state());
  CHECK(rest(loader).size() == 9);
  CHECK(how->calls == 90);
}

TEST_CASE_TEMPLATE("data_loader: an exception arrives where its batch would have, with index and source", D, staged,
                   awaiting, getting, gathering, gathering_task, memory) {
  for (const std::string stage : {"read", "decode", "collate"}) {
    const auto how = some(20);
    how->broken = {9};
    how->broken_in = stage;
    if (std::is_same_v<D, getting> && stage != "read") continue;
    if ((std::is_same_v<D, gathering> || std::is_same_v<D, gathering_task> || std::is_same_v<D, memory>) &&
        stage != "decode")
      continue;
    dtask::data_loader<D> loader(D{how}, {.batch = 3, .shuffle = false});
    for (int i = 0; i < 3; ++i) REQUIRE(one(loader).has_value());
    const dtask::error e = failure(loader);
    CHECK(e.code() == dtask::errc::bad_data);
    CHECK(says(e, "sample 9: it is broken"));
    CHECK(e.place() == "file 9");
    CHECK(how->inside == 0);
    // Nothing was taken: mended, it goes on.
    CHECK(loader.state().position == 9);
    CHECK(failure(loader).code() == dtask::errc::bad_data);
    how->broken.clear();
    CHECK(joined(rest(loader)).front() == 9);
  }
}

TEST_CASE_TEMPLATE("data_loader: bad samples are left out up to the limit, counted and named", D, staged, awaiting,
                   gathering, gathering_task, memory) {
  const auto how = some(20);
  how->bad = {2, 3, 11};
  for (const bool ordered : {true, false}) {
    dtask::data_loader<D> loader(D{how}, {.batch = 4, .shuffle = false, .ordered = ordered, .bad_samples = 3});
    const auto got = rest(loader);
    CHECK(got.size() == 5);
    CHECK(sorted(joined(got)) == numbers{0, 1, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 19});
    const dtask::loader_report r = loader.report();
    CHECK(r.images == 17);
    CHECK(r.bad_samples == 3);
    REQUIRE(r.named.size() == 3);
    std::set<std::uint64_t> names;
    for (const auto& b : r.named) {
      names.insert(b.sample);
      CHECK(b.source == "file " + std::to_string(b.sample));
      CHECK(b.reason.find("it is bad") != std::string::npos);
    }
    CHECK(names == how->bad);
  }
  dtask::data_loader<D> strict(D{how}, {.batch = 4, .shuffle = false, .bad_samples = 2});
  const dtask::error e = failure(strict);
  CHECK(e.code() == dtask::errc::bad_data);
  CHECK(e.place() == "file 11");
  CHECK(says(e, "sample 11"));
  CHECK(says(e, "limit of 2"));
  CHECK(strict.report().bad_samples == 2);
  dtask::data_loader<D> none(D{how}, {.batch = 4, .shuffle = false});
  CHECK(says(failure(none), "sample 2"));
}

TEST_CASE_TEMPLATE("data_loader: the error of a result is a bad sample", D, awaiting, getting) {
  const auto how = some(6);
  how->bad = {4};
  how->broken_in = "result";
  dtask::data_loader<D> loader(D{how}, {.batch = 2, .shuffle = false, .bad_samples = 1});
  CHECK(joined(rest(loader)) == numbers{0, 1, 2, 3, 5});
  CHECK(loader.report().named.front().reason.find("it is not there") != std::string::npos);
  dtask::data_loader<D> strict(D{how}, {.batch = 2, .shuffle = false});
  CHECK(failure(strict).code() == dtask::errc::not_found);
}

TEST_CASE_TEMPLATE("data_loader: a batch of bad samples alone is not handed out", D, staged, gathering, memory) {
  const auto how = some(6);
  how->bad = {2, 3};
  dtask::data_loader<D> loader(D{how}, {.batch = 2, .shuffle = false, .bad_samples = 2});
  CHECK(joined(rest(loader)) == numbers{0, 1, 4, 5});
  CHECK(loader.report().lost_batches == 1);
}

TEST_CASE_TEMPLATE("data_loader: no more than the options say is under way", D, staged, gathering) {
  const auto how = some(200);
  dtask::work_pool pool(8);
  dtask::data_loader<D> loader(D{how}, {.batch = 2,
                                        .shuffle = false,
                                        .prefetch = 3,
                                        .read_concurrency = 1,
                                        .decode_concurrency = 1,
                                        .scheduler = &pool});
  one(loader);
  // Three batches are read and decoded, and collated, then it waits.
  const int most = std::is_same_v<D, gathering> ? 1 + 3 : (1 + 3) * 5;
  until([&] { return how->calls == most; });
  CHECK(rest(loader).size() == 99);
  CHECK(how->most_inside <= 3);  // one in each stage
}

namespace {
/// Values that know how many bytes are alive.
struct ballast {
  std::shared_ptr<std::atomic<std::uint64_t>> alive, peak;
  std::uint64_t size = 0;
  ballast(std::shared_ptr<std::atomic<std::uint64_t>> a, std::shared_ptr<std::atomic<std::uint64_t>> p, std::uint64_t n)
      : alive(std::move(a)), peak(std::move(p)), size(n) {
    const std::uint64_t now = *alive += size;
    std::uint64_t most = *peak;
    while (most < now && !peak->compare_exchange_weak(most, now)) {
    }
  }
  ballast(ballast&& other) noexcept
      : alive(std::move(other.alive)), peak(std::move(other.peak)), size(std::exchange(other.size, 0)) {}
  ballast& operator=(ballast&&) = delete;
  ~ballast() {
    if (alive) *alive -= size;
  }
  std::uint64_t size_bytes() const noexcept { return size; }
};
struct heavy {
  std::shared_ptr<std::atomic<std::uint64_t>> alive = std::make_shared<std::atomic<std::uint64_t>>(0);
  std::shared_ptr<std::atomic<std::uint64_t>> peak = std::make_shared<std::atomic<std::uint64_t>>(0);
  std::uint64_t size() const { return 400; }
  std::uint64_t fingerprint() const { return 0; }
  ballast read(std::uint64_t) const { return {alive, peak, 100}; }
  ballast decode(ballast, dtask::sample_random) const { return {alive, peak, 1000}; }
  ballast collate(std::vector<ballast> samples) const { return {alive, peak, samples.size() * 1000}; }
};
struct heavy_batches : heavy {
  ballast gather(std::span<const std::uint64_t> samples, dtask::sample_keys) const {
    return {alive, peak, samples.size() * 1000};
  }
};
}  // namespace

TEST_CASE_TEMPLATE("data_loader: what is ahead stays within its bytes", D, heavy, heavy_batches) {
  for (const std::uint64_t limit : {12'000U, 40'000U, 100'000U}) {
    dtask::work_pool pool(4);
    const D data;
    dtask::data_loader<D> loader(data, {.batch = 4,
                                        .prefetch = 50,
                                        .max_bytes = limit,
                                        .read_concurrency = 4,
                                        .decode_concurrency = 4,
                                        .scheduler = &pool});
    std::uint64_t batches = 0;
    const auto consume = [](dtask::data_loader<D>* from, std::uint64_t* count) -> dtask::task<> {
      while (auto b = co_await from->next()) ++*count;
    };
    dtask::sync_wait(consume(&loader, &batches));
    CHECK(batches == 100);
    // What the consumer holds is its own.
    CHECK(*data.peak <= limit + 4'000);
    CHECK(loader.report().peak_bytes <= limit);
    CHECK(loader.report().peak_bytes > limit / 3);
    CHECK(*data.alive == 0);
  }
}

namespace {
/// Small samples first, then large ones, whose sizes are known beforehand.
struct growing : heavy {
  static std::uint64_t bytes_of(std::uint64_t sample) { return sample < 200 ? 10 : 10'000; }
  std::uint64_t expected_bytes(std::uint64_t sample) const { return 2 * bytes_of(sample); }
  ballast get(std::uint64_t sample, dtask::sample_random) const { return {alive, peak, bytes_of(sample)}; }
  ballast collate(std::vector<ballast> samples) const {
    std::uint64_t sum = 0;
    for (const ballast& b : samples) sum += b.size;
    return {alive, peak, sum};
  }
};
/// The same in two stages: while one is decoded, both forms are there.
struct growing_stages : growing {
  ballast get(std::uint64_t, dtask::sample_random) const = delete;
  ballast read(std::uint64_t sample) const { return {alive, peak, bytes_of(sample)}; }
  ballast decode(ballast from, dtask::sample_random) const { return {alive, peak, from.size}; }
};
}  // namespace

TEST_CASE_TEMPLATE("data_loader: sizes that are known beforehand keep what is ahead within its bytes", D, growing,
                   growing_stages) {
  dtask::work_pool pool(4);
  const D data;
  constexpr std::uint64_t limit = 200'000;
  dtask::data_loader<D> loader(data, {.batch = 4,
                                      .shuffle = false,
                                      .prefetch = 50,
                                      .max_bytes = limit,
                                      .read_concurrency = 16,
                                      .decode_concurrency = 16,
                                      .scheduler = &pool});
  std::uint64_t batches = 0;
  const auto consume = [](dtask::data_loader<D>* from, std::uint64_t* count) -> dtask::task<> {
    while (auto b = co_await from->next()) ++*count;
  };
  dtask::sync_wait(consume(&loader, &batches));
  CHECK(batches == 100);
  // What the consumer holds is its own.
  CHECK(*data.peak <= limit + 40'000);
  CHECK(loader.report().peak_bytes <= limit);
  CHECK(loader.report().peak_bytes > limit / 3);
  CHECK(*data.alive == 0);
}

TEST_CASE_TEMPLATE("data_loader: a batch above the limit of bytes is loaded alone", D, heavy, heavy_batches) {
  const D data;
  dtask::data_loader<D> loader(data, {.batch = 4, .prefetch = 50, .max_bytes = 10});
  std::uint64_t batches = 0;
  const auto consume = [](dtask::data_loader<D>* from, std::uint64_t* count) -> dtask::task<> {
    while (auto b = co_await from->next()) ++*count;
  };
  dtask::sync_wait(consume(&loader, &batches));
  CHECK(batches == 100);
  CHECK(*data.peak <= 4 * 2'200 + 4'000);
}

TEST_CASE_TEMPLATE("data_loader: destroyed in mid-epoch with its stages busy, it joins them", D, staged, awaiting,
                   gathering, gathering_task) {
  constexpr bool waits = std::is_same_v<D, awaiting> || std::is_same_v<D, gathering_task>;
  const auto how = some(1000);
  dtask::work_pool pool(3);
  {
    dtask::data_loader<D> loader(D{how}, {.batch = 8, .prefetch = 1, .scheduler = &pool});
    one(loader);
    // The second batch is there: the third is what they are busy with.
    const bool gathers = std::is_same_v<D, gathering> || std::is_same_v<D, gathering_task>;
    until([&] { return how->calls == (gathers ? 2 : 2 * 17) && how->inside == 0; });
    if (waits) how->go.reset();
    how->hold = !waits;
    one(loader);
    until([&] { return how->inside > 0 || std::is_same_v<D, gathering_task>; });
    std::thread later([&] { how->hold = false; });
    // Awaits end by the stop, functions by themselves.
    {
      const dtask::data_loader<D> gone(std::move(loader));
    }
    later.join();
    CHECK(how->inside == 0);
    CHECK(how.use_count() == 1);
  }
}

TEST_CASE("data_loader: destroyed on its own scheduler's only thread, it does not wait for itself") {
  const auto how = some(1000);
  dtask::work_pool pool(1);
  const auto body = [](std::shared_ptr<behaviour> b, dtask::work_pool* p) -> dtask::task<std::size_t> {
    dtask::data_loader<awaiting> loader(awaiting{b}, {.batch = 8, .scheduler = p});
    auto got = co_await loader.next();
    co_return got->samples.size();
  };
  CHECK(dtask::sync_wait(pool, body(how, &pool)) == 8);
  const auto closed = [](std::shared_ptr<behaviour> b, dtask::work_pool* p) -> dtask::task<long> {
    dtask::data_loader<awaiting> loader(awaiting{b}, {.batch = 8, .scheduler = p});
    co_await loader.next();
    co_await loader.close();
    bool refused = false;
    try {
      co_await loader.next();
    } catch (const dtask::error& e) {
      refused = e.code() == dtask::errc::closed;
    }
    CHECK(refused);
    co_return b->inside;
  };
  CHECK(dtask::sync_wait(pool, closed(how, &pool)) == 0);
}

TEST_CASE_TEMPLATE("data_loader: a stopped next() has joined the stages and lost nothing", D, awaiting,
                   gathering_task) {
  const auto how = some(100);
  how->go.reset();
  dtask::data_loader<D> loader(D{how}, {.batch = 10, .shuffle = false});
  dtask::stop_source stop;
  std::thread stopper([&] {
    if constexpr (std::is_same_v<D, awaiting>) until([&] { return how->inside > 0; });
    stop.request_stop();
  });
  dtask::environment env;
  env.stop = &stop;
  dtask::errc code = dtask::errc::ok;
  try {
    dtask::sync_wait(loader.next(), env);
  } catch (const dtask::error& e) {
    code = e.code();
  }
  stopper.join();
  CHECK(code == dtask::errc::cancelled);
  CHECK(how->inside == 0);
  how->go.set();
  CHECK(joined(rest(loader)) == first(100));
}

TEST_CASE("data_loader: epochs that are left before their end") {
  const auto how = some(100);
  dtask::data_loader<staged> loader(staged{how}, {.batch = 10, .seed = 2});
  for (std::uint64_t e = 0; e < 20; ++e) {
    loader.start_epoch(e);
    if (e % 3 != 0) one(loader);
    if (e % 3 == 2) loader.start_epoch(e + 100);
  }
  loader.start_epoch(7);
  const numbers got = joined(rest(loader));
  dtask::data_loader<memory> plain(memory{how}, {.batch = 10, .seed = 2});
  plain.start_epoch(7);
  CHECK(got == joined(rest(plain)));
}

TEST_CASE("data_loader: two loaders share a dataset") {
  const auto data = std::make_shared<const staged>(staged{some(40)});
  dtask::data_loader a(data, {.batch = 5, .ranks = 2, .rank = 0});
  dtask::data_loader b(data, {.batch = 5, .ranks = 2, .rank = 1});
  a.start_epoch(0);
  b.start_epoch(0);
  auto of_both = joined(rest(a));
  for (const std::uint64_t s : joined(rest(b))) of_both.push_back(s);
  CHECK(sorted(of_both) == first(40));
}

TEST_CASE("data_loader: reports what it did") {
  dtask::data_loader<staged> loader(staged{some(22)}, {.batch = 4, .ranks = 2});
  CHECK(loader.report().padded == 2);
  rest(loader);
  const dtask::loader_report r = loader.report();
  CHECK(r.batches == 3);
  CHECK(r.images == 12);
  CHECK(r.seconds > 0);
  CHECK(r.stall_seconds > 0);
  CHECK(r.stall_seconds <= r.seconds);
  CHECK(r.images_per_second() > 0);
  CHECK(r.decode_seconds > 0);
  dtask::data_loader<staged> dropping(staged{some(22)}, {.batch = 4, .ranks = 2, .rest = dtask::uneven::drop});
  CHECK(dropping.report().dropped == 6);
}

TEST_CASE("data_loader: options that cannot be are refused") {
  const auto refused = [](const dtask::loader_options& o) {
    try {
      dtask::data_loader<staged> loader(staged{some(3)}, o);
      return false;
    } catch (const dtask::error& e) {
      return e.code() == dtask::errc::invalid_argument;
    }
  };
  CHECK(refused({.batch = 0}));
  CHECK(refused({.prefetch = 0}));
  CHECK(refused({.prefetch = 5000}));
  CHECK(refused({.max_bytes = 0}));
  CHECK(refused({.read_concurrency = 0}));
  CHECK(refused({.ranks = 1, .rank = 1}));
  CHECK(refused({.batch = 4, .rest = dtask::uneven::drop}));
  CHECK_FALSE(refused({.batch = 4}));
  CHECK_THROWS_AS(dtask::data_loader<staged>(std::shared_ptr<const staged>()), dtask::error);
}
