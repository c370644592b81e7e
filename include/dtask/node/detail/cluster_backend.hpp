#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/job/registry.hpp"
#include "dtask/node/cluster_options.hpp"
#include "dtask/node/detail/client_port.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace detail {

/// Everything behind one `cluster`, without the headers that it takes.
class cluster_backend {
 public:
  virtual ~cluster_backend() = default;
  virtual std::shared_ptr<client_port> client() const noexcept = 0;
  /// The processes that spawn:// has started and that live.
  virtual std::vector<std::uint32_t> pids() const = 0;
  /// Ends everything of this process, waiting for threads and processes. After the client has closed. Not from the node's thread.
  virtual void take_down() = 0;
};

/// Throws `error`: `invalid_argument` (the address), `io_error` (a process that cannot be started, no port).
std::shared_ptr<cluster_backend> make_backend(std::string_view url, wire::role role, std::span<const job_entry> entries, const cluster_options& options);

}  // namespace detail
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/node/impl/cluster_backend.ipp"
#endif
