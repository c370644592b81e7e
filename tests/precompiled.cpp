// SPDX-License-Identifier: BSL-1.0
// The unit of the precompiled headers, which are what counts here.
