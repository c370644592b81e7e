// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/core_count.hpp"
#include "dtask/base/device_name.hpp"
#include "dtask/base/error.hpp"
#include "dtask/net/url.hpp"
#include "dtask/node/cluster_options.hpp"
#include "dtask/node/detail/check_options.hpp"
#include "dtask/node/detail/client_node.hpp"
#include "dtask/node/detail/cluster_backend.hpp"
#include "dtask/node/detail/coordinator_node.hpp"
#include "dtask/node/detail/dialing.hpp"
#include "dtask/node/detail/digest.hpp"
#include "dtask/node/detail/node_thread.hpp"
#include "dtask/node/detail/worker_node.hpp"
#include "dtask/process/cookie.hpp"
#include "dtask/process/launcher_variables.hpp"
#include "dtask/process/parts/process_supervisor.hpp"
#include "dtask/process/parts/random_number.hpp"
#include "dtask/process/parts/self.hpp"
#include "dtask/process/spawned.hpp"

DTASK_BEGIN
namespace detail {

/// The client, and for local:// and spawn:// what the process runs besides.
class cluster_core final : public cluster_backend {
 public:
  cluster_core(const net::url& where, wire::role role, std::span<const job_entry> entries, cluster_options options)
      // Delegated, so that the destructor takes down what was there when something fails: nodes end on their thread.
      : cluster_core(options.polling) {
    control::identity who = self_identity(role, std::string(options.name));
    who.cookie = options.cookie;
    who.jobs = job_types(entries);

    if (!options.listen.empty() && where.kind != net::url::scheme::local)
      throw error(errc::invalid_argument, "only local:// listens besides", std::string(options.listen),
                  "leave cluster_options::listen empty, or connect to local://N");
    dialer dial;
    if (where.kind == net::url::scheme::tcp) {
      dial = tcp_dialer(thread_.executor(), where.at, options.client.limits);
    } else {
      if (where.kind == net::url::scheme::spawn) {
        if (options.command.empty())
          throw error(errc::invalid_argument, "spawn:// needs to know which program plays the role worker", {},
                      "use dtask::main, or name it in cluster_options::command");
        options.coordinator.cookie = options.cookie = random_number() | 1;
      } else if (!options.listen.empty()) {
        options.coordinator.send_home = true;
        options.coordinator.cookie = options.cookie;
      }
      if (const error bad = check_options(options.coordinator)) throw bad;
      coordinator_ = std::make_shared<coordinator_node>(
          thread_.executor(), control::coordinator_options{options.coordinator, &xxh3_digest}, random_number());
      dial = pipe_dialer(thread_.executor(), coordinator_, options.client.limits);
      const std::uint32_t count = where.count != 0 ? where.count : usable_cores();
      if (where.kind == net::url::scheme::local) {
        if (!options.listen.empty()) listen(options);
        start_worker(entries, count, who, options);
      } else
        start_processes(count, options);
    }
    client_ = std::make_shared<client_node>(thread_.executor(), std::move(who),
                                            control::client_options{options.client, &xxh3_digest}, std::move(dial),
                                            random_number());
    thread_.post([client = client_] { client->start(); });
  }
  cluster_core(const cluster_core&) = delete;
  cluster_core& operator=(const cluster_core&) = delete;
  ~cluster_core() override { cluster_core::take_down(); }

  std::shared_ptr<client_port> client() const noexcept override { return client_; }
  std::vector<std::uint32_t> pids() const override {
    return processes_ ? processes_->pids() : std::vector<std::uint32_t>();
  }

  std::string address() const override { return address_; }

  memory_use memory() override {
    return thread_.call([this] { return client_->memory(); });
  }

  void take_down() override {
    if (std::exchange(down_, true)) return;
    if (client_) thread_.call([this] { client_->take_down(); });
    // Children are told by their pipe; while they leave, the coordinator still answers them.
    processes_.reset();
    send_home();
    std::shared_ptr<job_runner> runner;
    // In one go, so that none of the two sees the other one gone and complains.
    thread_.call([&] {
      if (coordinator_) coordinator_->take_down();
      if (worker_) runner = worker_->take_down();
    });
    if (runner) job_runner::retire(std::move(runner));
    worker_.reset();
    coordinator_.reset();
  }

 private:
  explicit cluster_core(duration polling) : thread_(polling) {}

  void start_worker(std::span<const job_entry> entries, std::uint32_t slots, control::identity who,
                    const cluster_options& options) {
    who.role = wire::role::worker;
    who.name = options.worker.name.empty() ? "local" : std::string(options.worker.name);
    who.slots = slots;
    auto dial = pipe_dialer(thread_.executor(), coordinator_, options.worker.limits);
    worker_ = std::make_shared<worker_node>(thread_.executor(), entries, std::move(who),
                                            control::worker_options{options.worker, &xxh3_digest}, std::move(dial),
                                            random_number());
    worker_->prepare();
    thread_.post([worker = worker_] { worker->start(); });
  }
  void listen(const cluster_options& options) {
    const net::host_port at = net::parse_host_port(options.listen).value();
    const bool beyond_loopback = options.coordinator.beyond_loopback;
    if (const error bad = thread_.call([&] { return coordinator_->listen(at, beyond_loopback); }))
      throw error(bad.code(), bad.cause(), std::string(options.listen), bad.remedy());
    address_ = "tcp://" + net::to_string(thread_.call([this] { return coordinator_->address(); }));
  }
  /// Tells the workers that came from elsewhere that this is the end, and waits for the words to go out.
  void send_home() {
    if (address_.empty() || !coordinator_) return;
    const auto gone = std::make_shared<std::promise<void>>();
    auto ended = gone->get_future();
    thread_.call([&] {
      coordinator_->when_ended([gone] { gone->set_value(); });
      coordinator_->drain();
      coordinator_->stop();
    });
    ended.wait_for(std::chrono::seconds(1));
  }
  void start_processes(std::uint32_t count, const cluster_options& options) {
    const error bad = thread_.call([this] { return coordinator_->listen({"127.0.0.1", 0}, false); });
    if (bad) throw bad;
    const net::host_port at = thread_.call([this] { return coordinator_->address(); });
    launch_plan plan;
    plan.program = std::string(options.command);
    for (const std::string_view word : options.arguments) plan.arguments.emplace_back(word);
    for (std::string word :
         {std::string("worker"), std::string("--connect"), "tcp://" + net::to_string(at), std::string("--slots"),
          std::to_string(options.slots), std::string("--name"), std::string("spawn-{}"), std::string("--payload-bytes"),
          std::to_string(options.worker.limits.payload), std::string("--broadcast-bytes"),
          std::to_string(options.worker.broadcast_bytes), std::string("--result-bytes"),
          std::to_string(options.worker.result_bytes), std::string("--until-stdin-ends"), std::string("--log"),
          std::string("warning")})
      plan.arguments.push_back(std::move(word));
    if (!options.worker.device.empty()) {
      plan.arguments.emplace_back("--device");
      plan.arguments.push_back(worker_device(options.worker.device));
    }
    plan.environment.push_back(std::string(cookie_variable) + "=" + std::to_string(options.cookie));
    plan.environment.push_back(std::string(spawned_variable) + "=1");
    // For programs that share the cores of a machine among their workers.
    plan.environment.push_back("DTASK_LOCAL_WORKERS=" + std::to_string(count));
    for (const std::string_view name : launcher_variables) plan.without.emplace_back(name);
    // For workers that share its devices.
    plan.environment.emplace_back("DTASK_LOCAL_RANK={}");
    plan.count = count;
    processes_ = std::make_unique<process_supervisor>(std::move(plan), [this](std::uint32_t pid, std::string how) {
      thread_.post([coordinator = coordinator_, pid, how = std::move(how)]() mutable {
        coordinator->process_ended(pid, std::move(how));
      });
    });
  }

  node_thread thread_;
  std::shared_ptr<coordinator_node> coordinator_;
  std::shared_ptr<worker_node> worker_;
  std::unique_ptr<process_supervisor> processes_;
  std::shared_ptr<client_node> client_;
  std::string address_;  // where the coordinator listens for others
  bool down_ = false;
};

}  // namespace detail
DTASK_END
