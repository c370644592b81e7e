#pragma once
/// The whole library with `dtask::main<jobs>`.
#include "dtask/cli.hpp"
#include "dtask/dtask.hpp"
