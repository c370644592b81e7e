// SPDX-License-Identifier: BSL-1.0
// Fits a line through points: each job sums up what its tensor contributes to the normal equations.
#include <ATen/ATen.h>

#include <cstdio>
#include <dtask/main.hpp>
#include <dtask/torch/tensor_codec.hpp>
#include <utility>
#include <vector>

// Tensors travel like other values: element type, shape and bytes, which are not copied on the way.
struct shard {
  at::Tensor x, y;
};
inline at::Tensor normal_part(const shard& s) {
  const at::Tensor a = at::stack({s.x, at::ones_like(s.x)}, 1);  // a row {x, 1} for each point
  return at::cat({a.t().mm(a), a.t().mm(s.y.unsqueeze(1))}, 1);  // 2 x 3
}
using normal_job = dtask::function_job<"normal_part/1", &normal_part, dtask::pure>;

dtask::task<> body(dtask::cluster& c) {
  const at::Tensor x = at::linspace(-1, 1, 8000, at::kDouble);
  const at::Tensor y = 3 * x - 0.5 + 0.25 * at::sin(1000 * x);
  std::vector<shard> shards;
  for (int i = 0; i < 8; ++i)
    shards.push_back({x.slice(0, i * 1000, (i + 1) * 1000), y.slice(0, i * 1000, (i + 1) * 1000)});

  at::Tensor sum = at::zeros({2, 3}, at::kDouble);
  auto parts = c.map<normal_job>(std::move(shards));
  // What came is read, not written to: it lies where the socket put it.
  while (auto part = co_await parts.next()) sum += part->value();

  const at::Tensor line = at::linalg_solve(sum.slice(1, 0, 2), sum.slice(1, 2, 3));
  std::printf("slope %s, intercept %s\n", dtask::number_text(line[0].item<double>(), 2).c_str(),
              dtask::number_text(line[1].item<double>(), 2).c_str());
}

int main(int argc, char** argv) { return dtask::main<dtask::registry<normal_job>>(argc, argv, body); }

// Run: --on local://2
// Run: --on spawn://2
// Output:
// slope 3.00, intercept -0.50
