// Engines that the op's side builds for shapes that none was built for, on the fake driver and a fake TensorRT that
// builds and runs, of every generation.
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "interface.h"
#include "support/fake_build.hpp"
#include "support/fake_gpu.hpp"
#include "support/files.hpp"
#include "support/libraries.hpp"
#include "support/onnx_writer.hpp"
#include "tf2trt/buffer.hpp"
#include "tf2trt/stream.hpp"

namespace tf2trt {
namespace {

class HybridBuildTest : public test::FakeGpuTest, public testing::WithParamInterface<int> {
 protected:
  // What came of a call.
  struct Answer {
    int status = TF2TRT_HYBRID_FAILED;
    bool built = false;
    std::string message;
    std::vector<float> values;
  };

  void SetUp() override {
    FakeGpuTest::SetUp();
    std::string const major = std::to_string(GetParam() < 10000 ? GetParam() / 1000 : GetParam() / 10000);
    std::string const fake = "whole-" + std::to_string(GetParam());
    std::string const library = test::put_fake(fake, files_ / ("libnvinfer.so." + major));
    test::put_fake(fake, files_ / ("libnvonnxparser.so." + major));
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): how dlsym gives functions
    auto const get = reinterpret_cast<test::FakeBuild* (*)()>(dlsym(dlopen(library.c_str(), RTLD_NOW), "fake_build"));
    ASSERT_NE(get, nullptr);
    fake_ = get();
    *fake_ = {};
    std::string const folder = files_ / "";
    std::array<char const*, 1> const folders{folder.c_str()};
    tf2trt_hybrid_search(folders.data(), folders.size());
    onnx_ = test::write_file(files_ / "m.onnx", test::onnx_model(test::small_graph()));
    plan_ = test::write_file(files_ / "m.engine", plan("double shared"));
  }
  void TearDown() override {
    if (engines_ != nullptr) tf2trt_hybrid_close(engines_);
    if (fake_ != nullptr) *fake_ = {};
    FakeGpuTest::TearDown();
  }

  [[nodiscard]] static std::string plan(std::string const& text) {
    auto const version = library(GetParam()).version();
    return test::fake_plan(text, version[0], version[1], version[2]);
  }
  // The batch that the next engine is for.
  void next(int batch) const { fake_->plan = plan("double shared batch=" + std::to_string(batch)); }
  [[nodiscard]] int builds() const {
    return static_cast<int>(std::count_if(fake_->calls.begin(), fake_->calls.end(), [](std::string const& call) {
      return call.rfind("addOptimizationProfile", 0) == 0;
    }));
  }

  void open(std::string const& engine, int most, int generation = 0, char const* precision = "fp32",
            std::string const& calibration = "") {
    tf2trt_hybrid_tensor const x{"x", "float32"};
    tf2trt_hybrid_tensor const y{"y", "float32"};
    int const made_for = generation == 0 ? library(GetParam()).generation() : generation;
    tf2trt_hybrid_segment const segment{
        engine.c_str(), onnx_.c_str(), precision, calibration.c_str(), 1 << 20, made_for, most, &x, 1, &y, 1};
    std::array<char, 512> text{};
    ASSERT_EQ(tf2trt_hybrid_open(&segment, 0, &engines_, {text.data(), text.size()}), TF2TRT_HYBRID_OK) << text.data();
  }

  // As the op does it, for a batch of ones.
  [[nodiscard]] Answer run(int batch, bool must_run = false) const {
    Answer answer;
    std::array<char, 512> text{};
    tf2trt_hybrid_message const message{text.data(), text.size()};
    std::size_t const count = static_cast<std::size_t>(batch) * 2;
    Stream const stream;
    DeviceBuffer const x(std::max<std::size_t>(count, 1) * sizeof(float));
    DeviceBuffer const y(std::max<std::size_t>(count, 1) * sizeof(float));
    DeviceBuffer const scratch(4096);
    PinnedBuffer const host(std::max<std::size_t>(count, 1) * sizeof(float));
    auto* values = static_cast<float*>(host.data());
    std::fill_n(values, count, 1.0F);
    if (batch != 0) copy_to_device(x, host, count * sizeof(float), stream.handle());
    tf2trt_hybrid_shape const input{2, {batch, 2}};
    tf2trt_hybrid_shape output{};
    tf2trt_hybrid_begun begun{};
    answer.status = tf2trt_hybrid_begin(engines_, stream.handle(), &input, must_run ? 1 : 0, &output, &begun, message);
    answer.built = begun.built != 0;
    if (answer.status == TF2TRT_HYBRID_OK) {
      void const* in = x.data();
      void* out = y.data();
      answer.status = tf2trt_hybrid_enqueue(begun.run, &in, &out, scratch.data(), message);
      tf2trt_hybrid_end(begun.run);
      copy_to_host(host, y, count * sizeof(float), stream.handle());
    }
    stream.synchronize();
    answer.values.assign(values, values + count);
    answer.message = text.data();
    return answer;
  }
  void ran(Answer const& answer, bool built) const {
    EXPECT_EQ(answer.status, TF2TRT_HYBRID_OK) << answer.message;
    EXPECT_EQ(answer.built, built);
    EXPECT_EQ(answer.values, std::vector<float>(answer.values.size(), 2.0F));
  }
  static void refused(Answer const& answer, std::string const& words) {
    EXPECT_EQ(answer.status, TF2TRT_HYBRID_NO_FIT);
    EXPECT_FALSE(answer.built);
    EXPECT_NE(answer.message.find(words), std::string::npos) << answer.message;
  }

  test::TempFolder files_;
  test::FakeBuild* fake_ = nullptr;
  std::string onnx_;
  std::string plan_;
  tf2trt_hybrid_engines* engines_ = nullptr;
};

TEST_P(HybridBuildTest, BuildsForShapesThatNoEngineTakes) {
  open(plan_, 1);
  ran(run(16), false);
  EXPECT_EQ(builds(), 0);
  next(32);
  ran(run(32), true);
  ran(run(32), false);
  ran(run(4), false);  // the engine that lay there goes on
  auto const& calls = fake_->calls;
  EXPECT_NE(std::find(calls.begin(), calls.end(), "setMemoryPoolLimit kWORKSPACE 1048576"), calls.end());
  EXPECT_NE(std::find(calls.begin(), calls.end(), "addOptimizationProfile x 32x2 32x2 32x2"), calls.end());
  EXPECT_NE(std::find(calls.begin(), calls.end(), "clearFlag kTF32"), calls.end());
  EXPECT_EQ(builds(), 1);
}

TEST_P(HybridBuildTest, NeedsNoEngineToStartWith) {
  open("", 1, 0, "int8+fp16");
  fake_->layers.push_back({"q", "kQUANTIZE"});
  next(3);
  ran(run(3), true);
  bool const has_flag = std::find(fake_->calls.begin(), fake_->calls.end(), "setFlag kFP16") != fake_->calls.end();
  EXPECT_EQ(has_flag, GetParam() < 110000);  // from 11 on the graph has the types
}

TEST_P(HybridBuildTest, CalibratedScalesComeFromTheCache) {
  open("", 1, 0, "int8", test::write_file(files_ / "m.calibration", "scales of before"));
  next(3);
  ran(run(3), true);
  if (GetParam() >= 110000) {
    EXPECT_EQ(fake_->cache, "");
  } else {
    EXPECT_EQ(fake_->cache, "scales of before");
    EXPECT_NE(std::find(fake_->calls.begin(), fake_->calls.end(), "setFlag kINT8"), fake_->calls.end());
    EXPECT_EQ(std::count(fake_->calls.begin(), fake_->calls.end(), "getBatch"), 0);
  }
  tf2trt_hybrid_close(engines_);
  engines_ = nullptr;
  open("", 1, 0, "int8", files_ / "gone.calibration");
  if (GetParam() < 110000) refused(run(4), "gone.calibration");
}

TEST_P(HybridBuildTest, TheEngineUsedLeastLatelyGoes) {
  open(plan_, 2);
  for (int const batch : {32, 33}) {
    next(batch);
    ran(run(batch), true);
  }
  ran(run(32), false);
  next(34);
  ran(run(34), true);  // in the place of 33's
  ran(run(32), false);
  ran(run(34), false);
  next(33);
  ran(run(33), true);
  EXPECT_EQ(builds(), 4);
}

TEST_P(HybridBuildTest, ABuildThatFailedIsNotTriedAgain) {
  open(plan_, 1);
  fake_->builds = false;
  refused(run(32), "no engine could be built for 'x' of 32x2: ");
  refused(run(32, true), "TensorRT could not build it");
  EXPECT_EQ(builds(), 1);
  refused(run(0), "empty tensors");
  for (int batch = 33; batch < 48; ++batch) refused(run(batch), "TensorRT could not build it");
  refused(run(48), "16 builds have failed");
  EXPECT_EQ(builds(), 16);
  ran(run(8), false);
}

TEST_P(HybridBuildTest, AnEngineThatIsNotTheSegmentsIsNotUsed) {
  open("", 1);
  fake_->plan = plan("nonzero");
  refused(run(4), "'y' has another type");
  fake_->plan = "no plan";
  refused(run(5), "no engine could be built");
}

TEST_P(HybridBuildTest, AFileMadeForAnotherTensorRtIsNotBuilt) {
  open(plan_, 1, GetParam() < 10000 ? 10 : 8);
  refused(run(32), "made for another TensorRT");
  ran(run(2), false);
  EXPECT_EQ(builds(), 0);
}

TEST_P(HybridBuildTest, WhileOneBuildsOthersRunNativelyOrWait) {
  open(plan_, 1);
  next(32);
  std::mutex mutex;
  std::condition_variable changed;
  bool building = false;
  bool released = false;
  fake_->before_build = [&] {
    std::unique_lock lock(mutex);
    building = true;
    changed.notify_all();
    changed.wait(lock, [&] { return released; });
  };
  Answer first;
  Answer second;
  std::thread builder([&] { first = run(32); });
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return building; });
  }
  refused(run(32), "'x' of 32x2 is being built");
  ran(run(16), false);
  std::thread waiting([&] { second = run(32, true); });
  {
    std::scoped_lock const lock(mutex);
    released = true;
  }
  changed.notify_all();
  builder.join();
  waiting.join();
  ran(first, true);
  ran(second, false);
  ran(run(32), false);
  EXPECT_EQ(builds(), 1);
}

TEST_P(HybridBuildTest, KernelsOfOneSegmentShareWhatWasBuilt) {
  open(plan_, 1);
  next(32);
  ran(run(32), true);
  tf2trt_hybrid_engines* const first = engines_;
  open(plan_, 1);
  tf2trt_hybrid_close(first);
  ran(run(32), false);
  EXPECT_EQ(builds(), 1);
}

INSTANTIATE_TEST_SUITE_P(Generations, HybridBuildTest, testing::Values(8600, 101601, 110400),
                         [](auto const& each) { return std::to_string(each.param); });

}  // namespace
}  // namespace tf2trt
