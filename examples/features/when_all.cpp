// SPDX-License-Identifier: BSL-1.0
// Counts the words of several texts at once (a range of tasks), then asks two questions side by side (two tasks).
#include <algorithm>
#include <cstdio>
#include <dtask/runtime/work_pool.hpp>
#include <dtask/task.hpp>
#include <map>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

using word_counts = std::map<std::string, int>;

dtask::task<word_counts> count_words(std::string text) {
  word_counts counts;
  for (const auto word : std::views::split(text, ' ')) ++counts[std::string(word.begin(), word.end())];
  co_return counts;
}

dtask::task<word_counts> count_all(std::vector<std::string> texts) {
  std::vector<dtask::task<word_counts>> counting;
  for (std::string& text : texts) counting.push_back(count_words(std::move(text)));
  // Idle threads of the pool take what this one has not begun. The first that throws stops the others.
  const std::vector<word_counts> each = co_await dtask::when_all(std::move(counting));
  word_counts all;
  for (const word_counts& counts : each)
    for (const auto& [word, count] : counts) all[word] += count;
  co_return all;
}

dtask::task<std::string> most_frequent(const word_counts* counts) {
  co_return std::ranges::max_element(*counts, {}, &word_counts::value_type::second)->first;
}
dtask::task<std::string> longest(const word_counts* counts) {
  co_return std::ranges::max_element(*counts, {}, [](const auto& entry) { return entry.first.size(); })->first;
}

dtask::task<> body() {
  const std::vector<std::string> texts = {"to be or not to be that is the question",
                                          "whether tis nobler in the mind to suffer",
                                          "the slings and arrows of outrageous fortune"};
  const word_counts counts = co_await count_all(texts);
  const auto [frequent, long_one] = co_await dtask::when_all(most_frequent(&counts), longest(&counts));
  std::printf("%zu different words\n", counts.size());
  std::printf("most frequent: %s, %d times\n", frequent.c_str(), counts.at(frequent));
  std::printf("longest: %s\n", long_one.c_str());
}

int main() { dtask::sync_wait(dtask::work_pool::shared(), body()); }

// Output:
// 20 different words
// most frequent: the, 3 times
// longest: outrageous
