// SPDX-License-Identifier: BSL-1.0
#pragma once
/// Loading data without LibTorch: pictures, IDX arrays, safetensors.
#include "dtask/data/checkpoint_folder.hpp"
#include "dtask/data/decode_options.hpp"
#include "dtask/data/decode_picture.hpp"
#include "dtask/data/idx.hpp"
#include "dtask/data/picture.hpp"
#include "dtask/data/replace_file.hpp"
#include "dtask/data/resize.hpp"
#include "dtask/data/safetensors.hpp"
