// SPDX-License-Identifier: BSL-1.0
#pragma once
// A TCP proxy that hurts: it stands between programs under test and cuts, halves, freezes and chops what passes.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace dtask_test {

/// What it does to the connections, after as many reads as its seed says: however fast the programs are, they are hurt.
enum class hurt : std::uint8_t {
  nothing,
  cut,     ///< one connection ends, with FIN or RST
  half,    ///< half of what was read passes, then the connection ends
  freeze,  ///< one connection stands still for up to 7 s
  small,   ///< reads of a few bytes, and cuts
};

/// One thread, loopback alone, at most `most` connections at once. Destroying it ends them all.
class hurting_proxy {
 public:
  static constexpr std::size_t most = 256;

  hurting_proxy(std::uint16_t target, std::uint64_t seed, hurt how = hurt::nothing)
      : target_(target), draw_(seed), how_(how) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sockaddr_in at = loopback(0);
    socklen_t size = sizeof at;
    if (listener_ < 0 || wake_ < 0 || ::bind(listener_, reinterpret_cast<sockaddr*>(&at), size) != 0 ||
        ::listen(listener_, 64) != 0 || ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size) != 0)
      throw std::system_error(errno, std::generic_category(), "hurting_proxy");
    port_ = ntohs(at.sin_port);
    plan_next();
    thread_ = std::thread([this] { run(); });
  }
  hurting_proxy(const hurting_proxy&) = delete;
  hurting_proxy& operator=(const hurting_proxy&) = delete;
  ~hurting_proxy() {
    tell([this] { ended_ = true; });
    thread_.join();
    for (auto& p : pairs_) end(*p, false);
    ::close(listener_);
    ::close(wake_);
  }

  std::uint16_t port() const noexcept { return port_; }
  std::string url() const { return "tcp://127.0.0.1:" + std::to_string(port_); }
  /// How often it has hurt so far.
  unsigned hurts() const noexcept { return hurts_; }

  /// Ends all connections now. From any thread.
  void cut_all() {
    tell([this] { cut_all_ = true; });
  }
  /// Stops hurting: what is frozen goes on. From any thread.
  void calm() {
    tell([this] { how_ = hurt::nothing; });
  }

 private:
  using clock = std::chrono::steady_clock;
  struct way {
    int from = -1, to = -1;
    std::vector<char> held;
    std::size_t done = 0;
    bool ended = false;  // nothing more comes from there
  };
  struct pair {
    std::array<way, 2> ways;
    clock::time_point frozen_until{};
    bool over = false;
  };

  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(port);
    return at;
  }
  template <class F>
  void tell(F what) {
    {
      const std::lock_guard hold(guard_);
      what();
    }
    const std::uint64_t one = 1;
    if (::write(wake_, &one, sizeof one) < 0 && errno != EAGAIN) std::abort();
  }
  std::uint64_t below(std::uint64_t n) { return draw_() % n; }
  void plan_next() { reads_left_ = how_ == hurt::freeze ? 100 + below(600) : 30 + below(300); }

  void end(pair& p, bool reset) {
    if (std::exchange(p.over, true)) return;
    for (const way& w : p.ways) {
      if (reset) {
        const linger at_once{1, 0};
        ::setsockopt(w.from, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      }
      ::close(w.from);
    }
  }
  void accept_one() {
    const int in = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (in < 0) return;
    const int out = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in at = loopback(target_);
    if (pairs_.size() >= most || out < 0 || ::connect(out, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) {
      ::close(in);
      if (out >= 0) ::close(out);
      return;
    }
    ::fcntl(out, F_SETFL, O_NONBLOCK);
    const int yes = 1;
    for (const int each : {in, out}) ::setsockopt(each, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    auto p = std::make_unique<pair>();
    p->ways[0].from = p->ways[1].to = in;
    p->ways[0].to = p->ways[1].from = out;
    pairs_.push_back(std::move(p));
  }
  void read(pair& p, way& w) {
    static constexpr std::array<std::size_t, 5> sizes{1, 7, 100, 4096, 65536};
    w.held.resize(how_ == hurt::small ? sizes[below(sizes.size())] : 65536);
    w.done = 0;
    const ssize_t n = ::recv(w.from, w.held.data(), w.held.size(), 0);
    w.held.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    if (n > 0 && reads_left_ != 0) --reads_left_;
    if (n == 0) w.ended = true;
    if (n < 0 && errno != EAGAIN && errno != EINTR) return end(p, false);
    if (n > 1 && how_ == hurt::half && below(200) == 0) {
      ++hurts_;
      w.held.resize(w.held.size() / 2);
      write(p, w);
      end(p, below(2) == 0);
    }
  }
  void write(pair& p, way& w) {
    if (p.over) return;
    const ssize_t n = ::send(w.to, w.held.data() + w.done, w.held.size() - w.done, MSG_NOSIGNAL);
    if (n > 0) w.done += static_cast<std::size_t>(n);
    if (n < 0 && errno != EAGAIN && errno != EINTR) return end(p, false);
    if (w.done == w.held.size()) w.held.clear();
  }
  void hurt_one() {
    plan_next();
    if (pairs_.empty()) return;
    pair& p = *pairs_[below(pairs_.size())];
    if (how_ == hurt::cut || how_ == hurt::small) {
      ++hurts_;
      end(p, below(2) == 0);
    } else if (how_ == hurt::freeze) {
      static constexpr std::array<unsigned, 4> lengths{500, 2000, 4000, 7000};
      ++hurts_;
      p.frozen_until = clock::now() + std::chrono::milliseconds(lengths[below(lengths.size())]);
    }
  }

  void run() {
    std::vector<pollfd> fds;
    std::vector<std::pair<pair*, way*>> whose;
    for (;;) {
      {
        const std::lock_guard hold(guard_);
        if (ended_) return;
        const clock::time_point now = clock::now();
        if (std::exchange(cut_all_, false)) {
          for (auto& p : pairs_) end(*p, below(2) == 0);
          ++hurts_;
        }
        if (how_ == hurt::nothing)
          for (auto& p : pairs_) p->frozen_until = {};
        else if (reads_left_ == 0)
          hurt_one();
        std::erase_if(pairs_, [](const auto& p) { return p->over; });
        fds.assign({{listener_, POLLIN, 0}, {wake_, POLLIN, 0}});
        whose.assign(2, {nullptr, nullptr});
        for (auto& p : pairs_) {
          if (now < p->frozen_until) continue;
          for (way& w : p->ways) {
            if (w.held.empty() && w.ended) continue;
            fds.push_back({w.held.empty() ? w.from : w.to, static_cast<short>(w.held.empty() ? POLLIN : POLLOUT), 0});
            whose.emplace_back(p.get(), &w);
          }
        }
      }
      ::poll(fds.data(), fds.size(), 20);
      const std::lock_guard hold(guard_);
      std::uint64_t ignored = 0;
      if (fds[1].revents != 0 && ::read(wake_, &ignored, sizeof ignored) < 0 && errno != EAGAIN) return;
      for (std::size_t i = 2; i < fds.size(); ++i) {
        auto& [p, w] = whose[i];
        if (fds[i].revents == 0 || p->over) continue;
        if (w->held.empty()) read(*p, *w);
        if (!p->over && !w->held.empty()) write(*p, *w);
        if (p->ways[0].ended && p->ways[1].ended && p->ways[0].held.empty() && p->ways[1].held.empty()) end(*p, false);
        if (!p->over && w->ended && w->held.empty()) ::shutdown(w->to, SHUT_WR);
      }
      if (fds[0].revents != 0) accept_one();
    }
  }

  const std::uint16_t target_;
  std::uint16_t port_ = 0;
  int listener_ = -1;
  int wake_ = -1;
  std::mt19937_64 draw_;
  std::mutex guard_;
  hurt how_;
  bool cut_all_ = false;
  bool ended_ = false;
  std::atomic<unsigned> hurts_{0};
  std::uint64_t reads_left_ = 0;  // until the next one is hurt
  std::vector<std::unique_ptr<pair>> pairs_;
  std::thread thread_;
};

}  // namespace dtask_test
