// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <string>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace sim {

/// Who is told what happens to simulated processes beside their own machines: a test's books, say. Thread safety: none.
class observer {
 public:
  /// A process was frozen or killed: what depends on all going well need not hold.
  virtual void disturbed() = 0;
  /// Something that never may happen, in words.
  virtual void violated(std::string what) = 0;

 protected:
  ~observer() = default;
};

}  // namespace sim
DTASK_END
