// SPDX-License-Identifier: BSL-1.0
#pragma once
/// What can travel: jobs, their registry, the codec, outcomes. Includes cereal (core only) and Boost.PFR.
#include "dtask/job/arguments.hpp"
#include "dtask/job/codec.hpp"
#include "dtask/job/decoder.hpp"
#include "dtask/job/encoder.hpp"
#include "dtask/job/fixed_string.hpp"
#include "dtask/job/job.hpp"
#include "dtask/job/job_context.hpp"
#include "dtask/job/outcome.hpp"
#include "dtask/job/registry.hpp"
#include "dtask/job/remote_error.hpp"
#include "dtask/job/schema_writer.hpp"
#include "dtask/job/travels.hpp"
#include "dtask/job/worker_context.hpp"
