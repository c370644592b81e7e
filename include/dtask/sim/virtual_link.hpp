// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/sim/network_traits.hpp"
#include "dtask/sim/random_source.hpp"
#include "dtask/sim/virtual_scheduler.hpp"
#include "dtask/wire/decoder.hpp"
#include "dtask/wire/link.hpp"
#include "dtask/wire/outbox.hpp"

DTASK_BEGIN
namespace sim {

/// One end of a simulated connection: a `wire::link` whose messages are really encoded, cut at random, delayed, and
/// decoded at the other end.
///
/// As with TCP the bytes of a link come in order and none is missing; what can fail is the link as a whole. At most
/// `window` bytes are on the way in one direction (the buffers of both systems), the rest waits in the outbox and
/// counts as unsent. While the path is blocked or the receiving process is frozen, nothing arrives.
class virtual_link final : public wire::link {
 public:
  /// What the network decides for its links.
  class surroundings {
   public:
    virtual bool blocked(host_id from, host_id to) const = 0;
    virtual bool frozen(host_id at) const = 0;
    virtual void broken(const std::string& why) = 0;  ///< a message over the limits, or bytes that the decoder refused:
                                                      ///< never right between two real machines

   protected:
    ~surroundings() = default;
  };

  virtual_link(surroundings& net, virtual_scheduler& clock, random_source& chance, host_id here, host_id there,
               wire::side side, const link_traits& traits)
      : net_(net),
        clock_(clock),
        chance_(chance),
        here_(here),
        there_(there),
        side_(side),
        traits_(traits),
        arrival_(clock, [this] { deliver(); }),
        release_(clock, [this] { released(); }),
        ending_(clock, [this] { report_end(); }),
        grace_(clock,
               [this] {
                 if (state_ == state::closing) abort(error(errc::io_error, "not written in time"));
               }),
        drained_(clock, [this] { tell_drained(); }) {}

  /// Joins two ends. Both live until the network lets go of their connection.
  static void join(virtual_link& a, virtual_link& b) noexcept {
    a.peer_ = &b;
    b.peer_ = &a;
  }
  /// Who is told what arrives, and the limits that this side offers. Until then everything waits.
  void attach(wire::link_events& events, const wire::limits& own) {
    events_ = &events;
    in_.emplace(side_, own);
    resume();
  }
  /// Nobody listens any more: the process has ended.
  void detach() noexcept { events_ = nullptr; }

  void send(wire::message m) override {
    if (state_ != state::open) return;
    if (error bad = out_.push(std::move(m), in_->agreed())) net_.broken("send: " + std::string(bad.what()));
    above_low_ = above_low_ || out_.unsent() > wire::high_water / 2;
  }
  void flush() override {
    if (state_ > state::closing) return;
    std::array<wire::outbox::slice, 16> slices;
    while (!out_.empty() && on_the_way_ < traits_.window) {
      const std::size_t most = std::min(traits_.window - on_the_way_, cut());
      const std::size_t used = out_.gather(slices, most);
      segment next;
      for (const wire::outbox::slice& s : std::span(slices).first(used))
        next.data.insert(next.data.end(), s.begin(), s.end());
      out_.consumed(next.data.size());
      on_the_way_ += next.data.size();
      peer_->incoming(std::move(next), traits_);
    }
    if (!out_.empty() && acknowledged_ != 0 && !release_.is_set()) release_.set(clock_.now() + traits_.latency);
    if (above_low_ && out_.unsent() <= wire::high_water / 2 && !drained_.is_set()) drained_.set(clock_.now());
    if (state_ == state::closing && out_.empty()) {
      state_ = state::ending;
      peer_->incoming(segment{{}, segment::fin, {}}, traits_);
      end_with(error(errc::closed, "closed by this side"));
    }
  }
  void close() override {
    if (state_ != state::open) return;
    state_ = state::closing;
    grace_.set(clock_.now() + std::chrono::seconds(2));
    flush();
  }
  void abort(const error& why) override {
    if (state_ >= state::ending) return;
    state_ = state::ending;
    out_.clear();
    peer_->incoming(segment{{}, segment::reset, {}}, traits_);
    end_with(why);
  }
  std::size_t unsent() const noexcept override { return out_.unsent(); }
  void set_limits(const wire::limits& agreed) override { in_->set_limits(agreed); }
  std::string peer() const override { return "sim:" + std::to_string(there_); }

  host_id here() const noexcept { return here_; }
  host_id there() const noexcept { return there_; }
  bool over() const noexcept { return state_ == state::ended; }
  /// Bytes that the systems hold for the other end.
  std::size_t on_the_way() const noexcept { return on_the_way_; }
  std::size_t window() const noexcept { return traits_.window; }

  /// The process at this end is gone, and with it what it had not handed to the system. Its system still delivers the
  /// rest where `politely`, then closes.
  void process_died(bool politely) {
    events_ = nullptr;
    if (state_ > state::closing) return;
    state_ = state::ended;
    out_.clear();
    clear_alarms();
    peer_->incoming(segment{{}, politely ? segment::fin : segment::reset, {}}, traits_);
  }
  /// The machine at this end is gone without a word: the other end hears nothing until `host_back`.
  void machine_died() {
    events_ = nullptr;
    state_ = state::ended;
    out_.clear();
    clear_alarms();
    vanished_ = true;
  }
  /// The machine answers again, and knows nothing of this connection.
  void machine_back() {
    if (!vanished_) return;
    vanished_ = false;
    peer_->incoming(segment{{}, segment::reset, {}}, traits_);
  }
  /// The connection breaks in the middle: what is on the way is lost, both ends are told.
  void cut_off(const error& why) {
    if (state_ >= state::ending) return;
    state_ = state::ending;
    out_.clear();
    end_with(why);
  }
  /// The path or the process at this end works again: what waited goes on.
  void resume() {
    if (!queue_.empty() && !arrival_.is_set()) arrival_.set(std::max(clock_.now(), queue_.front().ready));
    if (late_release_) {
      late_release_ = false;
      released();
    }
    if (late_end_) {
      late_end_ = false;
      ending_.set(clock_.now());
    }
    if (late_drained_) {
      late_drained_ = false;
      drained_.set(clock_.now());
    }
  }
  /// Whether something has waited for the other direction since before `since`.
  bool stuck_since(time_point since) const noexcept {
    return state_ <= state::closing && !queue_.empty() && queue_.front().ready < since;
  }

 private:
  static constexpr std::size_t most_in_one_read = std::size_t{1} << 20;
  enum class state { open, closing, ending, ended };
  struct segment {
    enum kind : std::uint8_t { data_bytes, fin, reset };
    std::vector<std::byte> data;
    kind what = data_bytes;
    time_point ready{};
  };

  std::size_t cut() {
    if (chance_.chance(traits_.tiny_reads)) return static_cast<std::size_t>(chance_.between(1, 80));
    return static_cast<std::size_t>(chance_.between(std::size_t{4} << 10, std::size_t{256} << 10));
  }
  void incoming(segment s, const link_traits& traits) {
    if (state_ == state::ended) return;
    // A slow path passes one read after the other.
    busy_until_ = std::max(busy_until_, clock_.now());
    if (traits.bytes_per_second != 0)
      busy_until_ +=
          duration(static_cast<std::int64_t>(s.data.size() * std::uint64_t{1'000'000'000} / traits.bytes_per_second));
    const time_point arrives = busy_until_ + traits.latency + chance_.time(duration::zero(), traits.jitter);
    // A reset may overtake what is on the way: the receiving system then drops what its process has not read.
    if (s.what == segment::reset && chance_.chance(0.5)) queue_.clear();
    s.ready = last_ready_ = std::max(arrives, last_ready_);
    queue_.push_back(std::move(s));
    if (!arrival_.is_set()) arrival_.set(queue_.front().ready);
  }
  void deliver() {
    if (queue_.empty() || events_ == nullptr || state_ >= state::ending) return;
    if (net_.frozen(here_) || net_.blocked(there_, here_)) return;  // `resume` goes on
    segment s = std::move(queue_.front());
    queue_.pop_front();
    if (s.what != segment::data_bytes) {
      state_ = state::ending;
      out_.clear();
      end_with(s.what == segment::fin ? error(errc::io_error, "closed by the peer", peer())
                                      : error(errc::io_error, "connection reset by the peer", peer()));
      return;
    }
    // One read takes what has come meanwhile: after a pause many messages in one batch.
    while (!queue_.empty() && queue_.front().what == segment::data_bytes && queue_.front().ready <= clock_.now() &&
           s.data.size() < most_in_one_read && !chance_.chance(traits_.tiny_reads)) {
      s.data.insert(s.data.end(), queue_.front().data.begin(), queue_.front().data.end());
      queue_.pop_front();
    }
    peer_->consumed_by_peer(s.data.size());
    error bad = in_->feed(s.data, [this](wire::message&& m) {
      events_->received(std::move(m));
      return state_ < state::ending && events_ != nullptr;
    });
    if (bad && state_ < state::ending) {
      net_.broken("received by host " + std::to_string(here_) + ": " + bad.what());
      abort(bad);
    }
    if (events_ != nullptr) events_->batch_end();
    if (!queue_.empty() && !arrival_.is_set()) arrival_.set(std::max(clock_.now(), queue_.front().ready));
  }
  void consumed_by_peer(std::size_t count) noexcept {
    acknowledged_ += count;
    if (out_.empty()) {
      on_the_way_ -= std::exchange(acknowledged_, 0);
    } else if (!release_.is_set()) {
      release_.set(clock_.now() + traits_.latency);
    }
  }
  void released() {
    if (state_ > state::closing) return;
    if (net_.frozen(here_) || net_.blocked(there_, here_)) {
      late_release_ = true;
      return;
    }
    on_the_way_ -= std::exchange(acknowledged_, 0);
    flush();
  }
  void tell_drained() {
    if (net_.frozen(here_)) {
      late_drained_ = true;
      return;
    }
    if (!above_low_ || state_ > state::closing || events_ == nullptr || out_.unsent() > wire::high_water / 2) return;
    above_low_ = false;
    events_->drained();
  }
  void end_with(error why) {
    why_ = std::move(why);
    arrival_.clear();
    release_.clear();
    drained_.clear();
    grace_.clear();
    queue_.clear();
    ending_.set(clock_.now());
  }
  void report_end() {
    if (net_.frozen(here_)) {
      late_end_ = true;
      return;
    }
    state_ = state::ended;
    if (wire::link_events* const to = std::exchange(events_, nullptr)) to->closed(why_);
  }
  void clear_alarms() noexcept {
    arrival_.clear();
    release_.clear();
    ending_.clear();
    grace_.clear();
    drained_.clear();
    queue_.clear();
  }

  surroundings& net_;
  virtual_scheduler& clock_;
  random_source& chance_;
  const host_id here_;
  const host_id there_;
  const wire::side side_;
  const link_traits traits_;
  virtual_link* peer_ = nullptr;
  wire::link_events* events_ = nullptr;
  wire::outbox out_;
  std::optional<wire::decoder> in_;
  state state_ = state::open;
  error why_;
  std::deque<segment> queue_;  // towards this end
  time_point last_ready_{};
  time_point busy_until_{};
  std::size_t on_the_way_ = 0;    // from this end, not yet released
  std::size_t acknowledged_ = 0;  // of those, read by the peer's process
  bool above_low_ = false;
  bool vanished_ = false;
  bool late_release_ = false;
  bool late_end_ = false;
  bool late_drained_ = false;
  alarm arrival_;
  alarm release_;
  alarm ending_;
  alarm grace_;
  alarm drained_;
};

}  // namespace sim
DTASK_END
