// SPDX-License-Identifier: BSL-1.0
#include "dtask/node/map_stream.hpp"

#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "dtask/node/detail/client_node.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/with_timeout.hpp"

using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t all = 10, too_large = 4;

// The first cannot be encoded.
class some_items final : public dtask::detail::item_source {
 public:
  bool next(dtask::payload&) override {
    if (given_ == all) return false;
    if (given_++ < too_large) throw dtask::error(dtask::errc::too_large, "too large");
    return true;
  }

 private:
  std::uint64_t given_ = 0;
};

dtask::errc next_code(dtask::map_stream<int>& out) {
  const std::optional<dtask::outcome<int>> next = dtask::sync_wait(dtask::with_timeout(out.next(), 20s));
  REQUIRE(next);
  REQUIRE_FALSE(next->has_value());
  return next->error().code();
}

}  // namespace

TEST_CASE("map: one outcome for each item, also where a cancel meets items that could not be encoded") {
  for (const dtask::map_order order : {dtask::ordered, dtask::unordered}) {
    CAPTURE(order == dtask::ordered);
    // The node does nothing until the test lets it, and its coordinator never answers.
    boost::asio::io_context io(1);
    dtask::control::identity who;
    who.jobs.resize(1);
    const auto silent = [](const dtask::detail::link_taker&) { return std::shared_ptr<void>(); };
    const auto client = std::make_shared<dtask::detail::client_node>(io.get_executor(), who,
                                                                     dtask::control::client_options(), silent, 1);
    client->start();
    {
      dtask::map_stream<int> out(dtask::detail::map_core(client, std::make_unique<some_items>(),
                                                         dtask::detail::call_form(), {.order = order, .window = all}));
      REQUIRE(next_code(out) == dtask::errc::too_large);
      out.cancel();
      // Taken before the node hears of the cancel.
      for (std::uint64_t i = 1; i < too_large; ++i) {
        REQUIRE(next_code(out) == dtask::errc::too_large);
        CHECK(out.position() == i);
      }
      io.poll();
      for (std::uint64_t i = too_large; i < all; ++i) {
        REQUIRE(next_code(out) == dtask::errc::cancelled);
        CHECK(out.position() == i);
      }
      CHECK_FALSE(dtask::sync_wait(out.next()));
    }
    client->take_down();
  }
}
