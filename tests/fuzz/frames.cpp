// SPDX-License-Identifier: BSL-1.0
#include "fuzz/one_frame.hpp"

// A link's decoder on any stream. The input: options, then pieces, each a length and so many bytes (with the highest
// bit of the length: so many made up, for large blocks). Whole, in these pieces and byte by byte the stream gives the
// same messages and the same end, within 4 x stream + 64 KiB; the blocks of a frame that is cut off count whole, for
// they are received where they will stay.

namespace {

namespace wire = fuzz::wire;

struct outcome {
  std::vector<wire::message> messages;
  dtask::errc fault{}, ended{};
};

/// How the decoders of one input are made.
struct setting {
  wire::side at;
  bool accepted, small, idle;
};

template <class Sink>
outcome run(const setting& how, std::span<const std::byte> stream, std::span<const std::size_t> cuts,
            dtask::block_pool& pool, Sink sink) {
  wire::limits own;
  if (how.small) own = {128u << 10, 64u << 10, 3, 100'000, 2, 2};
  wire::decoder in(how.at, own, pool);
  if (how.accepted) in.set_limits(own);
  outcome out;
  std::size_t from = 0;
  for (const std::size_t to : cuts) {
    const dtask::error bad = in.feed(stream.subspan(from, to - from), [&](wire::message&& m) {
      sink(out, std::move(m));
      return true;
    });
    fuzz::require(out.fault == dtask::errc::ok || bad.code() == out.fault, "a fault does not last");
    out.fault = bad.code();
    from = to;
  }
  out.ended = in.at_end().code();
  return out;
}

/// How many bytes of blocks a right stream announces in its last frame that do not come.
std::size_t owed(std::span<const std::byte> stream) {
  while (stream.size() >= wire::frame_header::size) {
    const wire::frame_header head = wire::load_header(stream.data());
    const std::size_t small = wire::frame_header::size + head.body;
    if (stream.size() < small) break;
    if (stream.size() < small + head.blob_bytes) return small + head.blob_bytes - stream.size();
    stream = stream.subspan(small + head.blob_bytes);
  }
  return 0;
}

}  // namespace

bool fuzz::frames(input in) {
  cursor from(in);
  const auto options = from.take<std::uint8_t>();
  const setting how{(options & 1) ? wire::side::listening : wire::side::connecting, (options & 2) != 0,
                    (options & 4) != 0, (options & 8) != 0};
  constexpr std::size_t most = 128u << 10;
  std::vector<std::byte> stream;
  std::vector<std::size_t> pieces;
  while (!from.empty() && stream.size() < most) {
    const auto word = from.take<std::uint16_t>();
    const std::size_t count = word & 0x7fff;
    if ((word & 0x8000) != 0) {
      stream.insert(stream.end(), count, std::byte{0x5a});
    } else {
      const input given = from.take(count);
      stream.insert(stream.end(), given.begin(), given.end());
    }
    pieces.push_back(stream.size());
  }

  const auto keep = [](outcome& out, wire::message&& m) { out.messages.push_back(std::move(m)); };
  const auto pool_for = [&how](dtask::block_pool& pool) {
    if (how.idle) const dtask::mutable_bytes block(64u << 10, pool);
  };
  dtask::block_pool pool;
  pool_for(pool);
  const std::size_t whole = stream.size();
  bool right = false;
  const std::size_t peak = peak_of(
      [&] { right = run(how, stream, {&whole, 1}, pool, [](outcome&, wire::message&&) {}).fault == dtask::errc::ok; });
  require(peak <= decoder_bound(whole + (right ? owed(stream) : 0)), "decoding takes more than 4 x stream + 64 KiB");
  require(pool.lent_bytes() == 0, "a decoder that is gone holds blocks");

  const outcome at_once = run(how, stream, {&whole, 1}, pool, keep);
  const auto compare = [&](std::span<const std::size_t> cuts) {
    dtask::block_pool fresh;
    pool_for(fresh);
    const outcome cut = run(how, stream, cuts, fresh, keep);
    require(cut.fault == at_once.fault && cut.ended == at_once.ended, "cuts change the end of a stream");
    require(cut.messages.size() == at_once.messages.size(), "cuts change the number of messages");
    for (std::size_t i = 0; i < cut.messages.size(); ++i)
      require(test::same(cut.messages[i], at_once.messages[i]), "cuts change a message");
  };
  compare(pieces);
  if (whole <= 1024) {
    std::vector<std::size_t> each(whole);
    for (std::size_t i = 0; i < whole; ++i) each[i] = i + 1;
    compare(each);
  }
  return !at_once.messages.empty() && at_once.fault == dtask::errc::ok;
}
