// SPDX-License-Identifier: BSL-1.0
#include "dtask/net/url.hpp"

#include <string_view>

#include "fuzz/target.hpp"

namespace {

// What is refused is shown: it must not reach a terminal as it came.
void check_refusal(const dtask::error& why) {
  fuzz::require(why.code() == dtask::errc::invalid_argument && !why.remedy().empty(), "a refusal without its remedy");
  for (const char c : std::string_view(why.what()))
    fuzz::require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "a control character in a message");
}

}  // namespace

// Addresses: what is read and written is read as the same again; what is refused is shown escaped, with a remedy.
bool fuzz::url(input in) {
  const std::string_view text(reinterpret_cast<const char*>(in.data()), in.size());
  if (const auto at = dtask::net::parse_host_port(text)) {
    const auto again = dtask::net::parse_host_port(to_string(at.value()));
    require(again && again.value() == at.value(), "host and port change when they are written");
  } else {
    check_refusal(at.error());
  }
  const auto read = dtask::net::parse_url(text);
  if (!read) return check_refusal(read.error()), false;
  const auto again = dtask::net::parse_url(to_string(read.value()));
  require(again && again.value() == read.value(), "an address changes when it is written");
  return true;
}
