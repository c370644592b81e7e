// SPDX-License-Identifier: BSL-1.0
// What the example shows, and the class list that it reads.
#if defined(DTASK_TEST_WITH_RECOGNISE)
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "dtask/base/error.hpp"
#include "faults/scratch.hpp"
#include "output.hpp"
#include "printable.hpp"

using recognise::printable;

namespace {
std::vector<std::string> classes_of(std::string_view text, int count) {
  const faults::scratch folder;
  std::ofstream(folder.file("classes"), std::ios::binary) << text;
  return recognise::read_classes(folder.file("classes"), count);
}
}  // namespace

TEST_CASE("recognise: what prints is shown, the rest is escaped, and the columns are counted") {
  struct example {
    std::string_view given, shown;
    std::size_t columns;
  };
  for (const example& e : {
           example{"", "", 0},
           {"cat", "cat", 3},
           {"Grün – ñandú", "Grün – ñandú", 12},
           {"Кошка", "Кошка", 5},
           {"猫.jpg", "猫.jpg", 6},
           {"고양이", "고양이", 6},
           {"🐈", "🐈", 2},
           {"e\u0301t", "e\u0301t", 2},           // a mark takes no column
           {"\u0301t", "\\xcc\\x81t", 9},         // one without its character
           {"a\x1b[31mb", "a\\x1b[31mb", 10},     // a control
           {"a\u009b31m", "a\\xc2\\x9b31m", 12},  // the same as one character
           {"tab\tline\nend\\", "tab\\tline\\nend\\\\", 16},
           {"\x7f", "\\x7f", 4},
           {"\u202egnp.exe", "\\xe2\\x80\\xaegnp.exe", 19},                                      // turns the direction
           {"a\u200bb\ufeffc\u2028d", "a\\xe2\\x80\\x8bb\\xef\\xbb\\xbfc\\xe2\\x80\\xa8d", 40},  // shows nothing
           {"\u2066x\u2069", "\\xe2\\x81\\xa6x\\xe2\\x81\\xa9", 25},
           {"\ue000\U0010fffd", "\\xee\\x80\\x80\\xf4\\x8f\\xbf\\xbd", 28},  // means nothing to anybody else
           {"\xc3", "\\xc3", 4},                                             // cut
           {"\xc0\xaf", "\\xc0\\xaf", 8},                                    // overlong
           {"\xed\xa0\x80", "\\xed\\xa0\\x80", 12},                          // half of a pair
           {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", 16},                 // beyond Unicode
           {"\xff\xfeü", "\\xff\\xfeü", 9},
       }) {
    CAPTURE(e.shown);
    const printable p(e.given);
    CHECK(p.text() == e.shown);
    CHECK(p.columns() == e.columns);
  }
  CHECK(printable(std::string(100'000, 'x')).columns() == 4096);
}

TEST_CASE("recognise: texts are cut between characters and filled to their columns") {
  const printable p("日本語のパス.jpg");  // 6 of two columns, 4 of one
  CHECK(p.columns() == 16);
  CHECK(p.ending(16).text() == "日本語のパス.jpg");
  CHECK(p.ending(12).text() == "...パス.jpg");
  CHECK(p.ending(11).text() == "...パス.jpg");
  CHECK(p.ending(10).filled(10) == "...ス.jpg ");
  CHECK(p.beginning(11).text() == "日本語の...");
  CHECK(p.beginning(10).text() == "日本語...");
  CHECK(p.beginning(10).columns() == 9);
  CHECK(p.ending(2).text() == "..");
  CHECK(p.beginning(0).text() == "");
  // A mark goes with its character; an escape is not cut in two.
  CHECK(printable("abe\u0301xyz").ending(6).text() == "abe\u0301xyz");
  CHECK(printable("abcde\u0301xyz").ending(6).text() == "...xyz");
  CHECK(printable("ab\u202ecdefgh").ending(10).text() == "...cdefgh");
  for (std::size_t width = 0; width < 20; ++width) {
    CHECK(p.ending(width).columns() <= width);
    CHECK(p.beginning(width).columns() <= width);
    CHECK(printable(p.ending(width).filled(width)).columns() == width);
  }
}

TEST_CASE("recognise: the table's columns stand below each other in every script") {
  const std::vector<std::string> classes{"Katze, Hauskatze", "猫", "кот\x1b[2J"};
  const auto columns_before = [](const std::string& row, const std::string& part) {
    const std::size_t at = row.find(part);
    REQUIRE(at != std::string::npos);
    std::string before = row.substr(0, at);
    std::replace(before.begin(), before.end(), '\\', 'x');  // what is escaped already is not escaped again
    return printable(before).columns();
  };
  for (const std::string file :
       {"a.jpg", "ä.jpg", "写真/猫.jpg", "a very long path with много букв and 漢字 in it.png"}) {
    CAPTURE(file);
    for (int first = 0; first < 3; ++first) {
      const std::string row = recognise::table_row(file, {{first, 0.5F}, {1, 0.25F}}, classes);
      CHECK(columns_before(row, " 50.0 %") == 36);
      CHECK(columns_before(row, "猫 25.0 %") == 71);
      CHECK(row.find('\x1b') == std::string::npos);
    }
  }
  CHECK(recognise::table_row("ä", {{0, 1.0F}}, classes).find("Katze ") != std::string::npos);
  CHECK(recognise::table_row("ä", std::string("kaputt: ü\n\x1b")).ends_with("unusable: kaputt: ü\\n\\x1b\n"));
  CHECK(recognise::json_line("ä", {{1, 0.5F}}, classes, "w", 1).find("\"p\":0.500000}") != std::string::npos);
}

TEST_CASE("recognise: a class list may begin with a byte order mark") {
  const std::vector<std::string> want{"one", "two"};
  for (const std::string_view text : {"one\ntwo", "one\ntwo\n\n", "one\r\ntwo\r\n", "\xef\xbb\xbfone\ntwo\n"})
    CHECK(classes_of(text, 2) == want);
  // Only at its beginning.
  CHECK(classes_of("one\n\xef\xbb\xbftwo\n", 2).back() == "\xef\xbb\xbftwo");
  CHECK_THROWS_AS(classes_of("\xef\xbb\xbf", 1), dtask::error);
  CHECK_THROWS_AS(classes_of("one\n", 2), dtask::error);
}
#endif
