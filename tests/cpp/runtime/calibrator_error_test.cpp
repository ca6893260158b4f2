// What can go wrong with calibration data, on the fake TensorRT of 8 and 10 and the fake driver.
#include <array>
#include <limits>
#include <stdexcept>

#include "support/fake_batches.hpp"
#include "support/fake_builder_fixture.hpp"

namespace tf2trt {
namespace {

using test::Batches;

class CalibratorErrorTest : public test::FakeBuilderTest {
 protected:
  using Source = std::function<std::vector<HostArray>()>;

  BuildResult build_with(Source next, std::string const& cache = "") {
    BuilderOptions options = usual(Precision::kInt8);
    options.calibration.emplace().next = std::move(next);
    options.calibration->cache.assign(cache.begin(), cache.end());
    return build(options);
  }
  testing::AssertionResult refuses_data(Source const& next, std::vector<std::string> const& words) {
    return test::throws(ErrorKind::kInput, words, [&] { build_with(next); });
  }
  // `good` batches, then `bad`.
  static Source after(Batches& good, Source bad) {
    return [&good, source = good.source(), bad = std::move(bad)]() mutable {
      auto batch = source();
      return batch.empty() ? bad() : batch;
    };
  }
  [[nodiscard]] bool is_built() const { return !calls("getBatch").empty(); }

  std::array<float, 64> values_{};
};

TEST_P(CalibratorErrorTest, NoData) {
  EXPECT_TRUE(refuses_data([] { return std::vector<HostArray>{}; }, {"calibration: there are no data"}));
  EXPECT_FALSE(is_built());
}

TEST_P(CalibratorErrorTest, NeitherDataNorACache) {
  BuilderOptions options = usual(Precision::kInt8);
  options.calibration.emplace();
  EXPECT_TRUE(refuses(ErrorKind::kUsage, options, {"neither data nor a cache"}));
}

TEST_P(CalibratorErrorTest, ACacheThatIsNotTakenAndNoData) {
  fake_->takes_cache = false;
  EXPECT_TRUE(test::throws(ErrorKind::kInput, {"does not take the cache", "3 bytes"}, [&] { build_with({}, "abc"); }));
}

TEST_P(CalibratorErrorTest, ACacheThatCannotBeKept) {
  Batches batches{1};
  BuilderOptions options = usual(Precision::kInt8);
  options.calibration.emplace().next = batches.source();
  options.calibration->keep = [](auto const&) { throw std::runtime_error("the disk is full"); };
  try {
    build(options);
    ADD_FAILURE() << "built";
  } catch (std::runtime_error const& error) {
    EXPECT_STREQ(error.what(), "the disk is full");
  }
}

TEST_P(CalibratorErrorTest, BadNumbers) {
  Batches batches{1};
  BuilderOptions options = usual(Precision::kInt8);
  options.calibration.emplace().next = batches.source();
  options.calibration->batch_size = 0;
  EXPECT_TRUE(refuses(ErrorKind::kUsage, options, {"batch size", "0"}));
  options.calibration->batch_size = 1;
  for (double const quantile : {0.0, -1.0, 1.5, std::numeric_limits<double>::quiet_NaN()}) {
    options.calibration->quantile = quantile;
    EXPECT_TRUE(refuses(ErrorKind::kUsage, options, {"quantile", "0.9999"})) << quantile;
  }
  EXPECT_EQ(batches.asked, 0);
}

TEST_P(CalibratorErrorTest, AFirstBatchThatDoesNotFitFailsBeforeTheBuild) {
  struct Case {
    HostArray array;
    std::vector<std::string> words;
  };
  Case const cases[] = {{{"x", DType::kFloat32, {2, 3}, values_.data()}, {"batch 1", "\"x\"", "float32 2x3", "?x2"}},
                        {{"x", DType::kFloat32, {2}, values_.data()}, {"batch 1", "float32 2", "?x2"}},
                        {{"x", DType::kFloat32, {0, 2}, values_.data()}, {"batch 1", "0x2"}},
                        {{"x", DType::kFloat16, {2, 2}, values_.data()}, {"float16 2x2", "float32 ?x2"}},
                        {{"x", DType::kInt64, {2, 2}, values_.data()}, {"int64 2x2", "float32 ?x2"}},
                        {{"y", DType::kFloat32, {2, 2}, values_.data()}, {"input \"x\" is missing"}}};
  for (auto const& [array, words] : cases) {
    HostArray const& only = array;
    EXPECT_TRUE(refuses_data([&] { return std::vector{only}; }, words));
  }
  EXPECT_FALSE(is_built());
}

TEST_P(CalibratorErrorTest, InputsThatAreNoneOrThereTwice) {
  HostArray const x = {"x", DType::kFloat32, {2, 2}, values_.data()};
  HostArray const y = {"y", DType::kFloat32, {2, 2}, values_.data()};
  EXPECT_TRUE(refuses_data([&] { return std::vector{x, y}; }, {"no input of this name", "y"}));
  EXPECT_TRUE(refuses_data([&] { return std::vector{x, x}; }, {"there twice"}));
}

TEST_P(CalibratorErrorTest, ALaterBatchOfAnotherShape) {
  Batches batches{2};
  HostArray const last = {"x", DType::kFloat32, {1, 2}, values_.data()};
  EXPECT_TRUE(refuses_data(after(batches, [&] { return std::vector{last}; }),
                           {"batch 3", "float32 1x2", "float32 2x2", "fill up the last one"}));
  EXPECT_EQ(fake_->data["x"].size(), 2U);
}

TEST_P(CalibratorErrorTest, AnIntegerThatDoesNotFit) {
  fake_->inputs = {{"ids", "kINT32", {2}}};
  std::array<std::int64_t, 2> const ids = {1, std::int64_t{1} << 40U};
  BuilderOptions options;
  options.precision = Precision::kInt8;
  options.calibration.emplace().next = [&]() -> std::vector<HostArray> {
    return {{"ids", DType::kInt64, {2}, ids.data()}};
  };
  EXPECT_TRUE(refuses(ErrorKind::kInput, options, {"\"ids\"", "1099511627776", "32 bits"}));
}

struct OwnError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

TEST_P(CalibratorErrorTest, WhatTheFirstBatchThrowsComesOutBeforeTheBuild) {
  EXPECT_THROW(build_with([]() -> std::vector<HostArray> { throw OwnError("no file"); }), OwnError);
  EXPECT_FALSE(is_built());
}

// 8 cannot be stopped: what it goes on to build, it builds for nothing.
TEST_P(CalibratorErrorTest, WhatALaterBatchThrowsStopsTheBuild) {
  Batches batches{2};
  auto const source = after(batches, []() -> std::vector<HostArray> { throw OwnError("no file"); });
  try {
    build_with(source);
    FAIL() << "nothing was thrown";
  } catch (OwnError const& error) {
    EXPECT_STREQ(error.what(), "no file");
  }
  EXPECT_EQ(calls("getBatch").size(), 3U);
  EXPECT_EQ(calls("step").size(), is_eight() ? 3U : 1U);
}

TEST_P(CalibratorErrorTest, NothingIsAskedForOnceItFailed) {
  fake_->takes_cache = false;
  int asked = 0;
  auto const source = [&asked]() -> std::vector<HostArray> {
    ++asked;
    throw OwnError("no file");
  };
  EXPECT_THROW(build_with(source, "cache"), OwnError);
  EXPECT_EQ(asked, 1);
}

TEST_P(CalibratorErrorTest, NoMemoryOnTheDevice) {
  Batches batches{1};
  fake_cuda_fail("cuMemAlloc_v2", 1, 2);
  EXPECT_TRUE(test::throws(ErrorKind::kDevice, {"cuMemAlloc"}, [&] { build_with(batches.source()); }));
}

TEST_P(CalibratorErrorTest, ACopyThatFails) {
  Batches batches{3};
  fake_cuda_fail("cuMemcpyHtoDAsync_v2", 2, 1);
  EXPECT_TRUE(test::throws(ErrorKind::kDevice, {"cuMemcpyHtoD"}, [&] { build_with(batches.source()); }));
  EXPECT_EQ(fake_->data["x"].size(), 1U);
}

TEST_P(CalibratorErrorTest, AShapeTensorCannotBeCalibrated) {
  fake_->inputs = {{"x", "kFLOAT", {2, 2}}, {"shape", "kINT32", {2}, true}};
  BuilderOptions options;
  options.precision = Precision::kInt8;
  options.profiles = {{{"shape", {{1, 1}, {1, 1}, {2, 2}}}, {"x", {{2, 2}, {2, 2}, {2, 2}}}}};
  options.calibration.emplace().cache = {'c'};
  EXPECT_TRUE(refuses(ErrorKind::kUsage, options, {"\"shape\" is a shape tensor", "tf2trt calibrate"}));
}

TEST_P(CalibratorErrorTest, AProfileThatTensorrtRefuses) {
  fake_->takes_profile = false;
  Batches batches{1};
  EXPECT_TRUE(test::throws(ErrorKind::kUsage, {"refuses the shapes of the calibration data"},
                           [&] { build_with(batches.source()); }));
}

TEST_P(CalibratorErrorTest, AnErrorDoesNotSpoilTheNextBuild) {
  Batches batches{1};
  EXPECT_THROW(build_with([]() -> std::vector<HostArray> { throw OwnError("no file"); }), OwnError);
  EXPECT_EQ(build_with(batches.source()).size(), 6U);
}

INSTANTIATE_TEST_SUITE_P(Versions, CalibratorErrorTest, testing::Values(8501, 8600, 8601, 100001, 101601));

}  // namespace
}  // namespace tf2trt
