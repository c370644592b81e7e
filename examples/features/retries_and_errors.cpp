// SPDX-License-Identifier: BSL-1.0
// What a job throws arrives with its type, words and place; a call says what shall be tried again, and how long.
#include <chrono>
#include <cstdio>
#include <dtask/main.hpp>
#include <map>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

// A service that is busy at first, knows three currencies and answers questions about one of them never.
inline dtask::task<int> pence_per_unit(dtask::job_context& ctx, std::string currency) {
  static const std::map<std::string, int> rates = {{"EUR", 86}, {"USD", 79}};
  if (currency == "XAU") co_await dtask::sleep_for(1h);
  if (!rates.contains(currency)) throw std::invalid_argument("no currency '" + currency + "'");
  if (ctx.attempt() < 3) throw std::runtime_error("busy");
  co_return rates.at(currency);
}
using rate_job = dtask::function_job<"pence_per_unit/1", &pence_per_unit, dtask::idempotent>;

dtask::task<> body(dtask::cluster& c) {
  try {
    const int rate = co_await c.call<rate_job>("EUR");
    std::printf("EUR: %d\n", rate);
  } catch (const dtask::remote_error& e) {  // also a dtask::error, with a code, a place and a remedy
    std::printf("EUR: %s of type %s\n", e.message().c_str(), e.type().c_str());
  }

  // After a lost worker an idempotent job runs again by itself. What it throws is an answer, unless the call says more.
  auto patient = c.with({.retries = 4, .retry_exceptions = true, .backoff = 1ms});
  const auto rate = co_await patient.try_call<rate_job>("EUR");
  std::printf("EUR: %d after %u attempts\n", rate.value(), rate.attempts());

  const auto none = co_await patient.try_call<rate_job>("GBX");  // tried in vain as often as allowed
  if (!none) std::printf("GBX: %s after %u attempts\n", none.error().message().c_str(), none.attempts());

  auto hasty = c.with({.deadline = 50ms});  // from here to the outcome, whatever happens; the job is stopped then
  const auto late = co_await hasty.try_call<rate_job>("XAU");
  if (!late) std::printf("XAU: %s\n", dtask::to_string(late.error().code()).data());
}

int main(int argc, char** argv) { return dtask::main<dtask::registry<rate_job>>(argc, argv, body); }

// Run: --on local://2
// Run: --on spawn://2
// Output:
// EUR: busy of type std::runtime_error
// EUR: 86 after 3 attempts
// GBX: no currency 'GBX' after 5 attempts
// XAU: deadline_exceeded
