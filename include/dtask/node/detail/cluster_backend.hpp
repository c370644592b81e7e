// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/node/detail/client_port.hpp"

DTASK_BEGIN
namespace detail {

/// Everything behind one `cluster`, without the headers that it takes.
class cluster_backend {
 public:
  virtual ~cluster_backend() = default;
  virtual std::shared_ptr<client_port> client() const noexcept = 0;
  /// The processes that spawn:// has started and that live.
  virtual std::vector<std::uint32_t> pids() const = 0;
  /// Where the coordinator of this process listens; empty: it does not.
  virtual std::string address() const = 0;
  /// What the client and the process hold. Not from the node's thread.
  virtual memory_use memory() = 0;
  /// Ends everything of this process, waiting for threads and processes. After the client has closed. Not from the
  /// node's thread.
  virtual void take_down() = 0;
};

}  // namespace detail
DTASK_END
