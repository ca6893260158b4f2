// The fake driver's streams and events: work is done when something waits for it, in order.
#include <thread>

#include "support/fake_cuda_fixture.hpp"

namespace tf2trt {
namespace {

constexpr int kInvalidHandle = 400;
constexpr int kNotReady = 600;

class FakeStreamTest : public test::FakeCudaTest {};

TEST_F(FakeStreamTest, WorkIsDeferred) {
  fill(1);
  ASSERT_EQ(upload(), 0);
  ASSERT_EQ(download(), 0);
  fill(2);  // too early: the copies have not run
  EXPECT_EQ(fake_cuda_count("pending"), 2);
  EXPECT_EQ(fake_cuda_count("h2d_copies"), 0);
  EXPECT_EQ(cuStreamSynchronize(stream_), 0);
  EXPECT_EQ(seen(), all(2));
  EXPECT_EQ(fake_cuda_count("pending"), 0);
  EXPECT_EQ(fake_cuda_count("h2d_copies"), 1);
  EXPECT_EQ(fake_cuda_count("d2h_bytes"), 8);
}

TEST_F(FakeStreamTest, QueriesAnswerNotReadyFirst) {
  EXPECT_EQ(cuStreamQuery(stream_), 0);
  void* event = nullptr;
  ASSERT_EQ(cuEventCreate(&event, 2), 0);
  EXPECT_EQ(cuEventQuery(event), 0);
  ASSERT_EQ(upload(), 0);
  ASSERT_EQ(cuEventRecord(event, stream_), 0);
  ASSERT_EQ(upload(), 0);
  EXPECT_EQ(cuEventQuery(event), kNotReady);
  EXPECT_EQ(fake_cuda_count("pending"), 3);
  EXPECT_EQ(cuEventQuery(event), 0);
  EXPECT_EQ(fake_cuda_count("pending"), 1);
  fake_cuda_set("delay", 2);
  EXPECT_EQ(cuStreamQuery(stream_), kNotReady);
  EXPECT_EQ(cuStreamQuery(stream_), kNotReady);
  EXPECT_EQ(cuStreamQuery(stream_), 0);
  EXPECT_EQ(fake_cuda_count("pending"), 0);
}

TEST_F(FakeStreamTest, AnEventOrdersTwoStreams) {
  void* second = nullptr;
  void* event = nullptr;
  ASSERT_EQ(cuStreamCreate(&second, 1), 0);
  ASSERT_EQ(cuEventCreate(&event, 0), 0);
  fill(5);
  ASSERT_EQ(upload(), 0);
  ASSERT_EQ(cuEventRecord(event, stream_), 0);
  ASSERT_EQ(upload(), 0);  // after the event: not waited for
  ASSERT_EQ(cuStreamWaitEvent(second, event, 0), 0);
  Bytes result{};
  void* target = nullptr;
  ASSERT_EQ(cuMemHostAlloc(&target, 8, 0), 0);
  ASSERT_EQ(cuMemcpyDtoHAsync_v2(target, device_, 8, second), 0);
  EXPECT_EQ(cuStreamSynchronize(second), 0);
  std::memcpy(result.data(), target, 8);
  EXPECT_EQ(result, all(5));
  EXPECT_EQ(fake_cuda_count("pending"), 1);
  EXPECT_EQ(cuStreamSynchronize(stream_), 0);
}

TEST_F(FakeStreamTest, WithoutAnEventStreamsAreNotOrdered) {
  void* second = nullptr;
  ASSERT_EQ(cuStreamCreate(&second, 1), 0);
  fill(5);
  ASSERT_EQ(upload(), 0);
  void* target = nullptr;
  ASSERT_EQ(cuMemHostAlloc(&target, 8, 0), 0);
  ASSERT_EQ(cuMemcpyDtoHAsync_v2(target, device_, 8, second), 0);
  EXPECT_EQ(cuStreamSynchronize(second), 0);
  EXPECT_EQ(static_cast<unsigned char*>(target)[0], 0xCD);
  EXPECT_EQ(cuCtxSynchronize(), 0);
}

TEST_F(FakeStreamTest, PageableMemoryIsCopiedAtOnceAndCounted) {
  Bytes bytes = all(3);
  ASSERT_EQ(cuMemcpyHtoDAsync_v2(device_, bytes.data(), 8, stream_), 0);
  bytes = all(4);
  ASSERT_EQ(cuMemcpyDtoHAsync_v2(bytes.data(), device_, 8, stream_), 0);
  EXPECT_EQ(bytes, all(3));
  EXPECT_EQ(fake_cuda_count("pageable_copies"), 2);
}

TEST_F(FakeStreamTest, TimesAreThoseOfTheFakeClock) {
  void* start = nullptr;
  void* stop = nullptr;
  ASSERT_EQ(cuEventCreate(&start, 0), 0);
  ASSERT_EQ(cuEventCreate(&stop, 0), 0);
  float milliseconds = -1;
  EXPECT_TRUE(refused(cuEventElapsedTime(&milliseconds, start, stop), kInvalidHandle, "not recorded"));
  ASSERT_EQ(cuEventRecord(start, stream_), 0);
  ASSERT_EQ(upload(), 0);
  ASSERT_EQ(cuEventRecord(stop, stream_), 0);
  EXPECT_EQ(cuEventElapsedTime(&milliseconds, start, stop), kNotReady);
  EXPECT_EQ(cuEventSynchronize(stop), 0);
  EXPECT_EQ(cuEventElapsedTime(&milliseconds, start, stop), 0);
  EXPECT_GT(milliseconds, 0);
}

TEST_F(FakeStreamTest, WhatIsGoneIsRefused) {
  void* event = nullptr;
  ASSERT_EQ(cuEventCreate(&event, 0), 0);
  ASSERT_EQ(upload(), 0);
  ASSERT_EQ(cuEventRecord(event, stream_), 0);
  EXPECT_EQ(cuEventDestroy_v2(event), 0);  // its recording stays
  EXPECT_EQ(cuStreamSynchronize(stream_), 0);
  EXPECT_TRUE(refused(cuEventQuery(event), kInvalidHandle, "an event"));
  void* second = nullptr;
  ASSERT_EQ(cuStreamCreate(&second, 1), 0);
  EXPECT_EQ(cuStreamDestroy_v2(second), 0);
  EXPECT_TRUE(refused(cuStreamDestroy_v2(second), kInvalidHandle, "a stream"));
}

TEST_F(FakeStreamTest, KernelsRunOnTheWaitingThread) {
  static std::thread::id ran;
  static int released;
  ran = {};
  released = 0;
  FakeCudaRange const range{device_, 8};
  auto const kernel = [](void* /*argument*/) { ran = std::this_thread::get_id(); };
  auto const release = [](void* /*argument*/) { ++released; };
  int argument = 0;
  ASSERT_EQ(fake_cuda_enqueue(stream_, kernel, &argument, release, &range, 1), 0);
  EXPECT_EQ(ran, std::thread::id());
  std::thread([&] { cuStreamSynchronize(stream_); }).join();
  EXPECT_NE(ran, std::thread::id());
  EXPECT_NE(ran, std::this_thread::get_id());
  EXPECT_EQ(released, 1);
  EXPECT_EQ(fake_cuda_count("kernels"), 1);
  FakeCudaRange const past{device_, 9};
  EXPECT_TRUE(refused(fake_cuda_enqueue(stream_, kernel, &argument, release, &past, 1), 1, "past the end"));
  EXPECT_EQ(released, 2);
}

}  // namespace
}  // namespace tf2trt
