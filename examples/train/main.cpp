// SPDX-License-Identifier: BSL-1.0
// Trains a network on Fashion-MNIST, on as many workers as there are: in this process, on worker processes, or on a
// cluster. What is trained is in fashion.hpp.
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <dtask/base/keep_memory.hpp>
#include <dtask/base/number.hpp>
#include <dtask/main.hpp>
#include <dtask/torch/model_file.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "fashion.hpp"
#include "output.hpp"

namespace {

struct options {
  std::string data = "/usr/share/datasets/fashion-mnist", network = "cnn", strategy = "sync", checkpoints, out, plot;
  std::string on_loss = "rerun";
  std::int64_t steps = 16, ranks = 2, epochs = 5, seed = 1, batch = 64;
  double rate = 0.05, at_least = 0;
  bool send_data = false, resume = false, json = false;
};

dtask::training_options training(const options& o) {
  dtask::training_options t;
  t.strategy = o.strategy == "local_sgd" ? dtask::local_sgd(o.steps)
               : o.strategy == "diloco"  ? dtask::diloco(o.steps)
               : o.strategy == "average" ? dtask::average()
                                         : dtask::sync();
  t.ranks = static_cast<std::int32_t>(o.ranks);
  t.epochs = o.epochs;
  t.seed = static_cast<std::uint64_t>(o.seed);
  t.rate = {dtask::one_cycle_rate{}};
  t.on_loss = o.on_loss == "drop" ? dtask::on_loss::drop : dtask::on_loss::rerun;
  t.checkpoints = o.checkpoints;
  t.checkpoint_rounds = o.checkpoints.empty() ? 0 : o.strategy == "sync" ? 200 : 20;
  t.resume = o.resume;
  return t;
}

void say(const std::string& text) {
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
}

template <class Training>
dtask::task<int> train_network(dtask::cluster* c, options o) {
  typename Training::recipe_type recipe;
  recipe.folder = o.data;
  recipe.batch = static_cast<std::int32_t>(o.batch);
  recipe.lr = o.rate;
  if (o.send_data) {
    auto sending = train::send_pictures(c, o.data);
    recipe.shards = co_await std::move(sending);
  }
  dtask::trainer<Training> t(*c, recipe, training(o));
  co_await t.prepare();
  for (const std::string& why : t.skipped_checkpoints())
    std::fprintf(stderr, "train: not resumed from %s\n", why.c_str());
  if (o.resume)
    std::fprintf(stderr, "train: %s\n",
                 t.resumed_from().empty() ? "there is no checkpoint to go on from: beginning anew"
                                          : ("going on from " + t.resumed_from()).c_str());
  std::vector<dtask::epoch_report> all;
  while (auto e = co_await t.next()) {
    say(o.json ? train::json_of(*e) : train::line_of(*e));
    for (const std::string& why : e->why_not) std::fprintf(stderr, "train: not reproducible: %s\n", why.c_str());
    all.push_back(std::move(*e));
  }
  if (!o.json) say("\n" + train::table_of(all));
  if (!o.out.empty()) {
    std::map<std::string, std::string> about{{"architecture", o.network == "cnn" ? "fashion_cnn" : "fashion_mlp"},
                                             {"input_size", "28"},
                                             {"mean", "0.286"},
                                             {"std", "0.353"}};
    dtask::save_model(o.out, *t.model(), std::move(about));
    if (!o.json) say("weights saved as " + o.out);
  }
  if (!o.plot.empty()) train::plot(o.plot, all);
  const double reached = all.empty() ? 0 : 100 * all.back().held_out.mean("right");
  if (all.empty() || reached >= o.at_least) co_return 0;
  std::fprintf(stderr, "train: %s %% of the held-out pictures were right, fewer than --at-least %s\n",
               dtask::number_text(reached, 2).c_str(), dtask::number_text(o.at_least, 2).c_str());
  co_return 1;
}

/// How to go on where the training has been stopped.
void say_how_to_resume(const options& o, int argc, char** argv) {
  if (o.checkpoints.empty()) return;
  std::string words;
  for (int i = 0; i < argc; ++i)
    if (std::string(argv[i]) != "--resume") words += (i == 0 ? "" : " ") + std::string(argv[i]);
  std::fprintf(stderr, "train: stopped; go on with: %s --resume\n", words.c_str());
}

/// A check of an option's value.
auto one_of(std::vector<std::string> words) {
  return [words = std::move(words)](const std::string& text) {
    std::string all;
    for (const std::string& word : words) {
      if (word == text) return std::string();
      all += (all.empty() ? "" : ", ") + word;
    }
    return "'" + text + "' is none of " + all;
  };
}

template <class Number>
CLI::Option* add_number(CLI::App& app, const char* name, Number& to, Number least, Number most, const char* about) {
  return app
      .add_option_function<std::string>(
          name, [&to](const std::string& text) { to = dtask::read_number<Number>(text).value(); }, about)
      ->type_name("N")
      ->default_str(
          dtask::number_text(static_cast<double>(to), to == static_cast<Number>(static_cast<std::int64_t>(to)) ? 0 : 3))
      ->check([least, most](const std::string& text) {
        const auto number = dtask::read_number<Number>(text);
        return number && *number >= least && *number <= most
                   ? std::string()
                   : "'" + text + "' is no number from " + dtask::number_text(static_cast<double>(least)) + " to " +
                         dtask::number_text(static_cast<double>(most));
      });
}

}  // namespace

int main(int argc, char** argv) {
  dtask::keep_memory();
  // For the worker processes of spawn://: LibTorch's threads sleep while they wait.
  ::setenv("OMP_WAIT_POLICY", "passive", 0);
  options o;
  const auto add_options = [&o](CLI::App& app) {
    app.description("Trains a network on Fashion-MNIST.");
    app.add_option<std::string>("--data", o.data, "folder with the four files of Fashion-MNIST, plain or gzip")
        ->type_name("DIR")
        ->capture_default_str();
    app.add_flag("--send-data", o.send_data, "workers without the files fetch them from this program");
    app.add_option<std::string>("--model", o.network, "what is trained")
        ->check(one_of({"cnn", "mlp"}))
        ->capture_default_str();
    app.add_option<std::string>("--strategy", o.strategy, "how the ranks come together")
        ->check(one_of({"sync", "local_sgd", "diloco", "average"}))
        ->capture_default_str();
    add_number<std::int64_t>(app, "--steps", o.steps, 1, 1'000'000,
                             "steps of a rank in a round of local_sgd and diloco");
    add_number<std::int64_t>(app, "--ranks", o.ranks, 1, 4096, "parts of a round");
    add_number<std::int64_t>(app, "--batch", o.batch, 1, 1'000'000, "samples of one rank in a step");
    add_number<std::int64_t>(app, "--epochs", o.epochs, 1, 1'000'000, "passes over the data");
    add_number<std::int64_t>(app, "--seed", o.seed, 0, std::int64_t{1} << 53, "of everything that is random");
    add_number<double>(app, "--rate", o.rate, 0, 1000, "the largest learning rate");
    app.add_option<std::string>("--on-loss", o.on_loss, "what becomes of a lost worker's part of a round")
        ->check(one_of({"rerun", "drop"}))
        ->capture_default_str();
    app.add_option<std::string>("--checkpoints", o.checkpoints, "folder for checkpoints")->type_name("DIR");
    app.add_flag("--resume", o.resume, "go on from the newest checkpoint");
    app.add_option<std::string>("--out", o.out, "file for the trained weights, which recognise loads")
        ->type_name("FILE.safetensors");
    app.add_option<std::string>("--plot", o.plot, "file for a plot of loss and accuracy (gnuplot), and FILE.csv")
        ->type_name("FILE.svg|FILE.png")
        ->check([](const std::string& text) {
          return text.ends_with(".svg") || text.ends_with(".png") ? std::string()
                                                                  : "'" + text + "' ends in neither .svg nor .png";
        });
    add_number<double>(app, "--at-least", o.at_least, 0, 100, "exit code 1 where fewer per cent are right in the end");
    app.add_flag("--json", o.json, "one line of JSON per epoch");
  };
  const int code = dtask::main<train::jobs>(argc, argv, add_options, [&o](dtask::cluster& c) {
    return o.network == "cnn" ? train_network<train::train_cnn>(&c, o) : train_network<train::train_mlp>(&c, o);
  });
  if (code > 128) say_how_to_resume(o, argc, argv);
  return code;
}
