// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <functional>
#include <memory>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/result.hpp"
#include "dtask/control/action.hpp"
#include "dtask/control/machine_driver.hpp"
#include "dtask/net/link.hpp"
#include "dtask/net/turn.hpp"
#include "dtask/node/detail/io_process.hpp"

DTASK_BEGIN
namespace detail {

/// Makes a connection to the coordinator. Called on the node's thread; the answer comes there too, later. Destroying
/// what it returns gives the attempt up.
using link_taker = std::function<void(result<std::unique_ptr<net::link>>)>;
using dialer = std::function<std::shared_ptr<void>(link_taker)>;

/// The driver of a machine that dials: of a worker or a client. `Self` has `weak_from_this`.
template <class Self, class Machine, class Action>
class dialing_driver : public control::machine_driver<Self, Machine, Action, io_process> {
 protected:
  dialing_driver(net::executor where, dialer dial)
      : control::machine_driver<Self, Machine, Action, io_process>(where), dial_(std::move(dial)) {}
  ~dialing_driver() = default;

  void act(control::dial&) {
    dialing_ = dial_([weak = static_cast<Self&>(*this).weak_from_this()](result<std::unique_ptr<net::link>> made) {
      const auto self = weak.lock();
      if (!self) return;
      // Not destroyed here: this is called by it.
      net::post(self->where(), [done = std::move(self->dialing_)] {});
      self->dialed(std::move(made));
    });
  }
  /// Gives an attempt that is under way up.
  void stop_dialing() noexcept { dialing_.reset(); }

 private:
  dialer dial_;
  std::shared_ptr<void> dialing_;
};

}  // namespace detail
DTASK_END
