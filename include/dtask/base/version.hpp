// SPDX-License-Identifier: BSL-1.0
#pragma once
#ifdef DTASK_VERSION_STRING
#error "two copies of dtask in one translation unit: let its include path name one folder"
#endif
/// The version of the library, for `#if` and for the hello of the wire protocol's log lines. The wire protocol has a
/// version of its own (wire/limits.hpp).
#define DTASK_VERSION_MAJOR 0
/// The second number. Before 1.0 a new one may change anything.
#define DTASK_VERSION_MINOR 1
/// The third number.
#define DTASK_VERSION_PATCH 0
/// The three as text.
#define DTASK_VERSION_STRING "0.1.0"
