// TensorRT's own calibrators, on the fake TensorRT of 8 and 10 and the fake driver.
#include <array>

#include "support/fake_batches.hpp"
#include "support/fake_builder_fixture.hpp"

namespace tf2trt {
namespace {

using test::Batches;
using test::Calls;

class CalibratorTest : public test::FakeBuilderTest {
 protected:
  static BuilderOptions with(Calibration const& calibration, Precision precision = Precision::kInt8) {
    BuilderOptions options = usual(precision);
    options.calibration = calibration;
    return options;
  }
  static Calibration from(Batches& batches, CalibrationMethod method = CalibrationMethod::kEntropy) {
    Calibration calibration;
    calibration.method = method;
    calibration.batch_size = 2;
    calibration.next = batches.source();
    return calibration;
  }
  static std::string text(std::vector<char> const& bytes) { return {bytes.begin(), bytes.end()}; }
};

TEST_P(CalibratorTest, EveryBatchArrivesOnTheDevice) {
  Batches batches{3};
  BuildResult const result = build(with(from(batches)));
  EXPECT_EQ(fake_->data["x"], (Calls{batches.bytes(1), batches.bytes(2), batches.bytes(3)}));
  EXPECT_EQ(batches.asked, 4);
  EXPECT_EQ(fake_->batch_size, 2);
  EXPECT_EQ(calls("getBatch").size(), 4U);
  EXPECT_EQ(text(result.calibration_cache), "scales");
  EXPECT_EQ(fake_cuda_count("pageable_copies"), 0);
  EXPECT_EQ(fake_cuda_count("h2d_bytes"), 3 * 16);
}

TEST_P(CalibratorTest, TheCacheIsKeptAsSoonAsItIsThere) {
  Batches batches{1};
  Calibration calibration = from(batches);
  std::string kept;
  std::size_t calls_before = 0;
  calibration.keep = [&](std::vector<char> const& cache) {
    kept = text(cache);
    calls_before = calls("getBatch").size();
  };
  build(with(calibration));
  EXPECT_EQ(kept, "scales");
  EXPECT_EQ(calls_before, 2U);  // all the data were read
}

TEST_P(CalibratorTest, EachMethodIsItsInterface) {
  struct Case {
    CalibrationMethod method;
    int algorithm;
    std::string kind;
  };
  Case const cases[] = {{CalibrationMethod::kEntropy, 2, "IInt8EntropyCalibrator2"},
                        {CalibrationMethod::kMinMax, 3, "IInt8MinMaxCalibrator"},
                        {CalibrationMethod::kPercentile, 0, "IInt8Calibrator"}};
  for (auto const& [method, algorithm, kind] : cases) {
    Batches batches{1};
    build(with(from(batches, method)));
    EXPECT_EQ(fake_->algorithm, algorithm);
    EXPECT_EQ(fake_->kind, is_eight() ? "" : kind);
  }
}

TEST_P(CalibratorTest, ThePercentileHasAQuantileAndNothingElse) {
  Batches batches{1};
  Calibration calibration = from(batches, CalibrationMethod::kPercentile);
  calibration.quantile = 0.875;
  build(with(calibration));
  EXPECT_EQ(fake_->quantile, 0.875);
  EXPECT_EQ(fake_->cutoff, 1);
  EXPECT_TRUE(calls("a histogram").empty());
}

// The profile for building has 1, 4 and 8; calibration runs with the data's own shape.
TEST_P(CalibratorTest, DynamicShapesAreCalibratedWithTheDatas) {
  Batches batches{1};
  build(with(from(batches)));
  EXPECT_EQ(calls("addOptimizationProfile"), Calls{"addOptimizationProfile x 1x2 4x2 8x2"});
  EXPECT_EQ(calls("setCalibrationProfile"), Calls{"setCalibrationProfile x 2x2 2x2 2x2"});
}

TEST_P(CalibratorTest, StaticShapesNeedNoProfile) {
  fake_->inputs = {{"x", "kFLOAT", {2, 2}}};
  Batches batches{2};
  Calibration const calibration = from(batches);
  BuilderOptions options;
  options.precision = Precision::kInt8Fp16;
  options.calibration = calibration;
  build(options);
  EXPECT_TRUE(calls("setCalibrationProfile").empty());
  EXPECT_EQ(fake_->data["x"].size(), 2U);
}

TEST_P(CalibratorTest, ACacheTakesTheDatasPlace) {
  Batches batches{1};
  Calibration calibration = from(batches);
  calibration.cache = {'s', '\0', 't'};
  BuildResult const result = build(with(calibration));
  EXPECT_EQ(fake_->cache, std::string("s\0t", 3));
  EXPECT_EQ(batches.asked, 0);
  EXPECT_TRUE(result.calibration_cache.empty());
  EXPECT_EQ(calls("setCalibrationProfile"), Calls{"setCalibrationProfile x 4x2 4x2 4x2"});
}

TEST_P(CalibratorTest, ACacheAlone) {
  Calibration calibration;
  calibration.cache = {'s'};
  EXPECT_EQ(build(with(calibration)).size(), 6U);
}

// As one of another version of TensorRT is not: then the data, which have the profile's shape.
TEST_P(CalibratorTest, ACacheThatIsNotTaken) {
  fake_->takes_cache = false;
  fake_->bytes["x"] = 32;
  Batches batches{2, {4, 2}};
  Calibration calibration = from(batches);
  calibration.cache = {'s'};
  BuildResult const result = build(with(calibration));
  EXPECT_EQ(fake_->data["x"], (Calls{batches.bytes(1), batches.bytes(2)}));
  EXPECT_EQ(text(result.calibration_cache), "scales");
}

TEST_P(CalibratorTest, SeveralInputsInAnyOrder) {
  fake_->inputs = {{"x", "kFLOAT", {1, 2}}, {"mask", "kBOOL", {3}}};
  fake_->bytes = {{"x", 8}, {"mask", 3}};
  std::vector<float> const x = {1, 2};
  std::array<bool, 3> const mask = {true, false, true};
  int asked = 0;
  Calibration calibration;
  calibration.next = [&]() -> std::vector<HostArray> {
    if (++asked > 2) return {};
    return {{"mask", DType::kBool, {3}, mask.data()}, {"x", DType::kFloat32, {1, 2}, x.data()}};
  };
  BuilderOptions options;
  options.precision = Precision::kInt8;
  options.calibration = calibration;
  build(options);
  std::string const bytes(reinterpret_cast<char const*>(x.data()), 8);
  EXPECT_EQ(fake_->data["x"], (Calls{bytes, bytes}));
  EXPECT_EQ(fake_->data["mask"], (Calls{std::string("\1\0\1", 3), std::string("\1\0\1", 3)}));
}

// TensorRT 8 makes INT32 of ONNX's INT64.
TEST_P(CalibratorTest, Int64GoesToInt32) {
  fake_->inputs = {{"ids", "kINT32", {2}}};
  fake_->bytes = {{"ids", 8}};
  std::array<std::int64_t, 2> const ids = {-5, 2147483647};
  int asked = 0;
  Calibration calibration;
  calibration.next = [&]() -> std::vector<HostArray> {
    if (++asked > 1) return {};
    return {{"ids", DType::kInt64, {2}, ids.data()}};
  };
  BuilderOptions options;
  options.precision = Precision::kInt8;
  options.calibration = calibration;
  build(options);
  std::array<std::int32_t, 2> const narrow = {-5, 2147483647};
  EXPECT_EQ(fake_->data["ids"], Calls{std::string(reinterpret_cast<char const*>(narrow.data()), 8)});
}

TEST_P(CalibratorTest, TensorrtMayStopAskingBeforeTheEnd) {
  fake_->batches_wanted = 1;
  Batches batches{3};
  build(with(from(batches)));
  EXPECT_EQ(batches.asked, 1);
}

TEST_P(CalibratorTest, DataThatBeginAnewAreReadAgain) {
  fake_->passes = 2;
  Batches batches{2};
  Calibration calibration = from(batches);
  calibration.next = [&batches, source = batches.source()] {
    auto batch = source();
    if (batch.empty()) batches.asked = 0;
    return batch;
  };
  build(with(calibration));
  EXPECT_EQ(fake_->data["x"], (Calls{batches.bytes(1), batches.bytes(2), batches.bytes(1), batches.bytes(2)}));
}

TEST_P(CalibratorTest, ProgressIsStillReported) {
  Batches batches{1};
  int steps = 0;
  auto const count = [&](std::string const& /*phase*/, std::string const& /*parent*/, int /*step*/, int /*of*/) {
    ++steps;
    return true;
  };
  tf2trt::build(*library_, onnx_, with(from(batches)), count);
  EXPECT_EQ(steps, is_eight() ? 0 : 4);
}

INSTANTIATE_TEST_SUITE_P(Versions, CalibratorTest, testing::Values(8501, 8600, 8601, 100001, 101601));

}  // namespace
}  // namespace tf2trt
