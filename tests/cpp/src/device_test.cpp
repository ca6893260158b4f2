// Streams, events and memory: they work where there is a GPU, and say why not where there is none.
#include "tf2trt/device.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "cuda_driver.hpp"
#include "support/errors.hpp"
#include "tf2trt/buffer.hpp"
#include "tf2trt/stream.hpp"

namespace tf2trt {
namespace {

using test::throws;

void copy_there_and_back() {
  Stream const stream;
  Event const start;
  Event const stop;
  constexpr char kText[] = "over to the GPU and back";
  PinnedBuffer const from(sizeof kText);
  PinnedBuffer const back(sizeof kText);
  DeviceBuffer const device(sizeof kText);
  EXPECT_EQ(device.size(), sizeof kText);
  std::memcpy(from.data(), kText, sizeof kText);
  start.record(stream.handle());
  copy_to_device(device, from, sizeof kText, stream.handle());
  copy_to_host(back, device, sizeof kText, stream.handle());
  stop.record(stream.handle());
  stream.synchronize();
  EXPECT_STREQ(static_cast<char const*>(back.data()), kText);
  EXPECT_GE(stop.since(start), 0.0F);
  EXPECT_TRUE(throws(ErrorKind::kUsage, {"more bytes"},
                     [&] { copy_to_device(device, from, sizeof kText + 1, stream.handle()); }));
  EXPECT_NE(DeviceBuffer(0).data(), nullptr);
  EXPECT_NE(PinnedBuffer(0).data(), nullptr);
}

TEST(DeviceTest, WorksOrSaysWhyNot) {
  if (cuda::available()) {
    EXPECT_EQ(cuda::why_not(), "");
    EXPECT_FALSE(device().name.empty());
    EXPECT_GT(device().total_memory, 0U);
    EXPECT_TRUE(throws(ErrorKind::kDevice, {"device 99", "no such GPU"}, [] { (void)device(99); }));
    copy_there_and_back();
    return;
  }
  EXPECT_NE(cuda::why_not(), "");
  std::function<void()> const uses[] = {[] { Stream const stream; },           [] { Event const event; },
                                        [] { DeviceBuffer const buffer(16); }, [] { PinnedBuffer const buffer(16); },
                                        [] { (void)cuda::driver(); },          [] { (void)device(); }};
  for (auto const& use : uses) EXPECT_TRUE(throws(ErrorKind::kDevice, {cuda::why_not()}, use));
}

}  // namespace
}  // namespace tf2trt
