// SPDX-License-Identifier: BSL-1.0
#include "output.hpp"

#include <sys/wait.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <dtask/base/bytes.hpp>
#include <dtask/base/error.hpp>
#include <dtask/base/number.hpp>
#include <dtask/data/replace_file.hpp>

namespace train {

namespace {

std::string fixed(double value, int digits, std::size_t width) {
  std::string text = dtask::number_text(value, digits);
  if (text.size() < width) text.insert(0, width - text.size(), ' ');
  return text;
}
std::string whole(std::int64_t value, std::size_t width) {
  std::string text = std::to_string(value);
  if (text.size() < width) text.insert(0, width - text.size(), ' ');
  return text;
}
double accuracy(const dtask::tally& t) { return t.contains("right") ? 100 * t.mean("right") : 0; }

/// gnuplot's own words for a file of this name.
std::string terminal(const std::string& path) {
  if (path.ends_with(".svg")) return "svg size 800,500 background rgb 'white'";
  if (path.ends_with(".png")) return "pngcairo size 800,500";
  throw dtask::error(dtask::errc::invalid_argument, "a plot is an SVG or a PNG file", path, "name it .svg or .png");
}
/// A text in gnuplot's single quotes.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out.append(c == '\'' ? 2 : 1, c);
  return out + "'";
}

}  // namespace

std::string line_of(const dtask::epoch_report& e) {
  return "epoch " + whole(e.number, 2) + ": loss " + fixed(e.loss, 4, 0) + ", held out " +
         fixed(accuracy(e.held_out), 2, 0) + " % of " + std::to_string(e.held_out.samples()) + ", " +
         fixed(e.images_per_second(), 0, 0) + " images/s";
}

std::string json_of(const dtask::epoch_report& e) {
  const auto number = [](const char* name, const std::string& value) {
    return std::string("\"") + name + "\": " + value;
  };
  std::string out =
      "{" + number("epoch", std::to_string(e.number)) + ", " + number("loss", dtask::number_text(e.loss, 6)) + ", " +
      number("held_out_loss", dtask::number_text(e.held_out_loss, 6)) + ", " +
      number("accuracy", dtask::number_text(accuracy(e.held_out) / 100, 4)) + ", " +
      number("held_out", std::to_string(e.held_out.samples())) + ", " +
      number("images_per_s", dtask::number_text(e.images_per_second(), 1)) + ", " +
      number("seconds", dtask::number_text(e.seconds, 3)) + ", " + number("bytes", std::to_string(e.bytes)) + ", " +
      number("rounds", std::to_string(e.rounds)) + ", " + number("stall_s", dtask::number_text(e.stall_seconds, 3)) +
      ", " + number("parts_again", std::to_string(e.parts_again)) + ", " +
      number("ranks_dropped", std::to_string(e.ranks_dropped)) + ", " +
      number("reproducible", e.reproducible ? "true" : "false");
  return out + "}";
}

std::string table_of(const std::vector<dtask::epoch_report>& all) {
  std::string out = "epoch    loss  held out  accuracy  images/s   MB sent  done again  dropped\n";
  for (const dtask::epoch_report& e : all)
    out += whole(e.number, 5) + fixed(e.loss, 4, 8) + fixed(e.held_out_loss, 4, 10) +
           fixed(accuracy(e.held_out), 2, 8) + " %" + fixed(e.images_per_second(), 0, 10) +
           fixed(static_cast<double>(e.bytes) / 1e6, 1, 10) + whole(e.parts_again, 12) + whole(e.ranks_dropped, 9) +
           "\n";
  return out;
}

std::string csv_of(const std::vector<dtask::epoch_report>& all) {
  std::string out = "epoch,loss,held_out_loss,accuracy,images_per_s,seconds,bytes\n";
  for (const dtask::epoch_report& e : all)
    out += std::to_string(e.number) + "," + dtask::number_text(e.loss, 6) + "," +
           dtask::number_text(e.held_out_loss, 6) + "," + dtask::number_text(accuracy(e.held_out), 2) + "," +
           dtask::number_text(e.images_per_second(), 1) + "," + dtask::number_text(e.seconds, 3) + "," +
           std::to_string(e.bytes) + "\n";
  return out;
}

void plot(const std::string& path, const std::vector<dtask::epoch_report>& all) {
  const std::string wanted = terminal(path), table = path + ".csv";
  const dtask::bytes content = dtask::bytes::from(csv_of(all));
  dtask::replace_file(table, {&content, 1});
  std::FILE* const gnuplot = ::popen("gnuplot", "we");
  if (gnuplot == nullptr)
    throw dtask::error(dtask::errc::io_error, std::string("cannot start gnuplot: ") + std::strerror(errno), path);
  std::fprintf(gnuplot,
               "set terminal %s\nset output %s\nset datafile separator ','\nset key autotitle columnhead bottom right\n"
               "set xlabel 'epoch'\nset ylabel 'loss'\nset y2label 'accuracy in %%'\nset ytics nomirror\nset y2tics\n"
               "set xtics 1\nplot %s using 1:2 with linespoints axes x1y1 title 'loss', '' using 1:3 with linespoints "
               "axes x1y1 title 'held-out loss', '' using 1:4 with linespoints axes x1y2 title 'accuracy'\n",
               wanted.c_str(), quoted(path).c_str(), quoted(table).c_str());
  const int status = ::pclose(gnuplot);
  if (status != 0)
    throw dtask::error(WIFEXITED(status) && WEXITSTATUS(status) == 127 ? dtask::errc::not_found : dtask::errc::io_error,
                       "gnuplot did not draw the plot; its figures are in " + table, path,
                       "install gnuplot-nox, or draw them otherwise");
}

}  // namespace train
