// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAStream.h>

#include "dtask/base/config.hpp"
#include "dtask/cuda/runtime.hpp"

DTASK_BEGIN
namespace cuda {

/// `co_await stream_done(s)`: until all that was put into the stream before is done. By default the calling thread's
/// current stream of its current device.
///
/// The task goes on on its own scheduler. Throws `device_error` where work on the device failed, at this place or
/// before. Work on a device cannot be taken back: a stop or deadline waits for the device too, and then throws
/// `error(cancelled)` or `error(deadline_exceeded)`, so that what the task owns (tensors, pinned memory) lives as long
/// as the device uses it. There is no other bound: a kernel that never ends is waited for. Awaiting orders nothing on
/// the device: for work on another stream use `CUDAEvent::block`, which does not come back to the CPU.
///
/// `how`: see `notice`. An await costs an event, which is recorded and looked at; where the stream is idle nothing is
/// waited for. Thread-safe as CUDA's streams are.
inline auto stream_done(c10::cuda::CUDAStream s = c10::cuda::getCurrentCUDAStream(), notice how = notice::polling) {
  return watch().stream_done(s, how);
}

/// `co_await event_done(e)`: until the work before the last `e.record()` is done; at once for one that was never
/// recorded. `e` stays where it is, and is not recorded anew, until then. Otherwise as `stream_done`.
inline auto event_done(c10::cuda::CUDAEvent& e) { return watch().event_done(e); }

}  // namespace cuda
DTASK_END
