// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN
namespace net::detail {

DTASK_INLINE turn turn_of(std::unique_ptr<kept_call> call) {
  return {std::shared_ptr<kept_call>(std::move(call)),
          [](void* self, const boost::system::error_code& ec) { static_cast<kept_call*>(self)->run(ec); }};
}

}  // namespace net::detail
DTASK_END
