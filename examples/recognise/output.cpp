// SPDX-License-Identifier: BSL-1.0
#include "output.hpp"

#include <cstddef>
#include <cstdio>

#include "dtask/base/error.hpp"
#include "dtask/base/number.hpp"
#include "dtask/base/read_file.hpp"
#include "printable.hpp"

namespace recognise {

namespace {

std::string percent(float p) {
  std::string text = dtask::number_text(static_cast<double>(p) * 100, 1);
  if (text.size() < 5) text.insert(0, 5 - text.size(), ' ');
  return text + " %";
}

/// The first of several names for one class.
printable short_name(const std::vector<std::string>& classes, int index) {
  const std::string& name = classes.at(static_cast<std::size_t>(index));
  return printable(name.substr(0, name.find(','))).beginning(40);
}

/// The end of a path.
std::string file_column(const std::string& file, std::size_t width) {
  return printable(file).ending(width).filled(width);
}

constexpr std::size_t file_width = 34, name_width = 24;

}  // namespace

std::vector<std::string> read_classes(const std::string& path, int classes) {
  const dtask::bytes file = dtask::read_file(path, std::uint64_t{16} << 20);
  std::vector<std::string> names;
  std::string_view left = file.view();
  if (left.starts_with("\xef\xbb\xbf")) left.remove_prefix(3);  // a byte order mark
  while (!left.empty()) {
    std::string_view line = left.substr(0, left.find('\n'));
    left.remove_prefix(line.size() == left.size() ? line.size() : line.size() + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    names.emplace_back(line);
  }
  while (!names.empty() && names.back().empty()) names.pop_back();
  if (names.empty())
    throw dtask::error(dtask::errc::bad_data, "the class list is empty", path,
                       "give a file with one class name per line");
  if (names.size() != static_cast<std::size_t>(classes))
    throw dtask::error(dtask::errc::bad_data,
                       "the class list has " + std::to_string(names.size()) + " names, the weights have " +
                           std::to_string(classes) + " classes",
                       path, "give the class list that belongs to the weights");
  return names;
}

std::string json_text(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const std::size_t n = utf8_length(text);
    const char c = text.front();
    if (n == 0) {
      out += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      out.append(1, '\\').push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += code;
    } else {
      out += text.substr(0, n);
    }
    text.remove_prefix(n == 0 ? 1 : n);
  }
  return out + "\"";
}

std::string json_line(const std::string& file, const std::vector<ranked>& top, const std::vector<std::string>& classes,
                      std::string_view worker, std::uint32_t attempt) {
  std::string out = "{\"file\":" + json_text(file) + ",\"top\":[";
  for (std::size_t i = 0; i < top.size(); ++i) {
    if (i != 0) out += ',';
    out += "{\"index\":" + std::to_string(top[i].index) +
           ",\"name\":" + json_text(classes.at(static_cast<std::size_t>(top[i].index))) +
           ",\"p\":" + dtask::number_text(static_cast<double>(top[i].p), 6) + "}";
  }
  return out + "],\"worker\":" + json_text(worker) + ",\"attempt\":" + std::to_string(attempt) + "}\n";
}

std::string json_line(const std::string& file, const std::string& error) {
  return "{\"file\":" + json_text(file) + ",\"error\":" + json_text(error) + "}\n";
}

std::string table_head() {
  std::string file = "file", name = "class";
  file.resize(file_width, ' ');
  name.resize(name_width, ' ');
  return file + "        p  " + name + "  or\n";
}

std::string table_row(const std::string& file, const std::vector<ranked>& top,
                      const std::vector<std::string>& classes) {
  std::string others;
  for (std::size_t i = 1; i < top.size(); ++i)
    others += (i == 1 ? "" : ", ") + short_name(classes, top[i].index).text() + percent(top[i].p);
  return file_column(file, file_width) + "  " + percent(top.front().p) + "  " +
         short_name(classes, top.front().index).filled(name_width) + "  " + others + "\n";
}

std::string table_row(const std::string& file, const std::string& error) {
  return file_column(file, file_width) + "        -  unusable: " + printable(error).beginning(512).text() + "\n";
}

}  // namespace recognise
