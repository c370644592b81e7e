// SPDX-License-Identifier: BSL-1.0
#pragma once
/// The words that all rooms share. Standard library only.
#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/effect.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/log.hpp"
#include "dtask/base/payload.hpp"
#include "dtask/base/read_file.hpp"
#include "dtask/base/result.hpp"
#include "dtask/base/retry_policy.hpp"
#include "dtask/base/version.hpp"
