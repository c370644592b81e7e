// SPDX-License-Identifier: BSL-1.0
// Peers that are not dtask, or not this dtask: the coordinator stays up, its memory within what it states, its log at
// one line each.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dtask/wire/frame.hpp"
#include "dtask/wire/outbox.hpp"
#include "jobs.hpp"
#include "site.hpp"
#include "stranger.hpp"

using namespace faults;

namespace {

constexpr std::size_t KiB = 1024, MiB = 1024 * KiB;
constexpr std::uint8_t hello_type = dtask::wire::type_of<dtask::wire::hello>;
constexpr std::uint8_t submit_type = dtask::wire::type_of<dtask::wire::submit>;
constexpr std::uint8_t this_version = static_cast<std::uint8_t>(dtask::wire::protocol_version);
/// What one stranger's frame may cost: four times the largest hello, and 64 KiB.
constexpr std::size_t frame_bound = 4 * std::size_t{dtask::wire::max_hello} + 64 * KiB;
/// What the allocator keeps of the traffic itself: arenas, stacks of the log.
constexpr std::size_t noise_bound = 2 * MiB;

std::string encoded(dtask::wire::message m) {
  dtask::wire::outbox out;
  dtask::wire::limits roomy;
  roomy.frame_body = roomy.frame_blobs = 64u << 20;
  const dtask::error bad = out.push(std::move(m), roomy);
  REQUIRE_MESSAGE(!bad, bad.what());
  std::string bytes;
  while (!out.empty()) {
    std::array<dtask::wire::outbox::slice, 16> slices;
    const std::size_t used = out.gather(slices, 64 * MiB);
    std::size_t total = 0;
    for (std::size_t i = 0; i < used; ++i) {
      bytes.append(reinterpret_cast<const char*>(slices[i].data()), slices[i].size());
      total += slices[i].size();
    }
    out.consumed(total);
  }
  return bytes;
}
dtask::wire::hello client_hello() {
  dtask::wire::hello h;
  h.role = dtask::wire::role::client;
  h.name = "stranger";
  h.host = "here";
  h.jobs.push_back({"echo/1", 1, "(string) -> string"});
  return h;
}

void check_alive(site& s) {
  CHECK_MESSAGE(s.coordinator().running(), s.coordinator().report());
  process& client = s.add_client({"--job", "echo:x"});
  const std::optional<ending> end = client.wait();
  REQUIRE_MESSAGE(end, client.report());
  CHECK_MESSAGE(end->code == 0, client.report() << s.coordinator().report());
}
std::string readable(std::string bytes) {
  std::erase_if(bytes, [](char c) { return c < ' ' || c > '~'; });
  return bytes;
}
std::size_t log_lines(site& s) { return s.coordinator().lines(process::err).size(); }

/// One stranger sends `bytes` and is thrown out, with one line in the log that says `because`.
void check_thrown_out(site& s, std::string_view bytes, std::string_view because, bool keeps_silent = false) {
  const std::size_t before = s.coordinator().resident_memory(), lines = log_lines(s);
  const std::size_t said = s.coordinator().text(process::err).size();  // a time in it may look like `because`
  {
    stranger peer(s.port());
    peer.send(bytes);
    if (!keeps_silent) peer.finish();
    CHECK(peer.wait_closed());
  }
  CHECK_MESSAGE(s.coordinator().wait_for(process::err, because, patience, said), "no line with '"
                                                                                     << because << "'\n"
                                                                                     << s.coordinator().report());
  CHECK_MESSAGE(log_lines(s) == lines + 1, s.coordinator().report());
  CHECK_MESSAGE(s.coordinator().peak_memory() <= before + frame_bound + noise_bound,
                "peak " << s.coordinator().peak_memory() << " after " << before);
}

}  // namespace

TEST_CASE("bytes that are no frame: thrown out, one line each") {
  site s({"--hello-within", "0.5"});
  s.add_worker();
  SUBCASE("HTTP") { check_thrown_out(s, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "it looks like HTTP"); }
  SUBCASE("TLS") {
    check_thrown_out(s, std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + noise(1, 200),
                     "it looks like TLS");
  }
  SUBCASE("SSH") { check_thrown_out(s, "SSH-2.0-OpenSSH_9.2p1\r\n", "it looks like SSH"); }
  SUBCASE("nothing but a closed connection") { check_thrown_out(s, "", "closed by the peer"); }
  SUBCASE("one byte, then silence") { check_thrown_out(s, "D", "hello", true); }
  SUBCASE("half a frame, then silence") {
    check_thrown_out(s, frame_head(this_version, hello_type, 1000).substr(0, 20), "hello", true);
  }
  SUBCASE("a whole head without its body, then silence") {
    check_thrown_out(s, frame_head(this_version, hello_type, 1000) + "abc", "hello", true);
  }
  SUBCASE("a hello that announces 4 GiB") {
    check_thrown_out(s, frame_head(this_version, hello_type, 0xffffffffu), "4294967295");
  }
  SUBCASE("a hello with 4 GiB out of band") {
    check_thrown_out(s, frame_head(this_version, hello_type, 16, 0, std::uint64_t{4} << 30), "4294967296");
  }
  SUBCASE("a submit before the hello") {
    check_thrown_out(s, frame_head(this_version, submit_type, 64), "before the hello");
  }
  SUBCASE("a frame type that does not exist") { check_thrown_out(s, frame_head(this_version, 250, 0), "250"); }
  SUBCASE("flags that nobody knows") {
    check_thrown_out(s, frame_head(this_version, hello_type, 0, 0, 0, 0, 0x80000000u), "flags");
  }
  SUBCASE("a hello cut short inside") {
    check_thrown_out(s, frame_head(this_version, hello_type, 40) + std::string(40, '\xff'), "hello");
  }
  check_alive(s);
}

TEST_CASE("random bytes: a hundred strangers, a hundred lines") {
  site s({"--hello-within", "0.5"});
  s.add_worker();
  const std::size_t before = s.coordinator().resident_memory(), lines = log_lines(s);
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    stranger peer(s.port());
    peer.send(noise(seed, 16 + 997 * seed % 60000));
    CHECK(peer.wait_closed());
  }
  check_alive(s);  // whose own lines come after these
  const std::vector<std::string> all = s.coordinator().lines(process::err);
  std::size_t about_strangers = 0;
  for (std::size_t i = lines; i < all.size(); ++i)
    about_strangers += all[i].find("not a dtask peer") != std::string::npos;
  CHECK_MESSAGE(about_strangers == 100, s.coordinator().report());
  CHECK(s.coordinator().peak_memory() <= before + frame_bound + noise_bound);
}

TEST_CASE("another version of the protocol is refused in one round trip, both versions named") {
  site s;
  s.add_worker();
  stranger peer(s.port());
  peer.send(frame_head(77, hello_type, 64) + std::string(64, 'x'));
  CHECK(peer.wait_closed());
  CHECK_MESSAGE(peer.received().find("version 77") != std::string::npos, "answered: " << peer.received());
  CHECK_MESSAGE(peer.received().find("version " + std::to_string(this_version)) != std::string::npos,
                "answered: " << peer.received());
  CHECK(s.coordinator().wait_for_count(process::err, "version 77", 1));
  check_alive(s);
}

TEST_CASE("another schema is refused as soon as it is known, both sides named, whoever came first") {
  site s;
  const auto check_refused = [](process& client) {
    const std::optional<ending> end = client.wait();
    REQUIRE_MESSAGE(end, client.report());
    const std::vector<answer> all = site::answers(client);
    REQUIRE_MESSAGE(all.size() == 1, client.report());
    CHECK(all[0].code == "schema_mismatch");
    CHECK_MESSAGE(all[0].rest.find("string") != std::string::npos, all[0].rest);
    CHECK_MESSAGE(all[0].rest.find("i32") != std::string::npos, all[0].rest);
  };
  const auto add_other_worker = [&s] {
    auto other = std::make_unique<process>(command{other_app_path(), "worker", "--connect", s.url(), "--slots", "1"});
    const std::size_t before = s.joined();
    REQUIRE_MESSAGE(s.coordinator().wait_for_count(process::err, site::joined_text, before + 1),
                    s.coordinator().report() << other->report());
    return other;
  };
  SUBCASE("the worker") {
    const auto other = add_other_worker();
    check_refused(s.add_client({"--job", "echo:x"}));
  }
  SUBCASE("the client") {
    process& client = s.add_client({"--job", "echo:x"});
    REQUIRE(s.coordinator().wait_for(process::err, "client_joined"));
    const auto other = add_other_worker();
    check_refused(client);
  }
  SUBCASE("a worker with the right types beside it: nothing is refused") {
    const auto other = add_other_worker();
    s.add_worker();
    check_alive(s);
  }
}

TEST_CASE("1,000 connections that never say hello: closed after their time, memory bounded, clients still served") {
  if (raise_open_files() < 1200) {
    MESSAGE("left out: this system allows fewer than 1,200 open files");
    return;
  }
  site s({"--hello-within", "2"});
  s.add_worker();
  const std::size_t before = s.coordinator().resident_memory();
  std::vector<stranger> silent;
  for (int i = 0; i < 1000; ++i) silent.emplace_back(s.port());
  check_alive(s);
  for (stranger& peer : silent) CHECK(peer.wait_closed());
  CHECK_MESSAGE(s.coordinator().peak_memory() <= before + 1000 * 16 * KiB + noise_bound,
                "peak " << s.coordinator().peak_memory() << " after " << before);
  CHECK_MESSAGE(s.coordinator().wait_for_count(process::err, "hello", 1000),
                process::occurrences(s.coordinator().text(process::err), "hello"));
  check_alive(s);
}

TEST_CASE("more connections than the coordinator may open files: it stays up and serves again when they are gone") {
  raise_open_files();
  scratch folder;
  process coordinator(
      {app_path(), "coordinator", "--listen", "127.0.0.1:0", "--port-file", folder.file("port"), "--hello-within", "1"},
      {.open_files = 64});
  const std::optional<std::string> line = folder.wait_for_line("port", coordinator);
  REQUIRE_MESSAGE(line, coordinator.report());
  const auto port = static_cast<std::uint16_t>(std::atoi(line->c_str()));
  {
    std::vector<stranger> silent;
    for (int i = 0; i < 200; ++i) silent.emplace_back(port);
  }
  process worker({app_path(), "worker", "--connect", "tcp://127.0.0.1:" + *line, "--slots", "1"});
  process client({app_path(), "--on", "tcp://127.0.0.1:" + *line, "--job", "echo:x"});
  const std::optional<ending> end = client.wait();
  REQUIRE_MESSAGE(end, coordinator.report() << client.report());
  CHECK_MESSAGE(end->code == 0, coordinator.report() << client.report());
}

TEST_CASE("a peer with a right hello that then lies: it alone is thrown out") {
  site s;
  s.add_worker();
  const std::size_t before = s.coordinator().resident_memory();
  const auto after_hello = [&s](std::string_view bytes) {
    stranger peer(s.port());
    peer.send(encoded(client_hello()));
    while (peer.received().size() < dtask::wire::frame_header::size && peer.receive()) {
    }
    peer.take();
    peer.send(bytes);
    peer.finish();
    CHECK(peer.wait_closed());
  };
  dtask::wire::submit job;
  job.call = 1;
  SUBCASE("a frame of 4 GiB") { after_hello(frame_head(this_version, submit_type, 0xffffffffu)); }
  SUBCASE("a job that its hello does not name") {
    job.job = 4000;
    after_hello(encoded(job));
  }
  SUBCASE("an argument of 2^60 bytes, announced") {
    job.arguments.transfer = 1;
    job.arguments.lengths = {std::uint64_t{1} << 60};
    after_hello(encoded(job));
  }
  SUBCASE("announced lengths whose sum overflows") {
    job.arguments.transfer = 1;
    job.arguments.lengths.assign(1000, std::uint64_t{1} << 62);
    after_hello(encoded(job));
  }
  SUBCASE("a piece of a payload that nobody announced") {
    dtask::wire::chunk piece;
    piece.transfer = 99;
    piece.data = dtask::bytes::copy("abc", 3);
    after_hello(encoded(piece));
  }
  SUBCASE("more transfers at once than agreed") {
    std::string all;
    for (std::uint64_t i = 1; i <= 10000; ++i) {
      job.call = i;
      job.arguments.transfer = i;
      job.arguments.lengths = {1 << 20};
      all += encoded(job);
    }
    after_hello(all);
  }
  SUBCASE("the same call twice") {
    job.call = 7;
    after_hello(encoded(job) + encoded(job));
  }
  SUBCASE("messages of a worker from a client") {
    dtask::wire::done end;
    end.job = 1;
    end.fence = 1;
    after_hello(encoded(end) + encoded(dtask::wire::started{1, 1}) + encoded(dtask::wire::slots{1000000, 0}));
  }
  SUBCASE("a second hello") { after_hello(encoded(client_hello())); }
  CHECK_MESSAGE(s.coordinator().peak_memory() <= before + 4 * (2 * MiB) + 64 * KiB + noise_bound,
                "peak " << s.coordinator().peak_memory() << " after " << before);
  check_alive(s);
}

TEST_CASE("hostile arguments: the worker answers with the cause, keeps its memory and goes on") {
  site s;
  process& worker = s.add_worker();
  check_alive(s);
  const dtask::job_entry* target = nullptr;
  for (const dtask::job_entry& e : jobs::entries())
    if (e.name == "count_words/1") target = &e;
  REQUIRE(target != nullptr);
  dtask::wire::hello hello = client_hello();
  hello.jobs = {{std::string(target->name), target->schema, target->signature}};

  constexpr std::size_t body = 512 * KiB;
  const auto counts = [](std::vector<std::uint64_t> first, std::size_t then) {
    first.resize(first.size() + then);
    return std::string(reinterpret_cast<const char*>(first.data()), first.size() * sizeof first[0]);
  };
  std::string argument, because;
  SUBCASE("2^60 lists") {
    argument = counts({std::uint64_t{1} << 60}, body / 8);
    because = "a count larger than the rest of the value";
  }
  SUBCASE("one list of 2^61 words") {
    argument = counts({1, std::uint64_t{1} << 61}, body / 8);
    because = "a count larger than the rest of the value";
  }
  SUBCASE("one word of 2^63 - 1 letters") {
    argument = counts({1, 1, ~std::uint64_t{0} >> 1}, body / 8);
    because = "a count larger than the rest of the value";
  }
  SUBCASE("one word of 2^63 - 1 letters out of band") {
    argument = counts({1, 1, ~std::uint64_t{0}}, body / 8);
    because = "an out-of-band block that was not sent";
  }
  SUBCASE("65,536 words without a letter: four times their size in memory") {
    argument = counts({1, body / 8}, body / 8);
    because = "more memory needed than the size of the value justifies";
  }
  SUBCASE("cut short") {
    argument = counts({3}, 1);
    because = "the value is truncated";
  }
  SUBCASE("more than the value") {
    argument = counts({0, 1}, 0);
    because = "bytes after the end of the value";
  }
  const std::size_t before = worker.resident_memory();
  stranger peer(s.port());
  dtask::wire::submit job;
  job.call = 1;
  job.arguments.whole.body = dtask::bytes::copy(argument);
  peer.send(encoded(hello));
  REQUIRE(peer.receive());
  peer.send(encoded(job));
  while (peer.received().find(because) == std::string::npos && peer.receive()) {
  }
  CHECK_MESSAGE(peer.received().find("the arguments cannot be decoded: " + because) != std::string::npos,
                "answered: " << readable(peer.received()) << '\n'
                             << s.coordinator().report() << worker.report());
  CHECK_MESSAGE(worker.peak_memory() <= before + 4 * body + 64 * KiB + noise_bound,
                "peak " << worker.peak_memory() << " after " << before);
  CHECK(worker.running());
  check_alive(s);
}

TEST_CASE("mutated frames of a peer with a right hello: whatever they do, the coordinator serves the next client") {
  site s({"--hello-within", "0.5"});
  s.add_worker();
  dtask::wire::submit job;
  job.arguments.whole.body = dtask::bytes::copy("0123456789", 10);
  std::string good = encoded(client_hello());
  const std::size_t opening = good.size();
  for (std::uint64_t call = 1; call <= 4; ++call) {
    job.call = call;
    good += encoded(job);
  }
  good += encoded(dtask::wire::cancel{2}) + encoded(dtask::wire::credit{1 << 20}) +
          encoded(dtask::wire::acknowledge{{1, 2, 3}}) + encoded(dtask::wire::ping{5}) +
          encoded(dtask::wire::broadcast{1, dtask::blob_kind::broadcast, "weights", {1, 2}, job.arguments});
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    std::string bad = good;
    // Half of them only after the hello, so that they are let in.
    const std::size_t from = seed % 2 == 0 ? opening : 0;
    for (std::uint64_t flips = 1 + random() % 4; flips > 0; --flips)
      bad[from + random() % (bad.size() - from)] = static_cast<char>(static_cast<unsigned char>(random() & 0xff));
    stranger peer(s.port());
    if (from != 0) {
      peer.send(bad.substr(0, opening));
      CHECK(peer.receive());  // the welcome: what came before it would be refused, whatever it was
      bad.erase(0, opening);
    }
    peer.send(bad);
    peer.finish();
    CHECK(peer.wait_closed());
  }
  check_alive(s);
}
