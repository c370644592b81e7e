// SPDX-License-Identifier: BSL-1.0
#include "output.hpp"

#include <cstddef>
#include <cstdio>

#include "dtask/base/error.hpp"
#include "dtask/base/log.hpp"
#include "dtask/base/number.hpp"
#include "dtask/base/read_file.hpp"

namespace recognise {

namespace {

/// The length of the UTF-8 sequence at the start of `text`; 0 where there is none (RFC 3629).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&text](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned first = byte(0);
  const std::size_t length = first < 0x80                     ? 1
                             : first >= 0xc2 && first <= 0xdf ? 2
                             : first >= 0xe0 && first <= 0xef ? 3
                             : first >= 0xf0 && first <= 0xf4 ? 4
                                                              : 0;
  for (std::size_t i = 1; i < length; ++i)
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool beyond = (first == 0xed && byte(1) > 0x9f) || (first == 0xf4 && byte(1) > 0x8f);
  return overlong || beyond ? 0 : length;
}

std::string percent(float p) {
  std::string text = dtask::number_text(static_cast<double>(p) * 100, 1);
  if (text.size() < 5) text.insert(0, 5 - text.size(), ' ');
  return text + " %";
}

/// The first of several names for one class.
std::string short_name(const std::vector<std::string>& classes, int index) {
  const std::string& name = classes.at(static_cast<std::size_t>(index));
  return dtask::escaped(name.substr(0, name.find(',')), 40);
}

/// The end of a path, at most `width` columns.
std::string file_column(const std::string& file, std::size_t width) {
  std::string text = dtask::escaped(file, 4096);
  if (text.size() > width) text = "..." + text.substr(text.size() - (width - 3));
  text.resize(width, ' ');
  return text;
}

constexpr std::size_t file_width = 34, name_width = 24;

}  // namespace

std::vector<std::string> read_classes(const std::string& path, int classes) {
  const dtask::bytes file = dtask::read_file(path, std::uint64_t{16} << 20);
  std::vector<std::string> names;
  std::string_view left = file.view();
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
  std::string name = short_name(classes, top.front().index), others;
  if (name.size() < name_width) name.resize(name_width, ' ');
  for (std::size_t i = 1; i < top.size(); ++i)
    others += (i == 1 ? "" : ", ") + short_name(classes, top[i].index) + percent(top[i].p);
  return file_column(file, file_width) + "  " + percent(top.front().p) + "  " + name + "  " + others + "\n";
}

std::string table_row(const std::string& file, const std::string& error) {
  return file_column(file, file_width) + "        -  unusable: " + dtask::escaped(error) + "\n";
}

}  // namespace recognise
