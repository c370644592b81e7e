// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <dtask/torch/epoch_report.hpp>
#include <string>
#include <vector>

namespace train {

/// One line about an epoch, for people.
std::string line_of(const dtask::epoch_report& e);
/// One line of JSON.
std::string json_of(const dtask::epoch_report& e);
/// All epochs as a table, after the training.
std::string table_of(const std::vector<dtask::epoch_report>& all);
/// The same as comma-separated values with a head, for other programs.
std::string csv_of(const std::vector<dtask::epoch_report>& all);
/// Draws loss and accuracy over the epochs: PATH.csv is always written; PATH, an SVG or PNG file by its name, by
/// gnuplot. Throws `dtask::error`: `io_error`, `not_found` where there is no gnuplot.
void plot(const std::string& path, const std::vector<dtask::epoch_report>& all);

}  // namespace train
