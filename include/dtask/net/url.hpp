// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/log.hpp"
#include "dtask/base/result.hpp"

DTASK_BEGIN
namespace net {

/// A host and a TCP port: `127.0.0.1:7700`, `[::1]:7700`, `node7:0`. An IPv6 address is held without its brackets.
struct host_port {
  std::string host;
  std::uint16_t port = 0;
  friend bool operator==(const host_port&, const host_port&) = default;
};

/// As it is written: IPv6 addresses in brackets.
std::string to_string(const host_port& at);

/// Where a cluster is.
struct url {
  enum class scheme : std::uint8_t {
    tcp,    ///< `tcp://HOST:PORT`: a coordinator that listens there
    local,  ///< `local://N`: everything in this process, N slots
    spawn,  ///< `spawn://N`: N worker processes started by this one
  };
  url::scheme kind = scheme::local;
  host_port at;             ///< of tcp
  std::uint32_t count = 0;  ///< of local and spawn; 0: as many as the machine has cores
  friend bool operator==(const url&, const url&) = default;
};

std::string to_string(const url& u);

namespace detail {
/// A decimal number without sign or leading space, at most `most`.
bool read_number(std::string_view text, std::uint32_t most, std::uint32_t& out);
error bad_address(std::string_view text, std::string_view why, std::string_view remedy);
}  // namespace detail

/// Reads `HOST:PORT`. Port 0 is accepted: it means any free port to a listener. `invalid_argument` says what is wrong.
result<host_port> parse_host_port(std::string_view text);

/// Reads the address of a cluster. `invalid_argument` says what is wrong and what can be written.
result<url> parse_url(std::string_view text);

}  // namespace net
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/net/impl/url.ipp"
#endif
