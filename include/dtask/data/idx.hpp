// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/bytes.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/result.hpp"

DTASK_BEGIN

/// An array of unsigned bytes as IDX files hold them: pictures (count x rows x columns) or labels (count).
struct idx_array {
  std::vector<std::size_t> shape;  ///< elements per dimension
  bytes data;                      ///< row-major; a slice of the file where that was not compressed

  /// Number of elements along the first dimension.
  std::size_t count() const noexcept { return shape.empty() ? 0 : shape.front(); }
  /// The bytes of element `i` of the first dimension. Precondition: `i < count()`.
  bytes element(std::size_t i) const {
    const std::size_t size = data.size() / count();
    return data.slice(i * size, size);
  }
};

namespace detail {

/// The bytes of a file, unpacked on the way where it is a gzip file (RFC 1952, several members too).
class gzip_source {
 public:
  explicit gzip_source(const bytes& file) : file_(file), packed_(file.view().starts_with("\x1f\x8b")) {
    if (!packed_) return;
    ready_ = inflateInit2(&stream_, 16 + MAX_WBITS) == Z_OK;
  }
  gzip_source(const gzip_source&) = delete;
  gzip_source& operator=(const gzip_source&) = delete;
  ~gzip_source() {
    if (ready_) inflateEnd(&stream_);
  }
  bool packed() const noexcept { return packed_; }
  std::size_t position() const noexcept { return at_; }
  /// Whether a read came to the end of a gzip file whose checksums are right.
  bool complete() const noexcept { return complete_; }

  /// Fills `to` with the next `count` bytes and says how many there were.
  std::size_t read(std::byte* to, std::size_t count) {
    if (!packed_) {
      const std::size_t n = std::min(count, file_.size() - at_);
      if (n != 0) std::memcpy(to, file_.data() + at_, n);
      at_ += n;
      return n;
    }
    std::size_t done = 0;
    while (ready_ && done < count) {
      feed();
      const std::size_t most = std::min<std::size_t>(count - done, std::numeric_limits<uInt>::max());
      stream_.next_out = reinterpret_cast<Bytef*>(to + done);
      stream_.avail_out = static_cast<uInt>(most);
      const int code = inflate(&stream_, Z_NO_FLUSH);
      done += most - stream_.avail_out;
      if (code == Z_STREAM_END && (stream_.avail_in != 0 || at_ < file_.size())) {
        if (inflateReset(&stream_) != Z_OK) break;
      } else if (code != Z_OK) {
        complete_ = code == Z_STREAM_END;
        break;
      }
    }
    return done;
  }

 private:
  void feed() noexcept {
    if (stream_.avail_in != 0) return;
    const std::size_t n = std::min<std::size_t>(file_.size() - at_, std::numeric_limits<uInt>::max());
    // zlib does not write through next_in; its type dates from before const.
    stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(file_.data() + at_));
    stream_.avail_in = static_cast<uInt>(n);
    at_ += n;
  }
  const bytes& file_;
  bool packed_, ready_ = false, complete_ = false;
  std::size_t at_ = 0;
  z_stream stream_{};
};

}  // namespace detail

/// Whether a file starts like an IDX array of unsigned bytes or like a gzip file, which may hold one.
inline bool looks_like_idx(const bytes& file) noexcept {
  return file.view().starts_with(std::string_view("\0\0\x08", 3)) || file.view().starts_with("\x1f\x8b");
}

/// Reads an IDX file of unsigned bytes, plain or gzip (http://yann.lecun.com/exdb/mnist, "the IDX file format").
///
/// `file`: the whole file. `limit`: the most bytes of data; checked against the header before they are allocated, so a
/// small file cannot unpack to more. Result: the array, or `errc::bad_data` (not IDX, another element type, truncated,
/// bytes after the data, damaged gzip) or `errc::too_large`. Thread-safe.
inline result<idx_array> read_idx(const bytes& file, std::uint64_t limit = std::uint64_t{1} << 30) {
  const auto bad = [](std::string why) {
    return error(errc::bad_data, "IDX file: " + std::move(why), {}, "check the file");
  };
  detail::gzip_source source(file);
  std::byte head[4];
  if (source.read(head, 4) != 4) return bad("the file ends before its header, or its gzip data is damaged");
  if (head[0] != std::byte{0} || head[1] != std::byte{0}) return bad("the magic number is missing");
  if (head[2] != std::byte{8}) return bad("only unsigned bytes (type 8) are handled");
  const std::size_t rank = std::to_integer<std::size_t>(head[3]);
  if (rank == 0 || rank > 8) return bad("between 1 and 8 dimensions are handled");
  idx_array out;
  std::uint64_t size = 1;
  for (std::size_t i = 0; i < rank; ++i) {
    std::byte n[4];
    if (source.read(n, 4) != 4) return bad("the header is cut short");
    std::size_t extent = 0;
    for (const std::byte b : n) extent = extent << 8 | std::to_integer<std::size_t>(b);
    if (extent != 0 && size > limit / extent)
      return error(errc::too_large,
                   "IDX file: its header announces more than the limit of " + std::to_string(limit) + " bytes", {},
                   "raise the limit if it is wanted");
    size *= extent;
    out.shape.push_back(extent);
  }
  if (!source.packed()) {
    if (file.size() - source.position() != size)
      return bad(file.size() - source.position() < size ? "the data is cut short" : "bytes after the data");
    out.data = file.slice(source.position());
    return out;
  }
  // Deflate packs at most 1032 to 1: a small file that announces much is refused before its data is allocated.
  if (size / 1032 > file.size()) return bad("the header announces more than the file can hold");
  mutable_bytes data(static_cast<std::size_t>(size));
  if (source.read(data.data(), data.size()) != data.size())
    return bad("the data is cut short or its gzip data is damaged");
  std::byte more;
  if (source.read(&more, 1) != 0) return bad("bytes after the data");
  if (!source.complete()) return bad("the end of its gzip data is missing or damaged");
  out.data = std::move(data).freeze();
  return out;
}

DTASK_END
