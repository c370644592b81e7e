// SPDX-License-Identifier: BSL-1.0
// Names what is on pictures: in this process, on worker processes, or on a cluster. The networks are in model.hpp, the
// jobs in jobs.hpp.
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <cstddef>
#include <dtask/base/keep_memory.hpp>
#include <dtask/base/number.hpp>
#include <dtask/main.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jobs.hpp"
#include "recognition.hpp"

namespace {

/// CLI11's own conversion takes 010 for 8.
std::optional<std::size_t> batch_size(std::string_view text) {
  const auto number = dtask::read_number<std::size_t>(text);
  return number && *number >= 1 && *number <= 256 ? number : std::nullopt;
}

}  // namespace

int main(int argc, char** argv) {
  dtask::keep_memory();
  // For the worker processes of spawn://: LibTorch's threads sleep while they wait, since spinning ones slow down
  // whoever needs the core.
  ::setenv("OMP_WAIT_POLICY", "passive", 0);
  recognise::recognition_options options;
  const auto add_options = [&options](CLI::App& app) {
    app.description("Names what is on pictures (JPEG, PNG, IDX).");
    app.add_option<std::string>("--weights", options.weights, "weights of the network")
        ->required()
        ->type_name("FILE.safetensors");
    app.add_option<std::string>("--classes", options.classes, "names of the classes, one a line")
        ->required()
        ->type_name("FILE.txt");
    app.add_option<std::string>("--labels", options.labels,
                                "the right answers for the pictures of IDX files, plain or gzip")
        ->type_name("IDX");
    app.add_option_function<std::string>(
           "--batch", [&options](const std::string& text) { options.batch = batch_size(text).value(); },
           "pictures per job")
        ->type_name("N:[1..256]")
        ->default_str(std::to_string(options.batch))
        ->check([](const std::string& text) {
          return batch_size(text) ? std::string() : "'" + text + "' is no number from 1 to 256";
        });
    app.add_flag("--json", options.json, "one line of JSON per picture instead of a table");
    app.add_option<std::vector<std::string>>("paths", options.paths,
                                             "JPEG, PNG or IDX files (plain or gzip), and folders of pictures")
        ->required()
        ->type_name("PATH...");
    const std::string usual = app.get_footer();
    app.footer(usual.substr(0, usual.rfind("Exit codes")) +
               "Exit codes: 0 all recognised, 1 some files unusable, 2 usage, 3 the cluster failed, 4 the answers "
               "could not be written, 128 + n ended by signal n (130: Ctrl-C).");
  };
  return dtask::main<recognise::jobs>(argc, argv, add_options,
                                      [&options](dtask::cluster& c) { return recognise::recognise_all(c, options); });
}
