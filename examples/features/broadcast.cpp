// SPDX-License-Identifier: BSL-1.0
// A job with state: each worker is sent a list of words once and makes a checker of it, which then serves many calls.
#include <cstdio>
#include <dtask/main.hpp>
#include <ranges>
#include <string>
#include <unordered_set>
#include <vector>

struct find_misspelt : dtask::job<"find_misspelt/1", dtask::pure> {
  // Once per slot, and again after a new broadcast of what it read here.
  explicit find_misspelt(dtask::worker_context& worker) {
    const dtask::blob words = worker.blob("words");  // the bytes of all slots: nothing is copied to read them
    for (const auto word : std::views::split(words.view(), '\n')) known_.emplace(word.begin(), word.end());
  }
  std::vector<std::string> operator()(std::string text) const {
    std::vector<std::string> unknown;
    for (const auto part : std::views::split(text, ' '))
      if (std::string word(part.begin(), part.end()); !known_.contains(word)) unknown.push_back(std::move(word));
    return unknown;
  }

 private:
  std::unordered_set<std::string> known_;
};

dtask::task<> check(dtask::cluster& c) {
  const std::vector<std::string> pages = {"the quick brwon fox", "jumps ovre the lazy dog"};
  auto results = c.map<find_misspelt>(pages, {.order = dtask::ordered});
  while (auto found = co_await results.next())
    for (const std::string& word : found->value()) std::printf(" %s", word.c_str());
  std::printf("\n");
}

dtask::task<> body(dtask::cluster& c) {
  const auto small = dtask::bytes::copy("the\nquick\nbrown\nfox\nover\nlazy");
  co_await c.broadcast("words", small);
  std::printf("six words:  ");
  co_await check(c);

  const auto larger = dtask::bytes::copy("the\nquick\nbrown\nfox\nover\nlazy\njumps\ndog");
  co_await c.broadcast("words", larger);  // jobs submitted from here on see it
  std::printf("eight words:");
  co_await check(c);
}

int main(int argc, char** argv) { return dtask::main<dtask::registry<find_misspelt>>(argc, argv, body); }

// Run: --on local://2
// Run: --on spawn://2
// Output:
// six words:   brwon jumps ovre dog
// eight words: brwon ovre
