// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN
namespace control {

DTASK_INLINE packed_retry::packed_retry(const retry_policy& policy) noexcept
    : backoff_ms(pack(policy.backoff)),
      max_backoff_ms(pack(policy.max_backoff)),
      retries(static_cast<std::uint16_t>(std::min<std::uint32_t>(policy.retries, 0xffff))),
      on_exception(policy.on_exception) {}
DTASK_INLINE retry_policy packed_retry::unpacked() const noexcept {
  return {.retries = retries,
          .backoff = std::chrono::milliseconds(backoff_ms),
          .max_backoff = std::chrono::milliseconds(max_backoff_ms),
          .on_exception = on_exception};
}
DTASK_INLINE std::uint32_t packed_retry::pack(duration d) noexcept {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(ms, 0, 0xffffffffLL));
}

}  // namespace control
DTASK_END
