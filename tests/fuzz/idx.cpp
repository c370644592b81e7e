// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/idx.hpp"

#include <zlib.h>

#include <optional>

#include "fuzz/memory.hpp"
#include "fuzz/target.hpp"

namespace {

// What a compressed file may unpack to here.
constexpr std::uint64_t limit = 1u << 20;

/// One member of a gzip file, appended.
void pack(std::vector<Bytef>& to, fuzz::input from) {
  z_stream stream{};
  fuzz::require(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 16 + 9, 1, Z_DEFAULT_STRATEGY) == Z_OK, "deflateInit2");
  const std::size_t start = to.size();
  to.resize(start + deflateBound(&stream, static_cast<uLong>(from.size())));
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(from.data()));
  stream.avail_in = static_cast<uInt>(from.size());
  stream.next_out = to.data() + start;
  stream.avail_out = static_cast<uInt>(to.size() - start);
  const int code = deflate(&stream, Z_FINISH);
  to.resize(to.size() - stream.avail_out);
  deflateEnd(&stream);
  fuzz::require(code == Z_STREAM_END, "deflate");
}

}  // namespace

// An IDX file, plain or gzip: the data are as long as the shape says, memory is bounded by the limit and by what the
// file can hold, and packed into two gzip members a file is what it is plain.
bool fuzz::idx(input in) {
  const dtask::bytes file = dtask::bytes::copy(in);
  std::optional<dtask::result<dtask::idx_array>> read;
  const std::size_t peak = peak_of([&] { read = dtask::read_idx(file, limit); });
  const std::size_t unpacked = std::min<std::size_t>(limit, 1032 * file.size());
  // A quarter more for the class of the block, 64 KiB for zlib.
  require(peak <= unpacked + unpacked / 4 + (64u << 10), "reading takes more than the file can hold");
  if (*read) {
    const dtask::idx_array& array = read->value();
    std::size_t size = 1;
    for (const std::size_t n : array.shape) size *= n;
    require(size == array.data.size() && size <= limit, "shape and data disagree");
    if (array.count() != 0)
      require(array.element(array.count() - 1).size() == size / array.count(), "an element of another size");
  } else {
    require(read->error().code() == dtask::errc::bad_data || read->error().code() == dtask::errc::too_large,
            "a refusal with another code");
  }
  if (file.view().starts_with("\x1f\x8b")) return read->has_value();

  std::vector<Bytef> packed;
  pack(packed, in.first(in.size() / 2));
  pack(packed, in.subspan(in.size() / 2));
  const auto again = dtask::read_idx(dtask::bytes::from(std::move(packed)), limit);
  require(again.has_value() == read->has_value(), "a file is taken only packed, or only plain");
  if (again)
    require(again.value().shape == read->value().shape && again.value().data == read->value().data,
            "a file changes when it is packed");
  return read->has_value();
}
