// Buffers, streams, events and the context guard, on the fake driver.
#include <algorithm>
#include <cstring>
#include <thread>
#include <vector>

#include "cuda_driver.hpp"
#include "support/cuda_calls.hpp"
#include "support/errors.hpp"
#include "support/fake_gpu.hpp"
#include "tf2trt/buffer.hpp"
#include "tf2trt/device.hpp"
#include "tf2trt/error.hpp"
#include "tf2trt/stream.hpp"

namespace tf2trt {
namespace {

using test::throws;

class MemoryTest : public test::FakeGpuTest {};

TEST_F(MemoryTest, TheDeviceIsTheFakeOne) {
  EXPECT_TRUE(cuda::available()) << cuda::why_not();
  fake_cuda_set("integrated", 1);
  Device const found = device(0);
  EXPECT_EQ(found.name, "Fake GPU");
  EXPECT_TRUE(found.integrated);
  EXPECT_TRUE(throws(ErrorKind::kDevice, {"no such GPU"}, [] { device(1); }));
}

TEST_F(MemoryTest, CopiesThereAndBack) {
  Stream const stream;
  DeviceBuffer const device(4);
  PinnedBuffer const from(4);
  PinnedBuffer const to(4);
  std::memcpy(from.data(), "abcd", 4);
  copy_to_device(device, from, 4, stream.handle());
  copy_to_host(to, device, 4, stream.handle());
  EXPECT_NE(std::memcmp(to.data(), "abcd", 4), 0);
  stream.synchronize();
  EXPECT_EQ(std::memcmp(to.data(), "abcd", 4), 0);
  EXPECT_EQ(fake_cuda_count("pageable_copies"), 0);
  EXPECT_TRUE(throws(ErrorKind::kUsage, {"5 bytes"}, [&] { copy_to_device(device, from, 5, stream.handle()); }));
}

TEST_F(MemoryTest, CopiesForTheDeviceWhateverSizeAndAlignment) {
  for (std::size_t const bytes : {0U, 1U, 131'071U, 131'072U, 131'073U, 300'001U}) {
    for (std::size_t const shift : {0U, 1U, 16U, 63U}) {
      std::vector<char> from(bytes + shift + 1);
      for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<char>(i * 31 % 127 + 1);
      std::vector<char> to(bytes + 129, 0);
      copy_for_device(to.data() + 64 - shift, from.data() + shift, bytes);
      EXPECT_EQ(std::memcmp(to.data() + 64 - shift, from.data() + shift, bytes), 0) << bytes << ' ' << shift;
      EXPECT_EQ(std::count(to.begin(), to.end(), 0), static_cast<std::ptrdiff_t>(to.size() - bytes));
    }
  }
}

TEST_F(MemoryTest, IsNeverEmpty) {
  DeviceBuffer const device(0);
  PinnedBuffer const pinned(0);
  EXPECT_NE(device.data(), nullptr);
  EXPECT_NE(pinned.data(), nullptr);
  EXPECT_EQ(device.size(), 0U);
}

TEST_F(MemoryTest, SaysWhatFailed) {
  fake_cuda_fail("cuMemAlloc_v2", 1, 2);
  EXPECT_TRUE(throws(ErrorKind::kDevice, {"cuMemAlloc", "CUDA_ERROR_OUT_OF_MEMORY"}, [] { DeviceBuffer const b(8); }));
  fake_cuda_fail("cuMemHostAlloc", 1, 2);
  EXPECT_TRUE(throws(ErrorKind::kDevice, {"cuMemHostAlloc"}, [] { PinnedBuffer const b(8); }));
  fake_cuda_fail("cuStreamCreate", 1, 2);
  EXPECT_TRUE(throws(ErrorKind::kDevice, {"cuStreamCreate"}, [] { Stream const s; }));
  fake_cuda_fail("cuEventCreate", 1, 2);
  EXPECT_TRUE(throws(ErrorKind::kDevice, {"cuEventCreate"}, [] { Event const e; }));
}

TEST_F(MemoryTest, EventsTellTheTimeBetween) {
  Stream const stream;
  Event const start;
  Event const stop;
  DeviceBuffer const device(4);
  PinnedBuffer const pinned(4);
  start.record(stream.handle());
  copy_to_device(device, pinned, 4, stream.handle());
  stop.record(stream.handle());
  EXPECT_GT(stop.since(start), 0);
}

TEST_F(MemoryTest, LeavesNoContextBehind) {
  std::thread([] {
    int something = 0;
    void* const stray = &something;
    DeviceBuffer const device(4);
    void* current = stray;
    EXPECT_EQ(cuCtxGetCurrent(&current), 0);
    EXPECT_EQ(current, nullptr);
  }).join();
}

TEST_F(MemoryTest, WorksInTheUsersContextWhereThereIsOne) {
  void* foreign = nullptr;
  ASSERT_TRUE(cuda::available());
  ASSERT_EQ(cuCtxCreate_v2(&foreign, 0, 0), 0);
  {
    DeviceBuffer const device(4);
    void* owner = nullptr;
    ASSERT_EQ(cuPointerGetAttribute(static_cast<void*>(&owner), 1, reinterpret_cast<unsigned long long>(device.data())),
              0);
    EXPECT_EQ(owner, foreign);
  }
  EXPECT_EQ(cuCtxDestroy_v2(foreign), 0);
}

}  // namespace
}  // namespace tf2trt
