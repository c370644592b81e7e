// SPDX-License-Identifier: BSL-1.0
#include "dtask/cli/status_role.hpp"

#include <doctest/doctest.h>

#include <string>

namespace {
dtask::cluster_status report() {
  dtask::cluster_status r;
  r.up = std::chrono::seconds(2);
  r.queued = 7;
  r.payload_bytes = 3 << 20;
  r.payload_limit = 1 << 30;
  dtask::worker_status w;
  w.id = 5;
  w.name = "one\n\"two\"";
  w.host = "host";
  w.pid = 42;
  w.slots = 2;
  w.state = "up";
  w.memory.idle = 5 << 20;
  r.memory.resident = 77 << 20;
  r.workers.push_back(w);
  return r;
}
}  // namespace

TEST_CASE("status: a table, whatever names workers give themselves") {
  const std::string table = dtask::status_table(report());
  CHECK(table.find("queued 7") != std::string::npos);
  CHECK(table.find("3.0 MiB of 1.0 GiB") != std::string::npos);
  CHECK(table.find("host/one\\n\"two\"") != std::string::npos);
  CHECK(table.find("resident 77.0 MiB") != std::string::npos);
  CHECK(table.find("5.0 MiB") != std::string::npos);
}

TEST_CASE("status: JSON in one line") {
  const std::string json = dtask::status_json(report());
  CHECK(json.find('\n') == std::string::npos);
  CHECK(json.find("\"name\":\"one\\u000a\\\"two\\\"\"") != std::string::npos);
  CHECK(json.find("\"queued\":7") != std::string::npos);
  CHECK(json.find("\"resident\":80740352}") != std::string::npos);
  CHECK(json.front() == '{');
  CHECK(json.back() == '}');
}
