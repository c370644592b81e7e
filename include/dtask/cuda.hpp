// SPDX-License-Identifier: BSL-1.0
#pragma once
/// Work on a CUDA device, awaited: streams and events, pinned memory, batches on the device. Included by name.

/// @namespace dtask::cuda
/// Work on CUDA devices, awaited: streams and events, pinned memory, batches on the device.
#include "dtask/cuda/batch_to_device.hpp"
#include "dtask/cuda/copy_stage.hpp"
#include "dtask/cuda/device.hpp"
#include "dtask/cuda/device_error.hpp"
#include "dtask/cuda/event_watch.hpp"
#include "dtask/cuda/lease_pool.hpp"
#include "dtask/cuda/pinned_ring.hpp"
#include "dtask/cuda/poll_schedule.hpp"
#include "dtask/cuda/runtime.hpp"
#include "dtask/cuda/slab_ring.hpp"
#include "dtask/cuda/stream_done.hpp"
#include "dtask/cuda/stream_pool.hpp"
#include "dtask/cuda/worker_device.hpp"
