// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN
namespace net {

DTASK_INLINE std::string to_string(const host_port& at) {
  const bool v6 = at.host.find(':') != std::string::npos;
  return (v6 ? "[" + at.host + "]" : at.host) + ":" + std::to_string(at.port);
}
DTASK_INLINE std::string to_string(const url& u) {
  if (u.kind == url::scheme::tcp) return "tcp://" + to_string(u.at);
  return std::string(u.kind == url::scheme::local ? "local://" : "spawn://") +
         (u.count == 0 ? std::string() : std::to_string(u.count));
}

}  // namespace net
namespace net::detail {

DTASK_INLINE bool read_number(std::string_view text, std::uint32_t most, std::uint32_t& out) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return false;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  return ec == std::errc() && end == text.data() + text.size() && out <= most;
}
DTASK_INLINE error bad_address(std::string_view text, std::string_view why, std::string_view remedy) {
  return error(errc::invalid_argument, "cannot read the address \"" + escaped(text, 200) + "\": " + std::string(why),
               {}, std::string(remedy));
}

}  // namespace net::detail
namespace net {

DTASK_INLINE result<host_port> parse_host_port(std::string_view text) {
  constexpr std::string_view remedy =
      "write HOST:PORT, an IPv6 address in brackets, as in 127.0.0.1:7700 or [::1]:7700";
  std::string_view host, port;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return detail::bad_address(text, "the bracket is not closed", remedy);
    host = text.substr(1, close - 1);
    if (close + 1 >= text.size() || text[close + 1] != ':')
      return detail::bad_address(text, "no port after the bracket", remedy);
    port = text.substr(close + 2);
  } else {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return detail::bad_address(text, "no port", remedy);
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (host.find(':') != std::string_view::npos)
      return detail::bad_address(text, "an IPv6 address without brackets", remedy);
  }
  if (host.empty()) return detail::bad_address(text, "no host", remedy);
  if (host.size() > 255) return detail::bad_address(text, "the host is too long", remedy);
  for (const char c : host)
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f || c == '/' || c == '@' ||
        c == '[' || c == ']')
      return detail::bad_address(text, "the host has a character that no host has", remedy);
  std::uint32_t number = 0;
  if (!detail::read_number(port, 65535, number))
    return detail::bad_address(text, "the port is not a number from 0 to 65535", remedy);
  return host_port{std::string(host), static_cast<std::uint16_t>(number)};
}
DTASK_INLINE result<url> parse_url(std::string_view text) {
  constexpr std::string_view remedy = "write tcp://HOST:PORT, local://N or spawn://N";
  const std::size_t mark = text.find("://");
  if (mark == std::string_view::npos) return detail::bad_address(text, "no scheme", remedy);
  const std::string_view scheme = text.substr(0, mark), rest = text.substr(mark + 3);
  url out;
  if (scheme == "tcp") {
    out.kind = url::scheme::tcp;
    auto at = parse_host_port(rest.ends_with('/') ? rest.substr(0, rest.size() - 1) : rest);
    if (!at) return at.error();
    out.at = std::move(at).value();
    return out;
  }
  if (scheme != "local" && scheme != "spawn") return detail::bad_address(text, "unknown scheme", remedy);
  out.kind = scheme == "local" ? url::scheme::local : url::scheme::spawn;
  if (rest.empty()) return out;
  constexpr std::uint32_t most = 4096;
  if (!detail::read_number(rest, most, out.count) || out.count == 0)
    return detail::bad_address(text, "N is not a number from 1 to 4096", remedy);
  return out;
}

}  // namespace net
DTASK_END
