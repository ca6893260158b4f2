#include "sdk/tensor.hpp"

namespace tf2trt::plugins {
namespace {

// Channels that a format keeps together.
int group_of(Format format) noexcept {
  switch (format) {
    case Format::kLinear:
      return 1;
    case Format::kChw2:
      return 2;
    case Format::kChw4:
      return 4;
    case Format::kHwc8:
      return 8;
    case Format::kChw16:
      return 16;
    case Format::kChw32:
      return 32;
  }
  return 0;
}

constexpr int kChannelFromEnd = 3;  // all of them are (..., channel, height, width)

}  // namespace

std::int64_t stored_elements(Tensor const& tensor) noexcept {
  int const group = group_of(tensor.format);
  if (group == 0 || (group > 1 && tensor.rank < kChannelFromEnd)) return -1;
  std::int64_t count = 1;
  for (int i = 0; i < tensor.rank; ++i) {
    std::int64_t const extent = tensor.dims[static_cast<std::size_t>(i)];
    bool const is_channel = group > 1 && i == tensor.rank - kChannelFromEnd;
    count *= is_channel ? (extent + group - 1) / group * group : extent;
  }
  return count;
}

}  // namespace tf2trt::plugins
