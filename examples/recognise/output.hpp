// SPDX-License-Identifier: BSL-1.0
#pragma once
/// How answers are shown: a table for people, or a line of JSON each.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "jobs.hpp"

namespace recognise {

/// The names of the classes, one a line, in the order of their indices. Throws `dtask::error` where the file is
/// missing, empty or has not one name for each of `classes`.
std::vector<std::string> read_classes(const std::string& path, int classes);

/// Text as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD.
std::string json_text(std::string_view text);

/// One line for a recognised picture.
std::string json_line(const std::string& file, const std::vector<ranked>& top, const std::vector<std::string>& classes,
                      std::string_view worker, std::uint32_t attempt);
/// One line for an unusable one.
std::string json_line(const std::string& file, const std::string& error);

/// The same for people; texts are cut and what does not print is escaped (see `printable`).
std::string table_head();
std::string table_row(const std::string& file, const std::vector<ranked>& top, const std::vector<std::string>& classes);
std::string table_row(const std::string& file, const std::string& error);

}  // namespace recognise
