// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/data/loader_state.hpp"
#include "dtask/task/channel.hpp"
#include "dtask/task/scope.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace cuda {

/// What brings a loader's batch to where it is used. `start(batch)` is a task that yields it there, or on its way
/// there; `hand_over(there)` is called by the one who receives it and makes it usable there, without waiting, perhaps
/// while the next `start` runs on another thread.
template <class C, class Batch>
concept batch_copier = requires(C& c, Batch batch) {
  typename C::copied;
  { c.start(std::move(batch)) } -> std::same_as<task<typename C::copied>>;
  { c.hand_over(std::declval<typename C::copied>()) };
};

/// The stage behind a `data_loader` that copies its batches to a device, beside the task that consumes them:
///
///     dtask::cuda::copy_stage stage(scope, std::move(loader), dtask::cuda::batch_to_device(device));
///     stage.start_epoch(epoch);
///     while (auto batch = co_await stage.next()) train_on(*batch);   // a dtask::batch on the device
///
/// At most `ahead` copied batches wait for the consumer, one more is under way. The batches are the loader's, in its
/// order. Its task is a child of `scope` and starts with the first `next()` of an epoch; it ends with the epoch, or is
/// stopped with the scope. The stage may die before it. One task at a time uses the stage.
template <class Loader, class Copier>
  requires batch_copier<Copier, typename Loader::batch_type>
class copy_stage {
 public:
  /// What `next()` yields.
  using batch_type = decltype(std::declval<Copier&>().hand_over(std::declval<typename Copier::copied>()));

  /// `in` outlives the stage.
  copy_stage(scope& in, Loader loader, Copier copier, std::size_t ahead = 2)
      : scope_(in), parts_(std::make_shared<parts>(std::move(loader), std::move(copier))), ahead_(ahead) {}
  copy_stage(const copy_stage&) = delete;
  copy_stage& operator=(const copy_stage&) = delete;

  /// @cond internal
  class [[nodiscard]] next_awaiter;
  /// @endcond

  /// `co_await stage.next()`: the next batch, made usable by the one who awaits; nothing at the end of the epoch, until
  /// `start_epoch` begins another. Throws what the loader throws and what the copy throws: the batch is not
  /// lost, another `next()` tries it again. Throws under stop. Throws `error(closed)`, at the call, where the scope is
  /// closed.
  next_awaiter next() { return next_awaiter(*this, begin()); }

  /// As the loader's. Throws `error(invalid_argument)` while an epoch is under way, whose batches are being copied.
  void start_epoch(std::uint64_t epoch) { idle("start_epoch").start_epoch(epoch); }
  /// The same.
  void restore(const loader_state& from) { idle("restore").restore(from); }
  /// The loader, between epochs.
  Loader& loader() { return idle("loader"); }
  /// Where the loader stands for the one who consumes: what was handed out here counts, what was loaded or copied ahead
  /// does not.
  loader_state state() const { return run_ ? state_ : parts_->loader.state(); }

 private:
  /// What the task that copies shares with the stage.
  struct parts {
    parts(Loader l, Copier c) : loader(std::move(l)), copier(std::move(c)) {}
    Loader loader;
    Copier copier;
  };
  struct item {
    typename Copier::copied value;
    loader_state after;
  };
  struct run {
    explicit run(std::size_t ahead) : ready(ahead) {}
    channel<item> ready;
    std::exception_ptr failure;  // set before `ready` is closed
  };
  /// Ends the run with the task that fills it, also where that never began.
  class filler {
   public:
    explicit filler(std::shared_ptr<run> to) noexcept : to_(std::move(to)) {}
    filler(filler&&) noexcept = default;
    filler& operator=(filler&&) = delete;
    ~filler() {
      if (!to_) return;
      if (!whole_ && !to_->failure)
        to_->failure = std::make_exception_ptr(error(errc::cancelled, "the copy stage was stopped with its scope"));
      to_->ready.close();
    }
    void fail(std::exception_ptr e) noexcept { to_->failure = std::move(e); }
    void whole() noexcept { whole_ = true; }
    channel<item>& ready() noexcept { return to_->ready; }

   private:
    std::shared_ptr<run> to_;
    bool whole_ = false;
  };

  Loader& idle(const char* who) {
    if (run_)
      throw error(errc::invalid_argument, std::string(who) + " while an epoch is under way", "cuda::copy_stage",
                  "take its batches to the end first, or make a new stage from state()");
    return parts_->loader;
  }
  std::shared_ptr<run> begin() {
    if (!run_) {
      auto made = std::make_shared<run>(ahead_);
      state_ = parts_->loader.state();
      spawn(scope_, &copy_stage::fill, parts_, filler(made));
      run_ = std::move(made);
    }
    return run_;
  }
  static task<> fill(std::shared_ptr<parts> self, filler to) {
    loader_state before = self->loader.state();
    try {
      while (auto batch = co_await self->loader.next()) {
        loader_state after = self->loader.state();
        auto copied = co_await self->copier.start(std::move(*batch));
        before = after;
        item next{std::move(copied), std::move(after)};
        co_await to.ready().push(std::move(next));
      }
      to.whole();
    } catch (...) {
      to.fail(std::current_exception());
    }
    if (!(self->loader.state() == before)) self->loader.restore(before);
  }

  scope& scope_;
  std::shared_ptr<parts> parts_;
  std::size_t ahead_;
  std::shared_ptr<run> run_;  ///< of the epoch
  loader_state state_;        ///< as of the last batch that was handed out
};

/// @cond internal
template <class Loader, class Copier>
  requires batch_copier<Copier, typename Loader::batch_type>
class copy_stage<Loader, Copier>::next_awaiter {
 public:
  next_awaiter(copy_stage& stage, std::shared_ptr<run> of) noexcept
      : stage_(stage), run_(std::move(of)), pop_(run_->ready.pop()) {}
  bool await_ready() const noexcept { return pop_.await_ready(); }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
    return pop_.await_suspend(h);
  }
  /// Here, and not in the stage's task: the stream that is current is that of the one who awaits.
  std::optional<batch_type> await_resume() {
    std::optional<item> got = pop_.await_resume();
    if (got) {
      stage_.state_ = std::move(got->after);
      return stage_.parts_->copier.hand_over(std::move(got->value));
    }
    stage_.run_.reset();
    if (run_->failure) std::rethrow_exception(run_->failure);
    return std::nullopt;
  }

 private:
  copy_stage& stage_;
  std::shared_ptr<run> run_;
  typename channel<item>::pop_awaiter pop_;
};
/// @endcond

}  // namespace cuda
DTASK_END
