// The fake driver's captures and graphs.
#include <functional>
#include <thread>

#include "support/fake_cuda_fixture.hpp"

namespace tf2trt {
namespace {

constexpr int kIllegalAddress = 700;
constexpr int kUnsupported = 900;
constexpr int kInvalidated = 901;
constexpr int kUnjoined = 904;
constexpr int kIsolation = 905;
constexpr int kCapturedEvent = 907;
constexpr int kWrongThread = 908;

class FakeGraphTest : public test::FakeCudaTest {
 protected:
  // The graph of an upload.
  void* captured() {
    void* graph = nullptr;
    void* exec = nullptr;
    EXPECT_EQ(cuStreamBeginCapture_v2(stream_, kThreadLocal), 0);
    EXPECT_EQ(upload(), 0);
    EXPECT_EQ(cuStreamEndCapture(stream_, &graph), 0);
    EXPECT_EQ(cuGraphInstantiateWithFlags(&exec, graph, 0), 0);
    EXPECT_EQ(cuGraphDestroy(graph), 0);
    return exec;
  }
};

TEST_F(FakeGraphTest, IsReplayed) {
  void* const exec = captured();
  EXPECT_EQ(cuStreamSynchronize(stream_), 0);
  EXPECT_EQ(fake_cuda_count("h2d_copies"), 0);
  for (unsigned char const value : {1, 2}) {
    fill(value);
    ASSERT_EQ(cuGraphLaunch(exec, stream_), 0);
    EXPECT_EQ(cuStreamSynchronize(stream_), 0);
    fill(0);
    ASSERT_EQ(download(), 0);
    EXPECT_EQ(cuStreamSynchronize(stream_), 0);
    EXPECT_EQ(seen(), all(value));
  }
  EXPECT_EQ(fake_cuda_count("graph_launches"), 2);
  EXPECT_EQ(fake_cuda_count("captures"), 1);
  EXPECT_EQ(cuGraphExecDestroy(exec), 0);
}

TEST_F(FakeGraphTest, NeedsItsMemory) {
  void* const exec = captured();
  ASSERT_EQ(cuMemFree_v2(device_), 0);
  EXPECT_TRUE(refused(cuGraphLaunch(exec, stream_), kIllegalAddress, "was freed"));
}

TEST_F(FakeGraphTest, ACaptureIsBrokenByWaitsAndAllocations) {
  void* graph = nullptr;
  unsigned long long other = 0;
  for (auto const& unsafe : std::initializer_list<std::function<int()>>{
           [&] { return cuStreamSynchronize(stream_); }, [&] { return cuStreamQuery(stream_); },
           [&] { return cuMemAlloc_v2(&other, 8); }, [&] { return cuMemFreeHost(pinned_); }}) {
    ASSERT_EQ(cuStreamBeginCapture_v2(stream_, kThreadLocal), 0);
    EXPECT_TRUE(refused(unsafe(), kUnsupported, "capture"));
    EXPECT_EQ(upload(), kInvalidated);
    EXPECT_EQ(cuStreamEndCapture(stream_, &graph), kInvalidated);
    EXPECT_EQ(graph, nullptr);
  }
  EXPECT_EQ(upload(), 0);
  EXPECT_EQ(cuStreamSynchronize(stream_), 0);
}

TEST_F(FakeGraphTest, OtherThreadsMayAllocateInAThreadLocalCaptureAlone) {
  void* graph = nullptr;
  auto const allocate = [&] {
    int result = -1;
    std::thread([&] {
      cuCtxSetCurrent(context_);
      unsigned long long other = 0;
      result = cuMemAlloc_v2(&other, 8);
      if (result == 0) cuMemFree_v2(other);
    }).join();
    return result;
  };
  ASSERT_EQ(cuStreamBeginCapture_v2(stream_, kThreadLocal), 0);
  EXPECT_EQ(allocate(), 0);
  int ended = 0;
  std::thread([&] {
    cuCtxSetCurrent(context_);
    ended = cuStreamEndCapture(stream_, &graph);
  }).join();
  EXPECT_TRUE(refused(ended, kWrongThread, "another thread"));
  EXPECT_EQ(cuStreamEndCapture(stream_, &graph), 0);
  EXPECT_EQ(cuGraphDestroy(graph), 0);
  ASSERT_EQ(cuStreamBeginCapture_v2(stream_, kGlobal), 0);
  EXPECT_TRUE(refused(allocate(), kUnsupported, "cuMemAlloc_v2 during a capture"));
  EXPECT_EQ(cuStreamEndCapture(stream_, &graph), kInvalidated);
}

TEST_F(FakeGraphTest, AnotherStreamJoinsByEvents) {
  void* second = nullptr;
  void* event = nullptr;
  void* graph = nullptr;
  ASSERT_EQ(cuStreamCreate(&second, 1), 0);
  ASSERT_EQ(cuEventCreate(&event, 2), 0);
  for (bool const joins : {false, true}) {
    ASSERT_EQ(cuStreamBeginCapture_v2(stream_, kThreadLocal), 0);
    ASSERT_EQ(upload(), 0);
    ASSERT_EQ(cuEventRecord(event, stream_), 0);
    ASSERT_EQ(cuStreamWaitEvent(second, event, 0), 0);
    ASSERT_EQ(cuMemcpyDtoHAsync_v2(pinned_, device_, 8, second), 0);
    ASSERT_EQ(cuEventRecord(event, second), 0);
    if (joins) {
      ASSERT_EQ(cuStreamWaitEvent(stream_, event, 0), 0);
    }
    int const ended = cuStreamEndCapture(stream_, &graph);
    if (joins) {
      EXPECT_EQ(ended, 0);
    } else {
      EXPECT_TRUE(refused(ended, kUnjoined, "waits for all"));
    }
  }
  EXPECT_TRUE(refused(cuEventSynchronize(event), kCapturedEvent, "recorded in a capture"));
  EXPECT_EQ(cuGraphDestroy(graph), 0);
}

TEST_F(FakeGraphTest, ACaptureDoesNotWaitForWhatIsOutside) {
  void* second = nullptr;
  void* event = nullptr;
  void* graph = nullptr;
  ASSERT_EQ(cuStreamCreate(&second, 1), 0);
  ASSERT_EQ(cuEventCreate(&event, 2), 0);
  ASSERT_EQ(cuEventRecord(event, second), 0);
  ASSERT_EQ(cuStreamBeginCapture_v2(stream_, kThreadLocal), 0);
  EXPECT_TRUE(refused(cuStreamWaitEvent(stream_, event, 0), kIsolation, "outside"));
  EXPECT_EQ(cuStreamEndCapture(stream_, &graph), kInvalidated);
  EXPECT_EQ(cuStreamSynchronize(second), 0);
}

}  // namespace
}  // namespace tf2trt
