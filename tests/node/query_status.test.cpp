// SPDX-License-Identifier: BSL-1.0
#include "dtask/node/query_status.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "dtask/net/listener.hpp"
#include "dtask/node/detail/node_thread.hpp"
#include "dtask/task/sync_wait.hpp"

using namespace std::chrono_literals;

namespace {

// Welcomes whoever comes, and says nothing more.
class silent_coordinator final : dtask::wire::link_events {
 public:
  silent_coordinator() : thread_(dtask::duration::zero()) {
    thread_.call([this] {
      listener_ = dtask::net::listener::open(thread_.executor(), {"127.0.0.1", 0}, {},
                                             [this](std::unique_ptr<dtask::net::link> l) {
                                               link_ = std::move(l);
                                               link_->start(*this);
                                             })
                      .value();
    });
  }
  ~silent_coordinator() {
    thread_.call([this] {
      listener_.reset();
      link_.reset();
    });
  }
  std::string url() {
    return "tcp://" + dtask::net::to_string(thread_.call([this] { return listener_->address(); }));
  }

 private:
  void received(dtask::wire::message m) override {
    if (m.get_if<dtask::wire::hello>() == nullptr) return;
    dtask::wire::welcome w;
    w.epoch = w.session = w.key = 1;
    w.heartbeat = w.lost_after = 1h;
    link_->set_limits(w.limits);
    link_->send(std::move(w));
  }
  void batch_end() override {}
  void drained() override {}
  void closed(const dtask::error&) override {}

  dtask::detail::node_thread thread_;
  std::unique_ptr<dtask::net::listener> listener_;
  std::unique_ptr<dtask::net::link> link_;
};

}  // namespace

TEST_CASE("query_status: connecting and asking together take no longer than was said") {
  silent_coordinator silent;
  dtask::cluster_options options;
  options.client.connect_within = 1s;
  options.client.status_within = 1h;  // were this what counts, the time limit of the test program would end it
  const std::string url = silent.url();
  try {
    dtask::sync_wait(dtask::query_status(url, options));
    FAIL("an answer");
  } catch (const dtask::error& e) {
    const std::string said = e.what();
    CAPTURE(said);
    CHECK(e.code() == dtask::errc::deadline_exceeded);
    CHECK(e.place() == url);
    CHECK(e.cause() == "the coordinator was reached and did not answer within the stated time");
  }
}
