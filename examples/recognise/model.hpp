// SPDX-License-Identifier: BSL-1.0
#pragma once
/// A network that names what is on pictures. This header needs no LibTorch, so that programs using it compile in a
/// second.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dtask/base/bytes.hpp"
#include "dtask/job/worker_context.hpp"
#include "dtask/task/task.hpp"

namespace recognise {

/// In which numbers the network computes. `automatic`: bfloat16 where the processor multiplies it natively (CPUs with
/// avx512_bf16, CUDA devices from compute capability 8.0 on) and the architecture keeps its answers with it, else
/// float32.
enum class precision : std::uint8_t { automatic, float32, bfloat16 };

/// One class of a picture's answer: its index from 0, and its probability.
struct ranked {
  int index = 0;
  float p = 0;
};

/// What the weights say about the pictures they want.
struct model_info {
  std::string architecture;
  int width = 0;     ///< pixels
  int height = 0;    ///< pixels
  int channels = 0;  ///< 3: RGB, 1: grey
  int classes = 0;
  bool bfloat16 = false;

  std::size_t picture_bytes() const noexcept {
    return static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * static_cast<std::size_t>(channels);
  }
};

/// What a safetensors file says about its network, every array checked by name and shape. Throws
/// `dtask::error(bad_data)` with the reason.
model_info describe(const dtask::bytes& weights);

/// A network with its weights, ready to run. One thread or task at a time; several objects run side by side, on a CUDA
/// device in streams of their own.
class model {
 public:
  /// `weights`: a safetensors file, its architecture named in the metadata (mobilenet_v2 or fashion_cnn; without
  /// metadata torchvision's MobileNet V2). Throws `dtask::error(bad_data)` for what is not such a file, an unknown
  /// architecture, or missing, superfluous and wrongly shaped arrays, and such of other numbers than F32, F16, BF16
  /// or F64. `where`: the worker on whose device it computes; without one, on the CPU. Throws `dtask::error(not_found)`
  /// where that device is not there, or this program was built without CUDA.
  explicit model(const dtask::bytes& weights, precision in = precision::automatic,
                 const dtask::worker_context* where = nullptr);
  model(const model&) = delete;
  model& operator=(const model&) = delete;
  ~model();

  const model_info& info() const noexcept;

  /// The `top` most probable classes of each picture, best first. `pixels`: whole pictures of `info().picture_bytes()`,
  /// rows from the top, channels interleaved. On the CPU.
  std::vector<std::vector<ranked>> classify(std::span<const std::uint8_t> pixels, int top = 5);
  /// The same on the model's device: on the CPU at once, on another one the thread is free while it computes. `pixels`
  /// lives until the end.
  dtask::task<std::vector<std::vector<ranked>>> classify_there(std::span<const std::uint8_t> pixels, int top = 5);

 private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

/// Gives each of `slots` networks its share of this machine's cores (see `dtask::share_cores`). Called before the first
/// network runs.
void share_cores(unsigned slots);

/// Calls `work(i)` for i from 0 to `count` - 1 on LibTorch's threads. `work` must not throw.
void parallel(int count, const std::function<void(int)>& work);

/// What training ended with.
struct trained {
  dtask::bytes weights;  ///< a safetensors file
  double loss = 0;       ///< mean over the last pass
  double seconds = 0;
};

/// Trains the small network `fashion_cnn` on grey pictures of 28 x 28 pixels.
///
/// `pixels`: 784 bytes for each of `labels`, which count from 0 to 9. `passes` over all of them; `stop_asked` is called
/// between steps and ends the training with `dtask::error(cancelled)` when it returns true. Deterministic for one seed
/// and number of threads. Throws `dtask::error(invalid_argument)` for sizes that do not fit.
trained train_fashion(std::span<const std::uint8_t> pixels, std::span<const std::uint8_t> labels, int passes,
                      std::uint64_t seed, bool (*stop_asked)(void*), void* user);

}  // namespace recognise
