// SPDX-License-Identifier: BSL-1.0
#include <cstdio>
#include <dtask/data.hpp>

int main() {
  // An IDX file: unsigned bytes, one dimension of one.
  const unsigned char file[] = {0, 0, 8, 1, 0, 0, 0, 1, 42};
  const auto array = dtask::read_idx(dtask::bytes::copy(file, sizeof file));
  const auto picture = dtask::decode_picture(array->data.span());
  if (!array || picture) return 1;
  std::printf("%d\n", std::to_integer<int>(array->data.data()[0]));
}
