// The fixture of the tests that build on the fake TensorRT of fake_builder.cpp, for every generation.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "abi/object.hpp"
#include "support/errors.hpp"
#include "support/fake_build.hpp"
#include "support/fake_cuda.hpp"
#include "support/files.hpp"
#include "support/libraries.hpp"
#include "support/onnx_writer.hpp"
#include "tf2trt/builder.hpp"
#include "tf2trt/library.hpp"

namespace tf2trt::test {

// By the number that the library gives of itself.
class FakeBuilderTest : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    fake_cuda_reset();
    bool const rtx = is_rtx();
    std::string const major = std::to_string(number() < 10000 ? number() / 1000 : number() / 10000);
    std::string const fake = "builder-" + std::to_string(number());
    std::string const library = put_fake(fake, files_ / (rtx ? "libtensorrt_rtx.so.1.7.1" : "libnvinfer.so." + major));
    put_fake(fake, files_ / (rtx ? "libtensorrt_onnxparser_rtx.so.1.7.1" : "libnvonnxparser.so." + major));
    library_ = std::make_unique<Library>(Library::open(library));
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): how dlsym gives functions
    auto const get = reinterpret_cast<FakeBuild* (*)()>(dlsym(dlopen(library.c_str(), RTLD_NOW), "fake_build"));
    ASSERT_NE(get, nullptr);
    fake_ = get();
    *fake_ = {};
    onnx_ = write_file(files_ / "m.onnx", onnx_model(small_graph()));
  }
  // Whatever was built or went wrong: nothing of TensorRT's and nothing of CUDA's is left, and nothing was misused.
  void TearDown() override {
    EXPECT_EQ(abi::live_objects(), 0);
    EXPECT_EQ(fake_cuda_count("violations"), 0) << fake_cuda_last_violation();
    for (char const* what : {"device_bytes", "pinned_bytes", "streams", "pending"}) {
      EXPECT_EQ(fake_cuda_count(what), 0) << what;
    }
  }

  [[nodiscard]] static int number() { return GetParam(); }
  [[nodiscard]] static bool is_rtx() { return number() >= 10000 && number() < 100000; }
  [[nodiscard]] static bool is_eight() { return number() < 10000; }
  [[nodiscard]] static bool is_strongly_typed() { return is_rtx() || number() >= 110000; }

  // x is float32, ?x2; the profile has 1, 4 and 8.
  static BuilderOptions usual(Precision precision = Precision::kFp32) {
    BuilderOptions options;
    options.precision = precision;
    options.profiles = {{{"x", {{1, 2}, {4, 2}, {8, 2}}}}};
    return options;
  }
  BuildResult build(BuilderOptions const& options) { return tf2trt::build(*library_, onnx_, options); }
  testing::AssertionResult refuses(ErrorKind kind, BuilderOptions const& options,
                                   std::vector<std::string> const& words) {
    return throws(kind, words, [&] { build(options); });
  }
  // The calls that start with a word.
  [[nodiscard]] std::vector<std::string> calls(std::string const& start) const {
    std::vector<std::string> found;
    std::copy_if(fake_->calls.begin(), fake_->calls.end(), std::back_inserter(found),
                 [&](std::string const& call) { return call.rfind(start, 0) == 0; });
    return found;
  }

  TempFolder files_;
  std::unique_ptr<Library> library_;
  FakeBuild* fake_ = nullptr;
  std::string onnx_;
};

using Calls = std::vector<std::string>;

}  // namespace tf2trt::test
