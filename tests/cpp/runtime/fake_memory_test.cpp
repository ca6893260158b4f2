// The fake driver's contexts and memory: what it lets pass and what it refuses.
#include <thread>
#include <vector>

#include "support/fake_cuda_fixture.hpp"

namespace tf2trt {
namespace {

constexpr int kInvalidValue = 1;
constexpr int kOutOfMemory = 2;
constexpr int kInvalidDevice = 101;
constexpr int kInvalidContext = 201;
constexpr int kInvalidHandle = 400;
constexpr int kDestroyed = 709;

class FakeMemoryTest : public test::FakeCudaTest {};

TEST_F(FakeMemoryTest, FreshMemoryHoldsAPattern) {
  EXPECT_EQ(seen(), all(0xCD));
  fill(0);
  EXPECT_EQ(download(), 0);
  EXPECT_EQ(cuStreamSynchronize(stream_), 0);
  EXPECT_EQ(seen(), all(0xCD));
}

TEST_F(FakeMemoryTest, ADeviceAddressIsNoneOfTheHost) {
  EXPECT_DEATH(*reinterpret_cast<char volatile*>(device_) = 1, "");  // NOLINT(performance-no-int-to-ptr)
}

TEST_F(FakeMemoryTest, FreedPinnedMemoryCannotBeRead) {
  void* other = nullptr;
  ASSERT_EQ(cuMemHostAlloc(&other, 8, 0), 0);
  EXPECT_EQ(cuMemFreeHost(other), 0);
  EXPECT_DEATH(*static_cast<char volatile*>(other) = 1, "");
}

TEST_F(FakeMemoryTest, CopiesStayInsideAllocations) {
  EXPECT_TRUE(refused(cuMemcpyHtoDAsync_v2(device_ + 1, pinned_, 8, stream_), kInvalidValue, "past the end"));
  EXPECT_TRUE(refused(cuMemcpyHtoDAsync_v2(device_, static_cast<char*>(pinned_) + 4, 8, stream_), kInvalidValue,
                      "past the end of a pinned"));
  EXPECT_TRUE(refused(cuMemcpyHtoDAsync_v2(device_ + (1 << 20), pinned_, 8, stream_), kInvalidValue, "never"));
  void* const swapped = reinterpret_cast<void*>(device_);  // NOLINT(performance-no-int-to-ptr)
  EXPECT_TRUE(refused(cuMemcpyHtoDAsync_v2(device_, swapped, 8, stream_), kInvalidValue, "not one of the host"));
  auto const host = reinterpret_cast<unsigned long long>(pinned_);
  EXPECT_TRUE(refused(cuMemcpyDtoHAsync_v2(pinned_, host, 8, stream_), kInvalidValue, "never allocated"));
}

TEST_F(FakeMemoryTest, FreedMemoryIsRefused) {
  unsigned long long other = 0;
  ASSERT_EQ(cuMemAlloc_v2(&other, 8), 0);
  EXPECT_TRUE(refused(cuMemFree_v2(other + 1), kInvalidValue, "did not give"));
  EXPECT_EQ(cuMemFree_v2(other), 0);
  EXPECT_TRUE(refused(cuMemFree_v2(other), kInvalidValue, "twice"));
  EXPECT_TRUE(refused(cuMemcpyHtoDAsync_v2(other, pinned_, 8, stream_), kInvalidValue, "after it was freed"));
}

TEST_F(FakeMemoryTest, MemoryInUseIsNotFreed) {
  ASSERT_EQ(upload(), 0);
  EXPECT_TRUE(refused(cuMemFree_v2(device_), kInvalidValue, "queued work"));
  EXPECT_TRUE(refused(cuMemFreeHost(pinned_), kInvalidValue, "queued work"));
  EXPECT_TRUE(refused(cuStreamDestroy_v2(stream_), kInvalidValue, "has not run"));
  EXPECT_EQ(cuStreamSynchronize(stream_), 0);
}

TEST_F(FakeMemoryTest, MappedMemoryHasAnAddressOfItsOwn) {
  unsigned long long alias = 0;
  EXPECT_TRUE(refused(cuMemHostGetDevicePointer_v2(&alias, pinned_, 0), kInvalidValue, "as mapped"));
  void* mapped = nullptr;
  ASSERT_EQ(cuMemHostAlloc(&mapped, 8, 2), 0);
  ASSERT_EQ(cuMemHostGetDevicePointer_v2(&alias, mapped, 0), 0);
  EXPECT_NE(alias, reinterpret_cast<unsigned long long>(mapped));
  fill(7);
  ASSERT_EQ(upload(), 0);
  ASSERT_EQ(cuMemcpyDtoDAsync_v2(alias, device_, 8, stream_), 0);
  EXPECT_EQ(cuStreamSynchronize(stream_), 0);
  EXPECT_EQ(static_cast<char*>(mapped)[7], 7);
  unsigned type = 0;
  EXPECT_EQ(cuPointerGetAttribute(&type, 2, alias), 0);
  EXPECT_EQ(type, 1U);
  EXPECT_EQ(cuMemFreeHost(mapped), 0);
}

TEST_F(FakeMemoryTest, PointersAreKnown) {
  unsigned type = 0;
  void* owner = nullptr;
  int ordinal = -1;
  EXPECT_EQ(cuPointerGetAttribute(&type, 2, device_ + 3), 0);
  EXPECT_EQ(type, 2U);
  EXPECT_EQ(cuPointerGetAttribute(static_cast<void*>(&owner), 1, device_), 0);
  EXPECT_EQ(owner, context_);
  EXPECT_EQ(cuPointerGetAttribute(&ordinal, 9, device_), 0);
  EXPECT_EQ(ordinal, 0);
  EXPECT_EQ(cuPointerGetAttribute(&type, 2, reinterpret_cast<unsigned long long>(pinned_)), 0);
  EXPECT_EQ(type, 1U);
  int const pageable = 0;
  EXPECT_EQ(cuPointerGetAttribute(&type, 2, reinterpret_cast<unsigned long long>(&pageable)), kInvalidValue);
}

TEST_F(FakeMemoryTest, MemoryRunsOut) {
  EXPECT_TRUE(fake_cuda_set("free", 100));
  EXPECT_FALSE(fake_cuda_set("nonsense", 100));
  std::size_t free = 0;
  std::size_t total = 0;
  ASSERT_EQ(cuMemGetInfo_v2(&free, &total), 0);
  EXPECT_EQ(free, 92U);
  unsigned long long other = 0;
  EXPECT_EQ(cuMemAlloc_v2(&other, 93), kOutOfMemory);
  EXPECT_EQ(cuMemAlloc_v2(&other, 92), 0);
  EXPECT_EQ(cuMemFree_v2(other), 0);
  EXPECT_EQ(fake_cuda_count("device_bytes"), 8);
}

TEST_F(FakeMemoryTest, FailuresAreInjected) {
  fake_cuda_fail("cuMemAlloc_v2", 2, kOutOfMemory);
  unsigned long long first = 0;
  unsigned long long second = 0;
  EXPECT_EQ(cuMemAlloc_v2(&first, 8), 0);
  EXPECT_EQ(cuMemAlloc_v2(&second, 8), kOutOfMemory);
  EXPECT_EQ(cuMemAlloc_v2(&second, 8), 0);
  fake_cuda_fail("cuMemAlloc_v2", 0, kInvalidValue);
  EXPECT_EQ(cuMemAlloc_v2(&second, 8), kInvalidValue);
  EXPECT_EQ(cuMemAlloc_v2(&second, 8), kInvalidValue);
}

TEST_F(FakeMemoryTest, EveryThreadHasItsOwnContexts) {
  std::thread([&] {
    unsigned long long other = 0;
    EXPECT_TRUE(refused(cuMemAlloc_v2(&other, 8), kInvalidContext, "without a current context"));
    EXPECT_TRUE(refused(cuCtxPopCurrent_v2(nullptr), kInvalidContext, "cuCtxPopCurrent"));
    EXPECT_EQ(upload(), kInvalidContext);
    fake_cuda_reset();
    EXPECT_EQ(cuStreamSynchronize(stream_), 0);  // a wait needs none
    EXPECT_EQ(fake_cuda_count("without_context"), 1);
    EXPECT_EQ(cuCtxSetCurrent(context_), 0);
    EXPECT_EQ(upload(), 0);
    EXPECT_EQ(cuStreamSynchronize(stream_), 0);
  }).join();
}

TEST_F(FakeMemoryTest, NothingIsUsedInAnotherContext) {
  void* event = nullptr;
  ASSERT_EQ(cuEventCreate(&event, 0), 0);
  void* foreign = nullptr;
  void* foreign_stream = nullptr;
  ASSERT_EQ(cuCtxCreate_v2(&foreign, 0, 0), 0);
  ASSERT_EQ(cuStreamCreate(&foreign_stream, 1), 0);
  EXPECT_TRUE(refused(cuStreamSynchronize(stream_), kInvalidHandle, "stream of another context"));
  EXPECT_TRUE(refused(cuEventRecord(event, foreign_stream), kInvalidHandle, "event of another context"));
  EXPECT_TRUE(refused(cuMemcpyHtoDAsync_v2(device_, pinned_, 8, foreign_stream), kInvalidValue, "of another context"));
  EXPECT_TRUE(refused(cuMemFree_v2(device_), kInvalidValue, "memory of another context"));
  EXPECT_TRUE(refused(cuMemFreeHost(pinned_), kInvalidValue, "memory of another context"));
  EXPECT_EQ(cuCtxDestroy_v2(foreign), 0);
  EXPECT_TRUE(refused(cuStreamSynchronize(foreign_stream), kInvalidHandle, "no more"));
}

TEST_F(FakeMemoryTest, ThePrimaryContextIsCounted) {
  void* primary = nullptr;
  void* again = nullptr;
  ASSERT_EQ(cuDevicePrimaryCtxRetain(&primary, 0), 0);
  ASSERT_EQ(cuDevicePrimaryCtxRetain(&again, 0), 0);
  EXPECT_EQ(primary, again);
  EXPECT_TRUE(refused(cuCtxDestroy_v2(primary), kInvalidContext, "cuCtxDestroy"));
  EXPECT_TRUE(refused(cuDevicePrimaryCtxRetain(&again, 1), kInvalidDevice, "device 1"));
  EXPECT_EQ(cuDevicePrimaryCtxRelease_v2(0), 0);
  ASSERT_EQ(cuCtxPushCurrent_v2(primary), 0);
  EXPECT_EQ(cuDevicePrimaryCtxRelease_v2(0), 0);
  unsigned long long other = 0;
  EXPECT_TRUE(refused(cuMemAlloc_v2(&other, 8), kDestroyed, "destroyed"));
  EXPECT_EQ(cuCtxPopCurrent_v2(&again), 0);
  EXPECT_TRUE(refused(cuDevicePrimaryCtxRelease_v2(0), kInvalidContext, "more often"));
}

}  // namespace
}  // namespace tf2trt
