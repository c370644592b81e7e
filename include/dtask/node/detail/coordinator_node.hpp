// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/control/coordinator_state.hpp"
#include "dtask/control/machine_driver.hpp"
#include "dtask/net/link.hpp"
#include "dtask/net/listener.hpp"
#include "dtask/net/url.hpp"
#include "dtask/node/detail/io_process.hpp"

DTASK_BEGIN
namespace detail {

/// The coordinator's machine with its links. All members on the node's thread.
class coordinator_node final
    : public std::enable_shared_from_this<coordinator_node>,
      control::machine_driver<coordinator_node, control::coordinator_state, control::coordinator_action, io_process> {
  friend driver;

 public:
  coordinator_node(net::executor where, const control::coordinator_options& options, std::uint64_t seed)
      : driver(where), machine_(options, seed, now()) {
    link_options_.limits = options.limits;
    hello_within_ = options.hello_within;
    max_strangers_ = options.max_strangers;
  }

  error listen(const net::host_port& at, bool beyond_loopback) {
    net::listener_options options;
    options.beyond_loopback = beyond_loopback;
    options.hello_within = hello_within_;
    options.max_strangers = max_strangers_;
    options.links = link_options_;
    auto opened = net::listener::open(where(), at, options,
                                      [this](std::unique_ptr<net::link> link) { admit(std::move(link), false); });
    if (!opened) return opened.error();
    listener_ = std::move(opened).value();
    return {};
  }
  net::host_port address() const { return listener_->address(); }

  /// `trusted`: a pipe inside the process.
  void admit(std::unique_ptr<net::link> link, bool trusted) {
    std::string peer = link->peer();
    const control::link_id id = attach(std::move(link));
    machine_.opened(id, std::move(peer), trusted, now());
    begin(id);
    settle();
  }
  void process_ended(std::uint32_t pid, std::string how) {
    machine_.process_ended(pid, std::move(how), now());
    settle();
  }
  void drain() {
    machine_.drain(now());
    settle();
  }
  void stop() {
    machine_.stop(now());
    settle();
  }
  cluster_status status() const { return machine_.report(now()); }

  /// Called once, on the node's thread, when the machine has ended and its last words have been written.
  void when_ended(std::function<void()> f) { ended_ = std::move(f); }
  /// Ends everything without a word.
  void take_down() {
    silence();
    listener_.reset();
    take_links();
    ended_ = nullptr;
  }

 private:
  void act(control::stopped&) { stopped_ = true; }
  void settled() {
    if (!stopped_) return;
    listener_.reset();
    if (links() != 0 || !ended_) return;
    silence();
    std::exchange(ended_, nullptr)();
  }

  control::coordinator_state machine_;
  net::link_options link_options_;
  duration hello_within_{};
  std::uint32_t max_strangers_ = 0;
  std::unique_ptr<net::listener> listener_;
  bool stopped_ = false;
  std::function<void()> ended_;
};

}  // namespace detail
DTASK_END
