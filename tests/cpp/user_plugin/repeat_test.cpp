// The user's operator at work: y[..., j * n + i] = x[..., i]. It needs a GPU, but no TensorRT.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <vector>

#include "cuda_driver.hpp"
#include "sdk/plugin_v3.hpp"
#include "support/plugin_fields.hpp"
#include "support/registry.hpp"
#include "tf2trt/buffer.hpp"
#include "tf2trt/stream.hpp"

namespace tf2trt::plugins {
namespace {

class RepeatTest : public testing::Test {
 protected:
  void SetUp() override {
    using GetCreators = CreatorV3* const* (*)(std::int32_t&);
    void* library = test::load_or_throw(TF2TRT_USER_PLUGINS);
    std::int32_t count = 0;
    creator_ = *test::function_in<GetCreators>(library, "getCreators")(count);
    ASSERT_EQ(count, 1);
  }
  [[nodiscard]] std::unique_ptr<PluginV3> make(std::int32_t times) const {
    test::Fields const fields = test::Fields().integers("times", {times});
    return std::unique_ptr<PluginV3>(creator_->createPlugin("layer", &fields.get(), 2));
  }

 private:
  CreatorV3* creator_ = nullptr;
};

constexpr auto kFloat32 = static_cast<std::int32_t>(DataType::kFloat32);
constexpr auto kFloat16 = static_cast<std::int32_t>(DataType::kFloat16);

DescV3 desc(std::vector<std::int64_t> const& shape, std::int32_t type) {
  return {abi::detail::from_shape<abi::Dims64>(shape), type, 0, 1};
}

std::int32_t enqueue(PluginV3& plugin, DescV3 const& x, void const* input, void* output, void* stream) {
  void const* const inputs[] = {input};
  void* const outputs[] = {output};
  DescV3 const y{};  // Repeat does not look at it
  auto& runtime = static_cast<RuntimeV3&>(*plugin.getCapabilityInterface(2));
  return runtime.enqueue(&x, &y, inputs, outputs, nullptr, stream);
}

// x is 1, 2, 3 ... in elements of type T, whose bits nobody looks at.
template <class T>
std::vector<T> repeated(std::vector<T> const& x, std::size_t row, std::size_t times) {
  std::vector<T> y;
  for (std::size_t first = 0; first < x.size(); first += row) {
    for (std::size_t j = 0; j < times; ++j) {
      for (std::size_t i = 0; i < row; ++i) y.push_back(x[first + i]);
    }
  }
  return y;
}

template <class T>
void check(PluginV3& plugin, DescV3 const& x_desc, std::size_t times) {
  auto const shape = abi::detail::to_shape(x_desc.dims);
  auto const elements = std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
  std::vector<T> x(static_cast<std::size_t>(elements));
  std::iota(x.begin(), x.end(), T{1});
  auto const expected = repeated(x, static_cast<std::size_t>(shape.back()), times);
  std::size_t const x_bytes = x.size() * sizeof(T);
  std::size_t const y_bytes = expected.size() * sizeof(T);
  Stream const stream;
  PinnedBuffer const pinned_x(x_bytes);
  PinnedBuffer const pinned_y(y_bytes);
  DeviceBuffer const device_x(x_bytes);
  DeviceBuffer const device_y(y_bytes);
  std::memcpy(pinned_x.data(), x.data(), x_bytes);
  copy_to_device(device_x, pinned_x, x_bytes, stream.handle());
  EXPECT_EQ(enqueue(plugin, x_desc, device_x.data(), device_y.data(), stream.handle()), 0);
  copy_to_host(pinned_y, device_y, y_bytes, stream.handle());
  stream.synchronize();
  std::vector<T> y(expected.size());
  std::memcpy(y.data(), pinned_y.data(), y_bytes);
  EXPECT_EQ(y, expected) << testing::PrintToString(shape) << " " << times << " times";
}

TEST_F(RepeatTest, OnTheGpu) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  for (std::int32_t const times : {1, 2, 5}) {
    auto const plugin = make(times);
    ASSERT_NE(plugin, nullptr);
    auto const count = static_cast<std::size_t>(times);
    for (auto const& shape : std::vector<std::vector<std::int64_t>>{{5}, {1, 1}, {3, 7}, {2, 3, 4, 5}, {4096, 33}}) {
      check<std::uint32_t>(*plugin, desc(shape, kFloat32), count);
      check<std::uint16_t>(*plugin, desc(shape, kFloat16), count);
    }
  }
}

TEST_F(RepeatTest, NothingToDoIsDoneAnywhere) {
  auto const plugin = make(2);
  for (auto const& shape : std::vector<std::vector<std::int64_t>>{{0}, {3, 0}, {0, 3}}) {
    EXPECT_EQ(enqueue(*plugin, desc(shape, kFloat32), nullptr, nullptr, nullptr), 0);
  }
}

TEST_F(RepeatTest, WithoutADriverItFails) {
  if (cuda::available()) GTEST_SKIP() << "there is a GPU here";
  auto const plugin = make(2);
  std::uint32_t x = 0;
  std::uint32_t y[2] = {};
  EXPECT_NE(enqueue(*plugin, desc({1}, kFloat32), &x, y, nullptr), 0);
}

}  // namespace
}  // namespace tf2trt::plugins
