// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/safetensors.hpp"

#include <optional>

#include "fuzz/memory.hpp"
#include "fuzz/target.hpp"

namespace {

// Allocates at most so many times the size of the header, whatever it says.
constexpr std::size_t most_per_byte = 16;

}  // namespace

// A safetensors file: bounded memory, slices of the file and nothing else, and what is written is read as the same.
bool fuzz::safetensors(input in) {
  const dtask::bytes file = dtask::bytes::copy(in);
  std::optional<dtask::result<dtask::safetensors>> read;
  const std::size_t peak = peak_of([&] { read = dtask::read_safetensors(file); });
  require(peak <= most_per_byte * file.size() + 4096, "reading takes more than the size of the header justifies");
  if (!*read) {
    require(read->error().code() == dtask::errc::bad_data, "a refusal with another code");
    return false;
  }
  const dtask::safetensors& first = read->value();
  std::size_t data = 0;
  for (const dtask::safetensor& t : first.tensors) {
    require(t.data.empty() || (t.data.begin() >= file.begin() && t.data.end() <= file.end()), "data outside the file");
    require(first.find(t.name) == &t, "a tensor that is not found by its name");
    data += t.data.size();
  }
  require(data < file.size(), "more data than file");

  const auto second = dtask::read_safetensors(dtask::write_safetensors(first));
  require(second.has_value(), "what is written cannot be read");
  require(second.value().metadata == first.metadata, "metadata change when they are written");
  require(second.value().tensors.size() == first.tensors.size(), "tensors are lost when they are written");
  for (std::size_t i = 0; i < first.tensors.size(); ++i) {
    const dtask::safetensor &a = first.tensors[i], &b = second.value().tensors[i];
    require(a.name == b.name && a.dtype == b.dtype && a.shape == b.shape && a.data == b.data,
            "a tensor changes when it is written");
  }
  return true;
}
