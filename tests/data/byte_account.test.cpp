// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/detail/byte_account.hpp"

#include <doctest/doctest.h>

#include <cstdint>

namespace {
using dtask::detail::byte_account;
using dtask::detail::byte_budget;
}  // namespace

TEST_CASE("byte_account: before a size is known, the oldest batch alone is let in") {
  byte_budget budget(1000);
  byte_account account(budget);
  byte_account::part oldest{0}, next{0};
  CHECK(account.let_in(oldest, 4, 0, true) == 1);
  CHECK(account.let_in(next, 4, 0, false) == 0);
  CHECK(account.let_in(next, 1, 300, false) == 300);  // what the dataset expects is known
  budget.saw_sample(100);
  budget.saw_batch(80, 4);
  CHECK(account.let_in(next, 4, 0, false) == 480);
  CHECK(next == 780);
  CHECK(budget.used() == 781);
}

TEST_CASE("byte_account: what does not fit waits until something takes less than it was taken for") {
  byte_budget budget(1000);
  byte_account account(budget);
  byte_account::part oldest{0}, next{0};
  CHECK(account.let_in(oldest, 1, 1500, true) == 1500);  // the oldest never waits
  CHECK(account.let_in(next, 1, 400, false) == 0);
  CHECK_FALSE(account.changed().is_set());
  account.change(oldest, 1500, 500);
  CHECK(account.changed().is_set());
  CHECK(account.let_in(next, 1, 400, false) == 400);
  account.change(next, 400, 450);
  CHECK(oldest == 500);
  CHECK(next == 450);
  CHECK(budget.used() == 950);
}

TEST_CASE("byte_account: a batch that has gone is counted no more, and those that wait are told when asked to") {
  byte_budget budget(1000);
  byte_account account(budget);
  byte_account::part one{0};
  CHECK(account.let_in(one, 1, 600, true) == 600);
  account.drop(one);
  CHECK(one == 0);
  CHECK(budget.used() == 0);
  CHECK_FALSE(account.changed().is_set());
  account.tell();
  CHECK(account.changed().is_set());
}

TEST_CASE("byte_account: at its end it takes back what is still counted, and nothing of other runs") {
  byte_budget budget(1000);
  byte_account other(budget);
  byte_account::part of_other{0};
  CHECK(other.let_in(of_other, 1, 100, true) == 100);
  {
    byte_account account(budget);
    byte_account::part one{0}, two{0};
    CHECK(account.let_in(one, 1, 300, true) == 300);
    CHECK(account.let_in(two, 1, 200, false) == 200);
    account.change(two, 200, 50);
    account.drop(one);
    CHECK(budget.used() == 150);
  }
  CHECK(budget.used() == 100);
}
