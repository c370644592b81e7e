// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/error.hpp"
#include "dtask/base/result.hpp"
#include "dtask/data/decode_options.hpp"
#include "dtask/data/detail/exif.hpp"
#include "dtask/data/picture.hpp"

DTASK_BEGIN
namespace detail {

/// One PNG decode. Like `jpeg_reader`: members with a `setjmp` hold no object with a destructor.
class png_reader {
 public:
  png_reader(std::span<const std::byte> input, const decode_options& options) noexcept
      : input_(before_broken_exif(input)), options_(options) {
    created_ = create();
  }
  png_reader(const png_reader&) = delete;
  png_reader& operator=(const png_reader&) = delete;
  ~png_reader() { png_destroy_read_struct(&png_, &info_, nullptr); }

  result<picture> decode() {
    if (!created_ || !read_header()) return failure();
    const std::uint64_t pixels = std::uint64_t{width_} * height_;
    if (pixels > options_.max_pixels)
      return error(errc::bad_data,
                   "PNG of " + std::to_string(width_) + " x " + std::to_string(height_) +
                       " pixels is over the limit of " + std::to_string(options_.max_pixels) + " pixels",
                   {}, "raise max_pixels if it is wanted");
    if (width_ > options_.max_side || height_ > options_.max_side)
      return error(errc::bad_data,
                   "PNG of " + std::to_string(width_) + " x " + std::to_string(height_) +
                       " pixels is over the limit of " + std::to_string(options_.max_side) + " for a side",
                   {}, "raise max_side if it is wanted");
    if (!start()) return failure();
    const std::size_t row_bytes = std::size_t{width_} * (alpha_ ? 4U : 3U);
    if (png_get_rowbytes(png_, info_) != row_bytes)
      return error(errc::bad_data, "PNG with an unexpected pixel layout is not handled");
    picture out;
    out.width = static_cast<int>(width_);
    out.height = static_cast<int>(height_);
    out.rgb.resize(row_bytes * height_);
    if (!read_rows(out.rgb.data(), row_bytes)) return failure();
    if (alpha_) flatten(out.rgb, pixels);
    // The orientation may stand behind the pixels. They are whole: damage further on does not matter.
    (void)read_rest();
    return upright(std::move(out), stored_orientation());
  }

 private:
  /// libpng 1.6 allocates what an eXIf chunk says it is long, up to 2 GiB, before it looks for the bytes: the file ends
  /// where such a chunk is not whole.
  static std::span<const std::byte> before_broken_exif(std::span<const std::byte> file) noexcept {
    constexpr std::size_t signature = 8, head = 8, checksum = 4;
    if (file.size() < signature) return file;
    for (std::size_t at = signature; file.size() - at >= head;) {
      std::size_t length = 0;
      for (std::size_t i = 0; i < 4; ++i) length = length << 8 | std::to_integer<std::size_t>(file[at + i]);
      if (length + checksum > file.size() - at - head)
        return std::memcmp(&file[at + 4], "eXIf", 4) == 0 ? file.first(at) : file;
      at += head + length + checksum;
    }
    return file;
  }
  bool create() noexcept {
    if (setjmp(jump_) != 0) return false;
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, &on_error, [](png_structp, png_const_charp) {});
    if (png_ == nullptr) return false;
    info_ = png_create_info_struct(png_);
    if (info_ == nullptr) return false;
    // Neither colour profiles nor texts are used, and both may unpack to any size: they are skipped unread.
    static const png_byte skipped[] = "iCCP\0tEXt\0zTXt\0iTXt\0sPLT\0hIST\0pCAL\0sCAL";
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, skipped, 8);
    png_set_chunk_malloc_max(png_, 1 << 20);
    png_set_chunk_cache_max(png_, 64);
    // libpng drops an eXIf that begins with "Exif\0\0", as some writers have it: it is taken as it stands in the file.
    png_set_read_user_chunk_fn(png_, this, &on_chunk);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_ALWAYS, exif_chunk, 1);
    png_set_user_limits(png_, 0x7fffffff, 0x7fffffff);
    png_set_read_fn(png_, this, &on_read);
    return true;
  }
  bool read_header() noexcept {
    if (setjmp(jump_) != 0) return false;
    png_read_info(png_, info_);
    width_ = png_get_image_width(png_, info_);
    height_ = png_get_image_height(png_, info_);
    return true;
  }
  bool start() noexcept {
    if (setjmp(jump_) != 0) return false;
    png_set_scale_16(png_);
    png_set_expand(png_);
    png_set_gray_to_rgb(png_);
    passes_ = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    alpha_ = (png_get_color_type(png_, info_) & PNG_COLOR_MASK_ALPHA) != 0;
    return true;
  }
  bool read_rows(std::uint8_t* to, std::size_t row_bytes) noexcept {
    if (setjmp(jump_) != 0) return false;
    for (int pass = 0; pass < passes_; ++pass)
      for (std::size_t y = 0; y < height_; ++y) png_read_row(png_, to + y * row_bytes, nullptr);
    return true;
  }

  bool read_rest() noexcept {
    if (setjmp(jump_) != 0) return false;
    png_read_end(png_, info_);
    return true;
  }

  /// RGBA over a white ground, in place.
  static void flatten(std::vector<std::uint8_t>& pixels, std::uint64_t count) {
    const std::uint8_t* from = pixels.data();
    std::uint8_t* to = pixels.data();
    for (std::uint64_t i = 0; i < count; ++i, from += 4, to += 3) {
      const unsigned a = from[3], ground = 255U * (255U - a) + 127U;
      const unsigned r = from[0], g = from[1], b = from[2];
      to[0] = static_cast<std::uint8_t>((r * a + ground) / 255U);
      to[1] = static_cast<std::uint8_t>((g * a + ground) / 255U);
      to[2] = static_cast<std::uint8_t>((b * a + ground) / 255U);
    }
    pixels.resize(static_cast<std::size_t>(3 * count));
  }

  int stored_orientation() const {
    if (exif_.empty()) return 1;
    if (has_exif_prefix(exif_)) return exif_orientation(exif_);
    std::vector<std::uint8_t> block(exif_prefix, exif_prefix + sizeof exif_prefix);
    block.insert(block.end(), exif_.begin(), exif_.end());
    return exif_orientation(block);
  }

  error failure() const {
    return error(errc::bad_data, std::string("PNG cannot be decoded: ") + message_, {}, "check the file");
  }

  static void on_error(png_structp png, png_const_charp text) {
    auto* self = static_cast<png_reader*>(png_get_error_ptr(png));
    std::snprintf(self->message_, sizeof self->message_, "%s", text);
    std::longjmp(self->jump_, 1);
  }
  /// The chunks that were asked for as unknown ones. Nothing may be thrown through libpng.
  static int on_chunk(png_structp png, png_unknown_chunkp chunk) noexcept {
    auto* self = static_cast<png_reader*>(png_get_user_chunk_ptr(png));
    if (std::memcmp(chunk->name, exif_chunk, 4) != 0) return 0;
    try {
      if (self->exif_.empty() && self->checksum_holds(*chunk))
        self->exif_.assign(chunk->data, chunk->data + std::min(chunk->size, most_exif));
    } catch (...) {
      // No memory for it: the picture stays as it is stored.
    }
    return 1;
  }
  /// libpng hands over unknown chunks whatever their checksum says. It has just read this one, the checksum last.
  bool checksum_holds(const png_unknown_chunk& chunk) const noexcept {
    const std::size_t covered = 4 + chunk.size;
    if (at_ < covered + 4) return false;
    const auto* const stored = reinterpret_cast<const Bytef*>(input_.data() + at_ - 4);
    const uLong sum = ::crc32(0, stored - covered, static_cast<uInt>(covered));
    const uLong wanted = uLong{stored[0]} << 24 | uLong{stored[1]} << 16 | uLong{stored[2]} << 8 | uLong{stored[3]};
    return sum == wanted;
  }
  static void on_read(png_structp png, png_bytep to, std::size_t count) {
    auto* self = static_cast<png_reader*>(png_get_io_ptr(png));
    if (count > self->input_.size() - self->at_) png_error(png, "the file ends early");
    std::memcpy(to, self->input_.data() + self->at_, count);
    self->at_ += count;
  }

  static constexpr png_byte exif_chunk[] = "eXIf";
  static constexpr std::size_t most_exif = 0xffff;

  std::span<const std::byte> input_;
  std::size_t at_ = 0;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::jmp_buf jump_{};
  char message_[128] = "out of memory";
  png_uint_32 width_ = 0, height_ = 0;
  int passes_ = 1;
  bool alpha_ = false, created_ = false;
  std::vector<std::uint8_t> exif_;
  decode_options options_;
};

}  // namespace detail
DTASK_END
