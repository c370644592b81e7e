// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/cli/exit_code.hpp"
#include "dtask/job/registry.hpp"
#include "dtask/node/cluster.hpp"
#include "dtask/node/cluster_of.hpp"
#include "dtask/task/task.hpp"

namespace CLI {
class App;  // a program with options of its own includes <CLI/CLI.hpp>
}

DTASK_BEGIN
namespace detail {

/// What a program does on a cluster, without its types.
class program_body {
 public:
  virtual ~program_body() = default;
  /// Keeps the cluster to the end of the program.
  virtual cluster& keep(cluster&& c) = 0;
  /// Called once, after `keep`.
  virtual task<int> run() = 0;
};

task<int> succeed_after(task<> body);

template <class Registry, class Body>
class program_body_of final : public program_body {
 public:
  explicit program_body_of(Body body) : body_(std::move(body)) {}
  cluster& keep(cluster&& c) override { return cluster_.emplace(std::move(c)); }
  task<int> run() override {
    using running = std::invoke_result_t<Body&, cluster_of<Registry>&>;
    if constexpr (std::is_void_v<typename running::value_type>)
      return succeed_after(body_(*cluster_));
    else
      return body_(*cluster_);
  }

 private:
  Body body_;
  std::optional<cluster_of<Registry>> cluster_;
};

/// True for what `main` can run; otherwise one sentence at compile time.
template <class Registry, class Body>
consteval bool require_program() {
  constexpr bool is_registry = requires { Registry::entries(); };
  static_assert(is_registry, "dtask: main takes a registry: dtask::main<dtask::registry<my_job, ...>>(...)");
  if constexpr (is_registry) {
    constexpr bool takes_cluster = std::is_invocable_v<Body&, cluster_of<Registry>&>;
    static_assert(takes_cluster, "dtask: the body of a program takes dtask::cluster& (or cluster_of<jobs>&)");
    if constexpr (takes_cluster) {
      using running = std::invoke_result_t<Body&, cluster_of<Registry>&>;
      constexpr bool awaited = std::is_same_v<running, task<int>> || std::is_same_v<running, task<>>;
      static_assert(awaited, "dtask: the body of a program is a coroutine: dtask::task<int> (the exit code) or task<>");
      return awaited;
    }
  }
  return false;
}

struct no_options {
  void operator()(CLI::App&) const noexcept {}
};

/// Finds the role and plays it. In the role run: reads the options, runs the body on the shared pool, ends it on
/// signals, explains what it throws. Returns the exit code.
int run_program(int argc, const char* const* argv, std::span<const job_entry> jobs,
                const std::function<void(CLI::App&)>& more, program_body& body);

}  // namespace detail

/// One program in every role: `app [--on URL] ...` runs `body(c)` with a `cluster&` (or `cluster_of<jobs>&`, which
/// finds an unregistered job at compile time), a task of int (the exit code) or void; `app worker --connect
/// tcp://HOST:PORT` and `app coordinator` are the others. `options`, a function `void(CLI::App&)`, adds options of the
/// program's own to the role run; such a program includes `<CLI/CLI.hpp>`.
///
/// The body runs on `work_pool::shared()`. SIGINT and SIGTERM stop it: its jobs are cancelled on the workers, and the
/// exit code is 128 + the signal; another one, half a second later or more, ends the process at once. What the body
/// throws is printed in one line. Exit codes: `exit_code`. Nothing listens outside loopback unless the coordinator is
/// told `--open-to-all`.
template <class Registry, class Options, class Body>
int main(int argc, char** argv, Options options, Body body) {
  if constexpr (detail::require_program<Registry, Body>()) {
    detail::program_body_of<Registry, Body> program(std::move(body));
    return detail::run_program(argc, argv, Registry::entries(), std::ref(options), program);
  } else {
    return exit_code::usage;
  }
}
/// The same without options of the program's own.
template <class Registry, class Body>
int main(int argc, char** argv, Body body) {
  return dtask::main<Registry>(argc, argv, detail::no_options(), std::move(body));
}

DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/cli/impl/main.ipp"
#endif
