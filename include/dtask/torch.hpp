// SPDX-License-Identifier: BSL-1.0
#pragma once
/// LibTorch: tensors as arguments and results of jobs, weights in safetensors files, memory that is kept.
#include "dtask/torch/batch.hpp"
#include "dtask/torch/cpu_device.hpp"
#include "dtask/torch/safetensors_tensor.hpp"
#include "dtask/torch/tensor_bytes.hpp"
#include "dtask/torch/tensor_codec.hpp"
#include "dtask/torch/tensor_dataset.hpp"
#include "dtask/torch/thread_share.hpp"
#include "dtask/torch/torch_task.hpp"
