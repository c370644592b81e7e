// SPDX-License-Identifier: BSL-1.0
// Draws the Mandelbrot set, a row per job: results as they come, put in their places, with a bar on stderr.
#include <complex>
#include <cstdio>
#include <dtask/main.hpp>
#include <ranges>
#include <string>
#include <vector>

constexpr int width = 64, height = 17;

inline std::string draw_row(int row) {
  std::string line;
  for (int column = 0; column < width; ++column) {
    const std::complex<double> c(-2.21 + 3.2 * column / width, -1.25 + 2.5 * row / (height - 1));
    std::complex<double> z = 0;
    int steps = 0;
    while (steps < 60 && std::norm(z) < 4) z = z * z + c, ++steps;
    line += " .:-=+*#%@@@@"[steps / 5];
  }
  return line;
}
using row_job = dtask::function_job<"draw_row/1", &draw_row, dtask::pure>;

dtask::task<> body(dtask::cluster& c) {
  std::vector<std::string> picture(height);
  dtask::progress bar("rows", height);
  // At most four rows are sent and not yet taken: a range may be endless, and memory stays as it is.
  auto rows = c.map<row_job>(std::views::iota(0, height), {.order = dtask::unordered, .window = 4});
  while (auto row = co_await rows.next()) {
    picture[rows.position()] = row->value();  // which item this is the outcome of
    bar.add();
  }
  bar.finish();
  for (const std::string& line : picture) std::printf("|%s|\n", line.c_str());
}

int main(int argc, char** argv) { return dtask::main<dtask::registry<row_job>>(argc, argv, body); }

// Run: --on local://2
// Run: --on spawn://2
// Output:
// |                                                                |
// |                                       .....                    |
// |                                    .....:-:...                 |
// |                                .......-@@@@@......             |
// |                          ......-+--:@@@@@@@@@=*::::..          |
// |                   ...........:@-@@@@@@@@@@@@@@@@@@:...         |
// |              .....:--::@::..:#@@@@@@@@@@@@@@@@@@@@@@:.         |
// |           .....:..:@@@@@@@@@-@@@@@@@@@@@@@@@@@@@@@@@..         |
// |     @@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@:....         |
// |           .....:..:@@@@@@@@@-@@@@@@@@@@@@@@@@@@@@@@@..         |
// |              .....:--::@::..:#@@@@@@@@@@@@@@@@@@@@@@:.         |
// |                   ...........:@-@@@@@@@@@@@@@@@@@@:...         |
// |                          ......-+--:@@@@@@@@@=*::::..          |
// |                                .......-@@@@@......             |
// |                                    .....:-:...                 |
// |                                       .....                    |
// |                                                                |
