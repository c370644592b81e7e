// SPDX-License-Identifier: BSL-1.0
#pragma once
/// Loading data without LibTorch: pictures, IDX arrays, safetensors.
#include "dtask/data/bad_sample.hpp"
#include "dtask/data/batch_plan.hpp"
#include "dtask/data/data_loader.hpp"
#include "dtask/data/dataset.hpp"
#include "dtask/data/decode_options.hpp"
#include "dtask/data/decode_picture.hpp"
#include "dtask/data/held_bytes.hpp"
#include "dtask/data/idx.hpp"
#include "dtask/data/loader_options.hpp"
#include "dtask/data/loader_report.hpp"
#include "dtask/data/loader_state.hpp"
#include "dtask/data/permutation.hpp"
#include "dtask/data/picture.hpp"
#include "dtask/data/resize.hpp"
#include "dtask/data/safetensors.hpp"
#include "dtask/data/sample_random.hpp"
