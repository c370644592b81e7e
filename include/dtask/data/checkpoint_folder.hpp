// SPDX-License-Identifier: BSL-1.0
#pragma once
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include "dtask/base/bytes.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/message_of.hpp"
#include "dtask/base/number.hpp"
#include "dtask/base/read_file.hpp"
#include "dtask/base/result.hpp"
#include "dtask/base/version.hpp"
#include "dtask/data/detail/json_reader.hpp"
#include "dtask/data/replace_file.hpp"
#include "dtask/data/safetensors.hpp"

DTASK_BEGIN

/// What a checkpoint must have been made with, so that a training can go on from it.
struct checkpoint_origin {
  std::string recipe;        ///< fingerprint of the recipe and its options, any text
  std::uint64_t layout = 0;  ///< hash of the model's names, shapes and types
  std::string libtorch;      ///< version
  /// Compares member by member.
  friend bool operator==(const checkpoint_origin&, const checkpoint_origin&) = default;
};

/// What stands in a checkpoint's JSON file.
struct checkpoint_record {
  checkpoint_origin origin;                    ///< what it was made with
  std::int64_t epoch = 0;                      ///< whole passes over the data that are done
  std::int64_t round = 0;                      ///< rounds done since the beginning
  std::int64_t steps = 0;                      ///< optimizer steps of one rank since the beginning
  std::int64_t samples = 0;                    ///< samples of all ranks since the beginning
  std::uint64_t seed = 0;                      ///< of the training
  double progress = 0;                         ///< of the learning rate, from 0 to 1
  std::string library = DTASK_VERSION_STRING;  ///< version of dtask
  std::uint64_t bytes = 0;                     ///< of the safetensors file beside it
  std::string checksum;                        ///< of that file: XXH3-128, 32 hexadecimal digits
  /// Compares member by member.
  friend bool operator==(const checkpoint_record&, const checkpoint_record&) = default;
};

namespace detail {

inline constexpr std::string_view checkpoint_format = "dtask-checkpoint/1";

inline std::string hexadecimal(std::uint64_t number) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out(16, '0');
  for (std::size_t i = 0; i < 16; ++i) out[15 - i] = digits[(number >> (4 * i)) & 15];
  return out;
}

inline std::string checksum_of(std::span<const bytes> pieces) {
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(), &XXH3_freeState);
  if (!state) throw std::bad_alloc();
  XXH3_128bits_reset(state.get());
  for (const bytes& piece : pieces) XXH3_128bits_update(state.get(), piece.data(), piece.size());
  const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  return hexadecimal(hash.high64) + hexadecimal(hash.low64);
}

}  // namespace detail

/// The record as JSON, one member a line.
inline std::string to_json(const checkpoint_record& record) {
  std::string out = "{";
  const auto key = [&out](std::string_view name) {
    out.append(out.size() == 1 ? "\n  \"" : ",\n  \"").append(name).append("\": ");
  };
  const auto text = [&](std::string_view name, std::string_view value) {
    key(name);
    detail::append_json_string(out, value);
  };
  const auto number = [&](std::string_view name, const std::string& value) {
    key(name);
    out.append(value);
  };
  text("format", detail::checkpoint_format);
  number("epoch", std::to_string(record.epoch));
  number("round", std::to_string(record.round));
  number("steps", std::to_string(record.steps));
  number("samples", std::to_string(record.samples));
  number("seed", std::to_string(record.seed));
  number("progress", number_text(record.progress));
  text("recipe", record.origin.recipe);
  text("layout", detail::hexadecimal(record.origin.layout));
  text("libtorch", record.origin.libtorch);
  text("dtask", record.library);
  number("bytes", std::to_string(record.bytes));
  text("checksum", record.checksum);
  return out + "\n}\n";
}

/// Reads such a record. Result: `errc::bad_data` with the reason for anything else: no JSON, another format, a member
/// that is missing, unknown, there twice or out of range. Thread-safe.
inline result<checkpoint_record> read_checkpoint_record(std::string_view json) {
  checkpoint_record out;
  std::string format, layout, wrong;
  std::vector<std::string> seen;
  detail::json_reader reader(json);
  const auto count = [&reader](std::int64_t& to) {
    const std::uint64_t n = reader.number();
    if (n > INT64_MAX) reader.refuse();
    to = static_cast<std::int64_t>(n);
  };
  reader.members('{', '}', [&] {
    const std::string key = reader.string();
    reader.expect(':');
    if (reader.failed()) return;
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) wrong = key + " stands there twice";
    if (key == "format")
      format = reader.string();
    else if (key == "epoch")
      count(out.epoch);
    else if (key == "round")
      count(out.round);
    else if (key == "steps")
      count(out.steps);
    else if (key == "samples")
      count(out.samples);
    else if (key == "seed")
      out.seed = reader.number();
    else if (key == "progress")
      out.progress = reader.real();
    else if (key == "recipe")
      out.origin.recipe = reader.string();
    else if (key == "layout")
      layout = reader.string();
    else if (key == "libtorch")
      out.origin.libtorch = reader.string();
    else if (key == "dtask")
      out.library = reader.string();
    else if (key == "bytes")
      out.bytes = reader.number();
    else if (key == "checksum")
      out.checksum = reader.string();
    else
      wrong = "it has an unknown member " + key.substr(0, 64);
    seen.push_back(key);
    if (!wrong.empty()) reader.refuse();
  });
  constexpr std::size_t members = 13;
  const auto hexadecimal = [](std::string_view text, std::size_t size) {
    return text.size() == size && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  };
  if (wrong.empty() && (reader.failed() || !reader.at_end()))
    wrong = "it is not valid JSON, or a value is out of range";
  if (wrong.empty() && format != detail::checkpoint_format)
    wrong = format.empty() ? "it names no format" : "its format is " + format.substr(0, 64);
  if (wrong.empty() && seen.size() != members) wrong = "a member is missing";
  if (wrong.empty() && !(out.progress >= 0 && out.progress <= 1)) wrong = "its progress is not from 0 to 1";
  if (wrong.empty() && (!hexadecimal(layout, 16) || !hexadecimal(out.checksum, 32))) wrong = "a hash is none";
  if (!wrong.empty()) return error(errc::bad_data, "no checkpoint's record: " + wrong, {}, "check the file");
  for (const char c : layout)
    out.origin.layout = out.origin.layout << 4 | static_cast<std::uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  return out;
}

/// A folder with the last checkpoints of a training: checkpoint-ROUND.safetensors, and checkpoint-ROUND.json beside it,
/// which is written last, so that where it is, the other one is whole.
///
/// Errors: `error(errc::io_error)` that names the file and the system's reason. All functions block the calling thread:
/// inside a coroutine on a busy scheduler use `offload`. Not affected by cancellation. Several trainings may share a
/// folder if their recipes differ only in time; two that write at once need two folders. Thread-safe apart from that.
class checkpoint_folder {
 public:
  /// `path`: made with its parents where it is missing, at the first `write`. `keep`: how many are kept, at least 1,
  /// else throws `error(errc::invalid_argument)`.
  explicit checkpoint_folder(std::string path, std::size_t keep = 3) : path_(std::move(path)), keep_(keep) {
    if (path_.empty()) throw error(errc::invalid_argument, "checkpoints need a folder");
    if (keep_ == 0) throw error(errc::invalid_argument, "at least one checkpoint is kept", path_);
  }

  /// Writes a checkpoint and then deletes all but the last `keep` of the same recipe. `record`: bytes and checksum are
  /// filled in. Result: the path without its ending.
  ///
  /// Throws also what `safetensors_pieces` throws. Where it throws, the older checkpoints are as they were.
  std::string write(checkpoint_record record, const safetensors& weights) const {
    const std::vector<bytes> pieces = safetensors_pieces(weights);
    record.bytes = 0;
    for (const bytes& piece : pieces) record.bytes += piece.size();
    record.checksum = detail::checksum_of(pieces);
    std::error_code bad;
    std::filesystem::create_directories(path_, bad);
    if (bad)
      throw error(errc::io_error, "cannot make the folder of checkpoints: " + bad.message(), path_, "check its parent");
    const std::string name = path_ + "/checkpoint-" + padded(record.round);
    replace_file(name + ".safetensors", pieces);
    const bytes json = bytes::from(to_json(record));
    try {
      replace_file(name + ".json", std::span(&json, 1));
    } catch (...) {
      // Without a record nobody would ever delete it, and the disk is full already.
      if (!std::filesystem::exists(name + ".json", bad)) std::filesystem::remove(name + ".safetensors", bad);
      throw;
    }
    prune(record.origin.recipe, name);
    return name;
  }

  /// One that could not be used.
  struct skipped {
    std::string path;  ///< of the JSON file
    std::string why;   ///< the reason, for a log
  };
  /// One that is whole.
  struct found {
    std::string path;          ///< without its ending
    checkpoint_record record;  ///< what its JSON file says
    safetensors weights;       ///< the other file, in memory
  };
  /// What `newest_whole` found.
  struct search {
    std::optional<found> newest;  ///< nothing where none can be used
    std::vector<skipped> passed;  ///< what was newer, or no record at all, each with the reason
  };

  /// The newest checkpoint of this origin that is whole: its files are there, have the recorded size and checksum, and
  /// can be read. A folder that does not exist has none. Reads the whole file into memory.
  search newest_whole(const checkpoint_origin& wanted) const {
    search out;
    std::vector<entry> all = list(&out.passed);
    for (const entry& e : all) {
      const std::string why_not = unlike(e.record.origin, wanted);
      if (!why_not.empty()) {
        out.passed.push_back({e.path + ".json", why_not});
        continue;
      }
      try {
        const bytes file = read_file(e.path + ".safetensors", e.record.bytes);
        if (file.size() != e.record.bytes)
          throw error(errc::bad_data, "torn: the safetensors file has " + std::to_string(file.size()) + " of " +
                                          std::to_string(e.record.bytes) + " bytes");
        if (detail::checksum_of(std::span(&file, 1)) != e.record.checksum)
          throw error(errc::bad_data, "torn: the safetensors file has another checksum than recorded");
        out.newest = found{e.path, e.record, read_safetensors(file).value()};
        return out;
      } catch (const std::exception& e_) {
        out.passed.push_back({e.path + ".json", message_of(e_)});
      }
    }
    return out;
  }

  const std::string& path() const noexcept { return path_; }  ///< of the folder, as it was given

 private:
  struct entry {
    std::string path;  // without its ending
    checkpoint_record record;
  };
  static constexpr std::uint64_t longest_record = 1 << 20;
  static constexpr std::size_t most_entries = 100000;

  static std::string padded(std::int64_t round) {
    const std::string digits = std::to_string(round);
    return digits.size() < 9 ? std::string(9 - digits.size(), '0') + digits : digits;
  }
  static std::string unlike(const checkpoint_origin& is, const checkpoint_origin& wanted) {
    if (is.recipe != wanted.recipe)
      return "it belongs to another recipe, or to other options: " + is.recipe.substr(0, 256) + " and not " +
             wanted.recipe.substr(0, 256);
    if (is.libtorch != wanted.libtorch)
      return "it was made with LibTorch " + is.libtorch + ", and this program has " + wanted.libtorch;
    if (is.layout != wanted.layout) return "its parameters have other names, shapes or types than this model's";
    return {};
  }

  /// All records, newest first.
  std::vector<entry> list(std::vector<skipped>* unreadable) const {
    std::vector<entry> out;
    std::error_code bad;
    if (!std::filesystem::exists(path_, bad) && !bad) return out;
    std::filesystem::directory_iterator at(path_, bad);
    for (std::size_t n = 0; !bad && at != std::filesystem::directory_iterator(); at.increment(bad), ++n) {
      if (n == most_entries)
        throw error(errc::too_large,
                    "more than " + std::to_string(most_entries) + " files in the folder of checkpoints", path_,
                    "give it a folder of its own");
      const std::string file = at->path().string(), name = at->path().filename().string();
      if (!name.starts_with("checkpoint-") || !name.ends_with(".json")) continue;
      try {
        out.push_back(
            {file.substr(0, file.size() - 5), read_checkpoint_record(read_file(file, longest_record).view()).value()});
      } catch (const std::exception& e) {
        if (unreadable != nullptr) unreadable->push_back({file, message_of(e)});
      }
    }
    if (bad)
      throw error(errc::io_error, "cannot read the folder of checkpoints: " + bad.message(), path_,
                  "check its permissions");
    std::sort(out.begin(), out.end(), [](const entry& a, const entry& b) {
      return std::tie(a.record.round, a.record.steps, a.path) > std::tie(b.record.round, b.record.steps, b.path);
    });
    if (unreadable != nullptr)
      std::sort(unreadable->begin(), unreadable->end(),
                [](const skipped& a, const skipped& b) { return a.path > b.path; });
    return out;
  }

  void prune(const std::string& recipe, const std::string& written) const {
    // What was just written stays, even where an earlier run of the recipe came further.
    std::size_t kept = 1;
    for (const entry& e : list(nullptr)) {
      if (e.record.origin.recipe != recipe || e.path == written || ++kept <= keep_) continue;
      // The record first: one without a file is torn, a file without a record is overlooked. What cannot be deleted now
      // is tried again next time.
      std::error_code ignored;
      std::filesystem::remove(e.path + ".json", ignored);
      std::filesystem::remove(e.path + ".safetensors", ignored);
    }
  }

  std::string path_;
  std::size_t keep_;
};

DTASK_END
