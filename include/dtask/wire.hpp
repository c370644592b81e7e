// SPDX-License-Identifier: BSL-1.0
#pragma once
/// wire/: what is on the socket. Frames, messages, limits, the encoder's outbox, the incremental decoder, transfers in
/// chunks, and the link that node/ and sim/ drive.

/// @namespace dtask::wire
/// Internal to the library: frames, messages and the link that carries them. The public headers of other rooms do not
/// name it, any release may change it, and the reference leaves it out.
#include "dtask/wire/decoder.hpp"
#include "dtask/wire/frame.hpp"
#include "dtask/wire/limits.hpp"
#include "dtask/wire/link.hpp"
#include "dtask/wire/message.hpp"
#include "dtask/wire/one_of.hpp"
#include "dtask/wire/outbox.hpp"
#include "dtask/wire/row.hpp"
#include "dtask/wire/transfer.hpp"
