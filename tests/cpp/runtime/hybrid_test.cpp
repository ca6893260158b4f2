// The C interface that the op Tf2TrtEngine calls, on the fake driver and the fake TensorRT of every generation.
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "interface.h"
#include "support/fake_gpu.hpp"
#include "support/files.hpp"
#include "tf2trt/buffer.hpp"
#include "tf2trt/stream.hpp"

namespace tf2trt {
namespace {

class Message {
 public:
  tf2trt_hybrid_message into() { return {text_.data(), text_.size()}; }
  [[nodiscard]] std::string text() const { return text_.data(); }

 private:
  std::array<char, 512> text_{};
};

class HybridTest : public test::FakeGpuTest, public testing::WithParamInterface<int> {
 protected:
  using Tensors = std::vector<tf2trt_hybrid_tensor>;

  void SetUp() override {
    FakeGpuTest::SetUp();
    std::array<char const*, 1> const folders{TF2TRT_FAKE_RUNTIME};
    tf2trt_hybrid_search(folders.data(), folders.size());
  }

  void TearDown() override {
    scratch_.reset();
    FakeGpuTest::TearDown();
  }

  [[nodiscard]] std::string write_plan(std::string const& text, std::string const& name = "segment.engine") const {
    auto const version = library(GetParam()).version();
    return test::write_file(folder_ / name, test::fake_plan(text, version[0], version[1], version[2]));
  }

  int open(std::string const& path, Tensors const& inputs = {{"x", "float32"}},
           Tensors const& outputs = {{"y", "float32"}}) {
    tf2trt_hybrid_segment const segment{
        path.c_str(), "", "fp32", "", 0, 0, 1, inputs.data(), inputs.size(), outputs.data(), outputs.size()};
    return tf2trt_hybrid_open(&segment, 0, &engines_, message_.into());
  }

  // As the op does it: the batch's values go in, what comes out is returned.
  std::vector<float> run(Stream const& stream, std::vector<float> const& values) {
    std::size_t const bytes = values.size() * sizeof(float);
    PinnedBuffer const host(bytes);
    DeviceBuffer const x(bytes);
    DeviceBuffer const y(bytes);
    std::copy(values.begin(), values.end(), static_cast<float*>(host.data()));
    copy_to_device(x, host, bytes, stream.handle());
    EXPECT_EQ(begin(stream, {2, {static_cast<std::int64_t>(values.size() / 2), 2}}), TF2TRT_HYBRID_OK)
        << message_.text();
    EXPECT_EQ(output_.rank, 2);
    EXPECT_EQ(begun_.scratch_size, 4096U);
    EXPECT_EQ(output_.extents[0], static_cast<std::int64_t>(values.size() / 2));
    EXPECT_EQ(enqueue(x.data(), y.data()), TF2TRT_HYBRID_OK) << message_.text();
    tf2trt_hybrid_end(begun_.run);
    copy_to_host(host, y, bytes, stream.handle());
    stream.synchronize();
    auto const* results = static_cast<float const*>(host.data());
    return {results, results + values.size()};
  }

  int begin(Stream const& stream, tf2trt_hybrid_shape const& input) {
    return tf2trt_hybrid_begin(engines_, stream.handle(), &input, 0, &output_, &begun_, message_.into());
  }
  int enqueue(void const* x, void* y) {
    return tf2trt_hybrid_enqueue(begun_.run, &x, &y, scratch_->data(), message_.into());
  }

  [[nodiscard]] bool says(std::string const& words) const { return message_.text().find(words) != std::string::npos; }

  test::TempFolder folder_;
  Message message_;
  tf2trt_hybrid_engines* engines_ = nullptr;
  tf2trt_hybrid_begun begun_{};
  tf2trt_hybrid_shape output_{};
  std::unique_ptr<DeviceBuffer> scratch_ = std::make_unique<DeviceBuffer>(4096);
};

TEST_P(HybridTest, RunsOnAStreamAndMemoryThatAreNotItsOwn) {
  ASSERT_EQ(open(write_plan("double shared")), TF2TRT_HYBRID_OK) << message_.text();
  Stream const stream;
  for (float const value : {1.0F, 2.5F}) {
    EXPECT_EQ(run(stream, {value, 2, 3, 4}), (std::vector<float>{2 * value, 4, 6, 8}));
  }
  EXPECT_EQ(fake_cuda_count("kernels"), 3);  // one to choose the profile
  tf2trt_hybrid_close(engines_);
}

TEST_P(HybridTest, NeverWaits) {
  ASSERT_EQ(open(write_plan("double shared")), TF2TRT_HYBRID_OK) << message_.text();
  Stream const stream;
  DeviceBuffer const x(32);
  DeviceBuffer const y(32);
  PinnedBuffer const host(32);
  copy_to_device(x, host, 32, stream.handle());
  auto const before = fake_cuda_count("synchronizations");
  for (std::int64_t const batch : {1, 2, 4, 2, 1}) {  // new shapes, and shapes that were there
    ASSERT_EQ(begin(stream, {2, {batch, 2}}), TF2TRT_HYBRID_OK) << message_.text();
    ASSERT_EQ(enqueue(x.data(), y.data()), TF2TRT_HYBRID_OK) << message_.text();
    tf2trt_hybrid_end(begun_.run);
  }
  EXPECT_EQ(fake_cuda_count("synchronizations"), before);
  EXPECT_EQ(fake_cuda_count("kernels"), 0);  // nothing has waited yet
  tf2trt_hybrid_close(engines_);             // which waits for what it has queued
  EXPECT_EQ(fake_cuda_count("kernels"), 8);  // a profile was chosen for each of three contexts
}

TEST_P(HybridTest, ManyShapesShareAFewContexts) {
  ASSERT_EQ(open(write_plan("double shared")), TF2TRT_HYBRID_OK) << message_.text();
  Stream const stream;
  for (int round = 0; round < 2; ++round) {
    for (std::size_t batch = 1; batch <= 16; ++batch) {
      std::vector<float> const values(batch * 2, static_cast<float>(batch));
      std::vector<float> const wanted(batch * 2, 2 * static_cast<float>(batch));
      EXPECT_EQ(run(stream, values), wanted) << "batch " << batch;
    }
  }
  EXPECT_LE(fake_cuda_count("events"), 8);  // one for each context
  tf2trt_hybrid_close(engines_);
}

TEST_P(HybridTest, GetsByWithTheProfilesThatThereAre) {
  ASSERT_EQ(open(write_plan("double")), TF2TRT_HYBRID_OK) << message_.text();  // in 8 a profile serves one context
  Stream const stream;
  for (float const value : {1.0F, 2.0F, 3.0F}) {
    EXPECT_EQ(run(stream, {value, 1}), (std::vector<float>{2 * value, 2}));
    EXPECT_EQ(run(stream, {value, 1, 2, 3}), (std::vector<float>{2 * value, 2, 4, 6}));
  }
  tf2trt_hybrid_close(engines_);
}

TEST_P(HybridTest, ShapesGoToTheContextThatHasTheirProfile) {
  ASSERT_EQ(open(write_plan("double")), TF2TRT_HYBRID_OK) << message_.text();
  Stream const stream;
  for (std::size_t const batch : {2, 8, 3, 16, 12, 5, 4}) {  // up to 4 by the first profile, more by the second
    std::vector<float> const values(batch * 2, static_cast<float>(batch));
    std::vector<float> const wanted(batch * 2, 2 * static_cast<float>(batch));
    EXPECT_EQ(run(stream, values), wanted) << "batch " << batch;
  }
  tf2trt_hybrid_close(engines_);
}

TEST_P(HybridTest, StreamsAndThreadsShareAnEngine) {
  std::string const path = write_plan("double shared");
  ASSERT_EQ(open(path), TF2TRT_HYBRID_OK) << message_.text();
  std::array<Stream, 2> const streams;
  DeviceBuffer const x(32);
  PinnedBuffer const host(32);
  for (auto const& stream : streams) copy_to_device(x, host, 32, stream.handle());
  std::vector<std::thread> threads;
  std::array<int, 4> failures{};
  threads.reserve(failures.size());
  for (std::size_t i = 0; i < failures.size(); ++i) {
    threads.emplace_back([&, i] {
      Message message;
      DeviceBuffer const y(32);
      DeviceBuffer const scratch(4096);
      Stream const& stream = streams[i % 2];
      for (int turn = 0; turn < 50; ++turn) {
        tf2trt_hybrid_shape const input{2, {1 + turn % 4, 2}};
        tf2trt_hybrid_shape output{};
        tf2trt_hybrid_begun begun{};
        void const* in = x.data();
        void* out = y.data();
        bool const done =
            tf2trt_hybrid_begin(engines_, stream.handle(), &input, 0, &output, &begun, message.into()) == 0 &&
            tf2trt_hybrid_enqueue(begun.run, &in, &out, scratch.data(), message.into()) == 0;
        if (!done || output.extents[0] != input.extents[0]) ++failures[i];
        if (begun.run != nullptr) tf2trt_hybrid_end(begun.run);
      }
      stream.synchronize();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failures, (std::array<int, 4>{}));
  for (auto const& stream : streams) stream.synchronize();
  EXPECT_EQ(fake_cuda_count("kernels"), 208);  // a profile was chosen for each of four contexts on each stream
  tf2trt_hybrid_close(engines_);
}

TEST_P(HybridTest, AnEngineIsOpenOnce) {
  std::string const path = write_plan("double shared");
  ASSERT_EQ(open(path), TF2TRT_HYBRID_OK) << message_.text();
  auto const allocations = fake_cuda_count("device_allocations");
  tf2trt_hybrid_engines* const first = engines_;
  ASSERT_EQ(open(path), TF2TRT_HYBRID_OK) << message_.text();
  EXPECT_EQ(fake_cuda_count("device_allocations"), allocations);
  tf2trt_hybrid_close(first);
  Stream const stream;
  EXPECT_EQ(run(stream, {1, 2}), (std::vector<float>{2, 4}));
  tf2trt_hybrid_close(engines_);
}

TEST_P(HybridTest, SaysWhichShapesItTakes) {
  ASSERT_EQ(open(write_plan("double shared")), TF2TRT_HYBRID_OK) << message_.text();
  Stream const stream;
  EXPECT_EQ(begin(stream, {2, {17, 2}}), TF2TRT_HYBRID_NO_FIT);
  EXPECT_TRUE(says("'x' of 17x2 (1x2 to 4x2 or 1x2 to 16x2)")) << message_.text();
  EXPECT_EQ(begin(stream, {2, {0, 2}}), TF2TRT_HYBRID_NO_FIT);
  EXPECT_EQ(begin(stream, {2, {1, 3}}), TF2TRT_HYBRID_NO_FIT);
  EXPECT_TRUE(says("1x3, the engine takes ?x2")) << message_.text();
  EXPECT_EQ(begin(stream, {0, {}}), TF2TRT_HYBRID_NO_FIT);
  EXPECT_EQ(run(stream, {1, 2}), (std::vector<float>{2, 4}));  // and goes on
  tf2trt_hybrid_close(engines_);
}

TEST_P(HybridTest, SizesThatDependOnTheDataDoNotFit) {
  ASSERT_EQ(open(write_plan("nonzero"), {{"x", "float32"}}, {{"y", "int32"}}), TF2TRT_HYBRID_OK) << message_.text();
  Stream const stream;
  EXPECT_EQ(begin(stream, {1, {4}}), TF2TRT_HYBRID_NO_FIT);
  EXPECT_TRUE(says("'y' depends on the data")) << message_.text();
  tf2trt_hybrid_close(engines_);
}

TEST_P(HybridTest, AddressesHaveToBeAligned) {
  ASSERT_EQ(open(write_plan("double shared")), TF2TRT_HYBRID_OK) << message_.text();
  Stream const stream;
  DeviceBuffer const x(512);
  DeviceBuffer const y(512);
  ASSERT_EQ(begin(stream, {2, {1, 2}}), TF2TRT_HYBRID_OK);
  EXPECT_EQ(enqueue(static_cast<char*>(x.data()) + 8, y.data()), TF2TRT_HYBRID_NO_FIT);
  EXPECT_TRUE(says("input 'x' does not lie at a multiple of 256")) << message_.text();
  tf2trt_hybrid_end(begun_.run);
  stream.synchronize();
  tf2trt_hybrid_close(engines_);
}

TEST_P(HybridTest, ARunThatFailsIsToldAndLeavesTheRestAlone) {
  ASSERT_EQ(open(write_plan("broken shared")), TF2TRT_HYBRID_OK) << message_.text();
  Stream const stream;
  DeviceBuffer const x(32);
  DeviceBuffer const y(32);
  for (int turn = 0; turn < 2; ++turn) {
    ASSERT_EQ(begin(stream, {2, {1, 2}}), TF2TRT_HYBRID_OK) << message_.text();
    EXPECT_EQ(enqueue(x.data(), y.data()), TF2TRT_HYBRID_FAILED);
    EXPECT_TRUE(says("this engine is broken")) << message_.text();
    tf2trt_hybrid_end(begun_.run);
  }
  stream.synchronize();
  tf2trt_hybrid_close(engines_);
}

TEST_P(HybridTest, ContextsTakeNoMemoryForActivations) {
  ASSERT_EQ(open(write_plan("big shared")), TF2TRT_HYBRID_OK) << message_.text();
  Stream const stream;
  auto const allocations = fake_cuda_count("device_allocations");
  ASSERT_EQ(begin(stream, {2, {1, 2}}), TF2TRT_HYBRID_OK) << message_.text();
  EXPECT_EQ(begun_.scratch_size, std::size_t{1} << 40U);
  EXPECT_EQ(fake_cuda_count("device_allocations"), allocations);
  DeviceBuffer const x(32);
  DeviceBuffer const y(32);
  EXPECT_EQ(enqueue(x.data(), y.data()), TF2TRT_HYBRID_FAILED);  // 4096 bytes
  EXPECT_TRUE(says("was refused")) << message_.text();
  EXPECT_NE(violation().find("past the end"), std::string::npos);
  tf2trt_hybrid_end(begun_.run);
  stream.synchronize();
  tf2trt_hybrid_close(engines_);
}

TEST_P(HybridTest, RefusesWhatIsNotTheSegments) {
  EXPECT_EQ(open(folder_ / "gone.engine"), TF2TRT_HYBRID_FAILED);
  EXPECT_TRUE(says("gone.engine")) << message_.text();
  EXPECT_EQ(open(test::write_file(folder_ / "text.engine", std::string(64, 'x'))), TF2TRT_HYBRID_FAILED);
  EXPECT_TRUE(says("not a TensorRT plan")) << message_.text();
  std::string const path = write_plan("double");
  EXPECT_EQ(open(path, {{"q", "float32"}}), TF2TRT_HYBRID_FAILED);
  EXPECT_TRUE(says("no input 'q'")) << message_.text();
  EXPECT_EQ(open(path, {{"x", "float16"}}), TF2TRT_HYBRID_FAILED);
  EXPECT_TRUE(says("another type")) << message_.text();
  EXPECT_EQ(open(path, {{"x", "float32"}}, {{"y", "float32"}, {"y", "float32"}}), TF2TRT_HYBRID_FAILED);
  EXPECT_TRUE(says("another number of outputs")) << message_.text();
  EXPECT_EQ(open(write_plan("reshape", "reshape.engine"), {{"x", "float32"}, {"s", "int32"}}), TF2TRT_HYBRID_FAILED);
  EXPECT_TRUE(says("'s' is a shape tensor")) << message_.text();
}

TEST_P(HybridTest, MessagesAreCutToTheRoomThereIs) {
  std::array<char, 8> text{};
  tf2trt_hybrid_tensor const tensor{"x", "float32"};
  tf2trt_hybrid_segment const segment{"/nowhere.engine", "", "fp32", "", 0, 0, 1, &tensor, 1, &tensor, 1};
  EXPECT_EQ(tf2trt_hybrid_open(&segment, 0, &engines_, {text.data(), text.size()}), TF2TRT_HYBRID_FAILED);
  EXPECT_EQ(std::string(text.data()).size(), 7U);
}

INSTANTIATE_TEST_SUITE_P(Generations, HybridTest, testing::Values(8600, 101601, 110400),
                         [](auto const& each) { return std::to_string(each.param); });

}  // namespace
}  // namespace tf2trt
