// SPDX-License-Identifier: BSL-1.0
#pragma once
// clang-format off
// jpeglib.h needs size_t and FILE before it.
#include <cstddef>
#include <cstdio>
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <algorithm>
#include <csetjmp>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "dtask/base/error.hpp"
#include "dtask/base/result.hpp"
#include "dtask/data/decode_options.hpp"
#include "dtask/data/detail/exif.hpp"
#include "dtask/data/picture.hpp"

DTASK_BEGIN
namespace detail {

/// One JPEG decode. libjpeg reports an error by not returning: it jumps back into the member function that called it.
/// Those members (the ones with a `setjmp`) hold no object with a destructor, so that the jump skips none; memory of
/// libjpeg is released by this class.
class jpeg_reader {
 public:
  jpeg_reader(std::span<const std::byte> input, const decode_options& options) noexcept : options_(options) {
    info_.err = jpeg_std_error(&errors_);
    info_.client_data = this;
    errors_.error_exit = &on_error;
    errors_.emit_message = &on_message;
    errors_.output_message = [](j_common_ptr) {};
    progress_.progress_monitor = &on_progress;
    created_ = create(input);
  }
  jpeg_reader(const jpeg_reader&) = delete;
  jpeg_reader& operator=(const jpeg_reader&) = delete;
  // Safe on the zeroed struct too.
  ~jpeg_reader() { jpeg_destroy_decompress(&info_); }

  result<picture> decode() {
    if (!created_ || !read_header()) return failure();
    const std::uint64_t pixels = std::uint64_t{info_.image_width} * info_.image_height;
    if (pixels > options_.max_pixels)
      return error(errc::bad_data,
                   "JPEG of " + std::to_string(info_.image_width) + " x " + std::to_string(info_.image_height) +
                       " pixels is over the limit of " + std::to_string(options_.max_pixels) + " pixels",
                   {}, "raise max_pixels if it is wanted");
    switch (info_.jpeg_color_space) {
      case JCS_GRAYSCALE:
      case JCS_YCbCr:
      case JCS_RGB:
        break;
      case JCS_CMYK:
      case JCS_YCCK:
        return error(errc::bad_data, "JPEG in CMYK colours is not handled", {}, "convert it to RGB");
      default:
        return error(errc::bad_data,
                     "JPEG with " + std::to_string(info_.num_components) + " colour components is not handled", {},
                     "convert it to RGB");
    }
    const int orientation = exif_.empty() ? 1 : exif_orientation(exif_);
    choose_scale(orientation);
    if (!start()) return failure();
    picture out;
    out.width = static_cast<int>(info_.output_width);
    out.height = static_cast<int>(info_.output_height);
    out.rgb.resize(out.row_bytes() * info_.output_height);
    if (!read_rows(out.rgb.data(), out.row_bytes())) return failure();
    // The coefficients of a progressive picture are twice its size: they go before its turned copy is made.
    jpeg_abort_decompress(&info_);
    return upright(std::move(out), orientation);
  }

 private:
  // A progressive picture may repeat its scans without end; real ones have about ten.
  static constexpr int max_scans = 64;
  // 64 GiB of coefficients: beyond, the sum below would not fit into a long.
  static constexpr std::uint64_t most_pixels = std::uint64_t{1} << 33;

  bool create(std::span<const std::byte> input) noexcept {
    if (setjmp(jump_) != 0) return false;
    jpeg_create_decompress(&info_);
    // For coefficient arrays of progressive pictures: 3 components of 16 bits, padded to blocks. Over it libjpeg asks
    // for a temporary file, which ends in an error.
    info_.mem->max_memory_to_use =
        static_cast<long>((std::min(options_.max_pixels, most_pixels) << 3) + (std::uint64_t{16} << 20));
    info_.progress = &progress_;
    jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(input.data()),
                 static_cast<unsigned long>(input.size()));
    // Not jpeg_save_markers: it walks all markers saved before for each new one, and keeps them all.
    jpeg_set_marker_processor(&info_, JPEG_APP0 + 1, &on_app1);
    return true;
  }
  bool read_header() noexcept {
    if (setjmp(jump_) != 0) return false;
    jpeg_read_header(&info_, TRUE);
    return true;
  }
  bool start() noexcept {
    if (setjmp(jump_) != 0) return false;
    info_.out_color_space = JCS_RGB;
    jpeg_start_decompress(&info_);
    return true;
  }
  bool read_rows(std::uint8_t* to, std::size_t row_bytes) noexcept {
    if (setjmp(jump_) != 0) return false;
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW row = to + row_bytes * info_.output_scanline;
      jpeg_read_scanlines(&info_, &row, 1);
    }
    return true;
  }

  void choose_scale(int orientation) noexcept {
    int w = options_.target_width, h = options_.target_height;
    if (w <= 0 || h <= 0) return;
    if (orientation >= 5) std::swap(w, h);
    for (const unsigned by : {8U, 4U, 2U}) {
      if (info_.image_width / by < 2U * static_cast<unsigned>(w) ||
          info_.image_height / by < 2U * static_cast<unsigned>(h))
        continue;
      info_.scale_num = 1;
      info_.scale_denom = by;
      return;
    }
  }

  error failure() const {
    return error(errc::bad_data, std::string("JPEG cannot be decoded: ") + message_, {}, "check the file");
  }

  /// Remembers where in the input the first EXIF block lies, and skips the marker.
  static boolean on_app1(j_decompress_ptr info) {
    jpeg_source_mgr* from = info->src;  // the whole input at once
    if (from->bytes_in_buffer < 2) ERREXIT(info, JERR_INPUT_EOF);
    const std::size_t length = std::size_t{from->next_input_byte[0]} << 8 | from->next_input_byte[1];
    if (length < 2) ERREXIT(info, JERR_BAD_LENGTH);
    from->next_input_byte += 2;
    from->bytes_in_buffer -= 2;
    const std::span<const std::uint8_t> block(from->next_input_byte, std::min(length - 2, from->bytes_in_buffer));
    auto* self = static_cast<jpeg_reader*>(info->client_data);
    if (self->exif_.empty() && has_exif_prefix(block)) self->exif_ = block;
    from->skip_input_data(info, static_cast<long>(length - 2));
    return TRUE;
  }
  static void on_error(j_common_ptr info) {
    auto* self = static_cast<jpeg_reader*>(info->client_data);
    info->err->format_message(info, self->message_);
    std::longjmp(self->jump_, 1);
  }
  static void on_message(j_common_ptr info, int level) {
    if (level >= 0) return;
    // Junk between markers and odd headers are harmless; after any other warning pixels are made up, which is an error
    // here.
    switch (info->err->msg_code) {
      case JWRN_EXTRANEOUS_DATA:
      case JWRN_ADOBE_XFORM:
      case JWRN_JFIF_MAJOR:
      case JWRN_NOT_SEQUENTIAL:
      case JWRN_TOO_MUCH_DATA:
        break;
      default:
        on_error(info);
    }
  }
  static void on_progress(j_common_ptr info) {
    auto* decompress = reinterpret_cast<j_decompress_ptr>(info);
    if (decompress->input_scan_number <= max_scans) return;
    auto* self = static_cast<jpeg_reader*>(info->client_data);
    std::snprintf(self->message_, sizeof self->message_, "more than %d scans", max_scans);
    std::longjmp(self->jump_, 1);
  }

  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf jump_{};
  char message_[JMSG_LENGTH_MAX] = "unknown cause";
  std::span<const std::uint8_t> exif_;
  decode_options options_;
  bool created_ = false;
};

}  // namespace detail
DTASK_END
