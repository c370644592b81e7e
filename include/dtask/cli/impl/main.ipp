// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dtask/base/core_count.hpp"
#include "dtask/base/number.hpp"
#include "dtask/cli/coordinator_role.hpp"
#include "dtask/cli/detail/command_line.hpp"
#include "dtask/cli/detail/end_signals.hpp"
#include "dtask/cli/detail/meeting_file.hpp"
#include "dtask/cli/detail/worker_end.hpp"
#include "dtask/cli/exit_code.hpp"
#include "dtask/cli/launch.hpp"
#include "dtask/cli/worker_role.hpp"
#include "dtask/net/url.hpp"
#include "dtask/node/worker.hpp"
#include "dtask/process/cookie.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/sleep.hpp"
#include "dtask/task/stop.hpp"
#include "dtask/task/sync_wait.hpp"

DTASK_BEGIN
namespace detail {

// Templates, since g++ 12 compiles the body of an inline coroutine in every unit that sees it, used or not.
template <class = void>
task<int> after_body(task<> body) {
  co_await std::move(body);
  co_return exit_code::success;
}
/// Connects, runs the body, closes. What the body or the connection throws goes through.
template <class = void>
task<int> run_on(task<cluster> connecting, program_body& body) {
  cluster& c = body.keep(co_await std::move(connecting));
  std::exception_ptr failed;
  int code = exit_code::success;
  try {
    auto running = body.run();
    code = co_await std::move(running);
  } catch (...) {
    failed = std::current_exception();
  }
  co_await c.close();
  if (failed) std::rethrow_exception(failed);
  co_return code;
}

// ---- under a launcher ----

/// How this process takes part in what a launcher started.
struct rank_plan {
  launch at;
  std::string meeting;       ///< path of the meeting file; empty: several hosts
  std::uint64_t cookie = 0;  ///< of rank 0, and where there are several hosts of all
  std::uint32_t slots = 0;
  duration within{};  ///< for all ranks to come together
};

inline std::string rank_name(std::uint32_t rank) { return "rank-" + std::to_string(rank); }
inline time_point time_now() { return std::chrono::time_point_cast<duration>(clock_type::now()); }
inline std::string seconds_of(duration d) { return number_text(std::chrono::duration<double>(d).count()) + " s"; }

/// The ranks that are not among the workers, in words; empty: all are there.
inline std::string missing_ranks(const cluster_status& found, std::uint32_t world) {
  std::vector<bool> there(world);
  for (const worker_status& w : found.workers)
    if (w.name.starts_with("rank-"))
      if (const auto rank = read_number<std::uint32_t>(std::string_view(w.name).substr(5)); rank && *rank < world)
        there[*rank] = true;
  std::string names;
  std::uint32_t missing = 0;
  for (std::uint32_t rank = 0; rank < world; ++rank)
    if (!there[rank] && ++missing <= 8) names += (missing == 1 ? "" : ", ") + std::to_string(rank);
  if (missing > 8) names += " and " + std::to_string(missing - 8) + " more";
  return missing == 0 ? std::string() : (missing == 1 ? "rank " : "ranks ") + names;
}
template <class = void>
task<> await_ranks(cluster* c, std::uint32_t world, duration within) {
  const time_point until = deadline_after(time_now(), within);
  for (duration pause = std::chrono::milliseconds(1);;
       pause = std::min<duration>(2 * pause, std::chrono::milliseconds(20))) {
    const cluster_status found = co_await c->status();
    const std::string missing = missing_ranks(found, world);
    if (missing.empty()) co_return;
    if (time_now() >= until)
      throw error(errc::no_worker,
                  missing + " of " + std::to_string(world) + " did not come within " + seconds_of(within), "rank 0",
                  "its own message says why; --ranks-within waits longer");
    co_await sleep_for(pause);
  }
}
/// As `run_on`, with the other ranks: tells where they find this one, waits for them, runs the body, sends them home.
template <class = void>
task<int> run_with_ranks(task<cluster> connecting, rank_plan plan, program_body& body) {
  cluster* c = nullptr;
  std::exception_ptr failed;
  try {
    c = &body.keep(co_await std::move(connecting));
  } catch (const error& e) {
    // Only listening has a place here.
    if (e.code() != errc::io_error || e.place().empty()) throw;
    failed =
        std::make_exception_ptr(error(errc::unreachable, e.cause(), "rank 0",
                                      "set DTASK_PORT to a port that is free on its host, the same for all ranks"));
  }
  if (failed) std::rethrow_exception(failed);
  int code = exit_code::success;
  std::unique_ptr<meeting_file> file;
  try {
    if (!plan.meeting.empty()) {
      const std::uint16_t port = net::parse_url(c->address()).value().at.port;
      file = std::make_unique<meeting_file>(plan.meeting, meeting{port, plan.cookie, plan.at.world});
    }
    auto coming = await_ranks(c, plan.at.world, plan.within);
    co_await std::move(coming);
    auto running = body.run();
    code = co_await std::move(running);
  } catch (...) {
    failed = std::current_exception();
  }
  file.reset();
  co_await c->close();
  if (failed) std::rethrow_exception(failed);
  co_return code;
}

/// Hears the signals of a rank that works, from before it knows its coordinator on.
class rank_signals {
 public:
  rank_signals() : hearing_(signals_.hear([this](int signal, unsigned count) { heard(signal, count); })) {}
  rank_signals(const rank_signals&) = delete;
  rank_signals& operator=(const rank_signals&) = delete;

  /// From here on signals are the worker's; null: nobody's.
  void hand_to(worker* w) {
    const std::lock_guard hold(guard_);
    worker_ = w;
    if (w != nullptr && wishes_ != 0) w->drain();
  }
  /// Until the time is over; true: sooner, since the process was told to end.
  bool told_to_end_within(duration d) {
    std::unique_lock hold(guard_);
    return changed_.wait_for(hold, d, [this] { return wishes_ != 0; });
  }

 private:
  void heard(int signal, unsigned count) {
    const std::lock_guard hold(guard_);
    wishes_ = count;
    changed_.notify_all();
    if (count > 2 || (count == 2 && worker_ == nullptr)) std::_Exit(exit_code::by_signal + signal);
    if (worker_ == nullptr) return;
    if (count == 1)
      worker_->drain();
    else
      worker_->stop();
  }
  std::mutex guard_;
  std::condition_variable changed_;
  unsigned wishes_ = 0;
  worker* worker_ = nullptr;
  end_signals signals_;
  end_signals::hearing hearing_;  // last: it calls `heard`
};

/// What a rank other than 0 does: finds rank 0, works for it, leaves when it is sent home. Returns the exit code.
inline int serve_rank(const std::string& program, const rank_plan& plan, std::span<const job_entry> jobs,
                      worker_options options) {
  rank_signals signals;
  const time_point until = deadline_after(time_now(), plan.within);
  net::host_port where{plan.at.host, plan.at.port};
  options.cookie = plan.cookie;
  while (!plan.meeting.empty()) {
    if (const auto met = meeting_file::read(plan.meeting)) {
      if (met->world != plan.at.world)
        throw error(errc::refused,
                    "rank 0 there is of a world of " + std::to_string(met->world) + ", and this is rank " +
                        std::to_string(plan.at.rank) + " of " + std::to_string(plan.at.world),
                    plan.meeting, "is another run on the same port? Give each one its own");
      where.port = met->port;
      options.cookie = met->cookie;
      break;
    }
    if (time_now() >= until)
      throw error(errc::unreachable, "rank 0 did not say where it listens within " + seconds_of(plan.within),
                  plan.meeting, "its own message says why; --ranks-within waits longer");
    if (signals.told_to_end_within(std::chrono::milliseconds(5))) return exit_code::success;
  }
  const std::string name = rank_name(plan.at.rank);
  options.name = name;
  options.slots = plan.slots;
  // Rank 0 may be started long after this one; once it has been there, its end is the end of the run.
  options.first_reach_within = std::max<duration>(until - time_now(), std::chrono::seconds(1));
  options.unreachable_after = std::chrono::seconds(4);
  worker w("tcp://" + net::to_string(where), jobs, options);
  signals.hand_to(&w);
  const worker_exit how = w.wait();
  int code = exit_code::success;
  if (how.reason == exit_reason::unreachable) {
    // The worker's own remedies are for who starts workers.
    complain(program, "rank 0 has ended or cannot be reached at " + net::to_string(where) +
                          ": its own message says why (" + how.why.cause() + ")");
    code = exit_code::cluster;
  } else {
    code = explain_end(how, program);
  }
  const bool clean = w.retire();
  signals.hand_to(nullptr);
  if (!clean) {
    // The threads of jobs left behind must not see the program's objects die.
    std::fflush(nullptr);
    std::_Exit(code);
  }
  return code;
}

inline std::uint64_t random_cookie() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device() | 1;
}
/// What follows for this process from what a launcher said.
inline rank_plan plan_rank(launch at, std::uint32_t slots, duration within) {
  rank_plan plan;
  plan.cookie = take_cookie();
  plan.slots = slots;
  plan.within = within;
  if (at.one_host) plan.meeting = meeting_file::path_of(at);
  if (at.one_host && at.rank == 0 && plan.cookie == 0) plan.cookie = random_cookie();
  // For programs that share the cores of a machine among their workers: those that share this one's, where the launcher
  // has bound each rank to its own. No other thread runs yet.
  if (at.local_world != 0) {
    const std::uint64_t sharing = std::uint64_t{at.local_world} * bound_cores() / online_cores();
    ::setenv("DTASK_LOCAL_WORKERS", std::to_string(std::max<std::uint64_t>(sharing, 1)).c_str(), 0);
  }
  plan.at = std::move(at);
  return plan;
}

DTASK_INLINE task<int> succeed_after(task<> body) { return after_body(std::move(body)); }

DTASK_INLINE int run_role(int argc, const char* const* argv, std::span<const job_entry> jobs,
                          const std::function<void(CLI::App&)>& more, program_body& body) {
  const std::string program = short_name(argv[0]);
  CLI::App app(program, program);
  std::string url = "local://";
  std::string launched_by = "auto";
  launch_options launching;
  std::uint32_t rank_slots = 0;
  std::string device;
  duration ranks_within = std::chrono::seconds(120);
  cluster_options options;
  CLI::Option* const on =
      app.add_option<std::string>(
             "--on", url,
             "the cluster: local://N (this process, N slots), spawn://N (N worker processes of this program), "
             "tcp://HOST:PORT (a coordinator)")
          ->type_name("URL")
          ->capture_default_str();
  add_number(app, "--spawn-slots", options.slots, {1, 4096},
             "with spawn://: jobs that each worker process runs at once")
      ->group("Cluster");
  app.add_option<std::string>("--device", device,
                              "what jobs compute on that ask, in workers that this program starts or is: cpu, cuda:N, "
                              "or cuda for one by each worker's rank on its machine; default: DTASK_DEVICE, else cpu")
      ->type_name("DEVICE")
      ->group("Cluster");
  add_seconds(app, "--connect-within", options.client.connect_within, "give up without a connection after this long");
  add_seconds(app, "--coordinator-wait", options.client.coordinator_wait,
              "when the coordinator is gone, wait this long for it to come back");
  app.add_option<std::string>("--launcher", launched_by,
                              "auto: one rank of what mpirun, srun, torchrun, an Indexed Job or DTASK_RANK starts, "
                              "unless --on is given; none: alone")
      ->type_name("WORD:{auto,none}")
      ->capture_default_str()
      ->check([](const std::string& word) {
        return word == "auto" || word == "none" ? std::string() : "'" + word + "' is neither auto nor none";
      })
      ->group("Launcher");
  add_number(app, "--rank-slots", rank_slots, {0, 4096},
             "under a launcher: jobs that each rank runs at once; 0: one per core")
      ->group("Launcher");
  add_seconds(app, "--ranks-within", ranks_within, "under a launcher: all ranks must be there after this long")
      ->group("Launcher");
  app.add_flag("--open-to-all", launching.open_to_all,
               "under a launcher, for ranks on several hosts: rank 0 may listen beyond loopback. DTASK_COOKIE keeps "
               "others out; nothing is encrypted")
      ->group("Launcher");
  add_polling(app, options.polling);
  add_log_level(app, log_level::warning);
  app.footer("Other roles of this program:\n  " + program +
             " worker --connect tcp://HOST:PORT   runs jobs for a coordinator\n  " + program +
             " coordinator [--listen HOST:PORT]   places jobs of clients on workers\nEach has a --help of its own.\n" +
             exit_code_help(", 128 + n ended by signal n (130: Ctrl-C)"));
  more(app);
  if (const auto end = parse(app, argc, argv)) return *end;

  stop_source stop;
  std::atomic<int> ended_by{0};
  std::string name = program;
  options.command = "/proc/self/exe";
  try {
    if (!device.empty() && url.starts_with("tcp://"))
      throw error(errc::invalid_argument, "--device is of workers that this program starts", url,
                  "start the workers of that cluster with --device");
    options.worker.device = device;
    launching.off = on->count() != 0 || launched_by == "none";
    launch at = recognise_launch([](const char* variable) { return std::getenv(variable); }, launching).value();
    std::optional<rank_plan> plan;
    std::string listen;
    if (at.by != launcher::none) {
      const std::uint32_t rank = at.rank;
      name += " (rank " + std::to_string(rank) + ")";
      plan = plan_rank(std::move(at), rank_slots, ranks_within);
      options.worker.polling = options.polling;
      if (rank != 0) return serve_rank(name, *plan, jobs, options.worker);
      url = "local://" + (rank_slots != 0 ? std::to_string(rank_slots) : std::string());
      listen = net::to_string({plan->at.one_host                              ? plan->at.host
                               : plan->at.host.find(':') != std::string::npos ? "::"
                                                                              : "0.0.0.0",
                               plan->at.port});
      options.listen = listen;
      options.cookie = plan->cookie;
      options.coordinator.beyond_loopback = !plan->at.one_host;
      options.worker.name = "rank-0";
      // So that the other ranks are home within 5 s, also where a job ignores its stop.
      options.client.close_within = std::chrono::milliseconds(1500);
    } else {
      options.cookie = take_cookie();
    }
    options.name = program;
    end_signals signals;
    const auto hearing = signals.hear([&](int signal, unsigned count) {
      if (count > 1) std::_Exit(exit_code::by_signal + signal);
      ended_by.store(signal);
      stop.request_stop();
    });
    work_pool& pool = work_pool::shared();
    environment env;
    env.stop = &stop;
    auto connecting = cluster::connect_with(url, options, jobs);
    const int code = sync_wait(
        pool,
        plan ? run_with_ranks(std::move(connecting), std::move(*plan), body) : run_on(std::move(connecting), body),
        env);
    if (ended_by.load() != 0) return exit_code::by_signal + ended_by.load();
    // A result that nobody can read is no success.
    if (code == exit_code::success) flush_stdout();
    return code;
  } catch (...) {
    if (const int signal = ended_by.load()) {
      complain(name, "interrupted; its jobs were cancelled");
      return exit_code::by_signal + signal;
    }
    return explain(name, std::current_exception());
  }
}

DTASK_INLINE int run_program(int argc, const char* const* argv, std::span<const job_entry> jobs,
                             const std::function<void(CLI::App&)>& more, program_body& body) {
  const std::string_view role = argc > 1 ? argv[1] : "";
  if (role != "worker" && role != "coordinator") return run_role(argc, argv, jobs, more, body);
  // The role stands in the program's name in messages and help.
  const std::string name = std::string(argv[0]) + " " + std::string(role);
  std::vector<const char*> rest{name.c_str()};
  rest.insert(rest.end(), argv + 2, argv + argc);
  const int count = static_cast<int>(rest.size());
  return role == "worker" ? worker_role(count, rest.data(), jobs) : coordinator_role(count, rest.data());
}

}  // namespace detail
DTASK_END
