// SPDX-License-Identifier: BSL-1.0
#include "jobs.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "dtask/base/error.hpp"
#include "dtask/base/message_of.hpp"
#include "dtask/data.hpp"

namespace recognise {

namespace {

/// One file as the pixels that the network wants, or the reason why not.
std::string unpack(const dtask::bytes& file, const model_info& info, std::span<std::uint8_t> to) {
  const auto picture = dtask::decode_picture(file.span(), {.target_width = info.width, .target_height = info.height});
  if (!picture) return picture.error().what();
  if (info.channels == 3) {
    dtask::resize_bilinear(*picture, info.width, info.height, to);
    return {};
  }
  const dtask::picture small = dtask::resize_bilinear(*picture, info.width, info.height);
  for (std::size_t i = 0; i < to.size(); ++i) {
    const std::uint8_t* rgb = small.rgb.data() + 3 * i;
    to[i] = static_cast<std::uint8_t>((299U * rgb[0] + 587U * rgb[1] + 114U * rgb[2] + 500U) / 1000U);  // ITU-R BT.601
  }
  return {};
}

/// The classes of one picture, or why there are none: finite weights can still overflow on their way.
answer answer_of(std::vector<ranked> top) {
  const bool numbers = std::all_of(top.begin(), top.end(), [](const ranked& r) { return std::isfinite(r.p); });
  return numbers ? answer{std::move(top), {}}
                 : answer{{}, "the network's answer is not a number: its weights are damaged"};
}

std::span<const std::uint8_t> raw(const dtask::bytes& b) {
  return {reinterpret_cast<const std::uint8_t*>(b.data()), b.size()};
}

}  // namespace

recognise_job::recognise_job(dtask::worker_context& w) {
  share_cores(w.slots());
  model_ = std::make_unique<model>(w.blob("weights"), precision::automatic, &w);
}

dtask::task<std::vector<answer>> recognise_job::operator()(dtask::job_context& ctx, const batch& in) {
  const model_info& info = model_->info();
  if (in.files.empty()) {
    std::vector<answer> answers;
    auto classifying = model_->classify_there(raw(in.pixels));
    auto found = co_await std::move(classifying);
    for (auto& top : found) answers.push_back(answer_of(std::move(top)));
    co_return answers;
  }
  const std::size_t each = info.picture_bytes();
  std::vector<answer> answers(in.files.size());
  std::vector<std::uint8_t> pixels(each * in.files.size());
  parallel(static_cast<int>(in.files.size()), [&](int n) {
    const auto i = static_cast<std::size_t>(n);
    try {
      answers[i].error = unpack(in.files[i], info, std::span(pixels).subspan(i * each, each));
    } catch (const std::exception& e) {
      answers[i].error = dtask::message_of(e);
    }
  });
  ctx.stop().check();
  // The good ones move together, so that the network sees no gaps.
  std::vector<std::size_t> good;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i].error.empty()) continue;
    if (good.size() != i)
      std::copy_n(pixels.begin() + static_cast<std::ptrdiff_t>(i * each), each,
                  pixels.begin() + static_cast<std::ptrdiff_t>(good.size() * each));
    good.push_back(i);
  }
  if (good.empty()) co_return answers;
  auto classifying = model_->classify_there(std::span(pixels).first(good.size() * each));
  auto found = co_await std::move(classifying);
  for (std::size_t k = 0; k < good.size(); ++k) answers[good[k]] = answer_of(std::move(found[k]));
  co_return answers;
}

lesson_result train_job::operator()(dtask::job_context& ctx, const lesson& in) const {
  const dtask::idx_array pictures = dtask::read_idx(in.pictures).value(), labels = dtask::read_idx(in.labels).value();
  share_cores(1);
  const dtask::stop_token stop = ctx.stop();
  const auto asked = [](void* token) { return static_cast<const dtask::stop_token*>(token)->stop_requested(); };
  trained got = train_fashion(raw(pictures.data), raw(labels.data), in.passes, in.seed, asked,
                              const_cast<dtask::stop_token*>(&stop));
  return {std::move(got.weights), got.loss, got.seconds};
}

}  // namespace recognise
