// SPDX-License-Identifier: BSL-1.0
// A program that sets a locale before dtask::main: its numbers read and look the same in every role.
#include "dtask/cli/detail/command_line.hpp"

#include <doctest/doctest.h>
#include <signal.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <locale>
#include <string>
#include <system_error>
#include <vector>

#include "dtask/cli/status_role.hpp"
#include "dtask/main.hpp"
#include "faults/process.hpp"
#include "faults/scratch.hpp"
#include "program.hpp"

using faults::process;

namespace {

double halve(double n) { return n / 2; }
using halve_job = dtask::function_job<"halve/1", &halve, dtask::pure>;

struct grouped : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

// --role=with_a_locale FOLDER ...: FOLDER "-" is no locale of the C library, only one of streams.
const dtask_test::role with_a_locale("with_a_locale", [](int argc, char** argv) -> int {
  const std::string folder = argv[2];
  if (folder != "-") {
    ::setenv("LOCPATH", folder.c_str(), 1);
    if (std::setlocale(LC_ALL, "comma") == nullptr) return 77;
    char text[16];
    std::snprintf(text, sizeof text, "%.1f", 2.5);
    if (text != std::string("2,5")) return 78;
  }
  std::locale::global(std::locale(std::locale(), new grouped));
  argv[2] = argv[0];
  if (argc > 3 && argv[3] == std::string("status")) return dtask::status_role(argc - 3, argv + 3);
  return dtask::main<dtask::registry<halve_job>>(argc - 2, argv + 2, [](dtask::cluster& c) -> dtask::task<> {
    const double half = co_await c.call<halve_job>(2469.0);
    std::printf("%s\n", dtask::number_text(half).c_str());
  });
});

/// Makes the locale "comma" of the C library below `folder`; whether that could be done.
bool make_locale(const faults::scratch& folder) {
  const std::string source = folder.file("source");
  std::ofstream out(source);
  out << "comment_char %\nescape_char /\nLC_NUMERIC\ndecimal_point \",\"\nthousands_sep \".\"\ngrouping 3;3\n"
         "END LC_NUMERIC\n";
  for (const char* category : {"CTYPE", "COLLATE", "TIME", "MONETARY", "MESSAGES", "PAPER", "NAME", "ADDRESS",
                               "TELEPHONE", "MEASUREMENT", "IDENTIFICATION"})
    out << "LC_" << category << "\ncopy \"POSIX\"\nEND LC_" << category << "\n";
  out.close();
  process tool({"/usr/bin/localedef", "-c", "-f", "ANSI_X3.4-1968", "-i", source, folder.file("comma")});
  (void)tool.wait();  // its warnings are an exit code of their own
  std::error_code none;
  return std::filesystem::exists(folder.file("comma/LC_NUMERIC"), none);
}

}  // namespace

TEST_CASE("whatever locale a program sets, its options, port file, status and jobs are the same") {
  const faults::scratch folder;
  std::vector<std::string> locales{"-"};
  if (make_locale(folder))
    locales.push_back(folder.file("."));
  else
    MESSAGE("left out: a locale of the C library (localedef and /usr/share/i18n are in Debian's package locales)");
  for (const std::string& locale : locales) {
    CAPTURE(locale);
    const auto program = [&locale](std::vector<std::string> words) {
      words.insert(words.begin(), {dtask_test::self(), "--role=with_a_locale", locale});
      return words;
    };
    std::filesystem::remove(folder.file("port"));
    process coordinator(program({"coordinator", "--listen", "127.0.0.1:0", "--port-file", folder.file("port"),
                                 "--max-jobs", "12345", "--heartbeat", "0.5", "--lost-after", "7.25"}));
    const auto port = folder.wait_for_line("port", coordinator);
    REQUIRE_MESSAGE(port, coordinator.report());
    CHECK(port->find_first_not_of("0123456789") == std::string::npos);
    const std::string url = "tcp://127.0.0.1:" + *port;
    process worker(program({"worker", "--connect", url, "--slots", "1", "--drain-within", "2.5"}));
    process client(program({"--on", url, "--connect-within", "20.5"}));
    const auto end = client.wait();
    REQUIRE_MESSAGE(end, client.report());
    CHECK_MESSAGE(end->code == 0, client.text(process::err));
    CHECK(client.text(process::out) == "1234.5\n");

    process json(program({"status", "--on", url, "--json"})), table(program({"status", "--on", url}));
    const auto json_end = json.wait(), table_end = table.wait();
    REQUIRE(json_end);
    REQUIRE(table_end);
    CHECK(json.text(process::out).find("\"payload_limit\":1073741824,") != std::string::npos);
    CHECK(table.text(process::out).find(" of 1.0 GiB") != std::string::npos);

    process help(program({"coordinator", "--help"}));
    const auto help_end = help.wait();
    REQUIRE(help_end);
    // CLI11 2.3 writes `=4194304` after it, 2.4 ` [4194304]`.
    CHECK(help.text(process::out).find("--max-jobs N:[1..67108864]") != std::string::npos);
    CHECK(help.text(process::out).find("4194304") != std::string::npos);
    CHECK(help.text(process::out).find("1073741824") != std::string::npos);

    process wrong(program({"coordinator", "--heartbeat", "2,5"}));
    const auto wrong_end = wrong.wait();
    REQUIRE(wrong_end);
    CHECK(wrong_end->code == 2);
    CHECK(wrong.text(process::err).find("'2,5' is no time from 0.001 to 31536000 seconds") != std::string::npos);

    process unkept(program({"coordinator", "--listen", "127.0.0.1:0", "--suspect-after", "0.25"}));
    const auto unkept_end = unkept.wait();
    REQUIRE(unkept_end);
    CHECK(unkept.text(process::err).find("suspect after 0.25 s") != std::string::npos);
  }
}
